"""What is removed of those who asked to be forgotten, once their day has come.

It is the videos, in the lab and in its archive, and all that was made of them to be watched. Landmarks and results stay
under the code: nobody can be recognised in them.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from labsys.core.clock import utc_now
from labsys.core.errors import InputError, LabsysError
from labsys.storage.atomic import is_there, sync_folder
from labsys.storage.documents import load_document
from labsys.storage.erasures import find_erasure, save_erasure
from labsys.storage.lab import Lab, subject_folder
from labsys.storage.locks import hold_lock
from labsys.storage.subjects import subject_codes
from labsys.storage.take_archive import remove_copies
from labsys.storage.takes import ARCHIVE_FILE, RECORDING_FOLDER, TAKE_FILE, TAKE_LOCK, Take
from labsys.storage.trial_bin import binned_trials
from labsys.storage.trials import TRIAL_FILE

# Two that removed at once would note everything twice, and trip over what the other has removed.
_LOCK = ".removing.lock"


def remove_erased(lab: Lab, *, note: Callable[[str], None]) -> list[str]:
    """Remove the recordings of all subjects whose time has come; returns those who had any left.

    A removal that was cut short, or whose archive was away, is finished by asking again.

    Args:
        note: is told of each subject before anything is removed.

    Raises:
        InputError: something cannot be removed, is being recorded, or the disk with archived videos is away.
        ConcurrencyError: another process removes just now, or holds a take. What could be removed of others is gone
            all the same.
    """
    removed, failed = list[str](), list[LabsysError]()
    with hold_lock(lab.root / "subjects" / _LOCK, what="the removal of erased subjects' recordings"):
        for subject in subject_codes(lab):
            try:
                errors = _remove_due(lab, subject, note)
            except LabsysError as error:
                errors = [error]  # its erasure or a trial cannot be read; the others do not wait for it
            failed += errors or []
            removed += [subject] if errors == [] else []
    if failed:
        raise failed[0]
    return removed


def _remove_due(lab: Lab, subject: str, note: Callable[[str], None]) -> list[LabsysError] | None:
    """What went wrong in removing the recordings of a subject; None where nothing is to be removed."""
    found = find_erasure(lab, subject)
    if found is None or not found.is_due:
        return None
    trials = _trials(lab, subject)
    if found.removed_at and not any(map(_has_recordings, trials)):
        return None
    note(subject)
    errors = _remove_all(lab, trials)
    if not errors:
        save_erasure(lab, subject, replace(found, removed_at=utc_now()))
    return errors


def _trials(lab: Lab, subject: str) -> list[Path]:
    """Folders of a subject's trials, and of those that wait in the bin."""
    here = [path.parent for path in subject_folder(lab, subject).glob(f"*/*/{TRIAL_FILE}")]
    return [*here, *binned_trials(lab, subject)]


def _has_recordings(trial: Path) -> bool:
    # A film may have been in the making when the videos went.
    places = (*_videos(trial), trial / "derived", trial / "take" / ARCHIVE_FILE, trial / RECORDING_FOLDER)
    return any(is_there(place) for place in places)


def _videos(trial: Path) -> list[Path]:
    if not is_there(trial / "take" / TAKE_FILE):
        return []
    take = load_document(trial / "take" / TAKE_FILE, Take)
    return [trial / "take" / video.path for video in take.cameras.values()]


def _remove_all(lab: Lab, trials: list[Path]) -> list[LabsysError]:
    """Of every trial what can be removed; what is wrong with the others."""
    errors = list[LabsysError]()
    for trial in trials:
        try:
            _remove_recordings(lab, trial)
        except LabsysError as error:
            errors.append(error)
    return errors


def _remove_recordings(lab: Lab, trial: Path) -> None:
    if is_there(trial / RECORDING_FOLDER):
        raise InputError("is being recorded or was cut short", where=str(trial), remedy="Run 'labsys recover'")
    with hold_lock(trial / TAKE_LOCK, what=f"the take in {trial.name}"):
        remove_copies(lab, trial / "take")
        try:
            if is_there(trial / "derived"):
                shutil.rmtree(trial / "derived")
            for video in _videos(trial):
                video.unlink(missing_ok=True)
        except OSError as error:
            raise InputError(f"cannot be removed: {error.strerror or error}", where=str(trial)) from error
        sync_folder(trial)
