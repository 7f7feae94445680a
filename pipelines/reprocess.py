"""Process trials beside what counts: new runs, `current` untouched, gathered as the candidate of the next release."""

from __future__ import annotations

from collections.abc import Callable

from labsys.core.progress import Progress
from labsys.core.release import Member, Recipe, finished_at
from labsys.core.session import TrialName
from labsys.storage.lab import Lab
from labsys.storage.releases import add_to_candidate
from labsys.storage.runs import load_run
from labsys.storage.trials import load_trial
from pipelines.config import PipelineConfig
from pipelines.dlc import open_configured
from pipelines.pose2d import PoseEstimator
from pipelines.run import RunOutcome, run_trial
from pipelines.trial_inputs import STATIC_PREFIX


def reprocess_trial(
    lab: Lab,
    name: TrialName,
    *,
    config: PipelineConfig,
    progress: Progress,
    open_model: Callable[[Lab, PipelineConfig], PoseEstimator] = open_configured,
) -> RunOutcome:
    """Process one trial, and the static trial that it refers to, and let them join the candidate.

    Raises:
        InputError: the trial cannot be processed. ConcurrencyError: another process is at this very run.
    """
    outcome = run_trial(lab, name, config=config, progress=progress, open_model=open_model, beside=True)
    record = load_run(lab, name, outcome.run)
    members = {load_trial(lab, name).uuid: Member(str(name), outcome.run, finished_at(record.provenance))}
    recipe = Recipe.of(record.provenance)
    for path, run in record.provenance.inputs.items():
        if path.startswith(STATIC_PREFIX):
            static = TrialName(name.subject, name.session, path.removeprefix(STATIC_PREFIX))
            made = load_run(lab, static, run).provenance
            recipe = recipe.joined(Recipe.of(made)) or recipe
            members[load_trial(lab, static).uuid] = Member(str(static), run, finished_at(made))
    add_to_candidate(lab, recipe, members)
    return outcome
