"""A bench of virtual cameras: one process that owns them as the kernel owns real ones, and outlives who reads them.

FOLDER/by-path/PORT -> ../videoN    videoN: a socket per camera (one message per request, frame or buffer)
FOLDER/trigger                      the trigger bus, speaking the protocol of trigger.py
FOLDER/faults                       JSON lines {"cmd": "unplug", "camera": "camB"}: faults on request
FOLDER/truth/CAMERA.bin             what really happened to every exposure

Messages of videoN: the camera first says what it is, with the descriptor of its buffers, which are memory without a
name; the reader sends JSON requests, the camera answers JSON and sends `F` + frame. A byte behind the buffers says of
each whether the reader holds it. The bench runs at a higher real-time priority than the recorder, as an interrupt does.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from labsys.capture.child_process import end_child, start_child
from labsys.capture.device import Mode
from labsys.capture.pictures import CountedPictures, FrameSource, draw_test_pattern, load_pictures
from labsys.capture.rig_base import FreeRun
from labsys.capture.uvc import UvcRig
from labsys.capture.virtual_camera import CameraPlug
from labsys.core.errors import InputError

_START_TIMEOUT_S = 60.0


def make_plugs(rig: UvcRig, sources: Mapping[str, FrameSource] | None = None) -> list[CameraPlug]:
    """The cameras of a virtual rig with what they show; pictures of the rig's folder or a test pattern by default.

    Raises:
        InputError: the rig is not virtual, or its pictures are unreadable or of another size than its mode.
    """
    if rig.virtual is None:
        raise InputError(f"rig {rig.name} is not virtual")
    plugs, patterns = [], dict[tuple[int, int], FrameSource]()
    for name, camera in rig.cameras.items():
        mode = rig.mode_of(name)
        size = (mode.width, mode.height)
        if sources is None and size not in patterns:
            patterns[size] = _load(rig.virtual.pictures, size)
        source = patterns[size] if sources is None else sources[name]
        if source.size_px != size:
            raise InputError(f"pictures of {name} are {source.size_px} px, its mode is {size} px")
        largest = getattr(source, "largest_bytes", size[0] * size[1])
        how = rig.virtual.behaviour_of(name)
        rate = Mode(mode.fourcc, mode.width, mode.height, mode.fps)
        plugs.append(CameraPlug(name, camera.by_path, camera.usb_id, rate, how, source, int(largest) + 4096))
    return plugs


def _load(folder: str, size_px: tuple[int, int]) -> FrameSource:
    return load_pictures(Path(folder)) if folder else CountedPictures(draw_test_pattern(size_px))


class Bench:
    """Handle of a running bench; `fault` causes a fault now."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fault(self, command: str, camera: str) -> None:
        """unplug, replug, freeze, slow or corrupt a camera (InputError: no such camera or fault)."""
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(self.folder / "faults"))
            line.sendall(json.dumps({"cmd": command, "camera": camera}).encode() + b"\n")
            answer = json.loads(line.makefile().readline())
        if "error" in answer:
            raise InputError(answer["error"])


@contextmanager
def run_bench(rig: UvcRig, sources: Mapping[str, FrameSource] | None = None) -> Iterator[Bench]:
    """The bench of a virtual rig: the one that the rig names, else one of its own for as long as the block runs."""
    if rig.virtual is not None and rig.virtual.bench:
        yield Bench(Path(rig.virtual.bench))
        return
    folder = Path(tempfile.mkdtemp(prefix="labsys-bench-"))
    seed = 0 if rig.virtual is None else rig.virtual.seed
    triggered = not isinstance(rig.sync, FreeRun)
    plugs = make_plugs(rig, sources)
    child = start_child("labsys.capture.bench_server:serve_bench", plugs, folder, seed, triggered, rig.system.priority)
    try:
        _wait_for(child, folder)
        yield Bench(folder)
    finally:
        child.terminate()
        end_child(child, wait_s=10.0)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(child: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while not (folder / "ready").exists():
        if child.poll() is not None or time.monotonic() > deadline:
            raise InputError("the virtual cameras did not start", where=str(folder))
        time.sleep(0.02)
