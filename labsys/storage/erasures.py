"""Subjects who asked to be forgotten: subjects/<code>/erasure.json says since when, and after when no video is left.

Until then their recordings are hidden. What is removed are the videos, in the lab and in its archive, and all that was
made of them to be watched. Landmarks and results stay under the code: nobody can be recognised in them.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from labsys.core.clock import utc_now
from labsys.core.errors import InputError, LabsysError
from labsys.storage.atomic import is_there, sync_folder
from labsys.storage.documents import load_document, save_document
from labsys.storage.lab import Lab, subject_folder
from labsys.storage.locks import hold_lock
from labsys.storage.subjects import require_subject, subject_codes
from labsys.storage.take_archive import remove_copies
from labsys.storage.takes import ARCHIVE_FILE, RECORDING_FOLDER, TAKE_FILE, TAKE_LOCK, Take
from labsys.storage.trial_bin import binned_trials
from labsys.storage.trials import TRIAL_FILE

_FILE = "erasure.json"


@dataclass(frozen=True)
class Erasure:
    """What became of a subject's wish. Times are ISO-8601; removed_at: "" while videos are there."""

    asked_at: str
    remove_after: str
    removed_at: str = ""

    @property
    def is_due(self) -> bool:
        """Whether its time has come."""
        return datetime.fromisoformat(self.remove_after) <= datetime.now(UTC)

    @property
    def says(self) -> str:
        """What whoever asks for a recording is told."""
        if self.removed_at:
            return f"the recordings were removed on {self.removed_at[:10]}, as the subject asked to be erased"
        return f"the recordings are hidden, as the subject asked to be erased, and are removed after {self.day}"

    @property
    def day(self) -> str:
        """The date after which videos are removed."""
        return self.remove_after[:10]


def begin_erasure(lab: Lab, subject: str, *, keep_days: int) -> Erasure:
    """Hide a subject's recordings, and have them removed after some days; asked again, the earlier day holds.

    Raises:
        UnknownNameError: no such subject. InputError: it cannot be written.
    """
    require_subject(lab, subject)
    now = datetime.now(UTC)
    after = (now + timedelta(days=keep_days)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    before = find_erasure(lab, subject)
    asked = Erasure(utc_now(), after)
    if before is not None:
        asked = replace(before, remove_after=min(before.remove_after, after))
    save_document(_path(lab, subject), asked)
    return asked


def find_erasure(lab: Lab, subject: str) -> Erasure | None:
    """The erasure of a subject, None where nobody asked for one."""
    path = _path(lab, subject)
    return load_document(path, Erasure) if is_there(path) else None


def cancel_erasure(lab: Lab, subject: str) -> None:
    """Show a subject's recordings again (InputError: nobody asked for an erasure, or they are removed already)."""
    found = find_erasure(lab, subject)
    if found is None:
        raise InputError(f"nobody asked to erase {subject}")
    if found.removed_at:
        raise InputError(f"the recordings of {subject} were removed on {found.removed_at[:10]}")
    _path(lab, subject).unlink()
    sync_folder(_path(lab, subject).parent)


def remove_erased(lab: Lab, *, note: Callable[[str], None]) -> list[str]:
    """Remove the recordings of all subjects whose time has come; returns those who had any left.

    A removal that was cut short, or whose archive was away, is finished by asking again.

    Args:
        note: is told of each subject before anything is removed.

    Raises:
        InputError: something cannot be removed, is being recorded, or the disk with archived videos is away.
        ConcurrencyError: a take is held by another process. What could be removed of others is gone all the same.
    """
    removed, failed = list[str](), list[LabsysError]()
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
        save_document(_path(lab, subject), replace(found, removed_at=utc_now()))
    return errors


def _path(lab: Lab, subject: str) -> Path:
    return subject_folder(lab, subject) / _FILE


def _trials(lab: Lab, subject: str) -> list[Path]:
    """Folders of a subject's trials, and of those that wait in the bin."""
    here = [path.parent for path in subject_folder(lab, subject).glob(f"*/*/{TRIAL_FILE}")]
    return [*here, *binned_trials(lab, subject)]


def _has_recordings(trial: Path) -> bool:
    places = (*_videos(trial), trial / "take" / ARCHIVE_FILE, trial / RECORDING_FOLDER)
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
