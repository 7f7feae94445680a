"""Subjects who asked to be forgotten: subjects/<code>/erasure.json says since when, and after when no video is left.

Until then their recordings are hidden; labsys/storage/erased_recordings.py removes them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from labsys.core.clock import read_utc, utc_now
from labsys.core.errors import InputError
from labsys.storage.atomic import is_there, sync_folder
from labsys.storage.documents import load_document, save_document
from labsys.storage.lab import Lab, subject_folder
from labsys.storage.subjects import require_subject

_FILE = "erasure.json"


@dataclass(frozen=True)
class Erasure:
    """What became of a subject's wish. Times are ISO-8601; removed_at: "" while videos are there."""

    asked_at: str
    remove_after: str
    removed_at: str = ""

    def __post_init__(self) -> None:
        for text in (self.asked_at, self.remove_after, *filter(None, [self.removed_at])):
            read_utc(text)

    @property
    def is_due(self) -> bool:
        """Whether its time has come."""
        return read_utc(self.remove_after) <= datetime.now(UTC)

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
    save_erasure(lab, subject, asked)
    return asked


def save_erasure(lab: Lab, subject: str, erasure: Erasure) -> None:
    """Write what became of a subject's wish (InputError: it cannot be written)."""
    save_document(_path(lab, subject), erasure)


def find_erasure(lab: Lab, subject: str) -> Erasure | None:
    """The erasure of a subject, None where nobody asked for one."""
    path = _path(lab, subject)
    return load_document(path, Erasure) if is_there(path) else None


def refuse_new_take(lab: Lab, subject: str) -> None:
    """InputError where a take would be of somebody who was erased: it would be hidden, and removed with the others."""
    erasure = find_erasure(lab, subject)
    if erasure is None:
        return
    ways = "Take a new code for who comes again"
    if not erasure.removed_at:
        ways += f", or 'labsys subject erase {subject} --cancel'"
    raise InputError(f"no take of {subject} is kept any more: {erasure.says}", remedy=ways)


def cancel_erasure(lab: Lab, subject: str) -> None:
    """Show a subject's recordings again (InputError: nobody asked for an erasure, or they are removed already)."""
    found = find_erasure(lab, subject)
    if found is None:
        raise InputError(f"nobody asked to erase {subject}")
    if found.removed_at:
        raise InputError(f"the recordings of {subject} were removed on {found.removed_at[:10]}")
    _path(lab, subject).unlink()
    sync_folder(_path(lab, subject).parent)


def _path(lab: Lab, subject: str) -> Path:
    return subject_folder(lab, subject) / _FILE
