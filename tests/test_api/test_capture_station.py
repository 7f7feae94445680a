"""The line to the station, the visit that it leads, and who may follow it; takes through it are in tests/accept."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from starlette.testclient import TestClient

from api.access.audit import TERMINAL
from api.access.keys import KeyRequest, make_key
from api.access.roles import Role
from api.recording.coverage import CameraCoverage, find_board, note_look
from api.recording.coverage_file import COLUMNS, ROWS
from api.recording.led_visit import LedVisit
from api.recording.line import PLACE, SOCKET, Line
from api.recording.station import Station, remove_left
from api.recording.visits import Visit
from api.schemas_capture import StationPhase
from calibration.board.board import make_cv_board
from calibration.board.detector import BoardFinder
from labsys.capture.preview import PreviewWriter, make_preview, make_preview_folder, preview_file
from labsys.capture.protocol import Protocol, load_protocol
from labsys.core.board import Board
from labsys.core.errors import ConcurrencyError, GateRefusedError, InputError, LabsysError, UnknownNameError
from labsys.core.session import Session, TrialName
from labsys.storage.lab import Lab
from labsys.storage.sessions import session_codes
from labsys.storage.trials import trial_codes
from tests.test_labsys.recorded_scene import rig_document, write_rig

API = "/api/v1/capture"
PROTOCOL = {
    "schema": "labsys.protocol/1",
    "name": "short",
    "steps": [
        {"kind": "static", "seconds": 1},
        {"kind": "familiarisation", "seconds": 60},
        {"kind": "run", "speed_mps": "preferred", "seconds": 1},
    ],
    "required": ["shoes"],
}
ANSWERS = {"shoes": "Brand-X", "speed_mps": "3.1"}


@pytest.fixture
def protocol(lab: Lab) -> Protocol:
    """A short one, in the lab."""
    path = lab.root / "protocols" / "short.yaml"
    path.write_text(yaml.safe_dump(PROTOCOL), encoding="utf-8")
    pained = {**PROTOCOL, "name": "pained", "steps": PROTOCOL["steps"][:1], "required": ["pain_0_10"]}
    path.with_name("pained.yaml").write_text(yaml.safe_dump(pained), encoding="utf-8")
    return load_protocol(path)


@pytest.fixture
def station(lab: Lab, tmp_path: Path) -> Station:
    """One whose process does nothing, so that only its orders are heard; its cameras would stream."""
    rig = write_rig(tmp_path / "rig.yaml", rig_document())
    station = Station(lab, rig, "", tmp_path)
    station._state.enter(StationPhase.WALL)
    return station


def _led(protocol: Protocol) -> LedVisit:
    session = Session(uuid="", subject="S01", session="today", captured_at="2026-11-22T10:00:00.000Z")
    return LedVisit(Visit(protocol, session, {"shoes": "Brand-X"}, 3.1))


def test_steps_come_in_order_and_come_again(protocol: Protocol) -> None:
    led = _led(protocol)

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


def test_only_the_take_that_was_kept_last_is_repeated(protocol: Protocol) -> None:
    led = _led(protocol)
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
    station._proven_s = time.monotonic()
    station.hear({"order": "visit", "subject": "S01", "protocol": "short", "session": "new", "answers": ANSWERS})
    for order in ("stop", "close"):
        station._proven_s = float("-inf")
        station._state.enter(StationPhase.WALL)
        said = station.hear({"order": "start"})
        assert (said["phase"], said["to_record"]) == ("checking", True)
        monkeypatch.setattr(station, "_check", lambda _: setattr(station, "_proven_s", time.monotonic()))
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
    station._proven_s = time.monotonic()
    said = station.hear({"order": "visit", "subject": "S01", "protocol": "short", "session": "n", "answers": ANSWERS})
    assert said["problem"] is None


def test_a_visit_without_standing_trial_is_not_ended(protocol: Protocol) -> None:
    led = _led(protocol)
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


class _Played:
    """A station as the service meets it: a place, a line and a picture; it hears what it is told to."""

    def __init__(self, lab: Lab) -> None:
        self.lab, self.folder = lab, make_preview_folder()
        self.heard: list[Mapping[str, Any]] = []
        self.answer: Callable[[], dict[str, Any]] = lambda: STATE
        path = preview_file(self.folder, "camA")
        make_preview(path, (64, 48))
        PreviewWriter(path).offer(b"\xff\xd8 a picture \xff\xd9", 10**9)
        self.line = Line(self.folder / SOCKET, self._hear)
        (lab.root / PLACE).write_text(json.dumps({"folder": str(self.folder)}), encoding="utf-8")

    def _hear(self, order: Mapping[str, Any]) -> dict[str, Any]:
        self.heard.append(order)
        return self.answer()

    def end(self) -> None:
        self.line.close()
        shutil.rmtree(self.folder, ignore_errors=True)


CAMERA = {
    "name": "camA", "label": "", "port": "p", "state": "armed", "is_well": True, "said": "streams", "fix": "",
    "wanted_hz": 40.0, "rate_hz": None, "stored": 0, "lost": 0,
}  # fmt: skip
STATE: dict[str, Any] = {"version": "1", "rig": "virtual", "phase": "wall", "cameras": [CAMERA], "visit": None}


@pytest.fixture
def played(lab: Lab) -> Iterator[_Played]:
    station = _Played(lab)
    yield station
    station.end()


def test_the_service_finds_a_station_passes_orders_on_and_notes_who_gave_them(
    client: TestClient, played: _Played
) -> None:
    assert client.get(API).json()["rig"] == "virtual"
    assert client.post(f"{API}/start", json={"unchecked": True}).status_code == 202
    assert played.heard[-1] == {"order": "start", "unchecked": True}
    assert client.get(f"{API}/pictures/camA").content == b"\xff\xd8 a picture \xff\xd9"
    assert client.get(f"{API}/pictures/camB").status_code == 404
    assert client.post(API, json={"rig": "virtual4"}).json()["detail"].startswith("cameras of rig virtual are open")
    audit = client.get("/api/v1/audit").json()["items"]
    assert [(a["action"], a["actor"]) for a in audit if a["action"].startswith("capture")] == [
        ("capture.start", "somebody at this machine")
    ]


def test_a_refusal_of_the_station_is_a_problem_with_its_remedy(client: TestClient, played: _Played) -> None:
    def refuse() -> dict[str, Any]:
        raise ConcurrencyError("the station is recording", remedy="Wait until it has done that")

    played.answer = refuse
    answer = client.post(f"{API}/check")
    assert (answer.status_code, answer.json()["remedy"]) == (409, "Wait until it has done that")


def test_a_station_that_errs_or_is_busy_is_not_taken_for_a_closed_one(
    client: TestClient, played: _Played, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble() -> dict[str, Any]:
        raise KeyError("subject")

    def ponder() -> dict[str, Any]:
        time.sleep(0.5)
        return STATE

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # where the traceback goes
    played.answer = stumble
    answer = client.post(f"{API}/check")
    assert answer.status_code == 409
    assert "KeyError" in answer.json()["detail"]
    monkeypatch.setattr("api.recording.line._ANSWER_S", 0.1)
    played.answer = ponder
    answer = client.get(API)
    assert answer.status_code == 409
    assert "did not answer" in answer.json()["detail"]


def test_the_state_is_followed_until_the_station_closes(client: TestClient, played: _Played) -> None:
    phases = iter(["wall", "recording"])

    def answer() -> dict[str, Any]:
        phase = next(phases, None)
        if phase is None:
            (played.lab.root / PLACE).unlink(missing_ok=True)
            raise ConcurrencyError("closing")
        return {**STATE, "phase": phase}

    played.answer = answer
    text = client.get(f"{API}/events").text  # "wall" goes to the look before the stream
    assert text.splitlines()[::3] == ["event: station", "event: closed"]
    assert json.loads(text.splitlines()[1].removeprefix("data: "))["phase"] == "recording"


def test_pictures_of_all_cameras_come_on_one_line(client: TestClient, played: _Played) -> None:
    ending = threading.Timer(0.5, lambda: shutil.rmtree(played.folder))
    ending.start()
    answer = client.get(f"{API}/pictures")
    ending.join()
    assert answer.headers["content-type"] == "multipart/mixed; boundary=labsys-picture"
    head, picture = answer.content.split(b"\r\n\r\n", 1)
    assert b"X-Camera: camA" in head
    assert picture == b"\xff\xd8 a picture \xff\xd9\r\n"


def test_without_a_station_there_is_nothing_to_order(client: TestClient) -> None:
    assert client.get(API).json()["phase"] == "closed"
    for method, path in (
        ("post", "/check"),
        ("post", "/stop"),
        ("delete", ""),
        ("get", "/events"),
        ("get", "/pictures"),
    ):
        answer = client.request(method, f"{API}{path}")
        assert (answer.status_code, answer.json()["type"]) == (404, "urn:labsys:problem:no-station"), path
    assert client.post(API, json={"rig": "elp4_gs_trigger"}).status_code == 422
    assert client.post(API, json={"rig": "absent"}).status_code == 422
    assert client.post(f"{API}/recover").json() == {"recordings": []}


@pytest.mark.parametrize("role", list(Role))
def test_only_operators_see_cameras_or_the_page(client: TestClient, played: _Played, role: Role) -> None:
    with client.app.state.database.write() as session:  # type: ignore[attr-defined]
        _, token = make_key(session, TERMINAL, KeyRequest(role))
    headers = {"Authorization": f"Bearer {token.show()}"}
    allowed = role.reaches(Role.OPERATOR)
    for path in ("/record", API, f"{API}/pictures/camA"):
        assert client.get(path, headers=headers).status_code == (200 if allowed else 403), path
    if not allowed:
        for path in (f"{API}/events", f"{API}/pictures"):
            assert client.get(path, headers=headers).status_code == 403, path


def test_the_page_offers_what_the_lab_has(client: TestClient, protocol: Protocol) -> None:
    text = client.get("/record").text
    refused = "Rig basler6_usb3: pulses of hardware_trigger are not made yet"
    for shown in ('value="virtual4"', 'value="short"', 'value="S01"', "Preferred speed, m/s", refused):
        assert shown in text
    assert 'href="/record"' in client.get("/").text
