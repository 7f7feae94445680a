"""The end of what was deleted: trials that lay in the bin for long enough are destroyed, with their recordings."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from api import kept_days
from api.access.audit import Actor, record
from api.database.connection import Database
from labsys.storage.lab import Lab
from labsys.storage.trial_bin import BinEntry, destroy_deleted


def destroy_due_trials(lab: Lab, database: Database, actor: Actor, *, days: int = kept_days.BINNED) -> list[str]:
    """Destroy the trials that were deleted so many days ago; returns their names. Each is written down before.

    Raises:
        LabsysError: as `destroy_deleted`.
    """
    names: list[str] = []

    def note(entry: BinEntry) -> None:
        # Committed before anything is removed: a destruction that is killed was audited.
        with database.write() as session:
            record(session, actor, "trial.destroy", f"{entry.name}, deleted {entry.deleted_at}")
        names.append(str(entry.name))

    destroy_deleted(lab, datetime.now(UTC) - timedelta(days=days), note=note)
    return names
