"""Takes of virtual cameras, and what the cameras themselves say became of every exposure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from labsys.capture.finalise import Assessment
from labsys.capture.pictures import CountedPictures, draw_test_pattern, read_jpeg_barcode
from labsys.capture.rig import load_rig_config
from labsys.capture.uvc import UvcRig
from labsys.capture.virtual_camera import Fate, read_truth
from labsys.capture.watcher import Watcher
from labsys.core.session import Session, Subject, Trial, TrialKind, TrialName
from labsys.storage.jpeg_video import JpegVideo
from labsys.storage.lab import Lab, create_lab
from labsys.storage.sessions import save_session
from labsys.storage.sidecar import is_bad, read_sidecar
from labsys.storage.subjects import save_subject
from labsys.storage.takes import stage_take
from labsys.storage.trials import save_trial
from labsys.storage.video import read_pictures

TRIGGER = {"mode": "hardware_trigger", "source": "virtual", "pulse_us": 1000, "level_v": 3.3}
DELIVERED = (Fate.DELIVERED, Fate.CORRUPT)


def rig_document(
    *,
    cameras: int = 2,
    fps: float = 40,
    size_px: tuple[int, int] = (512, 288),
    behaviour: dict[str, dict[str, Any]] | None = None,
    triggered: bool = False,
    **changes: Any,
) -> dict[str, Any]:
    """A rig file of virtual cameras camA, camB, …"""
    width, height = size_px
    document = {
        "schema": "labsys.hardware/1",
        "name": "virtual",
        "driver": "virtual",
        "sync": {**TRIGGER, "fps": 0.9 * fps} if triggered else {"mode": "free_run"},
        "virtual": {"behaviour": behaviour or {}},
        "defaults": {
            "mode": {"fourcc": "MJPG", "width": width, "height": height, "fps": fps},
            "shutter": "global",
            "controls": {"auto_exposure": 1, "exposure_time_absolute": 10, "exposure_dynamic_framerate": 0},
        },
        "cameras": {f"cam{c}": {"by_path": f"port-{c}", "usb_id": "1d6b:0102"} for c in "ABCDEFGH"[:cameras]},
        "limits": {"disk_min_free_GB": 0.001},
        "task": {"v_max_mps": 7},
        "policy": {"min_cameras": 1},
    }
    return document | changes


def write_rig(path: Path, document: dict[str, Any]) -> UvcRig:
    """The rig of a document, through its file."""
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    rig = load_rig_config(path)
    assert isinstance(rig, UvcRig)
    return rig


def make_trial(folder: Path) -> tuple[Lab, TrialName]:
    """A lab with a trial that waits for its take."""
    lab, name = create_lab(folder, name="lab"), TrialName("S01", "2026-11-22", "run1")
    save_subject(lab, Subject(uuid="", code="S01"))
    save_session(lab, Session(uuid="", subject="S01", session="2026-11-22", captured_at="2026-11-22T10:00:00.000Z"))
    save_trial(lab, Trial(uuid="", name=name, kind=TrialKind.RUN, recorded_at="2026-11-22T10:00:00.000Z"))
    return lab, name


def add_videos(lab: Lab, name: TrialName, cameras: Sequence[str]) -> None:
    """A take of short videos for a trial, each camera's of other pictures."""
    pictures = CountedPictures(draw_test_pattern((512, 288)))
    with stage_take(lab, name) as staged:
        for number, camera in enumerate(cameras):
            path = lab.root.parent / f"{camera}.mkv"
            video = JpegVideo(path, size_px=(512, 288), rate_hz=50.0)
            for tick in range(4):
                video.write(pictures.picture(100 * number + tick), tick / 50)
            video.close()
            staged.add_video(camera, path)
        staged.finish(rate_hz=50.0)


class Witness(Watcher):
    """Remembers the verdict, and acts once the take has run for a while."""

    def __init__(self, acts: dict[float, Any] | None = None) -> None:
        self.acts, self.judgement = dict(acts or {}), None
        self.most_elapsed_s = 0.0

    def counted(self, elapsed_s: float, cameras: Any, free_bytes: int) -> None:
        self.most_elapsed_s = max(self.most_elapsed_s, elapsed_s)
        for at_s in [t for t in self.acts if t <= elapsed_s]:
            self.acts.pop(at_s)()

    def judged(self, found: Assessment) -> None:
        self.judgement = found  # type: ignore[assignment]


@dataclass(frozen=True, eq=False)
class StoredCamera:
    """What is stored of one camera: (N,) numbers that its pictures carry, its rows, whether each is bad."""

    barcodes: NDArray[np.int64]
    rows: NDArray[np.void]
    bad: NDArray[np.bool_]
    kinds: list[str]
    ticks: NDArray[np.int64]


def read_stored(take: Path, camera: str) -> StoredCamera:
    """Read packets, rows and timestamps of a take, and hold them against each other."""
    pictures = list(read_pictures(take / "raw" / f"{camera}.mkv"))
    rows = read_sidecar(take / "raw" / f"{camera}.fts")
    lines = [line.split(",") for line in (take / "files/timestamps.csv").read_text().splitlines()[1:]]
    mine = [line for line in lines if line[0] == camera]
    assert len(pictures) == rows.size == len(mine), "packets, rows and timestamps in step"
    assert [len(p) for p in pictures] == rows["bytes"].tolist()
    barcodes = np.array([read_jpeg_barcode(p) for p in pictures], dtype=np.int64)
    ticks = np.array([int(line[2]) for line in mine], dtype=np.int64)
    return StoredCamera(barcodes, rows, is_bad(rows), [line[3] for line in mine], ticks)


def read_due(bench: Path, camera: str, window: dict[str, int]) -> NDArray[np.void]:
    """What the camera exposed within the take, by its own log (stamps of lost frames are there too)."""
    truth = read_truth(bench / "truth" / f"{camera}.bin")
    return truth[(truth["stamp_ns"] >= window["from_ns"]) & (truth["stamp_ns"] < window["until_ns"])]


def read_manifest(take: Path) -> dict[str, Any]:
    found = json.loads((take / "manifest.json").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def start_recording(
    lab: Lab,
    rig: Path,
    seconds: float,
    *,
    limit_bytes: int | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[str]:
    """`labsys record trial` as a process of its own, for tests that end it by force; environment: added to it."""
    command = [
        sys.executable,
        "-c",
        "from api.cli import main; main()",
        "record",
        "trial",
        "S01/2026-11-22/run1",
        "--rig",
        str(rig),
    ]
    words = [*command, "--seconds", str(seconds), "--lab", str(lab.root), "--no-check"]
    if limit_bytes is not None:
        code = "import os, resource, sys; n = int(sys.argv[1]); resource.setrlimit(resource.RLIMIT_FSIZE, (n, n)); "
        words = [sys.executable, "-c", code + "os.execv(sys.argv[2], sys.argv[2:])", str(limit_bytes), *words]
    with (lab.root / "said.out").open("w") as out, (lab.root / "said.err").open("w") as err:
        return subprocess.Popen(words, stdout=out, stderr=err, text=True, env={**os.environ, **(environment or {})})
