"""What a station does when something fails: it goes on, says what was the matter, and leaves no empty trial."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from api.recording.line import SOCKET, Line, describe_holder, open_station
from api.recording.station import Station
from api.recording.station_state import StationState
from api.schemas.capture import StationPhase
from labsys.capture.status import WorkerState
from labsys.capture.studio import Studio
from labsys.capture.verdict import Advice, TakeVerdict
from labsys.capture.wall import WallCamera
from labsys.core.errors import ConcurrencyError, InputError
from labsys.core.session import TrialName
from labsys.storage.lab import Lab, take_folder
from labsys.storage.takes import RECORDING_FOLDER
from labsys.storage.trials import begin_trial, load_trial, trial_codes
from labsys.storage.unrecorded import find_abandoned
from tests.test_api.station_scene import VISIT, add_protocol, make_station
from tests.test_labsys.recorded_scene import rig_document, write_rig


@pytest.fixture
def station(lab: Lab, tmp_path: Path) -> Station:
    """One that leads a visit and needs no check; its cameras would stream."""
    add_protocol(lab)
    station = make_station(lab, tmp_path)
    station._work.proven_s = time.monotonic()
    station.hear(VISIT)
    return station


def _finished(advice: Advice) -> Any:
    verdict = TakeVerdict(advice, ("camB lost 14 frames",) if advice is Advice.REPEAT else (), "C")
    return SimpleNamespace(assessment=SimpleNamespace(verdict=verdict))


def _start(station: Station) -> Any:
    station._state.enter(StationPhase.WALL)
    station.hear({"order": "start"})
    order = station._orders.get_nowait()
    return lambda: order(Studio(station._rig, None, None))


def test_a_start_that_fails_leaves_no_trial(station: Station, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        assert trial_codes(lab, "S01", "new") == ("static1",)
        raise InputError("camB did not open within 60 s")

    monkeypatch.setattr("labsys.capture.recorder.record_take", fail)
    with pytest.raises(InputError, match="camB did not open"):
        _start(station)()
    assert trial_codes(lab, "S01", "new") == ()


def test_a_take_that_was_cut_short_keeps_its_trial_until_it_is_recovered(
    station: Station, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        take_folder(lab, TrialName("S01", "new", "static1")).with_name(RECORDING_FOLDER).mkdir()
        raise InputError("the disk failed")

    monkeypatch.setattr("labsys.capture.recorder.record_take", fail)
    with pytest.raises(InputError, match="the disk failed"):
        _start(station)()
    assert trial_codes(lab, "S01", "new") == ("static1",)


def test_why_a_take_failed_is_told_although_the_index_fails_as_well(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise InputError("the camera failed")

    def fail_too(_: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("labsys.capture.recorder.record_take", fail)
    monkeypatch.setattr(station._work, "index", fail_too)
    with pytest.raises(InputError, match="the camera failed"):
        _start(station)()


@pytest.mark.parametrize("advice", [Advice.KEEP, Advice.REPEAT])
def test_a_take_counts_for_its_step_before_the_index_knows_of_it(
    station: Station, lab: Lab, monkeypatch: pytest.MonkeyPatch, advice: Advice
) -> None:
    def fail(_: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("labsys.capture.recorder.record_take", lambda *_, **__: _finished(advice))
    monkeypatch.setattr(station._work, "index", fail)
    with pytest.raises(OSError, match="No space left"):
        _start(station)()
    first = station.hear({"order": "state"})["visit"]["steps"][0]
    kept = advice is Advice.KEEP
    assert (first["state"], first["trial"]) == (("done", "S01/new/static1") if kept else ("now", None))
    assert load_trial(lab, TrialName("S01", "new", "static1")).excluded is not kept


def test_a_trial_that_holds_anything_is_not_discarded(lab: Lab) -> None:
    name = TrialName("S01", *next(iter(_trials(lab))))
    with pytest.raises(KeyError), begin_trial(lab, load_trial(lab, name)):
        raise KeyError
    assert name.trial in trial_codes(lab, "S01", name.session)
    assert find_abandoned(lab) == []


def test_a_take_to_be_repeated_is_excluded_before_its_files_are_finished(
    station: Station, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while they are, it is recovered as what it was judged to be."""

    def judge(*_: Any, watcher: Any, **__: Any) -> Any:
        watcher.judged(_finished(Advice.REPEAT).assessment)
        assert load_trial(lab, TrialName("S01", "new", "static1")).exclusion_reason == "camB lost 14 frames"
        return _finished(Advice.REPEAT)

    monkeypatch.setattr(station._state, "_judge", lambda *_: None)
    monkeypatch.setattr("labsys.capture.recorder.record_take", judge)
    _start(station)()
    assert load_trial(lab, TrialName("S01", "new", "static1")).excluded


def _trials(lab: Lab) -> Iterator[tuple[str, str]]:
    for path in sorted((lab.root / "subjects" / "S01").glob("*/*/take")):
        yield path.parts[-3], path.parts[-2]


class _Wall:
    """A wall of two cameras; the first look at it fails where told to."""

    def __init__(self, failures: list[Exception]) -> None:
        self.failures = failures

    def __call__(self, *_: object) -> _Wall:
        return self

    def __enter__(self) -> _Wall:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def look(self) -> list[WallCamera]:
        if self.failures:
            raise self.failures.pop()
        return [WallCamera(camera, WorkerState.ARMED, 1, 1, None) for camera in ("camA", "camB")]


def _run(station: Station, monkeypatch: pytest.MonkeyPatch, wall: _Wall, studios: list[Exception]) -> list[str]:
    """Run a station until its wall stands; what it told to be the matter, in order."""
    told = list[str]()

    @contextmanager
    def open_studio(rig: Any) -> Iterator[Studio]:
        if studios:
            raise studios.pop()
        yield Studio(rig, None, None)

    def tell(error: Exception) -> None:
        told.append(str(error))
        Station._tell(station, error)

    def stand(cameras: Any, free_bytes: int | None) -> None:
        StationState.show_wall(station._state, cameras, free_bytes)
        station.end()

    monkeypatch.setattr("api.recording.station._AGAIN_S", 0.01)
    monkeypatch.setattr("api.recording.station.open_studio", open_studio)
    monkeypatch.setattr("api.recording.station.CameraWall", wall)
    monkeypatch.setattr(station._state, "show_wall", stand)
    monkeypatch.setattr(station, "_tell", tell)
    station.run()
    return told


def test_a_rig_or_a_wall_that_fails_does_not_end_the_station(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    studios: list[Exception] = [InputError("the trigger box does not answer"), OSError(24, "Too many open files")]
    told = _run(station, monkeypatch, _Wall([OSError(5, "Input/output error")]), studios)
    assert [line.split(": ")[-1] for line in told] == [
        ["[Errno 24] Too many open files"][-1],
        "the trigger box does not answer",
        ["[Errno 5] Input/output error"][-1],
    ]
    found = station.hear({"order": "state"})
    assert (found["phase"], found["visit"]["session"]) == ("wall", "new"), "the visit is still led"
    assert "Input/output error" in found["problem"]["what"]
    Path(found["problem"]["fix"].removeprefix("The details are in ")).unlink()


def test_a_disk_that_does_not_say_what_it_has_left_costs_no_wall(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> Any:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("shutil.disk_usage", fail)
    assert _run(station, monkeypatch, _Wall([]), []) == []
    found = station.hear({"order": "state"})
    assert (found["free_bytes"], found["minutes_left"], len(found["cameras"])) == (None, None, 2)
    assert "the disk does not say how much it has left: Input/output error" in found["problem"]["what"]


def test_a_camera_that_does_not_answer_is_named_with_what_to_do(station: Station) -> None:
    state = station._state
    state.show_wall([WallCamera("camA", WorkerState.STARTING, 0, 0, None, 2.0),
                     WallCamera("camB", WorkerState.STARTING, 0, 0, None, 12.3)], 10**9)  # fmt: skip
    soon, late = state.document()["cameras"]
    assert (soon["said"], soon["fix"]) == ("is being opened", "")
    assert late["said"] == "has not answered for 12 s"
    assert "Plug camB into the port port-B again" in late["fix"]
    state.note_waiting("camB", 3.0)
    assert state.document()["waiting"] is None
    state.note_waiting("camB", 7.2)
    told = state.document()["waiting"]
    assert told["what"] == "camB has not answered for 7 s"
    assert told["fix"].endswith("Stop gives up")
    state.enter(StationPhase.WALL)
    assert state.document()["waiting"] is None


def test_the_trial_is_named_while_it_is_recorded(station: Station) -> None:
    watcher = station._state.watcher("S01/new/static1")
    assert station.hear({"order": "state"})["take"] == "S01/new/static1"
    watcher.waiting("camA", 8.0)
    assert station.hear({"order": "state"})["waiting"]["what"].startswith("camA has not")
    station._state.enter(StationPhase.WALL)
    assert station.hear({"order": "state"})["take"] == ""


def test_who_comes_second_is_told_who_holds_the_cameras(station: Station, lab: Lab, tmp_path: Path) -> None:
    place, other = lab.root / ".station", tmp_path / "other.yaml"
    write_rig(other, rig_document())
    line = Line(tmp_path / SOCKET, station.hear)
    station._state.show_wall([WallCamera("camA", WorkerState.ARMED, 1, 1, None),
                              WallCamera("camB", WorkerState.ARMED, 1, 1, None)], 10**9)  # fmt: skip
    try:
        place.write_text(f'{{"folder": "{tmp_path}"}}', encoding="utf-8")
        said = describe_holder(lab)
        with pytest.raises(ConcurrencyError) as refused:
            open_station(lab, other, by="Bob")
    finally:
        line.close()
        place.unlink()
    assert said == (
        "cameras of rig virtual are open: camA, camB (file treadmill.yaml), opened by Ann at 2026-11-22 10:12 UTC, "
        "for visit new of S01"
    )
    assert refused.value.what == said
    assert station.hear({"order": "state"})["rig_file"] == "treadmill"
