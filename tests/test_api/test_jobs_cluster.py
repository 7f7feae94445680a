"""Jobs on a Dask scheduler with two workers: done, refused, tried again, fenced; the rows are as without Dask."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from api.database.connection import Database, open_database
from api.database.tables_owned import JobRow
from api.jobs.cluster import ClusterExecutor, check_address
from api.jobs.executor import WorkerSettings
from api.jobs.queue import JobRequest, Slots, ask_to_cancel, find_job, submit
from api.jobs.remote import Found
from api.jobs.worker import Worker
from labsys.core.errors import InputError
from labsys.storage.lab import Lab
from tests.test_api.cli_answer import make_runner

WORK = "tests.test_api.stand_in_job:work"
SETTINGS = WorkerSettings(lease=timedelta(seconds=12), work=WORK)


@pytest.fixture(autouse=True)
def _stand_in_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """A scheduler and two workers in threads of this process, one with a graphics card."""
    import distributed

    one = {"cls": distributed.Worker, "options": {"nthreads": 1, "resources": {"GPU": 1}}}
    other = {"cls": distributed.Worker, "options": {"nthreads": 1}}
    head = {"cls": distributed.Scheduler, "options": {"port": 0, "dashboard": False, "host": "127.0.0.1"}}
    with distributed.SpecCluster({"one": one, "other": other}, head, silence_logs=40) as cluster:
        yield cluster.scheduler_address


@pytest.fixture
def database(lab: Lab) -> Iterator[Database]:
    opened = open_database(lab)
    yield opened
    opened.close()


def _add(database: Database, **asked: Any) -> str:
    with database.update() as session:
        return submit(session, "test", JobRequest("process", "S01/2026-11-01/run1", **asked)).id


def _job(database: Database, job: str) -> JobRow:
    with database.read() as session:
        return find_job(session, job)


@pytest.mark.slow
def test_the_cluster_does_what_child_processes_do(
    lab: Lab, database: Database, scheduler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.jobs.queue._PATIENCE", timedelta(0))
    executor = ClusterExecutor(lab, SETTINGS, scheduler)
    assert executor.free(()) == Slots(2, 1)
    assert executor.free((Slots(1, 1),)) == Slots(1, 0)
    fine, refused = _add(database, slots=Slots(1, 1)), _add(database, parameters={"refuse": True, "at": True})
    shaky, endless = _add(database, parameters={"crash_until": 1}), _add(database, parameters={"seconds": 60.0})
    large = _add(database, slots=Slots(1, 2))  # no worker has two graphics cards
    worker = Worker(lab, database, SETTINGS, executor)
    thread = threading.Thread(target=lambda: worker.run(until_idle=True))
    thread.start()
    deadline = time.monotonic() + 240
    while _job(database, endless).progress == 0.0 and _job(database, endless).stage == "":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with database.update() as session:
        ask_to_cancel(session, endless)
    thread.join(240)
    assert not thread.is_alive()
    executor.close()
    rows = [_job(database, job) for job in (fine, refused, shaky, endless, large)]
    assert [row.state for row in rows] == ["done", "failed", "done", "cancelled", "queued"]
    assert [row.attempts for row in rows] == [1, 1, 2, 1, 0]
    assert (rows[0].outcome, rows[0].progress) == ({"new": True}, 1.0)
    assert rows[1].error is not None
    assert str(lab.root) not in rows[1].error
    # Whoever cancelled it knows before its process does; it ends itself within a twelfth of the lease.
    time.sleep(SETTINGS.lease.total_seconds() / 12 + 0.5)
    assert {p.name for p in (lab.root / "made").iterdir() if p.suffix != ".lock"} == {fine, shaky}


def test_a_worker_that_is_another_version_is_given_nothing() -> None:
    wanted = Found("0.1.0", "uuid")
    assert "labsys 0.0.9" in Found("0.0.9", "uuid").against(wanted)
    assert "not at all" in Found("", "ModuleNotFoundError('labsys')").against(wanted)
    assert "no lab here" in Found("0.1.0", "no lab here").against(wanted)


@pytest.mark.parametrize(
    ("address", "database", "said"),
    [
        ("tcp://lab-server:8786", "postgresql://x/y", "TLS"),
        ("lab-server:8786", "postgresql://x/y", "TLS"),
        ("tcp://192.168.1.7:8786", "postgresql://x/y", "TLS"),
        ("tls://lab-server:8786", "labsys.db", "SQLite"),
        ("tls://lab-server:8786", "sqlite:////tmp/x.db", "SQLite"),
    ],
)
def test_what_must_not_leave_this_machine(address: str, database: str, said: str, lab: Lab) -> None:
    with pytest.raises(InputError, match=said):
        check_address(address, replace(lab, database=database))
    for here in ("tcp://127.0.0.1:8786", "127.0.0.1:8786", "localhost:8786", "tcp://[::1]:8786"):
        check_address(here, replace(lab, database=database))
    check_address("tls://lab-server:8786", replace(lab, database="postgresql://x/y"))


def test_the_terminal_says_what_is_missing(lab: Lab, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_runner(capsys)
    both = run("worker", "--lab", lab.root, "--scheduler", "127.0.0.1:1", "--slots", 2)
    assert (both.code, "dask worker" in both.err) == (2, True)
    monkeypatch.setitem(sys.modules, "distributed", None)
    without = run("worker", "--lab", lab.root, "--scheduler", "127.0.0.1:1")
    assert (without.code, "labsys[cluster]" in without.err) == (2, True)
