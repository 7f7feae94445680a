"""When what a trial contributes changed without its trial.json: another run counts, or it came back from the bin.

Tables tell those who ask what changed since they last asked, and learn it from here after the database was deleted.
"""

from __future__ import annotations

from pathlib import Path

from labsys.core.clock import utc_now
from labsys.core.session import TrialName
from labsys.storage.atomic import is_there, read_text, sync_folder, write_text_atomic
from labsys.storage.lab import Lab, trial_folder

CHANGE_FILE = "changed"


def stamp_change(lab: Lab, name: TrialName, *, through: Path | None = None) -> None:
    """Write the present time down; before the change, so that a crash in between tells of too much, not too little.

    through: folder of unfinished work that it is written in first, so that what a crash leaves of it is cleared there.
    """
    path = trial_folder(lab, name) / CHANGE_FILE
    first = (through or path.parent) / CHANGE_FILE
    write_text_atomic(first, utc_now() + "\n")
    if first != path:
        first.replace(path)
        sync_folder(path.parent)


def last_change(lab: Lab, name: TrialName) -> str | None:
    """The time of the last stamp, ISO-8601; None where there was none."""
    path = trial_folder(lab, name) / CHANGE_FILE
    return read_text(path).strip() if is_there(path) else None
