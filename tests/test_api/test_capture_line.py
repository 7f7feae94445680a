"""The line to the station as the service and the page meet it, and who may follow it; takes are in tests/accept."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.access.audit import TERMINAL
from api.access.keys import KeyRequest, make_key
from api.access.roles import Role
from api.recording.line import PLACE, SOCKET, Line
from labsys.capture.preview import PreviewWriter, make_preview, make_preview_folder, preview_file
from labsys.capture.protocol import Protocol
from labsys.core.errors import ConcurrencyError
from labsys.storage.lab import Lab
from tests.test_api.station_scene import add_protocol

API = "/api/v1/capture"


@pytest.fixture
def protocol(lab: Lab) -> Protocol:
    """A short one, in the lab."""
    return add_protocol(lab)


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


@pytest.mark.slow
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


@pytest.mark.slow
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
