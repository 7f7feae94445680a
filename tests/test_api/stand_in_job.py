"""A job that makes a file and notices when another process works on the same job at the same time."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labsys.core.errors import InputError
from labsys.core.progress import Progress

STEPS = 4


def work(job: Mapping[str, Any], progress: Progress) -> Mapping[str, Any]:
    """Take some steps, then make the file of the job; parameters say how long, and what goes wrong."""
    asked = job["parameters"]
    if asked.get("refuse"):
        raise InputError("the trial has no take", where=f"{job['lab']}/subjects/S01" if asked.get("at") else "")
    if asked.get("crash_until", 0) >= job["attempt"]:
        os._exit(9)
    folder = Path(job["lab"]) / "made"
    folder.mkdir(exist_ok=True)
    with (folder / f".{job['id']}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # Another process still works on this job: what the lease and the end of orphans are there to prevent.
            (folder / f".{job['id']}.overlap").touch()
        progress.stage("reconstruct", STEPS)
        for _ in range(STEPS):
            time.sleep(asked.get("seconds", 0.0) / STEPS)
            progress.advance()
        is_new = not (folder / job["id"]).exists()
        (folder / job["id"]).touch()
    return {"new": is_new}


def run_worker(lab: str, database: str, lease_s: float, scheduler: str = "") -> None:
    """A worker in a process of its own, until it is killed; with a scheduler, its workers do the work."""
    from dataclasses import replace
    from datetime import timedelta

    from api.database.connection import open_database
    from api.jobs.executor import Executor
    from api.jobs.local import LocalExecutor
    from api.jobs.queue import Slots
    from api.jobs.worker import Worker, WorkerSettings
    from labsys.storage.lab import open_lab

    opened = replace(open_lab(Path(lab)), database=database)
    settings = WorkerSettings(Slots(2), timedelta(seconds=lease_s), "tests.test_api.stand_in_job:work")
    executor: Executor = LocalExecutor(settings)
    if scheduler:
        from api.jobs.cluster import ClusterExecutor

        executor = ClusterExecutor(opened, settings, scheduler)
    Worker(opened, open_database(opened), settings, executor).run()


if __name__ == "__main__":
    import sys

    run_worker(sys.argv[1], sys.argv[2], float(sys.argv[3]), *sys.argv[4:])
