"""Which rows of the flat table went with trials that were deleted or moved away, as the lab's bin tells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from api.moments import parse_moment
from labsys.core.catalogue import METRICS
from labsys.core.session import TrialName
from labsys.storage.lab import Lab
from labsys.storage.trial_bin import list_gone


def gather_tombstones(lab: Lab, subject: str, alive: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row for every run, metric and side that went; none where a row of the same key is there again (InputError)."""
    present = {(row["session"], row["trial"], row["run"]) for row in alive}
    gone: dict[tuple[TrialName, str], datetime] = {}
    for entry in list_gone(lab, subject):
        keys = ((entry.name.session, entry.name.trial, run) for run in entry.runs)
        # The latest counts: a trial may have come back and gone again.
        gone |= {(entry.name, key[2]): parse_moment(entry.deleted_at) for key in keys if key not in present}
    return [
        {
            "subject": name.subject,
            "session": name.session,
            "trial": name.trial,
            "run": run,
            "metric": metric.id,
            "side": side,
            "deleted_at": deleted_at,
        }
        for (name, run), deleted_at in gone.items()
        for metric in METRICS
        for side in metric.sided.sides
    ]
