"""`labsys trial delete`, `bin`, `restore` and `purge`: what is deleted can be brought back until it is destroyed."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from api.app import create_app
from api.database import connection
from api.database.connection import open_database
from api.jobs.queue import JobRequest, find_job, submit
from api.queries import find_trial
from labsys.core.session import TrialName
from labsys.storage.lab import open_lab
from tests.test_api.audited import audited
from tests.test_api.cli_answer import Run
from tests.test_api.conftest import BASE, HERE

NAME = "S01/2026-11-22/run1"


def _add_trial(labsys: Run) -> None:
    assert labsys("subject", "add", "S01").code == 0
    assert labsys("session", "add", "S01/2026-11-22").code == 0
    assert labsys("trial", "add", NAME, "--kind", "run").code == 0


def test_deleted_trial_is_listed_and_destroyed_in_time(labsys: Run, new_lab: Path) -> None:
    _add_trial(labsys)
    assert labsys("trial", "delete", NAME, "--reason", "wrong runner").code == 0
    assert labsys("trial", "restore", NAME).code == 0
    assert labsys("trial", "bin", "--json").json == {"deleted": []}
    assert labsys("trial", "delete", NAME, "--reason", "consent withdrawn").code == 0
    (deleted,) = labsys("trial", "bin", "--json").json["deleted"]
    assert (deleted["name"], deleted["reason"]) == (NAME, "consent withdrawn")
    assert labsys("trial", "purge", "--json").json == {"destroyed": [], "erased": []}  # 30 days
    assert labsys("trial", "purge", "--days", "0", "--json").json == {"destroyed": [NAME], "erased": []}
    assert labsys("trial", "bin", "--json").json == {"deleted": []}
    refused = labsys("trial", "restore", NAME)
    assert (refused.code, "deleted trial" in refused.err) == (2, True)
    with TestClient(create_app(open_lab(new_lab)), base_url=BASE, client=HERE) as client:
        (event,) = client.get("/api/v1/audit?action=trial.destroy").json()["items"]
        noted = {a: client.get(f"/api/v1/audit?action=trial.{a}").json()["items"] for a in ("delete", "restore")}
    assert (event["actor"], event["object"]) == ("terminal", f"{NAME}, deleted {deleted['deleted_at']}")
    assert [e["object"] for e in noted["restore"]] == [NAME]
    assert sorted(e["object"] for e in noted["delete"]) == [f"{NAME}: consent withdrawn", f"{NAME}: wrong runner"]


def test_what_the_terminal_changes_is_audited_with_the_days_of_goals(labsys: Run, new_lab: Path) -> None:
    goal = ("hip_ext_excursion_stance", "--side", "left", "--direction", "toward_higher", "--date", "2026-01-01")
    for words in (
        ("subject", "add", "S01"),
        ("episode", "add", "S01/knee", "--index-date", "2026-01-01"),
        ("episode", "goal", "add", "S01/knee", *goal),
        ("session", "add", "S01/2026-11-22"),
        ("trial", "add", NAME, "--kind", "run"),
    ):
        assert labsys(*words).code == 0
    with TestClient(create_app(open_lab(new_lab)), base_url=BASE, client=HERE) as client:
        events = client.get("/api/v1/audit").json()["items"]
    said = "hip_ext_excursion_stance left toward_higher of 2026-01-01"
    assert [(e["action"], e["object"], e["actor"]) for e in events] == [
        ("subject.change", "subjects/S01", "terminal"),
        ("episode.change", "episodes/S01/knee, goals: none", "terminal"),
        ("episode.change", f"episodes/S01/knee, goals: {said}", "terminal"),
        ("session.change", "sessions/S01/2026-11-22", "terminal"),
        ("trial.change", f"trials/{NAME}", "terminal"),
    ]


def test_what_is_excluded_included_or_moved_is_audited(labsys: Run, new_lab: Path) -> None:
    moved = "S02/2026-11-22/run2"
    for code in ("S01", "S02"):
        labsys("subject", "add", code)
        labsys("session", "add", f"{code}/2026-11-22")
    labsys("trial", "add", NAME, "--kind", "run")
    assert labsys("trial", "exclude", NAME, "--reason", "shoe came off").code == 0
    assert labsys("trial", "include", NAME).code == 0
    job = _queue_processing(new_lab)
    answer = labsys("trial", "move", NAME, moved)
    assert (answer.code, "not indexed" in answer.err) == (0, False), answer
    _is_job_of(new_lab, job, TrialName.parse(moved))
    with TestClient(create_app(open_lab(new_lab)), base_url=BASE, client=HERE) as client:
        events = client.get("/api/v1/audit").json()["items"]
    assert {(e["action"], e["object"], e["actor"]) for e in events} >= {
        ("trial.exclude", f"{NAME}: shoe came off", "terminal"),
        ("trial.include", NAME, "terminal"),
        ("trial.move", f"{NAME} to {moved}", "terminal"),
    }


def _queue_processing(folder: Path) -> str:
    """As a take that is kept is queued."""
    database = open_database(open_lab(folder))
    with database.write() as session:
        subject_id = find_trial(session, TrialName.parse(NAME)).session.subject_id
        job = submit(session, "Ann", JobRequest("process", NAME, subject_id)).id
    database.close()
    return job


def _is_job_of(folder: Path, job: str, name: TrialName) -> None:
    """A job that waits is that of the trial where it is now, and of whom it is now."""
    database = open_database(open_lab(folder))
    with database.read() as session:
        row = find_job(session, job)
        assert (row.state, row.target) == ("queued", str(name))
        assert row.subject_id == find_trial(session, name).session.subject_id
    database.close()


@pytest.mark.parametrize(
    ("words", "action"),
    [
        (("trial", "delete", NAME, "--reason", "wrong"), "trial.delete"),
        (("trial", "move", NAME, "S01/2026-11-22/run2"), "trial.move"),
        (("trial", "exclude", NAME, "--reason", "fell"), "trial.exclude"),
        (("session", "edit", "S01/2026-11-22", "--notes", "new"), "session.change"),
        (("subject", "edit", "S01", "--notes", "new"), "subject.change"),
    ],
)
def test_nothing_is_done_that_the_audit_cannot_be_told(
    labsys: Run, new_lab: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], action: str
) -> None:
    _add_trial(labsys)
    before, noted = _everything(new_lab), len(audited(open_lab(new_lab), action))
    monkeypatch.setattr("api.database.connection._PRAGMAS", ("busy_timeout=50", *connection._PRAGMAS[1:]))
    other = open_database(open_lab(new_lab))
    with other.write():  # another process indexes a large lab
        refused = labsys(*words)
    assert (refused.code, "another process is writing the index" in refused.err) == (1, True)
    assert _everything(new_lab) == before
    assert len(audited(open_lab(new_lab), action)) == noted
    assert labsys(*words).code == 0
    assert _everything(new_lab) != before
    assert len(audited(open_lab(new_lab), action)) == noted + 1
    other.close()


def _everything(lab: Path) -> dict[str, bytes]:
    return {str(p.relative_to(lab)): p.read_bytes() for p in (*lab.rglob("*.json"),) if p.is_file()}
