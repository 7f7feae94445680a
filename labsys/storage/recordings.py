"""Takes in the making by the recorder: a hidden folder beside take/ that survives crashes until it is made a take.

.take.recording/   RECORDING  who records: pid, boot, host    raw/  parts of videos and their timestamps
                   manifest.json                              becomes take/ in one rename
"""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labsys.core.clock import utc_now
from labsys.core.errors import ConcurrencyError, InputError
from labsys.core.session import check_code
from labsys.storage.atomic import hash_file, is_there, make_folder, read_json, sync_folder, sync_tree, write_json_atomic
from labsys.storage.documents import save_document
from labsys.storage.lab import Lab
from labsys.storage.takes import RECORDING_FOLDER, Take, TakeFile

_LOCK = "RECORDING"
_MANIFEST = "manifest.json"
_TAKE = "take.json"
_RESERVE_BYTES = 4 << 20


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


def begin_recording(target: Path) -> Recording:
    """Begin to record what will be the folder `target`.

    Raises:
        InputError: there is a take already, or the folder cannot be written.
        ConcurrencyError: a recording is under way there, or waits to be recovered.
    """
    recording = Recording(target.with_name(RECORDING_FOLDER), target)
    if is_there(target):
        raise InputError(
            "there is a take already; takes are written once", where=str(target), remedy="Name another trial"
        )
    if is_there(recording.folder):
        raise ConcurrencyError(
            "a recording is under way or was cut short here", where=str(target), remedy="Run 'labsys recover'"
        )
    try:
        make_folder(recording.raw)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror or error}", where=str(target)) from error
    holder = {"pid": os.getpid(), "boot_id": _boot_id(), "host": platform.node(), "started_at": utc_now()}
    write_json_atomic(recording.folder / _LOCK, holder)
    return recording


def hold_reserve(recording: Recording, camera: str) -> Path:
    """Set space aside that a full disk cannot take: enough to close one camera's files and say what happened."""
    path = recording.raw / f".reserve.{camera}"
    path.write_bytes(bytes(_RESERVE_BYTES))
    return path


def is_held(recording: Recording) -> bool:
    """Whether the process that records is still there."""
    holder = read_json(recording.folder / _LOCK) if is_there(recording.folder / _LOCK) else {}
    if holder.get("host") != platform.node() or holder.get("boot_id") != _boot_id():
        return False
    pid = int(holder.get("pid", -1))
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not _is_zombie(pid)


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
    (recording.folder / _LOCK).unlink(missing_ok=True)
    sync_tree(recording.folder)
    recording.folder.rename(recording.target)
    sync_folder(recording.target.parent)


def as_take_file(folder: Path, path: str) -> TakeFile:
    """A file of the take with its hash."""
    return TakeFile(path, hash_file(folder / path))


def discard_recording(recording: Recording) -> None:
    """Remove a recording in which no frame was stored (InputError: it holds frames)."""
    if any(recording.raw.glob("*.mkv")):
        raise InputError("holds frames and is not thrown away", where=str(recording.folder))
    shutil.rmtree(recording.folder)


def _boot_id() -> str:
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else ""


def _is_zombie(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return False


def new_calibration_take(lab: Lab, rig: str) -> Path:
    """A new folder for the take of a calibration, calibrations/<date>_<rig>_<nnn>/take, with the folder around it."""
    stem = f"{utc_now()[:10]}_{check_code('rig', rig)}"
    number = 1
    while (folder := lab.root / "calibrations" / f"{stem}_{number:03d}").exists():
        number += 1
    make_folder(folder)
    return folder / "take"
