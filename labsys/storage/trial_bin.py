"""Deleted trials: moved into the lab's bin/ with a reason, and restored from there; nothing is destroyed here.

bin/<time>_<subject>_<session>_<trial>/entry.json   name, reason, when
                                       trial/       the trial's folder as it was
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from labsys.core.clock import utc_now
from labsys.core.errors import InputError, UnknownNameError
from labsys.core.session import TrialName
from labsys.storage.atomic import is_there, make_folder, sync_folder
from labsys.storage.documents import load_document, save_document
from labsys.storage.lab import Lab, trial_folder
from labsys.storage.sessions import require_session
from labsys.storage.takes import RECORDING_FOLDER
from labsys.storage.trials import require_trial

_ENTRY = "entry.json"
_TRIAL = "trial"


@dataclass(frozen=True)
class BinEntry:
    """A deleted trial: what it was called, why and when it went."""

    name: TrialName
    reason: str
    deleted_at: str


def delete_trial(lab: Lab, name: TrialName, *, reason: str) -> BinEntry:
    """Move a trial with all its files into the bin.

    Raises:
        UnknownNameError: no such trial. InputError: no reason, or it is being recorded or waits to be recovered.
    """
    require_trial(lab, name)
    if not reason.strip():
        raise InputError("no reason was given", remedy="Say why the trial is deleted")
    source = trial_folder(lab, name)
    if is_there(source / RECORDING_FOLDER):
        raise InputError(f"trial {name} is being recorded or was cut short", remedy="Run 'labsys recover'")
    entry = BinEntry(name, reason.strip(), utc_now())
    stamp = entry.deleted_at.replace(":", "").replace(".", "")
    folder = lab.root / "bin" / f"{stamp}_{name.subject}_{name.session}_{name.trial}"
    make_folder(folder)
    save_document(folder / _ENTRY, entry)
    _move(source, folder / _TRIAL)
    return entry


def list_bin(lab: Lab) -> list[BinEntry]:
    """Deleted trials that can be restored, oldest first; a deletion that a crash cut short left nothing to restore."""
    return [load_document(folder / _ENTRY, BinEntry) for folder in _entries(lab)]


def restore_trial(lab: Lab, name: TrialName) -> BinEntry:
    """Move a trial back from the bin, the one deleted last where several had the name.

    Raises:
        UnknownNameError: nothing of this name is in the bin, or its session is gone.
        InputError: a trial of this name exists.
    """
    found = [folder for folder in _entries(lab) if load_document(folder / _ENTRY, BinEntry).name == name]
    if not found:
        raise UnknownNameError("deleted trial", str(name), valid=[str(e.name) for e in list_bin(lab)])
    require_session(lab, name.subject, name.session)
    target = trial_folder(lab, name)
    if is_there(target):
        raise InputError(f"trial {name} exists already", remedy="Move it to another name first")
    folder = found[-1]
    entry = load_document(folder / _ENTRY, BinEntry)
    _move(folder / _TRIAL, target)
    (folder / _ENTRY).unlink()
    folder.rmdir()
    return entry


def _entries(lab: Lab) -> list[Path]:
    return [folder for folder in sorted((lab.root / "bin").glob("*_*")) if is_there(folder / _TRIAL)]


def _move(source: Path, target: Path) -> None:
    try:
        source.rename(target)
    except OSError as error:
        raise InputError(f"cannot be moved: {error.strerror or error}", where=str(source)) from error
    sync_folder(target.parent)
    sync_folder(source.parent)
