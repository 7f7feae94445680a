"""Another family of cameras through the same protocol: pypylon's own emulator, from the node to the take.

As in a recording, pypylon is only ever loaded in a process of its own.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from labsys.capture.device import DriverError, Failure, Mode, StampSource
from labsys.capture.driver import DriverKind, make_driver
from labsys.capture.genicam import GenicamRig
from labsys.capture.node_setup import NodeSetup
from labsys.capture.preflight.cameras import BusCheck, ControlCheck, IdentityCheck, StreamCheck, TriggerCheck
from labsys.capture.preflight.check import Rehearsal
from labsys.capture.recorder import RecordRequest, record_take
from labsys.capture.rig import load_recordable_rig, load_rig_config
from labsys.capture.status import Count, make_numbers, map_numbers
from labsys.core.errors import InputError
from labsys.storage.lab import take_folder
from labsys.storage.sidecar import read_sidecar, stamp_source
from labsys.storage.video import read_pictures
from tests.test_labsys.recorded_scene import make_trial, read_manifest

SERIALS = ("0815-0000", "0815-0001")
MODE = Mode("MJPG", 640, 480, 50.0)


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two emulated cameras, for this process and for those that it starts."""
    monkeypatch.setenv("PYLON_CAMEMU", "2")
    if importlib.util.find_spec("pypylon") is None:
        pytest.skip("pypylon is not installed here: make setup")


def _elsewhere(function: Callable[..., Any], *arguments: object) -> Any:
    """What a function returns, or raises, in a new process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def _document(**changes: Any) -> dict[str, Any]:
    document = {
        "schema": "labsys.hardware/1",
        "name": "emulated",
        "driver": "genicam",
        "genicam": {"backend": "pypylon"},
        "sync": {"mode": "free_run"},
        "defaults": {
            "mode": {"pixel_format": "Mono8", "width": 640, "height": 480},
            "buffers": 16,
            "nodes": [{"!AcquisitionFrameRate": 50.0}, {"!ExposureTime": 800.0}, {"NoNodeOfThisCamera": 3}],
            "clock": {"map": "timestamp_latch"},
        },
        "cameras": {f"c{i}": {"serial": serial} for i, serial in enumerate(SERIALS)},
        "record": {"encode": {"kind": "turbojpeg_gray", "quality": 90}},
        "limits": {"disk_min_free_GB": 0.001},
        "task": {"v_max_mps": 7},
        "policy": {"min_cameras": 1},
    }
    return document | changes


def _rig(folder: Path, **changes: Any) -> GenicamRig:
    path = folder / "rig.yaml"
    path.write_text(yaml.safe_dump(_document(**changes)), encoding="utf-8")
    rig = load_rig_config(path)
    assert isinstance(rig, GenicamRig)
    return rig


@pytest.mark.slow
@pytest.mark.usefixtures("emulator")
def test_a_take_is_recorded_from_emulated_cameras(tmp_path: Path) -> None:
    lab, name = make_trial(tmp_path / "lab")
    take = take_folder(lab, name)
    finished = record_take(RecordRequest(take, _rig(tmp_path), 2.0))
    manifest, sync = read_manifest(take), finished.assessment.sync
    assert sync.grade == "D"
    assert "carries the host's time only" in "; ".join(sync.standing), "said, and no reason to repeat"
    for camera, serial in zip(("c0", "c1"), SERIALS, strict=True):
        losses, told = finished.assessment.losses[camera], manifest["cameras"][camera]
        assert (told["port"], told["serial"], told["size_px"]) == (serial, serial, [640, 480])
        assert told["controls"] == {}
        assert told["mismatches"] == []
        rows, pictures = (
            read_sidecar(take / "raw" / f"{camera}.fts"),
            list(read_pictures(take / "raw" / f"{camera}.mkv")),
        )
        assert rows.size == len(pictures) == losses.stored > 20
        assert losses.stored + losses.lost == losses.due == pytest.approx(100, abs=5)
        assert (np.diff(rows["seq"]) >= 1).all()
        assert set(stamp_source(rows)) == {StampSource.HOST}
        shown = [cv2.imdecode(np.frombuffer(p, np.uint8), cv2.IMREAD_UNCHANGED) for p in pictures[:3]]
        assert [image.shape for image in shown] == [(480, 640)] * 3, "grey"
        assert np.abs(np.diff(np.stack(shown).astype(float), axis=0)).max() > 0, "the emulator's picture moves"


def _stream(setup: NodeSetup, n_frames: int) -> tuple[Any, ...]:
    driver = make_driver(DriverKind.GENICAM, nodes=setup)
    info, frames = driver.open(SERIALS[1]), []
    applied, controls = driver.configure(MODE, {}, triggered=False), driver.read_controls()
    driver.start(16)
    deadline = time.monotonic() + 20.0
    while len(frames) < n_frames and time.monotonic() < deadline:
        frame = driver.next(0.5)
        if frame is not None:
            frames.append((frame.seq, bytes(frame.picture[:2])))
            driver.release(frame)
    driver.stop()
    driver.close()
    driver.close()
    return info, applied, controls, frames


@pytest.mark.slow
@pytest.mark.usefixtures("emulator")
def test_nodes_are_written_in_order_and_read_back() -> None:
    setup = NodeSetup((("ExposureTime", 700.0, True), ("ExposureTime", 900.0, True), ("Nothing", 1, False)))
    info, applied, controls, frames = _elsewhere(_stream, setup, 5)
    assert (info.port, info.model) == (SERIALS[1], "Emulation")
    assert (applied.mode, applied.mismatches) == (MODE, ())
    assert controls == {"ExposureTime": 900}
    assert [start for _, start in frames] == [b"\xff\xd8"] * 5
    assert np.diff([seq for seq, _ in frames]).min() >= 1


def _set_up(setup: NodeSetup, serial: str, controls: dict[str, int]) -> None:
    driver = make_driver(DriverKind.GENICAM, nodes=setup)
    driver.open(serial)
    driver.configure(MODE, controls, triggered=False)


@pytest.mark.slow
@pytest.mark.usefixtures("emulator")
@pytest.mark.parametrize(
    ("nodes", "controls", "told"),
    [
        ((("NoNodeOfThisCamera", 3, True),), {}, "no node 'NoNodeOfThisCamera'"),
        ((("ExposureTime", -4.0, True),), {}, "node ExposureTime cannot be -4.0"),
        ((("PixelFormat", "Mono77", True),), {}, "node PixelFormat cannot be Mono77"),
        ((), {"gain": 3}, "no control 'gain'"),
    ],
)
def test_what_a_camera_cannot_is_refused_by_name(nodes: Any, controls: dict[str, int], told: str) -> None:
    with pytest.raises(InputError, match=told):
        _elsewhere(_set_up, NodeSetup(nodes), SERIALS[0], controls)


@pytest.mark.slow
@pytest.mark.usefixtures("emulator")
def test_a_camera_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(DriverError, match="no camera has serial number 4711") as told:
        _elsewhere(_set_up, NodeSetup(), "4711", {})
    assert told.value.kind is Failure.GONE
    assert told.value.remedy == "There: 0815-0000, 0815-0001"
    with pytest.raises(DriverError, match="not open"):
        make_driver(DriverKind.GENICAM).configure(MODE, {}, triggered=False)


def test_what_a_rig_file_means_for_the_driver(tmp_path: Path) -> None:
    rig = _rig(tmp_path)
    assert (rig.stream_of("c1"), rig.port_of("c1")) == (MODE, SERIALS[1])
    assert rig.nodes.jpeg_quality == 90
    assert rig.nodes.nodes[-2:] == (("ExposureTime", 800.0, True), ("NoNodeOfThisCamera", 3, False))
    unrated = _document()["defaults"] | {"nodes": []}
    with pytest.raises(InputError, match="runs freely and has no rate"):
        _rig(tmp_path, defaults=unrated).rate_of("c0")
    encoded = {"encode": {"kind": "x264"}}
    with pytest.raises(InputError, match="x264 is not encoded yet"):
        _ = _rig(tmp_path, record=encoded).nodes
    with pytest.raises(InputError, match=r"x264 is not encoded yet \(.*rig.yaml\)"):
        load_recordable_rig(tmp_path / "rig.yaml")
    _rig(tmp_path, genicam={"backend": "harvesters", "cti": ["a.cti"]})
    with pytest.raises(InputError, match="backend harvesters is not driven yet"):
        load_recordable_rig(tmp_path / "rig.yaml")
    _rig(tmp_path, defaults=_document()["defaults"] | {"nodes": []})
    with pytest.raises(InputError, match="runs freely and has no rate"):
        load_recordable_rig(tmp_path / "rig.yaml")


def _rehearse(rig: GenicamRig, folder: Path, changes: Mapping[Count, int] | None = None) -> list[str]:
    """What the checks of cameras say of such a rig, where c0 streams and c1 is not there."""
    numbers = folder / "numbers"
    make_numbers(numbers)
    counts, _ = map_numbers(numbers)
    seen = {
        Count.SEEN: 50,
        Count.SEEN_BYTES: 50 * 20_000,
        Count.FIRST_NS: 10**9,
        Count.LAST_NS: 10**9 + 49 * 20_000_000,
    }
    for count, value in (seen | dict(changes or {})).items():
        counts[count] = value
    told = {"usb_id": "", "bus": "BaslerUsb", "speed_mbps": 0, "controls": {}, "mismatches": []}
    gone = DriverError(Failure.GONE, "no camera has serial number 0815-0001")
    rehearsal = Rehearsal(rig, folder, 10.0, 1.0, {"c0": told}, {"c1": gone}, {"c0": counts})
    checks = (IdentityCheck(), BusCheck(), StreamCheck(), ControlCheck(), TriggerCheck())
    return [f"{r.outcome.value} {r.check}: {r.what} | {r.fix}" for check in checks for r in check.look(rehearsal)]


def test_preflight_speaks_of_nodes_and_serial_numbers(tmp_path: Path) -> None:
    found = _rehearse(_rig(tmp_path), tmp_path)
    assert found == [
        "pass identity: c0 is there | ",
        "fail identity: c1: no camera has serial number 0815-0001 | "
        "Plug in and power c1, the camera with serial number 0815-0001",
        "pass bus: every bus carries its cameras | ",
        "pass stream: c0 streams as it should | ",
        "warn controls: c0 adjusts itself: the file does not say ExposureAuto | "
        "Write {ExposureAuto: 'Off'} among the nodes",
        "warn controls: c0 adjusts itself: the file does not say GainAuto | Write {GainAuto: 'Off'} among the nodes",
    ]
    steps = [{"!AcquisitionFrameRate": 50.0}, {"!ExposureAuto": "Off"}, {"GainAuto": "Off"}]
    rig = _rig(tmp_path, defaults=_document()["defaults"] | {"nodes": steps})
    slow = _rehearse(rig, tmp_path, {Count.LAST_NS: 10**9 + 98 * 20_000_000})
    assert slow[3:] == [
        "fail stream: c0 runs at 25.00 fps, not 50 | "
        "Shorten ExposureTime, raise DeviceLinkThroughputLimit, or ask for a lower AcquisitionFrameRate",
        "pass controls: c0 is set as asked | ",
    ]


def test_preflight_counts_whole_pictures_on_a_controller(tmp_path: Path) -> None:
    cameras = {f"c{i}": {"serial": serial, "controller": "0000:41:00.0"} for i, serial in enumerate(SERIALS)}
    large = {"pixel_format": "Mono8", "width": 2448, "height": 2048}
    steps = [{"!AcquisitionFrameRate": 75.0}]
    rig = _rig(tmp_path, cameras=cameras, defaults=_document()["defaults"] | {"mode": large, "nodes": steps})
    (bus,) = [line for line in _rehearse(rig, tmp_path) if " bus: " in line]
    assert bus.startswith("fail bus: bus 0000:41:00.0 would carry 376 MB/s, 360 are safe | Give some of its cameras")


def test_a_selectors_list_writes_the_rest_of_its_step_for_each(tmp_path: Path) -> None:
    steps = [{"!Selector": ["A", "B"], "Enable": True, "Level": 2}, {"Gain": 6.0}]
    rig = _rig(tmp_path, defaults=_document()["defaults"] | {"nodes": steps})
    assert rig.nodes.nodes[-7:] == (
        ("Selector", "A", True), ("Enable", True, False), ("Level", 2, False),
        ("Selector", "B", True), ("Enable", True, False), ("Level", 2, False),
        ("Gain", 6.0, False),
    )  # fmt: skip
