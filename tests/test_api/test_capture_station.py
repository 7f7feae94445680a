"""The visit that a station leads, and the orders that it hears; takes through it are in tests/accept."""

from __future__ import annotations

import json
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from api.recording.coverage import CameraCoverage, find_board, note_look
from api.recording.coverage_file import COLUMNS, ROWS
from api.recording.line import PLACE
from api.recording.station import Station
from api.recording.station_process import remove_left
from api.recording.station_state import Opened, StationState
from api.recording.visits import last_speed
from api.schemas.capture import StationPhase
from calibration.board.board import make_cv_board
from calibration.board.detector import BoardFinder
from labsys.capture.preview import make_preview, make_preview_folder, preview_file
from labsys.capture.protocol import Protocol
from labsys.capture.status import WorkerState
from labsys.capture.wall import WallCamera
from labsys.core.board import Board
from labsys.core.errors import ConcurrencyError, GateRefusedError, InputError, LabsysError, UnknownNameError
from labsys.core.session import Conditions, Session, Trial, TrialKind, TrialName
from labsys.storage.lab import Lab, take_folder
from labsys.storage.sessions import save_session, session_codes
from labsys.storage.trials import save_trial, trial_codes
from tests.test_api.station_scene import ANSWERS, add_protocol, make_led, make_station
from tests.test_labsys.recorded_scene import rig_document, write_rig


@pytest.fixture
def protocol(lab: Lab) -> Protocol:
    """A short one, in the lab."""
    return add_protocol(lab)


@pytest.fixture
def station(lab: Lab, tmp_path: Path) -> Station:
    """One whose process does nothing, so that only its orders are heard; its cameras would stream."""
    return make_station(lab, tmp_path)


def test_steps_come_in_order_and_come_again(protocol: Protocol) -> None:
    led = make_led(protocol)

    def states() -> list[str]:
        return [s.state for s in led.document().steps]

    assert states() == ["now", "waiting", "waiting"]
    with pytest.raises(ConcurrencyError, match="no step was done"):
        led.go_back()
    first = TrialName("S01", "today", "static1")
    led.keep(first)
    led.go_on()
    assert states() == ["done", "done", "now"]
    assert [s.trial for s in led.document().steps] == [str(first), None, None]
    assert led.document().steps[2].speed_mps == 3.1
    led.go_on()
    assert states() == ["done", "done", "skipped"]
    assert led.now is None
    with pytest.raises(ConcurrencyError, match="all steps are done"):
        led.keep(first)
    assert led.go_back() is None
    assert led.go_back() is None
    assert led.go_back() == first
    assert states() == ["now", "waiting", "waiting"]


def _recorded(trial: str, kind: TrialKind, speed_mps: float | None = None) -> Trial:
    name = TrialName("S01", "today", trial)
    return Trial("", name, kind, "2026-11-22T10:00:00.000Z", Conditions(speed_mps=speed_mps, incline_pct=0.0))


def test_a_visit_that_was_broken_off_goes_on_where_it_was(protocol: Protocol) -> None:
    """A station that is killed costs the runner no standing trial; what is of no step changes nothing."""
    static, other = _recorded("static1", TrialKind.STATIC), _recorded("run1", TrialKind.RUN, 2.0)
    run, again = _recorded("run2", TrialKind.RUN, 3.1), _recorded("static2", TrialKind.STATIC)
    for trials, states in (
        ((), ["now", "waiting", "waiting"]),
        ((other, static, other), ["done", "now", "waiting"]),
        ((static, again), ["done", "now", "waiting"]),
        ((run,), ["now", "waiting", "waiting"]),
        ((static, run), ["now", "waiting", "waiting"]),
    ):
        led = make_led(protocol)
        led.take_up(trials)
        assert [s.state for s in led.document().steps] == states, trials
    twice = make_led(protocol.model_copy(update={"steps": (*protocol.steps, protocol.steps[2])}))
    twice.take_up((run,))
    assert [s.state for s in twice.document().steps] == ["skipped", "done", "done", "now"]
    assert twice.last_kept == run.name


def test_a_session_that_has_its_standing_trial_is_not_asked_for_it_again(
    station: Station, protocol: Protocol, lab: Lab
) -> None:
    station._work.proven_s = time.monotonic()
    order = {"order": "visit", "subject": "S01", "protocol": "short", "session": "new", "answers": ANSWERS}
    station.hear(order)
    standing, excluded, empty = (replace(_recorded(f"static{n}", TrialKind.STATIC).name, session="new") for n in "123")
    for name in (excluded, empty, standing):
        save_trial(lab, replace(_recorded("x", TrialKind.STATIC), name=name, excluded=name == excluded,
                                exclusion_reason="moved" * (name == excluded)))  # fmt: skip
        if name != empty:
            (take_folder(lab, name)).mkdir()
            (take_folder(lab, name) / "take.json").write_text("{}")
    station.hear({"order": "leave", "incomplete": True})
    steps = station.hear(order)["visit"]["steps"]
    assert [(s["state"], s["trial"]) for s in steps] == [("done", str(standing)), ("now", None), ("waiting", None)]


def test_the_speed_that_is_suggested_is_that_of_the_run_that_was_last(lab: Lab) -> None:
    """Not of the one whose name is the last: run10 stands before run9."""
    save_session(lab, Session(uuid="", subject="S01", session="last", captured_at="2099-11-22T10:00:00.000Z"))
    for number, speed_mps in ((9, 2.5), (10, 3.5)):
        trial, name = _recorded("x", TrialKind.RUN, speed_mps), TrialName("S01", "last", f"run{number}")
        save_trial(lab, replace(trial, name=name, recorded_at=f"2099-11-22T10:{number:02}:00.000Z"))
    assert last_speed(lab, "S01") == 3.5


def test_a_camera_that_hangs_on_its_side_is_told_to_be_turned(tmp_path: Path) -> None:
    document = rig_document()
    document["cameras"]["camB"]["rotate"] = 90
    state = StationState(write_rig(tmp_path / "rig.yaml", document), tmp_path, Opened("treadmill", "Ann", ""))
    state.show_wall([WallCamera(c, WorkerState.ARMED, 1, 1, None) for c in ("camA", "camB")], None)
    assert [c["rotate_deg"] for c in state.document()["cameras"]] == [0, 90]


def test_only_the_take_that_was_kept_last_is_repeated(protocol: Protocol) -> None:
    led = make_led(protocol)
    for trial in ("", "S01/today/static1"):
        with pytest.raises(ConcurrencyError, match=r"no step was done|none is kept"):
            led.repeat(trial)
    first, second = TrialName("S01", "today", "static1"), TrialName("S01", "today", "run2")
    led.keep(first)
    led.go_on()
    led.keep(second)
    for trial in ("", str(first)):
        with pytest.raises(ConcurrencyError, match="the last one is S01/today/run2"):
            led.repeat(trial)
    assert led.repeat(str(second)) == second
    assert led.repeat("") is None, "getting used to the belt comes again without a take"
    assert led.repeat(str(first)) == first
    assert [s.state for s in led.document().steps] == ["now", "waiting", "waiting"]


def test_a_start_is_stopped_while_its_check_runs_and_nothing_is_recorded(
    station: Station, protocol: Protocol, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    station._work.proven_s = time.monotonic()
    station.hear({"order": "visit", "subject": "S01", "protocol": "short", "session": "new", "answers": ANSWERS})
    for order in ("stop", "close"):
        station._work.proven_s = float("-inf")
        station._state.enter(StationPhase.WALL)
        said = station.hear({"order": "start"})
        assert (said["phase"], said["to_record"]) == ("checking", True)
        monkeypatch.setattr(station._work, "check", lambda *_: setattr(station._work, "proven_s", time.monotonic()))
        if order == "stop":
            station.hear({"order": order})
        else:
            station._close()
        with pytest.raises(InputError, match="stopped before the take began"):
            station._orders.get_nowait()(None)  # type: ignore[arg-type]
    assert trial_codes(lab, "S01", "new") == ()


def test_an_error_that_nobody_foresaw_is_a_problem_and_gone_with_the_next_order(
    station: Station, protocol: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise OSError(28, "No space left on device")

    orders = iter([fail, None])
    monkeypatch.setattr(station, "_show", lambda _: next(orders))
    monkeypatch.setattr("api.recording.station.open_studio", lambda _: nullcontext())
    station.run()
    problem = station.hear({"order": "state"})["problem"]
    assert problem["what"] == "unexpected OSError: [Errno 28] No space left on device"
    log = Path(problem["fix"].removeprefix("The details are in "))
    assert "in fail" in log.read_text(encoding="utf-8")
    log.unlink()
    station._work.proven_s = time.monotonic()
    said = station.hear({"order": "visit", "subject": "S01", "protocol": "short", "session": "n", "answers": ANSWERS})
    assert said["problem"] is None


def test_a_visit_without_standing_trial_is_not_ended(protocol: Protocol) -> None:
    led = make_led(protocol)
    led.go_on()
    with pytest.raises(GateRefusedError, match="no standing trial"):
        led.check_complete()
    led.go_back()
    led.keep(TrialName("S01", "today", "static1"))
    led.check_complete()


@pytest.mark.parametrize(
    ("order", "error", "message"),
    [
        ({"order": "dance"}, UnknownNameError, "Unknown order 'dance'"),
        ({"order": "start"}, ConcurrencyError, "no visit has begun"),
        ({"order": "stop"}, ConcurrencyError, "no take is under way"),
        ({"order": "leave"}, ConcurrencyError, "no visit has begun"),
        ({"order": "calibrate", "board": "charuco", "seconds": 5}, UnknownNameError, "Did you mean 'charuco_4x5'"),
        ({"order": "calibrate", "board": "charuco_4x5", "seconds": 0}, InputError, "0 s cannot be recorded"),
        ({"order": "visit", "subject": "S09", "protocol": "short"}, UnknownNameError, "Unknown subject 'S09'"),
        ({"order": "visit", "subject": "S01", "protocol": "shrt"}, UnknownNameError, "Did you mean 'short'"),
        ({"order": "visit", "subject": "S01", "protocol": "../rigs/x"}, UnknownNameError, "Unknown protocol"),
        ({"order": "visit", "subject": "S01", "protocol": "short"}, InputError, "protocol short requires shoes"),
        (
            {"order": "visit", "subject": "S01", "protocol": "short", "answers": {"shoes": "X"}},
            InputError,
            "preferred speed",
        ),
        (
            {"order": "visit", "subject": "S01", "protocol": "short", "answers": {"shoes": "X", "speed_mps": "30"}},
            InputError,
            "speed 30 m/s is not believable",
        ),
        *(
            (
                {"order": "visit", "subject": "S01", "protocol": "pained", "answers": {"pain_0_10": pain}},
                InputError,
                "pain",
            )
            for pain in ("nan", "inf", "-3", "11")
        ),
        (
            {"order": "visit", "subject": "S01", "protocol": "short", "calibration": "none", "answers": ANSWERS},
            UnknownNameError,
            "Unknown calibration",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    station: Station,
    protocol: Protocol,
    lab: Lab,
    order: dict[str, Any],
    error: type[LabsysError],
    message: str,
) -> None:
    before = session_codes(lab, "S01")
    with pytest.raises(error, match=message):
        station.hear(order)
    assert session_codes(lab, "S01") == before
    assert station.hear({"order": "state"})["phase"] == "wall"


def test_a_visit_begins_with_a_check_and_takes_one_order_at_a_time(
    station: Station, protocol: Protocol, lab: Lab
) -> None:
    said = station.hear({"order": "visit", "subject": "S01", "protocol": "short", "session": "new", "answers": ANSWERS})
    assert said["phase"] == "checking"
    assert [s["state"] for s in said["visit"]["steps"]] == ["now", "waiting", "waiting"]
    assert "new" in session_codes(lab, "S01")
    for order in ("start", "next", "leave", "check", "visit"):
        with pytest.raises(ConcurrencyError, match=r"the station is checking|a visit is under way"):
            station.hear({"order": order, "subject": "S01", "protocol": "short", "answers": ANSWERS})


def test_a_board_is_found_where_it_is_and_counted_where_cameras_share_it() -> None:
    board = Board(columns=5, rows=4, square_m=0.16, marker_m=0.12, dictionary="DICT_4X4_50")
    drawn = make_cv_board(board).generateImage((300, 240), marginSize=10)
    picture = np.full((480, 800), 128, dtype=np.uint8)
    picture[220:460, 480:780] = drawn
    found = find_board(BoardFinder(board), bytes(cv2.imencode(".jpg", picture)[1].tobytes()))
    assert found is not None
    xy_px, size_px = found
    assert size_px == (800, 480)
    assert len(xy_px) == 12
    assert (xy_px.min(axis=0) > (480, 220)).all()
    assert (xy_px.max(axis=0) < (780, 460)).all()
    empty = np.full((480, 800), 128, dtype=np.uint8)
    assert find_board(BoardFinder(board), bytes(cv2.imencode(".jpg", empty)[1].tobytes())) is None
    covered = {camera: CameraCoverage() for camera in ("camA", "camB", "camC")}
    note_look(covered, {"camA": found})
    note_look(covered, {"camA": found, "camB": (xy_px * 0.0, size_px)})
    note_look(covered, {})
    assert [(c.seen, c.together) for c in covered.values()] == [(2, 1), (1, 1), (0, 0)]
    cells = np.array(covered["camA"].cells).reshape(ROWS, COLUMNS)
    assert cells.sum() == 24
    assert cells[:2].sum() == cells[:, :4].sum() == 0, "nothing above or left of the board"
    assert covered["camB"].cells[0] == 12
    assert sum(covered["camC"].cells) == 0


def test_pictures_that_a_killed_station_left_are_removed(tmp_path: Path) -> None:
    place, folder, other = tmp_path / PLACE, make_preview_folder(), tmp_path / "other"
    make_preview(preview_file(folder, "camA"), (64, 48))
    other.mkdir()
    for left in (json.dumps({"folder": str(other)}), "", json.dumps({"folder": str(folder)})):
        place.write_text(left, encoding="utf-8")
        remove_left(place)
    assert not folder.exists()
    assert other.exists(), "nothing else is removed"
