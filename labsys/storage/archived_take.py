"""A take whose videos are on another disk: what it says of them, and whether they are whole there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from labsys.core.errors import InputError
from labsys.core.progress import Progress, SilentProgress
from labsys.core.session import TrialName
from labsys.storage.atomic import hash_file, is_there
from labsys.storage.documents import load_document
from labsys.storage.lab import Lab, take_folder
from labsys.storage.takes import ARCHIVE_FILE, load_take

_SILENT = SilentProgress()


@dataclass(frozen=True)
class ArchivedVideo:
    """One video: SHA-256 of what was recorded, and its size."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class ArchivedTake:
    """Where the videos of a take are. folder: on the other disk; videos: path within the take -> video."""

    folder: str
    archived_at: str
    videos: Mapping[str, ArchivedVideo]

    @property
    def size_bytes(self) -> int:
        """Of all videos together."""
        return sum(video.size_bytes for video in self.videos.values())


def find_archived(lab: Lab, name: TrialName) -> ArchivedTake | None:
    """Where the videos of a trial's take are, None where they are in the lab."""
    path = take_folder(lab, name) / ARCHIVE_FILE
    return load_document(path, ArchivedTake) if is_there(path) else None


def count_bytes_in_lab(lab: Lab, name: TrialName) -> int:
    """Of the videos of a trial's take that are in the lab (InputError: it has no take)."""
    paths = (take_folder(lab, name) / file.path for file in load_take(lab, name).cameras.values())
    return sum(size_of_video(path) for path in paths if is_there(path))


def check_archived(there: ArchivedTake, *, progress: Progress = _SILENT) -> tuple[str, ...]:
    """Read every copy of a take whole; what is wrong with it in words, nothing where all is well."""
    found = []
    for path, video in there.videos.items():
        found += find_faults(Path(there.folder) / path, video)
        progress.advance()
    return tuple(found)


def find_faults(copy: Path, video: ArchivedVideo) -> list[str]:
    """What is wrong with one copy: one that cannot be read is a finding, and the others are read all the same."""
    try:
        if not is_there(copy):
            return [f"{copy} is not there"]
        return [] if hash_from_disk(copy) == video.sha256 else [f"{copy} is not what was recorded"]
    except InputError as error:
        return [f"{copy} {error.what}"]


def size_of_video(path: Path) -> int:
    """In bytes (InputError: it is gone)."""
    try:
        return path.stat().st_size
    except OSError as error:
        raise InputError("a video is gone", where=str(path), remedy="Restore it from a backup") from error


def hash_from_disk(path: Path) -> str:
    """SHA-256 of what the disk holds, as far as the system lets go of what it remembers (InputError: unreadable)."""
    if hasattr(os, "posix_fadvise"):
        try:
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror or error}", where=str(path)) from error
    return hash_file(path)
