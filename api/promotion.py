"""Promote a release: audited, written to the folder, then indexed."""

from __future__ import annotations

from api.access.audit import Actor, record
from api.database.connection import Database
from api.indexing.index import index_lab
from api.lab_errors import lab_errors
from labsys.core.release import Release
from labsys.storage.current_runs import promote
from labsys.storage.lab import Lab
from labsys.storage.releases import drop_candidate, load_candidate
from pipelines.promoting import release_candidate, release_current


def promote_release(
    lab: Lab, database: Database, name: str, *, actor: Actor, note: str = "", of_present: bool = False
) -> Release:
    """Make a release of the candidate, or (`of_present`) of what counts now, and let it count.

    The audit comes first: a crash may leave an entry of a promotion that never was, never a promotion without entry.

    Raises:
        InputError: nothing to promote, or the name is taken. ConcurrencyError: another was promoted meanwhile.
    """
    make = release_current if of_present else release_candidate
    candidate = None if of_present else load_candidate(lab)
    release = make(lab, name, made_by=actor.name, note=note, errors=lab_errors(lab))
    with database.write() as session:
        record(
            session, actor, "release.promote", f"{name}: {len(release.members)} trials, closes {release.closes or '-'}"
        )
    promote(lab, release)
    if candidate is not None:
        drop_candidate(lab, candidate)
    index_lab(lab, database=database)
    return release
