"""Jobs whose process cannot be started, or that are cancelled while their worker stops: none is lost or left over."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from api.database.connection import Database, open_database
from api.database.tables_owned import JobRow
from api.jobs.queue import MAX_ATTEMPTS, JobRequest, Slots, ask_to_cancel, claim, find_job, give_back, submit
from api.jobs.worker import Worker, WorkerSettings
from labsys.storage.lab import Lab

pytestmark = pytest.mark.slow

WORK = "tests.test_api.stand_in_job:work"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def database(any_lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """The lab's database, of each kind; what broke is tried again at once."""
    monkeypatch.setattr("api.jobs.queue._PATIENCE", timedelta(0))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    opened = open_database(any_lab)
    yield opened
    opened.close()


def _add(database: Database) -> str:
    with database.update() as session:
        return submit(session, "test", JobRequest("process", "S01/2026-11-01/run1")).id


def _job(database: Database, job: str) -> JobRow:
    with database.read() as session:
        return find_job(session, job)


def _run(lab: Lab, database: Database, work: str = WORK) -> Worker:
    worker = Worker(lab, database, WorkerSettings(Slots(1), work=work))
    worker.run(until_idle=True)
    return worker


def test_worker_goes_on_where_no_process_can_be_started(
    any_lab: Lab, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, tries = subprocess.Popen, iter([OSError(11, "Resource temporarily unavailable")])

    def short_of_processes(*arguments: Any, **named: Any) -> subprocess.Popen[str]:
        for error in tries:
            raise error
        return real(*arguments, **named)

    monkeypatch.setattr("api.jobs.local.subprocess.Popen", short_of_processes)
    first, second = _add(database), _add(database)
    _run(any_lab, database)
    assert {_job(database, job).state for job in (first, second)} == {"done"}
    assert sum(_job(database, job).attempts for job in (first, second)) == 3


def test_error_of_a_job_does_not_say_where_the_lab_lies(any_lab: Lab, database: Database) -> None:
    with database.update() as session:
        asked = JobRequest("process", "S01/2026-11-01/run1", parameters={"refuse": True, "at": True})
        job = submit(session, "test", asked).id
    _run(any_lab, database)
    error = _job(database, job).error or ""
    assert (error.count("subjects/S01"), str(any_lab.root) in error) == (1, False)


def test_job_that_no_process_can_be_started_for_fails_and_says_so(
    any_lab: Lab, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(*_arguments: Any, **_named: Any) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("api.jobs.local.subprocess.Popen", none_left)
    job = _add(database)
    _run(any_lab, database)
    row = _job(database, job)
    assert (row.state, row.attempts, row.worker is None or row.lease_until is None) == ("failed", MAX_ATTEMPTS, True)
    assert "Resource temporarily unavailable" in (row.error or "")


def test_process_that_hears_nothing_is_ended_and_its_job_given_back(
    any_lab: Lab, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, started = subprocess.Popen, []

    def deaf(*_arguments: Any, **named: Any) -> subprocess.Popen[str]:
        process = real(["/bin/sh", "-c", "exec sleep 60 <&-"], **named)
        started.append(process)
        return process

    monkeypatch.setattr("api.jobs.local.subprocess.Popen", deaf)
    monkeypatch.setattr("api.jobs.local.Child._tell", _break)
    job = _add(database)
    _run(any_lab, database)
    assert _job(database, job).state == "failed"
    assert len(started) == MAX_ATTEMPTS
    assert all(process.poll() is not None for process in started)


def _break(*_arguments: Any) -> None:
    raise BrokenPipeError(32, "Broken pipe")


def test_job_that_was_cancelled_is_not_given_back(database: Database) -> None:
    for at_once in (True, False):
        job = _add(database)
        with database.update() as session:
            held = claim(session, "a", Slots(1))
            assert held is not None
        with database.update() as session:
            ask_to_cancel(session, job)
        with database.update() as session:
            assert give_back(session, held, "the worker stopped", at_once=at_once)
        assert _job(database, job).state == "cancelled"
        with database.update() as session:
            assert claim(session, "b", Slots(1)) is None


def test_child_imports_nothing_from_the_folder_it_stands_in(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = tmp_path / "planted"
    planted.mkdir()
    (planted / "json.py").write_text("raise SystemExit('planted')")
    (planted / "api").mkdir()
    (planted / "api" / "__init__.py").write_text("raise SystemExit('planted')")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(planted)
    database = open_database(lab)
    job = _add(database)
    _run(lab, database)
    assert _job(database, job).state == "done", _job(database, job).error
    database.close()
