"""What a Dask worker does for labsys: a child process for the job, and an eye on its row.

Nobody can end a task of Dask that is at work. So it looks at its row itself, and ends its child when another attempt
has begun, when it was cancelled, and when nobody renews its lease: a quarter of the lease before it is over.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import labsys
from api.database.connection import Database, open_database
from api.jobs.local import Child
from api.jobs.queue import lease_left_s
from labsys.core.errors import LabsysError
from labsys.storage.lab import open_lab

_TICK_S = 0.05
_LOOKS_PER_LEASE = 12
_MARGIN = 0.25


@dataclass(frozen=True)
class Found:
    """What a Dask worker is: the version of labsys that it has, and the lab that it sees (or why it sees none)."""

    version: str
    lab: str

    def against(self, wanted: Found) -> str:
        """Why it is not what is wanted."""
        if self.version != wanted.version:
            return f"it has labsys {self.version or 'not at all'}, this is {wanted.version} ({self.lab})"
        return f"it does not see this lab at the same place: {self.lab}"


def probe(root: str) -> Found:
    """Asked of a Dask worker: what it has, and whether the lab lies there at the same place."""
    try:
        return Found(labsys.__version__, open_lab(Path(root)).uuid)
    except LabsysError as error:
        return Found(labsys.__version__, str(error))


def run_job(job: Mapping[str, Any], work: str, lease_s: float, topic: str, key: str) -> dict[str, Any]:
    """Do one attempt at a job in a child process: its last word, and its exit status."""
    from distributed import get_worker

    worker = get_worker()
    try:
        database = open_database(replace(open_lab(Path(job["lab"])), database=job["database"]))
    except LabsysError as error:  # this worker's trouble, not the job's
        return {"last": {"broken": f"{worker.address}: {error}"}, "returned": None}
    try:
        child = Child(job, work)
        try:
            _attend(child, _Row(database, job, lease_s), lambda said: worker.log_event(topic, {"key": key, **said}))
        finally:
            child.close()
    finally:
        database.close()
    return {"last": child.last, "returned": child.returned}


class _Row:
    """The row of a job, as one attempt sees it."""

    def __init__(self, database: Database, job: Mapping[str, Any], lease_s: float) -> None:
        self._database, self._job, self._lease_s = database, job, lease_s
        self._looked_at, self._until = float("-inf"), float("inf")

    def is_given_up(self) -> bool:
        """Whether nobody waits for this attempt any more, or soon would not."""
        now = time.monotonic()
        if now - self._looked_at >= self._lease_s / _LOOKS_PER_LEASE:
            self._looked_at = now
            self._look(now)
        return now >= self._until - self._lease_s * _MARGIN

    def _look(self, now: float) -> None:
        from sqlalchemy.exc import OperationalError

        try:
            with self._database.read() as session:
                left_s = lease_left_s(session, self._job["id"], self._job["attempt"])
        except OperationalError:
            return  # what was known last holds until it is over
        self._until = float("-inf") if left_s is None else now + left_s


def _attend(child: Child, row: _Row, tell: Any) -> None:
    """Until the child is over, or ended because it was given up."""
    said: tuple[str, float] = ("", 0.0)
    while not child.is_over():
        if row.is_given_up():
            child.kill()
            child.last = {"broken": "nobody waited for this attempt any more"}
            return
        if (child.stage, child.progress) != said:
            said = (child.stage, child.progress)
            tell({"stage": said[0], "progress": said[1]})
        time.sleep(_TICK_S)
