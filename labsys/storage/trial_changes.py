"""When what a trial contributes changed without its trial.json: another run counts, or it came back from the bin.

Tables tell those who ask what changed since they last asked, and learn it from here after the database was deleted.
"""

from __future__ import annotations

from labsys.core.clock import utc_now
from labsys.core.session import TrialName
from labsys.storage.atomic import is_there, read_text, write_text_atomic
from labsys.storage.lab import Lab, trial_folder

CHANGE_FILE = "changed"


def stamp_change(lab: Lab, name: TrialName) -> None:
    """Write the present time down; before the change, so that a crash in between tells of too much, not too little."""
    write_text_atomic(trial_folder(lab, name) / CHANGE_FILE, utc_now() + "\n")


def last_change(lab: Lab, name: TrialName) -> str | None:
    """The time of the last stamp, ISO-8601; None where there was none."""
    path = trial_folder(lab, name) / CHANGE_FILE
    return read_text(path).strip() if is_there(path) else None
