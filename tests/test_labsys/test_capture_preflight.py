"""Each fault of a rig is caught by its name, with the fix, before anything is recorded."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from labsys.capture.device import DriverError, Failure
from labsys.capture.preflight.cameras import BusCheck, ControlCheck, IdentityCheck, StreamCheck, TriggerCheck
from labsys.capture.preflight.check import CheckResult, Outcome, PreflightCheck, Rehearsal
from labsys.capture.preflight.machine import DiskCheck, MachineCheck
from labsys.capture.preflight.run import _let_stream, run_preflight
from labsys.capture.status import Count, make_numbers, map_numbers
from labsys.capture.studio import open_studio
from tests.test_labsys.recorded_scene import rig_document, write_rig


@pytest.mark.slow
def test_virtual_faults_are_caught_by_name_with_the_fix(tmp_path: Path) -> None:
    """Six cameras with a fault each and one without stream together once."""
    behaviour: dict[str, dict[str, Any]] = {
        "camA": {"absent": True},
        "camB": {"no_bandwidth": True},
        "camC": {"corrupt_p": 0.3},
        "camD": {"slow_at_s": 0.2},
        "camE": {"control_rejects": ["exposure_time_absolute"], "usb_speed_mbps": 12, "unplug_at_s": 1.0},
        "camF": {"wrong_resolution": True},
        "camG": {"stuck_timestamp": True},
        "camH": {"usb_id": "046d:085c", "freeze_at_s": 1.0},
    }
    document = rig_document(cameras=8, fps=30, behaviour=behaviour)
    rig = write_rig(tmp_path / "rig.yaml", document)
    with open_studio(rig) as studio:
        found = run_preflight(studio, tmp_path, planned_s=1.0, stream_s=2.0)
    said = [f"{r.check}: {r.what} | {r.fix}" for r in found.failed]
    for expected in (
        "identity: camA: no camera is plugged in | Plug camA into the port port-A",
        "identity: camB: the bus has no bandwidth left for this camera | Plug camB into a controller of its own",
        "stream: camC sent ",
        "stream: camD runs at 1",
        "controls: camE: exposure_time_absolute is 166, not 10 | ",
        "bus: camE hangs on a bus of 12 Mbit/s | Use another cable or port",
        "identity: camF: the mode is MJPG 256x288 at 30 fps, not MJPG 512x288 at 30 fps",
        "stream: the timestamps of camG stand still",
        "identity: camH is 046d:085c, not 1d6b:0102 | Plug the right camera into the port port-H",
        "stream: camE stopped while all streamed: it was lost after ",
        "stream: camH stopped while all streamed: it gave no more frames after ",
    ):
        assert any(line.startswith(expected) for line in said), (expected, said)
    assert all(r.fix for r in found.failed), "every fault has its fix"
    assert {r.what.split()[0].rstrip(":") for r in found.failed} >= {f"cam{c}" for c in "ABCDEFH"}


def _rehearsal(folder: Path, counts: Mapping[Count, int] | None = None, **changes: Any) -> Rehearsal:
    document = rig_document(cameras=1, fps=100, triggered=bool(changes.pop("triggered", False)))
    document["limits"]["disk_min_free_GB"] = changes.pop("disk_min_free_GB", 0.001)
    document["defaults"]["expect"] = changes.pop("expect", None)
    document["defaults"]["optional_controls"] = optional = changes.pop("optional", [])
    document["defaults"]["controls"] |= dict.fromkeys(optional, 0)
    document["system"] = {"usbfs_memory_mb": changes.pop("usbfs_memory_mb", None)}
    rig = write_rig(folder / "rig.yaml", document)
    make_numbers(folder / "numbers")
    numbers, _ = map_numbers(folder / "numbers")
    sound = {Count.SEEN: 200, Count.FIRST_NS: 1, Count.LAST_NS: 1_990_000_001, Count.SEEN_BYTES: 200 * 50_000,
             Count.PRIORITY: 2}  # fmt: skip
    for key, value in {**sound, **(counts or {})}.items():
        numbers[key] = value
    told = {"usb_id": "1d6b:0102", "speed_mbps": 480, "bus": "usb1", "mismatches": [], "controls": {}}
    told |= changes.pop("told", {})
    return Rehearsal(rig, folder, 10.0, 2.0, {"camA": told}, counts={"camA": numbers}, **changes)


CHECKS: list[PreflightCheck] = [
    IdentityCheck(), BusCheck(), StreamCheck(), ControlCheck(), TriggerCheck(), DiskCheck(),
]  # fmt: skip


def _faults(rehearsal: Rehearsal, *checks: PreflightCheck) -> list[CheckResult]:
    return [r for check in checks or CHECKS for r in check.look(rehearsal) if r.outcome is not Outcome.PASS]


@pytest.mark.parametrize(("stream_s", "n_pulses"), [(5.0, 450), (0.1, 120)])
def test_triggered_cameras_stream_as_long_as_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream_s: float, n_pulses: int
) -> None:
    """A second of pulses, which all get, is no proof that a bus carries them."""
    asked, waited_s = list[int](), list[float]()
    rig = write_rig(tmp_path / "rig.yaml", rig_document(cameras=1, fps=100, triggered=True))
    trigger: Any = SimpleNamespace(configure=lambda _: None, start=asked.append, stop=lambda: asked[-1])
    worker = SimpleNamespace(counts={Count.SEEN: n_pulses})
    crew: Any = SimpleNamespace(workers={"camA": worker})
    monkeypatch.setattr("labsys.capture.preflight.run.time.sleep", waited_s.append)
    assert _let_stream(rig, crew, trigger, stream_s, {}) == (n_pulses, "")
    assert asked == [n_pulses]
    assert waited_s[0] > n_pulses / 90


def test_a_sound_rig_passes(tmp_path: Path) -> None:
    assert _faults(_rehearsal(tmp_path)) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("counts", "changes", "expected"),
    [
        ({Count.SEEN: 0}, {}, "delivers no frames"),
        ({Count.SEQ_GAPS: 9}, {}, "lost 9 of 200 frames"),
        ({Count.SEEN_DAMAGED: 2}, {}, "sent 2 damaged frames"),
        ({Count.LAST_NS: 3_980_000_001}, {}, "runs at 50.00 fps, not 100"),
        ({Count.SEEN_BYTES: 200 * 500_000}, {}, "bus usb1 would carry 50 MB/s, 40 are safe"),
        ({}, {"told": {"mismatches": ["gain is 1, not 2"]}}, "camA: gain is 1, not 2"),
        ({}, {"told": {"controls": {"focus_automatic_continuous": 1}}}, "camA adjusts itself"),
        ({}, {"triggered": True, "pulses": 120}, "runs at 100.00 fps, not 90"),
        ({Count.SEEN: 119}, {"triggered": True, "pulses": 120}, "camA gave 119 frames for 120 pulses"),
        ({}, {"triggered": True, "trigger_failed": "the trigger box does not answer"}, "does not answer"),
        ({}, {"disk_min_free_GB": 1e9}, "GB are needed"),
        ({}, {"expect": {"jpeg_kB": [60, 200]}}, "frames of camA have 50 kB, 60 to 200 are usual"),
        ({}, {"expect": {"jpeg_kB": [5, 49]}}, "frames of camA have 50 kB, 5 to 49 are usual"),
    ],
)
def test_each_fault_is_named(tmp_path: Path, counts: dict[Count, int], changes: dict[str, Any], expected: str) -> None:
    faults = _faults(_rehearsal(tmp_path, counts, **changes))
    assert any(expected in f.what for f in faults), faults
    assert all(f.fix for f in faults)


def test_without_the_right_to_be_served_first_it_warns(tmp_path: Path) -> None:
    (found,) = [
        f for f in _faults(_rehearsal(tmp_path, {Count.PRIORITY: 0}), MachineCheck()) if "served first" in f.what
    ]
    assert found.outcome is Outcome.WARN
    assert "limits.d" in found.fix


def test_unusual_frames_and_too_little_memory_for_usb_warn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _faults(_rehearsal(tmp_path, expect={"jpeg_kB": [40, 60]})) == []
    (unusual,) = _faults(_rehearsal(tmp_path, expect={"jpeg_kB": [60, 70]}))
    assert unusual.outcome is Outcome.WARN, "a dark picture may be meant"
    allowed = tmp_path / "usbfs_memory_mb"
    monkeypatch.setattr("labsys.capture.preflight.machine._USBFS", allowed)
    for text, wanted, warns in (("16", 1000, True), ("1000", 1000, False), ("0", 1000, False), ("16", None, False)):
        allowed.write_text(text + "\n")
        rehearsal = _rehearsal(tmp_path, usbfs_memory_mb=wanted)
        told = [f for f in _faults(rehearsal, MachineCheck()) if "MB for USB" in f.what]
        assert [(f.outcome, f.fix) for f in told] == warns * [
            (Outcome.WARN, "Boot with usbcore.usbfs_memory_mb=1000")
        ], (text, wanted)


def test_an_optional_control_that_a_camera_lacks_warns(tmp_path: Path) -> None:
    rehearsal = _rehearsal(tmp_path, optional=["exposure_dynamic_framerate", "gain"], told={"controls": {"gain": 3}})
    (found,) = _faults(rehearsal, ControlCheck())
    assert (found.outcome, found.what) == (Outcome.WARN, "camA lacks exposure_dynamic_framerate")


@pytest.mark.parametrize("kind", list(Failure))
def test_every_way_a_camera_fails_has_a_fix(tmp_path: Path, kind: Failure) -> None:
    sound = _rehearsal(tmp_path)
    failed = Rehearsal(sound.rig, tmp_path, 1.0, 1.0, failed={"camA": DriverError(kind, "it fails", where="port-A")})
    (found,) = _faults(failed, IdentityCheck())
    assert found.outcome is Outcome.FAIL
    assert "camA" in found.what
    assert found.fix


def test_a_disk_whose_cache_is_fast_and_that_is_not_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cameras send in the time that is tried, forced to the disk: its own cache swallows a moment's worth."""
    sizes = list[int]()

    def flush(descriptor: int) -> None:
        sizes.append(os.fstat(descriptor).st_size)
        time.sleep(1.5)

    monkeypatch.setattr("labsys.capture.preflight.machine.os.fsync", flush)
    monkeypatch.setattr("labsys.capture.preflight.machine._TRIAL_WRITE_S", 0.5)
    fifty_mb_a_second = {Count.SEEN_BYTES: 200 * 500_000}
    (found,) = _faults(_rehearsal(tmp_path, fifty_mb_a_second), DiskCheck())
    assert found.outcome is Outcome.FAIL
    assert found.what.endswith(" MB/s, 100 MB/s are safe")
    assert sizes[0] >= 50_000_000
    assert list(tmp_path.glob(".write_test")) == []


def test_a_slow_disk_is_told_within_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory takes all that cameras send in two seconds at once; a stick then takes a minute to take it from there."""
    clock = SimpleNamespace(now_s=0.0, forced=0)

    def flush(descriptor: int) -> None:
        size = os.fstat(descriptor).st_size
        clock.now_s, clock.forced = clock.now_s + (size - clock.forced) / 10e6, size

    monkeypatch.setattr("labsys.capture.preflight.machine.os.fsync", flush)
    monkeypatch.setattr("labsys.capture.preflight.machine.time", SimpleNamespace(monotonic=lambda: clock.now_s))
    (found,) = _faults(_rehearsal(tmp_path, {Count.SEEN_BYTES: 400 * 500_000}), DiskCheck())
    assert found.outcome is Outcome.FAIL
    assert found.what == "the disk writes 10 MB/s, 200 MB/s are safe"
    assert clock.now_s < 8.0
