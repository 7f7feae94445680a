"""`current`, the name of the run that counts, of one trial; and of many at once, when a release is promoted.

A promotion is whole or was never: its document appears by one rename, and from then on its runs count, whether or not
every `current` was written already. `releases/.moving` names a promotion whose `current`s may not all be written; who
reads looks there, and who writes another run into a `current` finishes it first.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from labsys.core.errors import ConcurrencyError, InputError, LabsysError
from labsys.core.release import Member, Recipe, Release, finished_at
from labsys.core.session import Trial, TrialName
from labsys.storage.atomic import is_there, read_text, sync_folder, write_text_atomic
from labsys.storage.documents import save_document
from labsys.storage.finished_runs import PENDING, WORK, RunRecord, is_complete, load_run, run_folder
from labsys.storage.lab import Lab, runs_folder, trial_folder
from labsys.storage.locks import hold_lock
from labsys.storage.nouns import list_folder
from labsys.storage.releases import check_release_name, load_release, load_releases, release_path, releases_folder
from labsys.storage.sessions import session_codes
from labsys.storage.subjects import subject_codes
from labsys.storage.trial_changes import stamp_change
from labsys.storage.trials import load_trial, trial_codes

_CURRENT = "current"
_MOVING = ".moving"


def current_run(lab: Lab, name: TrialName) -> str | None:
    """Name of the run that counts, or None where nothing was processed.

    Between a run's becoming visible and its name reaching `current` the machine may have died; such a run counts. So
    does a promoted run whose `current` is not written yet.

    Raises:
        InputError: `current` names a run that is not there.
    """
    awaited = _promoted_run(lab, name) or pending_run(lab, name)
    if awaited is not None:
        return awaited
    path = _current_path(lab, name)
    if not is_there(path):
        return None
    run_id = read_text(path).strip()
    if not is_complete(lab, name, run_id):
        raise InputError(f"names run '{run_id}', which is not there", where=str(path), remedy="Process the trial again")
    return run_id


def pending_run(lab: Lab, name: TrialName) -> str | None:
    """The visible run whose name may not have reached `current`, or None."""
    return next(iter(_pending_runs(lab, name)), None)


def set_current_run(lab: Lab, name: TrialName, run_id: str) -> None:
    """Make a complete run the one that counts (UnknownNameError otherwise); cheap when it is already."""
    settle_promotion(lab)
    _make_current(lab, name, run_id)


def clear_current_run(lab: Lab, name: TrialName) -> None:
    """Let no run of the trial count until it is processed again (what the runs rest on has changed); the runs stay."""
    settle_promotion(lab)
    stamp_change(lab, name)
    for run_id in _pending_runs(lab, name):
        _pending_path(lab, name, run_id).unlink(missing_ok=True)
    _current_path(lab, name).unlink(missing_ok=True)
    sync_folder(trial_folder(lab, name))


def promote(lab: Lab, release: Release) -> None:
    """Write a release and let its runs count: all of them, or, where this never reached its document, none.

    Raises:
        InputError: the name is taken, or the document cannot be written. ConcurrencyError: another release was promoted
            since this one was put together.
    """
    with _holding(lab):
        _settle(lab)
        check_release_name(lab, release.name)
        before = load_releases(lab)
        if release.closes != (before[-1].name if before else ""):
            raise ConcurrencyError(
                "another release was promoted meanwhile", where=f"releases/{before[-1].name}", remedy="Look at it first"
            )
        write_text_atomic(releases_folder(lab) / _MOVING, f"{release.name}\n")
        save_document(release_path(lab, release.name), release)
        _settle(lab)


def settle_promotion(lab: Lab) -> None:
    """Finish what a crash left of a promotion; cheap where nothing is left."""
    if is_there(releases_folder(lab) / _MOVING):
        with _holding(lab):
            _settle(lab)


def open_members(lab: Lab, release: Release) -> dict[str, Member]:
    """UUID -> member of the open release as it stands now, over the whole lab (InputError: a run cannot be read)."""
    found = {}
    for trial in all_trials(lab):
        run = current_run(lab, trial.name)
        member = member_now(release, trial, load_run(lab, trial.name, run) if run is not None else None)
        if member is not None:
            found[trial.uuid] = member
    return found


def member_now(release: Release, trial: Trial, current: RunRecord | None) -> Member | None:
    """A trial's membership in the open release: the run that counts where it was made alike, else the promoted one."""
    promoted = release.members.get(trial.uuid)
    if current is None or (promoted is not None and promoted.run == current.run):
        return promoted
    if release.recipe.covers(Recipe.of(current.provenance)):
        return Member(str(trial.name), current.run, finished_at(current.provenance))
    return promoted


def all_trials(lab: Lab) -> Iterator[Trial]:
    """Every trial of the lab; those that cannot be read are left to the index, which names them."""
    for subject in subject_codes(lab):
        for session in session_codes(lab, subject):
            for trial in trial_codes(lab, subject, session):
                try:
                    yield load_trial(lab, TrialName(subject, session, trial))
                except InputError:
                    continue


def _settle(lab: Lab) -> None:
    marker = releases_folder(lab) / _MOVING
    if not is_there(marker):
        return
    release = _moving_release(lab)
    if release is not None:
        for name, run in _to_move(lab, release):
            _make_current(lab, name, run)
    marker.unlink()
    sync_folder(marker.parent)


def _to_move(lab: Lab, release: Release) -> Iterator[tuple[TrialName, str]]:
    """Trials of a release that are still there, wherever they were moved to, with runs that are still there."""
    moved: dict[str, TrialName] = {}
    for uuid, member in release.members.items():
        name = TrialName.parse(member.trial)
        if _uuid_of(lab, name) != uuid:
            moved = moved or {t.uuid: t.name for t in all_trials(lab)}
            if uuid not in moved:
                continue
            name = moved[uuid]
        if is_complete(lab, name, member.run):
            yield name, member.run


def _uuid_of(lab: Lab, name: TrialName) -> str:
    try:
        return load_trial(lab, name).uuid
    except LabsysError:
        return ""


def _moving_release(lab: Lab) -> Release | None:
    """The release that `.moving` names; None where its document was never written: then it never was."""
    marker = releases_folder(lab) / _MOVING
    try:
        name = marker.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    return load_release(lab, name) if is_there(release_path(lab, name)) else None


def _promoted_run(lab: Lab, name: TrialName) -> str | None:
    release = _moving_release(lab)
    if release is None:
        return None
    member = release.members.get(_uuid_of(lab, name))
    return member.run if member is not None and is_complete(lab, name, member.run) else None


def _make_current(lab: Lab, name: TrialName, run_id: str) -> None:
    run_folder(lab, name, run_id)
    pending = _pending_runs(lab, name)
    for other in [p for p in pending if p != run_id]:
        _rename_pending(lab, name, other)
    if run_id in pending:
        _rename_pending(lab, name, run_id)
        return
    path = _current_path(lab, name)
    if not is_there(path) or read_text(path).strip() != run_id:
        stamp_change(lab, name)
        write_text_atomic(path, run_id + "\n")


def _holding(lab: Lab) -> AbstractContextManager[None]:
    return hold_lock(releases_folder(lab) / ".lock", what="the releases", wait=True)


def _current_path(lab: Lab, name: TrialName) -> Path:
    return trial_folder(lab, name) / _CURRENT


def _pending_path(lab: Lab, name: TrialName, run_id: str) -> Path:
    return runs_folder(lab, name) / WORK / run_id / PENDING


def _pending_runs(lab: Lab, name: TrialName) -> list[str]:
    works = [work.name for work in list_folder(runs_folder(lab, name) / WORK)]
    return [w for w in works if is_there(_pending_path(lab, name, w)) and is_complete(lab, name, w)]


def _rename_pending(lab: Lab, name: TrialName, run_id: str) -> None:
    # The pending file says what `current` shall say, so that one rename both writes `current` and ends the wait.
    path = _current_path(lab, name)
    _pending_path(lab, name, run_id).replace(path)
    sync_folder(path.parent)
