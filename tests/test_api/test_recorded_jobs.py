"""Jobs of the page that records: asked for over HTTP, refused in words, queued at KEEP, estimated from those before."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from api.database.connection import Database, open_database
from api.database.tables_owned import JobRow
from api.jobs.queue import JobRequest, Slots, claim, finish, submit
from api.recording.after_take import estimate_look, follow_up
from api.recording.coverage import CameraCoverage, describe_coverage, note_look, say_missing
from labsys.core.session import TrialName
from labsys.storage.calibrations import list_calibrations
from labsys.storage.documents import load_document, save_document
from labsys.storage.lab import Lab, open_lab, take_folder
from labsys.storage.takes import CameraFile, Take
from labsys.storage.trials import load_trial
from tests.test_api.cli_answer import make_runner
from tests.test_api.station_scene import VISIT, add_protocol, make_station

API = "/api/v1/capture"
TAKE = "2026-11-30_virtual_001"
RUN = TrialName("S01", "2026-11-01", "run1")
BELT = {"along": "forward", "from_s": 0, "until_s": 5}


@pytest.fixture
def board_take(lab: Lab) -> Path:
    """A take of a waved board as far as its name and its statement go."""
    folder = lab.root / "calibrations" / TAKE
    shutil.copytree(take_folder(lab, RUN), folder / "take")
    return folder


def test_a_board_take_is_calibrated_and_checked_by_jobs(client: TestClient, lab: Lab, board_take: Path) -> None:
    asked = {"take": TAKE, "placing": BELT}
    answer = client.post(f"{API}/calibrations", json=asked)
    assert answer.status_code == 202, answer.text
    job = answer.json()
    assert (job["kind"], job["target"], job["state"]) == ("calibrate", f"calibrations/{TAKE}", "queued")
    assert client.post(f"{API}/calibrations", json=asked).json()["id"] == job["id"], "asking again is the same job"
    (known, *_) = list_calibrations(lab)
    check = client.post(f"{API}/checks", json={"take": TAKE})
    assert (check.status_code, check.json()["kind"]) == (202, "check-calibration")
    assert [e["action"] for e in client.get("/api/v1/audit").json()["items"]] == ["job.submit", "job.submit"]
    page = client.get("/jobs").text
    assert f"calibrations/{TAKE}" in page
    assert f"/trials/calibrations/{TAKE}" not in page
    assert f'value="{TAKE}"' in client.get("/record").text
    assert TAKE in client.get("/calibrations").text
    assert client.get(f"/calibrations/{TAKE}/report").status_code == 404, "nothing was refused yet"
    (board_take / "report.json").write_text('{"refusal": "camC saw 3 boards"}')
    (board_take / "report.html").write_text("<style>p {color: red}</style><p>camC saw 3 boards")
    assert "camC saw 3 boards" in client.get(f"/calibrations/{TAKE}/report").text
    assert known in client.get("/record").text


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("/calibrations", {"take": TAKE, "placing": {}}, "name tags, or say"),
    ("/calibrations", {"take": TAKE, "placing": {**BELT, "tags": "treadmill"}}, "one of both"),
    ("/calibrations", {"take": TAKE, "placing": {**BELT, "until_s": 0.5}}, "for a second or longer"),
    ("/calibrations", {"take": "2026-11-30_virtual_002", "placing": BELT}, TAKE),
    ("/calibrations", {"take": TAKE, "placing": {"tags": "treadmill_template"}}, "were not surveyed"),
    ("/calibrations", {"take": TAKE, "placing": {"tags": "tredmill_template"}}, "treadmill_template"),
    ("/calibrations", {"take": TAKE, "board": "charuco_4x6", "placing": BELT}, "charuco_4x5"),
    ("/calibrations", {"take": TAKE, "lenses": "absent", "placing": BELT}, "Unknown calibration"),
    ("/checks", {"take": TAKE, "calibration": "absent"}, "Unknown calibration"),
    ("/looks", {"trial": "S01/2026-11-01/run9"}, "run1"),
    ("/looks", {"trial": "S01/2026-11-01/run1"}, "cannot be looked at"),
]


@pytest.mark.usefixtures("board_take")
def test_what_cannot_be_done_is_refused_before_it_is_queued(client: TestClient, lab: Lab) -> None:
    _change_take(lab, calibration="")
    for path, body, said in REFUSED:
        answer = client.post(f"{API}{path}", json=body)
        assert answer.status_code in (409, 422), (path, body, answer.text)
        assert said in answer.text, (path, body)
    assert client.get("/api/v1/jobs").json()["items"] == []


def test_a_take_that_was_recorded_before_its_calibration_is_told_of_it(
    client: TestClient, lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page offers to record without one; what is recorded so was of no use for ever."""
    _change_take(lab, calibration="")
    labsys, look = make_runner(capsys), {"trial": str(RUN)}
    assert "labsys trial edit --calibration" in client.post(f"{API}/looks", json=look).text
    refused = labsys("trial", "edit", RUN, "--calibration", "2026-11-01_rig_01", "--lab", lab.root)
    assert (refused.code, "2026-11-01_rig_001" in refused.err) == (2, True), refused
    stated = labsys("trial", "edit", RUN, "--calibration", list_calibrations(lab)[0], "--lab", lab.root)
    assert stated.code == 0, stated
    assert client.post(f"{API}/looks", json=look).status_code == 202
    assert labsys("trial", "edit", RUN, "--clear", "calibration", "--lab", lab.root).code == 0
    assert load_trial(lab, RUN).calibration == ""


def _change_take(lab: Lab, **changes: Any) -> None:
    path = take_folder(lab, RUN) / "take.json"
    save_document(path, replace(load_document(path, Take), **changes))


def test_a_kept_trial_is_queued_last_and_once_unless_something_forbids_it(
    lab: Lab, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = CameraFile("raw/camA.mkv", "0" * 64, (64, 48), 10, 100.0)
    _change_take(lab, calibration=list_calibrations(lab)[0], cameras={"camA": video}, landmarks2d={}, files={})
    monkeypatch.setattr("api.recording.after_take.list_models", lambda _: ())
    assert "no model" in follow_up(lab, RUN, by="Ann").why_not
    monkeypatch.setattr("api.recording.after_take.list_models", lambda _: ("a", "b"))
    assert "2 models" in follow_up(lab, RUN, by="Ann").why_not
    monkeypatch.setattr("api.recording.after_take.list_models", lambda _: ("a",))
    after = follow_up(lab, RUN, by="Ann")
    assert (after.why_not, after.look_why_not, after.look_s) == ("", "", None)
    assert follow_up(lab, RUN, by="Bob").job == after.job
    asked_for = client.post("/api/v1/jobs", json={"kind": "process", "target": "S02/2026-11-03/walk1"}).json()["id"]
    database = open_database(lab)
    with database.update() as session:
        first, second = claim(session, "w", Slots(1)), claim(session, "w", Slots(1))
    assert first is not None
    assert second is not None
    assert [first.id, second.id] == [asked_for, after.job], "whatever somebody asked for comes first"
    assert (second.priority, second.target) == (-10, str(RUN))
    settings = lab.root / "labsys.toml"
    settings.write_text(settings.read_text() + "process_kept = false\n")
    off = follow_up(open_lab(lab.root), RUN, by="Ann")
    assert off.job is None
    assert "process_kept" in off.why_not
    assert off.look_why_not == "", "a look is offered all the same"
    static = follow_up(lab, replace(RUN, trial="static1"), by="Ann")
    assert static.look_why_not == "only walks and runs are looked at"
    database.close()


def test_the_next_look_takes_about_as_long_as_the_last_ones(lab: Lab) -> None:
    database = open_database(lab)
    with database.read() as session:
        assert estimate_look(session, 4) is None
    for seconds, cameras, stood_still_s in ((20.0, 2, 0.0), (360.0, 4, 300.0), (33.0, 3, 0.0)):
        _look(database, seconds, cameras, stood_still_s)
    with database.read() as session:
        assert estimate_look(session, 4) == pytest.approx(44.0), "the median camera took 11 s of work"
    database.close()


def _look(database: Database, seconds: float, cameras: int, stood_still_s: float) -> None:
    with database.update() as session:
        job = submit(session, "test", JobRequest("quick", str(RUN))).id
        held = claim(session, "w", Slots(1))
        assert held is not None
        assert finish(session, held, {"n_cameras": cameras, "stood_still_s": stood_still_s})
        row = session.get(JobRow, job)
        assert row is not None
        row.finished_at = datetime.now(UTC)
        row.started_at = row.finished_at - timedelta(seconds=seconds)


@pytest.mark.slow
def test_what_follows_is_told_and_taken_back_with_the_take(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Excluded by hand after all, a take is processed for nobody."""
    add_protocol(lab)
    station = make_station(lab, tmp_path)
    station._work.proven_s = float("inf")
    monkeypatch.setattr("api.recording.after_take.list_models", lambda _: ("a",))

    def record(request: Any, **_: Any) -> Any:
        shutil.copytree(take_folder(lab, RUN), request.target)
        document = load_document(request.target / "take.json", Take)
        save_document(request.target / "take.json", replace(document, calibration=list_calibrations(lab)[0]))
        return SimpleNamespace(assessment=SimpleNamespace(verdict=SimpleNamespace(advice="KEEP", reasons=())))

    monkeypatch.setattr("labsys.capture.recorder.record_take", record)
    station.hear(VISIT)
    station.hear({"order": "start"})
    station._orders.get_nowait()(SimpleNamespace(rig=station._rig, bench=None, trigger=None))  # type: ignore[arg-type]
    station._state.enter(station._state.phase.WALL)
    after = station.hear({"order": "state"})["after"]
    assert after["trial"] == "S01/new/static1"
    database = open_database(lab)
    with database.read() as session:
        row = session.get(JobRow, after["job"])
        assert row is not None
        assert (row.state, row.target, row.submitted_by) == ("queued", "S01/new/static1", "Ann")
    station.hear({"order": "repeat", "trial": "S01/new/static1", "reason": "it slipped"})
    assert station.hear({"order": "state"})["after"] is None
    assert load_trial(lab, TrialName("S01", "new", "static1")).excluded
    with database.read() as session:
        row = session.get(JobRow, after["job"])
        assert row is not None
        assert row.state == "cancelled"
    database.close()


def test_what_a_calibration_still_wants_is_said_in_words() -> None:
    found = CameraCoverage()
    assert say_missing(found) == "seen 0 of 20 times; 0 of 60 % of its picture; with another camera 0 of 10 times"
    left = np.array([[0.0, 0.0], [380.0, 0.0], [380.0, 479.0], [0.0, 479.0]])
    for _ in range(20):
        note_look({"camA": found}, {"camA": (left, (800, 480))})
    assert say_missing(found) == (
        "50 of 60 % of its picture, bare but for upper left, left, lower left; with another camera 0 of 10 times"
    )
    for _ in range(10):
        whole = np.array([[0.0, 0.0], [799.0, 0.0], [799.0, 479.0], [0.0, 479.0]])
        note_look({"camA": found, "camB": CameraCoverage()}, {"camA": (whole, (800, 480)), "camB": (left, (800, 480))})
    assert say_missing(found) == ""


def test_cameras_that_no_board_connects_are_told_with_whom() -> None:
    covered = {name: CameraCoverage(seen=30, together=30) for name in ("camA", "camB", "camC", "camD")}
    for found in covered.values():
        found.covered[:] = True
    pairs = {("camA", "camB"): 9, ("camC", "camD"): 5, ("camA", "camC"): 4}
    told = {name: found["missing"] for name, found in describe_coverage(covered, pairs).items()}
    assert told["camA"] == told["camB"] == "at the same time as camC or camD, held still"
    assert told["camD"] == "at the same time as camA or camB, held still"
    pairs["camB", "camD"] = 5
    assert all(not found["missing"] for found in describe_coverage(covered, pairs).values())
