"""Deleted trials: moved into the lab's bin/ with a reason, restored from there, and destroyed after a while.

bin/<time>_<subject>_<session>_<trial>/entry.json   name, reason, when, the runs it had
                                       trial/       the trial's folder as it was

The entry stays when the trial is destroyed, and there is one for a trial that was moved to another name: tables tell
from it which rows went.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from labsys.core.clock import read_utc, utc_now
from labsys.core.errors import ConcurrencyError, InputError, UnknownNameError
from labsys.core.session import Trial, TrialName
from labsys.storage.atomic import is_there, make_folder, sync_folder, write_text_atomic
from labsys.storage.documents import load_document, save_document
from labsys.storage.erasures import find_erasure
from labsys.storage.finished_runs import run_names
from labsys.storage.lab import Lab, subject_folder, trial_folder
from labsys.storage.locks import hold_lock, is_held
from labsys.storage.sessions import require_session
from labsys.storage.staged_runs import refuse_while_running
from labsys.storage.take_archive import remove_copies
from labsys.storage.takes import RECORDING_FOLDER, TAKE_LOCK
from labsys.storage.trial_changes import CHANGE_FILE
from labsys.storage.trials import TRIAL_FILE, move_trial, require_trial
from labsys.storage.unrecorded import MARK

_ENTRY = "entry.json"
_TRIAL = "trial"
_DOOMED = "destroyed"
# Two that destroyed at once would note everything twice, and trip over what the other has removed.
_LOCK = ".destroying.lock"


@dataclass(frozen=True)
class BinEntry:
    """A trial that went: what it was called, why and when (ISO-8601), the runs it had, its new name where it moved."""

    name: TrialName
    reason: str
    deleted_at: str
    runs: tuple[str, ...] = ()
    moved_to: str = ""

    def __post_init__(self) -> None:
        read_utc(self.deleted_at)


def delete_trial(lab: Lab, name: TrialName, *, reason: str) -> BinEntry:
    """Move a trial with all its files into the bin.

    Raises:
        UnknownNameError: no such trial. InputError: no reason, or it is being recorded or waits to be recovered.
        ConcurrencyError: its take is being written, or a run of it is being made.
    """
    require_trial(lab, name)
    if not reason.strip():
        raise InputError("no reason was given", remedy="Say why the trial is deleted")
    source = trial_folder(lab, name)
    _refuse_while_written(lab, name)
    entry = BinEntry(name, reason.strip(), utc_now(), run_names(lab, name))
    _discard_films(lab, name.subject)
    _move(source, _save_entry(lab, entry) / _TRIAL)
    return entry


def move_trial_away(lab: Lab, name: TrialName, target: TrialName) -> Trial:
    """As `move_trial`, and leave word in the bin where it went.

    Raises:
        InputError: it is being recorded or waits to be recovered, or its subject was erased and its recordings wait to
            be removed: under another code they would be seen again, and stay.
        ConcurrencyError: its take is being written, or a run of it is being made.
    """
    require_trial(lab, name)
    _refuse_while_written(lab, name)
    _refuse_erased(lab, name, target)
    folder = _save_entry(lab, BinEntry(name, f"moved to {target}", utc_now(), run_names(lab, name), str(target)))
    try:
        _discard_films(lab, name.subject)
        return move_trial(lab, name, target)
    except BaseException:
        (folder / _ENTRY).unlink()
        folder.rmdir()
        raise


def _refuse_erased(lab: Lab, name: TrialName, target: TrialName) -> None:
    erasure = find_erasure(lab, name.subject)
    if erasure is None or erasure.removed_at or target.subject == name.subject:
        return
    raise InputError(
        f"{name} stays where it is: {erasure.says}",
        remedy=f"If it shows another runner: 'labsys subject erase {name.subject} --cancel', move it, erase again",
    )


def moved_to_others(lab: Lab, subject: str) -> list[TrialName]:
    """What trials are called now that were a subject's and were moved to other subjects, and are there."""
    now = [_follow(lab, entry) for entry in list_gone(lab, subject) if entry.moved_to]
    there = {name for name in now if is_there(trial_folder(lab, name) / TRIAL_FILE)}
    return sorted((name for name in there if name.subject != subject), key=str)


def _follow(lab: Lab, entry: BinEntry) -> TrialName:
    """Where the trial of a move ended, through every later move."""
    name, since = TrialName.parse(entry.moved_to), entry.deleted_at
    for later in list_gone(lab, name.subject):
        if later.name == name and later.moved_to and later.deleted_at > since:
            return _follow(lab, later)
    return name


def _refuse_while_written(lab: Lab, name: TrialName) -> None:
    """Whoever writes a trial would go on where it was, and lose what it writes."""
    folder = trial_folder(lab, name)
    if is_there(folder / RECORDING_FOLDER):
        raise InputError(f"trial {name} is being recorded or was cut short", remedy="Run 'labsys recover'")
    if is_held(folder / MARK) or is_held(folder / TAKE_LOCK):
        raise ConcurrencyError(f"the take of {name} is being written", remedy="Wait until it is done")
    refuse_while_running(lab, name)


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
    target, folder = trial_folder(lab, name), found[-1]
    if is_there(target):
        raise InputError(f"trial {name} exists already", remedy="Move it to another name first")
    entry = load_document(folder / _ENTRY, BinEntry)
    write_text_atomic(folder / _TRIAL / CHANGE_FILE, utc_now() + "\n")
    _move(folder / _TRIAL, target)
    (folder / _ENTRY).unlink()
    folder.rmdir()
    return entry


def list_gone(lab: Lab, subject: str) -> list[BinEntry]:
    """Every trial of a subject that was ever deleted or moved away and not restored, oldest first."""
    # By their names first: another subject's entry is not read, whatever is in it.
    mine = [folder for folder in _all_entries(lab) if _is_named_of(folder, subject)]
    entries = ((folder, _load_unnamed(folder)) for folder in mine)
    return [_with_runs(folder, entry) for folder, entry in entries if entry.name.subject == subject]


def binned_trials(lab: Lab, subject: str) -> list[Path]:
    """Folders of a subject's trials that can be restored."""
    mine = [folder for folder in _entries(lab) if _is_named_of(folder, subject)]
    return [folder / _TRIAL for folder in mine if _load_unnamed(folder).name.subject == subject]


def destroy_deleted(lab: Lab, before: datetime, *, note: Callable[[BinEntry], None]) -> list[BinEntry]:
    """Destroy the trials that were deleted before a moment, with their recordings; returns them, oldest first.

    A destruction that was cut short is finished by asking again, and what it began with cannot be restored.

    Args:
        note: is told of each before anything of it is removed, and again where that was cut short.

    Raises:
        InputError: an entry cannot be read, a folder cannot be removed, or the disk with its archived videos is away.
            The others are destroyed all the same.
        ConcurrencyError: another process destroys just now.
    """
    destroyed, failed = list[BinEntry](), list[InputError]()
    with hold_lock(lab.root / "bin" / _LOCK, what="the end of deleted trials"):
        for folder in _all_entries(lab):
            try:
                entry, is_new = _doom(folder, before)
                destroyed += [entry] if is_new else []
                if is_there(folder / _DOOMED):
                    _destroy(lab, folder, entry, note)
            except InputError as error:
                failed.append(error)  # the others need not wait for it
    if failed:
        raise failed[0]
    return destroyed


def _doom(folder: Path, before: datetime) -> tuple[BinEntry, bool]:
    """An entry; and whether its trial can be restored no more from now on."""
    entry = _with_runs(folder, load_document(folder / _ENTRY, BinEntry))
    if not is_there(folder / _TRIAL) or read_utc(entry.deleted_at) >= before:
        return entry, False
    save_document(folder / _ENTRY, entry)  # its runs are not to be learnt from the trial any more
    _move(folder / _TRIAL, folder / _DOOMED)
    return entry, True


def _destroy(lab: Lab, folder: Path, entry: BinEntry, note: Callable[[BinEntry], None]) -> None:
    note(entry)
    _discard_films(lab, entry.name.subject)  # one may have been in the making when the trial was deleted
    remove_copies(lab, folder / _DOOMED / "take")
    _remove(folder / _DOOMED)


def _discard_films(lab: Lab, subject: str) -> None:
    """A film of two visits lies with one trial and holds the other's pictures; all can be made again."""
    films = [
        *subject_folder(lab, subject).glob("*/*/derived/films"),
        *(lab.root / "bin").glob(f"*_{subject}_*/{_TRIAL}/derived/films"),
    ]
    for folder in films:
        _remove(folder)


def _remove(folder: Path) -> None:
    if not is_there(folder):
        return
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise InputError(f"cannot be removed: {error.strerror or error}", where=str(folder)) from error
    sync_folder(folder.parent)


def _with_runs(folder: Path, entry: BinEntry) -> BinEntry:
    """Entries of earlier versions do not name the runs; the trial beside them has them."""
    found = tuple(sorted(p.parent.name for p in (folder / _TRIAL / "runs").glob("*/run.json")))
    return entry if entry.runs else replace(entry, runs=found)


def _is_named_of(folder: Path, subject: str) -> bool:
    return folder.name.partition("_")[2].startswith(f"{subject}_")


def _load_unnamed(folder: Path) -> BinEntry:
    """An entry; the error names only its moment, for S01 is told of, and S01_b's entries look like its own by name."""
    try:
        return load_document(folder / _ENTRY, BinEntry)
    except InputError as error:
        stamp = folder.name.partition("_")[0]
        raise InputError(
            "what a deleted trial left cannot be read", where=f"bin/{stamp}", remedy="Restore its entry.json"
        ) from error


def _entries(lab: Lab) -> list[Path]:
    return [folder for folder in _all_entries(lab) if is_there(folder / _TRIAL)]


def _all_entries(lab: Lab) -> list[Path]:
    return [folder for folder in sorted((lab.root / "bin").glob("*_*")) if is_there(folder / _ENTRY)]


def _save_entry(lab: Lab, entry: BinEntry) -> Path:
    stamp = entry.deleted_at.replace(":", "").replace(".", "")
    folder = lab.root / "bin" / f"{stamp}_{entry.name.subject}_{entry.name.session}_{entry.name.trial}"
    make_folder(folder)
    save_document(folder / _ENTRY, entry)
    return folder


def _move(source: Path, target: Path) -> None:
    try:
        source.rename(target)
    except OSError as error:
        raise InputError(f"cannot be moved: {error.strerror or error}", where=str(source)) from error
    sync_folder(target.parent)
    sync_folder(source.parent)
