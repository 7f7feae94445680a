"""Jobs: claimed once, fenced, kept alive, retried, cancelled; none is lost or done twice when workers are killed."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from api.database.connection import Database, open_database
from api.database.tables_owned import JobRow
from api.jobs.queue import (
    MAX_ATTEMPTS,
    JobRequest,
    Slots,
    Standing,
    ask_to_cancel,
    beat,
    claim,
    fail,
    find_job,
    finish,
    give_back,
    submit,
    time_left_s,
)
from api.jobs.worker import Worker, WorkerSettings
from labsys.core.errors import UnknownNameError
from labsys.storage.armed import arming, is_armed
from labsys.storage.lab import Lab, create_lab

API = "/api/v1"
WORK = "tests.test_api.stand_in_job:work"
GONE = timedelta(seconds=-1)
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _stand_in_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Children import nothing from the folder that they stand in, so they are told where the tests are."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.fixture
def database(any_lab: Lab) -> Iterator[Database]:
    """The lab's database, of each kind."""
    opened = open_database(any_lab)
    yield opened
    opened.close()


def _add(database: Database, **asked: object) -> str:
    with database.update() as session:
        return submit(session, "test", JobRequest("process", "S01/2026-11-01/run1", **asked)).id  # type: ignore[arg-type]


def _job(database: Database, job: str) -> JobRow:
    with database.read() as session:
        return find_job(session, job)


@pytest.mark.slow
def test_the_queue(database: Database) -> None:
    """One test for all of it: a database for each would cost more than the queue does."""
    first, urgent, large = _add(database), _add(database, priority=5), _add(database, slots=Slots(1, 1))
    with database.update() as session:
        taken = claim(session, "a", Slots(1))
        next_one = claim(session, "b", Slots(1))
        assert taken is not None
        assert next_one is not None
        assert (taken.id, next_one.id) == (urgent, first)
        assert claim(session, "c", Slots(4, 0)) is None  # no graphics card
        third = claim(session, "c", Slots(1, 1))
        assert third is not None
        assert third.id == large

    with database.update() as session:  # progress never goes back
        assert beat(session, taken, stage="reconstruct", progress=0.6) is Standing.MINE
        assert beat(session, taken, stage="reconstruct", progress=0.2) is Standing.MINE
    assert _job(database, urgent).progress == pytest.approx(0.6)

    with database.update() as session:  # the lease of the second is over: another takes it, the first is fenced
        assert beat(session, next_one, stage="", progress=0.0, lease=GONE) is Standing.MINE
        again = claim(session, "d", Slots(1))
        assert again is not None
        assert (again.id, again.attempt) == (first, 2)
        assert beat(session, next_one, stage="", progress=0.9) is Standing.LOST
        assert not finish(session, next_one, {"run": "by the dead"})
        assert not fail(session, next_one, "by the dead")
        assert finish(session, again, {"run": "r1"})
        assert not finish(session, again, {"run": "r2"})
    assert (_job(database, first).state, _job(database, first).outcome) == ("done", {"run": "r1"})

    with database.update() as session:  # cancelling
        assert ask_to_cancel(session, urgent).state == "running"
        assert beat(session, taken, stage="", progress=0.7) is Standing.CANCEL
        assert ask_to_cancel(session, first).state == "done"
        with pytest.raises(UnknownNameError):
            ask_to_cancel(session, "0199e2a4-7a00-7000-8000-000000000000")

    with database.update() as session:  # a job that kills every worker fails at last
        for attempt in range(1, MAX_ATTEMPTS + 1):
            assert beat(session, third, stage="", progress=0.0, lease=GONE) is Standing.MINE
            taken_again = claim(session, "e", Slots(1, 1))
            if attempt < MAX_ATTEMPTS:
                assert taken_again is not None
                third = taken_again
        assert taken_again is None
    assert _job(database, large).state == "failed"
    assert "died" in (_job(database, large).error or "")


@pytest.mark.slow
def test_a_worker_that_stops_in_good_order_costs_no_attempt(database: Database) -> None:
    job = _add(database)
    for _ in range(MAX_ATTEMPTS + 2):
        with database.update() as session:
            held = claim(session, "a", Slots(1))
            assert held is not None
            assert give_back(session, held, "stopped", at_once=True)
    assert _job(database, job).state == "queued"


def test_cameras_are_armed_until_their_holder_ends_however_it_does(tmp_path: Path) -> None:
    lab = create_lab(tmp_path / "lab")
    assert not is_armed(lab)
    with arming(lab), arming(lab):
        assert is_armed(lab)
    assert not is_armed(lab)
    held = "import sys, time; from pathlib import Path; from labsys.storage.armed import arming as a\n"
    held += "from labsys.storage.lab import open_lab as o\n"
    held += "with a(o(Path(sys.argv[1]))): print(1, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", held, str(lab.root)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert is_armed(lab)
        holder.kill()
    assert not is_armed(lab)
    with arming(lab):
        assert len(list(lab.root.glob(".armed-*"))) == 1, "what a kill left is removed"
    assert list(lab.root.glob(".armed-*")) == []


def test_time_left_follows_from_what_is_done() -> None:
    now = datetime(2026, 11, 1, tzinfo=UTC)
    row = JobRow(state="running", started_at=now - timedelta(seconds=30), progress=0.25)
    assert time_left_s(row, now) == pytest.approx(90.0)
    row.progress = 0.01
    assert time_left_s(row, now) is None


def _run(lab: Lab, database: Database, **settings: object) -> None:
    Worker(lab, database, WorkerSettings(Slots(2), work=WORK, **settings)).run(until_idle=True)  # type: ignore[arg-type]


@pytest.mark.slow
def test_worker_runs_refuses_and_tries_again(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.jobs.queue._PATIENCE", timedelta(0))
    database = open_database(lab)
    fine, refused = _add(database), _add(database, parameters={"refuse": True})
    shaky, hopeless = _add(database, parameters={"crash_until": 1}), _add(database, parameters={"crash_until": 9})
    _run(lab, database)
    rows = {name: _job(database, job) for name, job in zip("frsh", (fine, refused, shaky, hopeless), strict=True)}
    assert {n: r.state for n, r in rows.items()} == {"f": "done", "r": "failed", "s": "done", "h": "failed"}
    assert [rows[n].attempts for n in "frsh"] == [1, 1, 2, MAX_ATTEMPTS]
    assert rows["r"].error == "the trial has no take"
    assert "status 9" in (rows["h"].error or "")
    assert rows["f"].progress == 1.0
    database.close()


@pytest.mark.slow
def test_cancelling_ends_the_process(lab: Lab) -> None:
    database = open_database(lab)
    job = _add(database, parameters={"seconds": 60.0})
    worker = Worker(lab, database, WorkerSettings(Slots(1), timedelta(seconds=3), WORK))
    thread = threading.Thread(target=lambda: worker.run(until_idle=True))
    thread.start()
    _wait(lambda: _job(database, job).state == "running")
    with database.update() as session:
        ask_to_cancel(session, job)
    thread.join(60)
    assert not thread.is_alive()
    assert _job(database, job).state == "cancelled"
    assert not (lab.root / "made" / job).exists()
    database.close()


@pytest.mark.slow
def test_work_stands_still_while_cameras_record_and_goes_on_afterwards(lab: Lab) -> None:
    database = open_database(lab)
    running, waiting = (_add(database, parameters={"seconds": 1.0}) for _ in range(2))
    worker = Worker(lab, database, WorkerSettings(Slots(2), timedelta(seconds=60), WORK))
    with arming(lab):
        thread = threading.Thread(target=lambda: worker.run(until_idle=True))
        thread.start()
        time.sleep(0.5)
        assert _job(database, running).state == "queued", "none is begun while cameras are armed"
    _wait(lambda: (lab.root / "made" / f".{running}.lock").exists())
    with arming(lab):
        _wait(lambda: _job(database, running).stage == "paused while cameras record")
        children = [work.running for work in worker._at_work]
        _wait(lambda: all(_state_of(child) == "T" for child in children))
        time.sleep(1.2)
        assert _job(database, running).state == "running"
        assert not (lab.root / "made" / running).exists(), "it stood still for longer than it takes"
    thread.join(60)
    assert [_job(database, job).state for job in (running, waiting)] == ["done", "done"]
    assert _job(database, running).attempts == 1
    database.close()


@pytest.mark.slow
def test_a_worker_that_is_killed_while_its_job_stands_still_leaves_no_process_behind(lab: Lab) -> None:
    """Nobody would let it go on: stopped, it would hold its memory and its lock for ever."""
    database = open_database(lab)
    job = _add(database, parameters={"seconds": 1.0})
    command = [sys.executable, "-m", "tests.test_api.stand_in_job", str(lab.root), lab.database, "2"]
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}) as worker:
        _wait(lambda: (lab.root / "made" / f".{job}.lock").exists())
        (child,) = _children_of(worker.pid)
        with arming(lab):
            _wait(lambda: _state_of_process(child) == "T")
            worker.kill()
            _wait(lambda: not Path(f"/proc/{child}").exists() or _state_of_process(child) == "Z")
    while _job(database, job).state == "running":  # at first its lease is still that of the dead
        Worker(lab, database, WorkerSettings(Slots(1), timedelta(seconds=60), WORK)).run(until_idle=True)
        time.sleep(0.2)
    assert (_job(database, job).state, _job(database, job).attempts) == ("done", 2)
    assert (lab.root / "made" / job).exists()
    assert not (lab.root / "made" / f".{job}.overlap").exists(), "never two at work on it"
    database.close()


def _children_of(parent: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(stat.parent.name))
    return found


def _state_of(child: Any) -> str:
    return _state_of_process(child._process.pid)


def _state_of_process(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def kill_workers(lab: Lab, *, jobs: int, workers: int, kills: int, lease_s: float) -> dict[str, object]:
    """Submit jobs, kill workers at random moments and start others; returns what there is to judge at the end."""
    database, chance = open_database(lab), random.Random(7)
    ids = [_add(database, parameters={"seconds": 0.3}) for _ in range(jobs)]

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.test_api.stand_in_job", str(lab.root), lab.database, str(lease_s)]
        return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)})

    def look() -> list[JobRow]:
        # One question: while a slow machine asks one by one, the jobs are done before enough workers were killed.
        with database.read() as session:
            return list(session.scalars(select(JobRow).where(JobRow.id.in_(ids))))

    alive, seen = [start() for _ in range(workers)], dict.fromkeys(ids, 0.0)
    went_back, killed, next_kill = 0, 0, 1
    deadline = time.monotonic() + 600
    while (rows := look()) and any(row.state not in ("done", "failed") for row in rows):
        assert time.monotonic() < deadline, [row.state for row in rows]
        for row in rows:
            went_back += row.progress < seen[row.id]
            seen[row.id] = max(row.progress, seen[row.id])
        done = sum(row.state == "done" for row in rows)
        if killed < kills and done >= next_kill:
            victim = chance.randrange(workers)
            alive[victim].send_signal(signal.SIGKILL)
            alive[victim].wait()
            alive[victim], killed, next_kill = start(), killed + 1, next_kill + max(1, jobs // (kills + 2))
        time.sleep(0.05)
    for process in alive:
        process.kill()
        process.wait()
    made = {p.name for p in (lab.root / "made").iterdir() if not p.name.startswith(".")}
    rows = look()
    database.close()
    return {
        "states": sorted({r.state for r in rows}),
        "made": made == set(ids),
        "overlaps": len(list((lab.root / "made").glob(".*.overlap"))),
        "went_back": went_back,
        "killed": killed,
        "repeated": sum(r.attempts > 1 for r in rows),
    }


@pytest.mark.slow
def test_no_job_is_lost_or_done_twice_when_workers_are_killed(any_lab: Lab) -> None:
    found = kill_workers(any_lab, jobs=10, workers=3, kills=2, lease_s=6.0)
    assert found["states"] == ["done"]
    assert found["made"]
    assert found["overlaps"] == 0
    assert found["went_back"] == 0
    assert found["killed"] == 2


def _wait(condition: Callable[[], bool], *, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_over_http(client: TestClient) -> None:
    """Submitted, listed, watched, cancelled, and written down."""
    new = {"kind": "process", "target": "S02/2026-11-03/walk1", "settings": ["reconstruct.min_likelihood=0.2"]}
    answer = client.post(f"{API}/jobs", json=new)
    assert answer.status_code == 202, answer.text
    job = answer.json()
    assert answer.headers["location"] == f"{API}/jobs/{job['id']}"
    assert (job["state"], job["progress"], job["time_left_s"]) == ("queued", 0.0, None)
    assert client.get(f"{API}/jobs?state=queued").json()["items"] == [job]
    assert client.post(f"{API}/jobs", json=new | {"target": "S02/2026-11-03/walk9"}).json()["nearest"] == "walk1"
    assert client.post(f"{API}/jobs", json=new | {"target": "../../etc"}).status_code == 422
    assert client.delete(f"{API}/jobs/{job['id']}").json()["state"] == "cancelled"
    with client.stream("GET", f"{API}/jobs/{job['id']}/events") as events:
        assert events.headers["content-type"].startswith("text/event-stream")
        told = [line for line in events.iter_lines() if line]
    assert told[0] == "event: job"
    assert json.loads(told[1].removeprefix("data: "))["state"] == "cancelled"
    assert len(told) == 2
    said = [e["action"] for e in client.get(f"{API}/audit").json()["items"]]
    assert said == ["job.submit", "job.cancel"]
