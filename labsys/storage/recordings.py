"""Takes in the making by the recorder: a hidden folder beside take/ that survives crashes until it is made a take.

.take.recording/   RECORDING  who records, in words    raw/  parts of videos and their timestamps
                   manifest.json                       becomes take/ in one rename

The recorder and every camera's process hold RECORDING locked with one another for as long as they live; who finishes a
recording that was cut short holds it alone. The system releases what a process held, however it ended.
"""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labsys.core.clock import utc_now
from labsys.core.errors import ConcurrencyError, InputError
from labsys.core.session import check_code
from labsys.storage.atomic import (
    hash_file,
    is_there,
    make_folder,
    read_json,
    sync_folder,
    sync_tree,
    write_bytes_atomic,
    write_json_atomic,
)
from labsys.storage.documents import save_document
from labsys.storage.lab import Lab
from labsys.storage.locks import hold_file
from labsys.storage.takes import RECORDING_FOLDER, Take, TakeFile
from labsys.storage.unrecorded import hold_new
from labsys.storage.video import read_pictures

_LOCK = "RECORDING"
_MANIFEST = "manifest.json"
_TAKE = "take.json"
_RESERVE_BYTES = 4 << 20
_HEADER_MOST_BYTES = 4096  # of a video without a picture


@dataclass(frozen=True)
class Recording:
    """A take in the making: where it grows, and what it becomes."""

    folder: Path
    target: Path

    @property
    def raw(self) -> Path:
        """Videos and timestamps."""
        return self.folder / "raw"

    @property
    def what(self) -> str:
        """How people know it: the folder that holds the take."""
        return "/".join(self.target.parent.parts[-3:])

    @property
    def subject(self) -> str:
        """Whose take it becomes; "" for that of a calibration."""
        parts = self.target.parts
        return parts[-4] if len(parts) > 4 and parts[-5] == "subjects" else ""

    @property
    def lock(self) -> Path:
        """The file that all who write hold locked."""
        return self.folder / _LOCK


@contextmanager
def begin_recording(target: Path) -> Iterator[Recording]:
    """Begin to record what will be the folder `target`; the recording is held while the block runs.

    Raises:
        InputError: there is a take already, or the folder cannot be written.
        ConcurrencyError: a recording is under way there, or waits to be recovered.
    """
    recording = Recording(target.with_name(RECORDING_FOLDER), target)
    if is_there(target):
        raise InputError(
            "there is a take already; takes are written once", where=str(target), remedy="Name another trial"
        )
    try:
        make_folder(target.parent)
        recording.folder.mkdir()
        sync_folder(target.parent)
        make_folder(recording.raw)
    except FileExistsError as error:
        raise ConcurrencyError(
            "a recording is under way or was cut short here", where=str(target), remedy="Run 'labsys recover'"
        ) from error
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror or error}", where=str(target)) from error
    with hold_file(recording.lock, what=f"the recording {recording.what}", alone=False):
        recording.lock.write_text(f"recorded on {platform.node()} since {utc_now()}\n", encoding="utf-8")
        yield recording


@contextmanager
def take_over(recording: Recording) -> Iterator[None]:
    """Hold a recording alone, to finish it (ConcurrencyError: somebody writes it, or has finished it meanwhile)."""
    with hold_file(recording.lock, what=f"the recording {recording.what}", alone=True):
        yield


def hold_reserve(recording: Recording, camera: str) -> Path:
    """Set space aside that a full disk cannot take: enough to close one camera's files and say what happened."""
    path = recording.raw / f".reserve.{camera}"
    path.write_bytes(bytes(_RESERVE_BYTES))
    return path


def find_recordings(lab: Lab) -> list[Recording]:
    """All recordings of a lab that are no takes yet, under way or cut short."""
    found = sorted(
        [
            *lab.root.glob(f"subjects/*/*/*/{RECORDING_FOLDER}"),
            *lab.root.glob(f"calibrations/*/{RECORDING_FOLDER}"),
        ]
    )
    return [Recording(folder, folder.with_name("take")) for folder in found]


def save_manifest(recording: Recording, manifest: Mapping[str, object]) -> None:
    """Write the manifest at once."""
    write_json_atomic(recording.folder / _MANIFEST, dict(manifest))


def load_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a recording or a take; empty where a crash came before it."""
    return read_json(folder / _MANIFEST) if is_there(folder / _MANIFEST) else {}


def publish_recording(recording: Recording, take: Take) -> None:
    """Make a recording the take that it was meant to be, all at once."""
    for reserve in recording.raw.glob(".reserve.*"):
        reserve.unlink()
    save_document(recording.folder / _TAKE, take)
    sync_tree(recording.folder)
    recording.folder.rename(recording.target)
    # Only now: without the lock file in it the folder would look like one that nobody holds.
    (recording.target / _LOCK).unlink(missing_ok=True)
    sync_folder(recording.target.parent)


def keep_files(recording: Recording, files: Mapping[str, Path]) -> dict[str, str]:
    """Copy files into a recording; role -> their path in the take (InputError: one cannot be read)."""
    found = dict[str, str]()
    for role, path in files.items():
        found[role] = f"files/{role}{path.suffix}"
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror or error}", where=str(path)) from error
        make_folder(recording.folder / "files")
        write_bytes_atomic(recording.folder / found[role], content)
    return found


def as_take_file(folder: Path, path: str) -> TakeFile:
    """A file of the take with its hash."""
    return TakeFile(path, hash_file(folder / path))


def holds_frames(recording: Recording) -> bool:
    """Whether any video of a recording has a picture, those that were put away for a person among them."""
    return any(_has_picture(path) for path in recording.raw.rglob("*.mkv"))


def _has_picture(path: Path) -> bool:
    # What is larger than a header and cannot be read is for a person to judge.
    if path.stat().st_size > _HEADER_MOST_BYTES:
        return True
    try:
        return next(read_pictures(path), None) is not None
    except InputError:
        return False  # a header that was cut short


def discard_recording(recording: Recording) -> None:
    """Remove a recording in which no frame was stored (InputError: it holds frames)."""
    if holds_frames(recording):
        raise InputError("holds frames and is not thrown away", where=str(recording.folder))
    shutil.rmtree(recording.folder)


@contextmanager
def begin_calibration_take(lab: Lab, rig: str) -> Iterator[Path]:
    """A new folder for the take of a calibration, calibrations/<date>_<rig>_<nnn>/take; of a block that records nothing
    no folder is left."""
    stem = f"{utc_now()[:10]}_{check_code('rig', rig)}"
    number = 1
    while (folder := lab.root / "calibrations" / f"{stem}_{number:03d}").exists():
        number += 1
    try:
        with hold_new(folder):
            yield folder / "take"
    finally:
        with suppress(OSError):
            folder.rmdir()
