"""Folders that were made for a recording which never came to be: of a trial, or of a calibration's take.

Who begins one holds a file in it until the take is there, or the folder is removed again. The system lets go of that
file however its holder ends: a folder whose file nobody holds was abandoned.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from labsys.core.errors import ConcurrencyError
from labsys.storage.atomic import is_there, sync_folder
from labsys.storage.lab import Lab
from labsys.storage.locks import hold_lock, is_held

MARK = ".to-record"
_STATEMENT = "trial.json"
_RECORDING = ".take.recording"


@contextmanager
def hold_new(folder: Path) -> Iterator[None]:
    """Hold a folder that is made now, until there is a take in it (ConcurrencyError: another process begins it)."""
    with hold_lock(folder / MARK, what=f"the recording of {folder.name}"):
        yield


def find_abandoned(lab: Lab) -> list[Path]:
    """Folders that were begun by a process that has ended since."""
    marks = sorted([*lab.root.glob(f"subjects/*/*/*/{MARK}"), *lab.root.glob(f"calibrations/*/{MARK}")])
    return [mark.parent for mark in marks if not is_held(mark)]


def clear_abandoned(folder: Path) -> bool:
    """Remove an abandoned folder that holds no take and nothing else of anybody; whether it was removed.

    One that nobody made for a recording, or in which a recording waits to be recovered, stays as it is.
    """
    if not is_there(folder / MARK) or is_there(folder / _RECORDING):
        return False
    try:
        with hold_lock(folder / MARK, what=f"the recording of {folder.name}"):
            # Hidden files are what a crash left of a copy or of a file that was being written.
            if any(path.name != _STATEMENT and not path.name.startswith(".") for path in folder.iterdir()):
                return False  # a take, or what somebody put there: the mark alone goes
            (folder / _STATEMENT).unlink(missing_ok=True)  # first: without it the folder is no trial
            shutil.rmtree(folder)
    except ConcurrencyError:
        return False
    sync_folder(folder.parent)
    return True
