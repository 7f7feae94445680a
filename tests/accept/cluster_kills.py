"""A Dask cluster of processes on this machine, any of which may be killed; whatever ends is started again."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from sqlalchemy import select

from api.database.connection import open_database
from api.database.tables_owned import JobRow
from api.jobs.queue import JobRequest, submit
from labsys.storage.lab import Lab

ROOT = Path(__file__).parents[2]
SCHEDULER, DISPATCHERS, WORKERS = "scheduler", ("dispatcher0", "dispatcher1"), ("worker0", "worker1", "worker2")
_DEADLINE_S = 3600.0


class Cluster:
    """One scheduler, three Dask workers of a thread, and two that hand jobs over."""

    def __init__(self, lab: Lab, lease_s: float, log: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        address = f"tcp://127.0.0.1:{port}"
        dask = [sys.executable, "-m", "dask"]
        hand_over = [
            sys.executable,
            "-m",
            "tests.test_api.stand_in_job",
            str(lab.root),
            str(lab.database),
            str(lease_s),
        ]
        work = [*dask, "worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--death-timeout", "60"]
        self.commands = {SCHEDULER: [*dask, "scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]}
        self.commands |= {name: [*work, "--local-directory", str(log.parent)] for name in WORKERS}
        self.commands |= {name: [*hand_over, address] for name in DISPATCHERS}
        self._log = log.open("ab")
        self.alive: dict[str, subprocess.Popen[bytes]] = {}

    def tend(self) -> None:
        """Start whatever is not there, as a service manager would."""
        for name, command in self.commands.items():
            if name not in self.alive or self.alive[name].poll() is not None:
                environment = {**os.environ, "PYTHONPATH": str(ROOT)}
                self.alive[name] = subprocess.Popen(command, env=environment, stdout=self._log, stderr=self._log)

    def kill(self, name: str) -> None:
        """SIGKILL; `tend` starts it again."""
        self.alive[name].send_signal(signal.SIGKILL)
        self.alive[name].wait()

    def end(self) -> None:
        """All of it."""
        for name in self.alive:
            self.kill(name)
        self._log.close()


def kill_cluster(lab: Lab, log: Path, *, jobs: int, kills: dict[str, int], lease_s: float) -> dict[str, object]:
    """Submit jobs, kill processes (scheduler, dispatcher, worker: how many) at random; what there is to judge."""
    database, chance = open_database(lab), random.Random(7)
    with database.update() as session:
        asked = JobRequest("process", "S01/2026-11-01/run1", parameters={"seconds": 0.3})
        ids = [submit(session, "test", asked).id for _ in range(jobs)]
    victims = [kind for kind, n in kills.items() for _ in range(n)]
    chance.shuffle(victims)
    cluster, seen, went_back, killed = Cluster(lab, lease_s, log), dict.fromkeys(ids, 0.0), 0, 0
    began, deadline = time.monotonic(), time.monotonic() + _DEADLINE_S
    try:
        while True:
            cluster.tend()
            with database.read() as session:
                rows = list(session.scalars(select(JobRow).where(JobRow.id.in_(ids))))
            for row in rows:
                went_back += row.progress < seen[row.id]
                seen[row.id] = max(seen[row.id], row.progress)
            done = sum(row.state in ("done", "failed") for row in rows)
            if done == jobs:
                break
            assert time.monotonic() < deadline, sorted(row.state for row in rows)
            if killed < len(victims) and done >= (killed + 1) * jobs // (len(victims) + 2):
                # While something is at work: a moment later than a job was seen to end.
                time.sleep(chance.uniform(0.0, 0.3))
                names = [name for name in cluster.commands if name.startswith(victims[killed])]
                cluster.kill(chance.choice(names))
                killed += 1
            time.sleep(0.05)
    finally:
        cluster.end()
    made = {p.name for p in (lab.root / "made").iterdir() if not p.name.startswith(".")}
    database.close()
    return {
        "states": sorted({r.state for r in rows}),
        "made": made == set(ids),
        "overlaps": len(list((lab.root / "made").glob(".*.overlap"))),
        "went_back": went_back,
        "killed": killed,
        "repeated": sum(r.attempts > 1 for r in rows),
        "most_attempts": max(r.attempts for r in rows),
        "seconds": round(time.monotonic() - began, 1),
    }
