"""Trials: subjects/<code>/<session>/<trial>/trial.json."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from labsys.core.errors import InputError, LabsysError
from labsys.core.session import Trial, TrialName
from labsys.storage.atomic import is_there, sync_folder
from labsys.storage.documents import load_document
from labsys.storage.erasures import refuse_new_take
from labsys.storage.lab import Lab, session_folder, trial_folder
from labsys.storage.nouns import check_new_code, check_place, list_codes, require_known, stamp_and_save
from labsys.storage.sessions import require_session
from labsys.storage.unrecorded import MARK, hold_new

TRIAL_FILE = "trial.json"


def save_trial(lab: Lab, trial: Trial) -> Trial:
    """Write trial.json; returns the trial with `updated_at` (and a uuid, where it had none) set.

    Raises:
        UnknownNameError: no such subject or session. InputError: bad code, excluded without a reason, or writing fails.
    """
    name = trial.name
    require_session(lab, name.subject, name.session)
    check_new_code("trial", name.trial, trial_codes(lab, name.subject, name.session))
    if trial.excluded and not trial.exclusion_reason.strip():
        raise InputError(f"trial {name} is excluded without a reason", remedy="Say why")
    return stamp_and_save(trial_folder(lab, name) / TRIAL_FILE, trial)


@contextmanager
def begin_trial(lab: Lab, trial: Trial) -> Iterator[Trial]:
    """Save a trial that is new and gets its take while the block runs, as `save_trial`.

    Where the block fails before there is anything of it, the trial goes with it; where the process is killed then,
    with the next recovery.

    Raises:
        InputError: its subject was erased. And as `save_trial`.
    """
    refuse_new_take(lab, trial.name.subject)
    with hold_new(trial_folder(lab, trial.name)):
        try:
            yield save_trial(lab, trial)
        except BaseException:
            with suppress(LabsysError):  # why the block failed is what people are told
                discard_trial(lab, trial.name)
            raise


def load_trial(lab: Lab, name: TrialName) -> Trial:
    """Read a trial (UnknownNameError names the nearest; NewerSchemaError; InputError)."""
    require_trial(lab, name)
    path = trial_folder(lab, name) / TRIAL_FILE
    trial = load_document(path, Trial)
    check_place(str(trial.name), str(name), path)
    return trial


def list_trials(lab: Lab, subject: str, session: str) -> tuple[Trial, ...]:
    """All trials of a session, by code (UnknownNameError: no such subject or session)."""
    require_session(lab, subject, session)
    names = (TrialName(subject, session, code) for code in trial_codes(lab, subject, session))
    return tuple(load_trial(lab, name) for name in names)


def move_trial(lab: Lab, name: TrialName, target: TrialName) -> Trial:
    """Move a trial with its take and runs to another name; a move cut short by a crash is finished by asking again.

    Raises:
        UnknownNameError: no such trial, or no such session to move to. InputError: the target exists.
    """
    require_trial(lab, name)
    require_session(lab, target.subject, target.session)
    destination = trial_folder(lab, target)
    if is_there(destination):
        raise InputError(f"trial {target} exists already", remedy="Choose another name")
    source = trial_folder(lab, name)
    trial = load_document(source / TRIAL_FILE, Trial)
    if trial.name not in (name, target):
        check_place(str(trial.name), str(name), source / TRIAL_FILE)
    moved = stamp_and_save(source / TRIAL_FILE, replace(trial, name=target))
    _rename(source, destination)
    return moved


def discard_trial(lab: Lab, name: TrialName) -> bool:
    """Remove a trial that holds nothing but its own statement, as one does whose take never began; whether it did.

    Raises:
        UnknownNameError: no such trial. InputError: it cannot be removed.
    """
    require_trial(lab, name)
    folder = trial_folder(lab, name)
    try:
        if {path.name for path in folder.iterdir()} - {MARK} != {TRIAL_FILE}:
            return False
        (folder / TRIAL_FILE).unlink()
        (folder / MARK).unlink(missing_ok=True)
        folder.rmdir()
    except OSError as error:
        raise InputError(f"cannot be removed: {error.strerror or error}", where=str(folder)) from error
    sync_folder(folder.parent)
    return True


def trial_codes(lab: Lab, subject: str, session: str) -> tuple[str, ...]:
    """Codes of all trials of a session, without reading them."""
    return list_codes(session_folder(lab, subject, session), TRIAL_FILE)


def require_trial(lab: Lab, name: TrialName) -> None:
    """UnknownNameError, naming the nearest, unless subject, session and trial exist."""
    require_session(lab, name.subject, name.session)
    codes = trial_codes(lab, name.subject, name.session)
    require_known("trial", name.trial, codes, where=f"session {name.subject}/{name.session}")


def _rename(source: Path, destination: Path) -> None:
    try:
        source.rename(destination)
    except OSError as error:
        raise InputError(f"cannot be moved: {error.strerror or error}", where=str(source)) from error
    sync_folder(destination.parent)
    sync_folder(source.parent)
