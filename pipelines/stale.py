"""Runs that no longer are what their trial's inputs and stated facts would give."""

from __future__ import annotations

from labsys.core.errors import InputError
from labsys.core.session import TrialName
from labsys.storage.lab import Lab
from labsys.storage.runs import clear_current_run, current_run, load_run
from labsys.storage.takes import has_take
from labsys.storage.trials import list_trials, load_trial
from pipelines.screening import gather_screening
from pipelines.trial_inputs import gather_inputs, is_outdated, made_by_other_code, screened_otherwise


def find_unprocessed(lab: Lab, subject: str, session: str) -> tuple[TrialName, ...]:
    """Recorded trials of a session whose current run is missing, outdated, otherwise screened or of other code."""
    names = [t.name for t in list_trials(lab, subject, session) if has_take(lab, t.name)]
    return tuple(n for n in names if _wants_processing(lab, n))


def retire_stale_runs(lab: Lab, subject: str, session: str) -> tuple[TrialName, ...]:
    """Take "current" from every outdated run of a session; the runs stay. Returns the trials that lost theirs.

    Call it after anything stated about a session, or any of its trials, has changed. An update of labsys alone takes
    nothing away: results of the earlier version count until the trial is processed again.
    """
    retired = []
    for trial in list_trials(lab, subject, session):
        if current_run(lab, trial.name) is not None and _is_outdated(lab, trial.name):
            clear_current_run(lab, trial.name)
            retired.append(trial.name)
    return tuple(retired)


def _wants_processing(lab: Lab, name: TrialName) -> bool:
    run = current_run(lab, name)
    if run is None:
        return True
    record, screening = load_run(lab, name, run), gather_screening(lab, load_trial(lab, name))
    return made_by_other_code(record) or screened_otherwise(record, screening) or _is_outdated(lab, name)


def _is_outdated(lab: Lab, name: TrialName) -> bool:
    run = current_run(lab, name)
    if run is None:
        return False
    try:
        inputs = gather_inputs(lab, name)
    except InputError:
        # What the run rests on is gone (its static was excluded or moved away): it cannot be made again.
        return True
    return is_outdated(load_run(lab, name, run), inputs)
