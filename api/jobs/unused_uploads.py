"""Uploads that nobody used for a day, and that no import which waits or is at work needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from api.database.connection import Database
from api.jobs.kinds import JobKind
from api.jobs.queue import list_unfinished
from api.uploads import remove_old
from labsys.storage.lab import Lab


def remove_unused_uploads(lab: Lab, database: Database) -> None:
    """Remove them; also what a crash left half-written."""
    with database.read() as session:
        jobs = list_unfinished(session, JobKind.IMPORT)
    remove_old(lab, frozenset(sha256 for job in jobs for sha256 in _hashes(job.parameters)))


def _hashes(said: object) -> Iterator[str]:
    """Of every file that a RecordingNew names, also one that an earlier version of labsys queued."""
    if isinstance(said, Mapping):
        if isinstance(found := said.get("sha256"), str):
            yield found
        for inner in said.values():
            yield from _hashes(inner)
