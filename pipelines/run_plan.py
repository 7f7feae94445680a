"""Which run a processing is: its name, its parent, and what its record will say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from labsys.core.catalogue import CATALOGUE_VERSION
from labsys.core.errors import InputError
from labsys.core.provenance import Provenance
from labsys.core.session import TrialName
from labsys.storage.lab import Lab
from labsys.storage.runs import RunRecord, current_run, load_run, run_identity
from pipelines.code_version import code_version
from pipelines.config import PipelineConfig
from pipelines.pose2d import PoseEstimator
from pipelines.screening import Screening
from pipelines.stages import Stage
from pipelines.trial_inputs import STATIC_PREFIX, TrialInputs


@dataclass(frozen=True, eq=False)
class RunPlan:
    """A run before it is made.

    Attributes:
        parent: "" unless a stage was asked for. keeps: stages taken over from it. afresh: stages that take nothing
            from what was found before.
        model: name and digest of the model that looks at the videos, else where the landmarks come from.
    """

    run: str
    inputs: Mapping[str, str]
    parameters: Mapping[str, str]
    parent: str
    keeps: frozenset[Stage]
    afresh: frozenset[Stage]
    model: str

    def record(
        self,
        trial: TrialInputs,
        *,
        started_at: str,
        seconds: Mapping[str, float],
        heading_known: bool,
        not_for_comparison: str | None,
    ) -> RunRecord:
        """run.json of the finished run."""
        provenance = Provenance(
            version=code_version(),
            definition_version=CATALOGUE_VERSION,
            inputs=self.inputs,
            parameters=self.parameters,
            model=self.model,
            calibration=trial.take.calibration,
            static=trial.static.trial if trial.static else "",
            started_at=started_at,
            seconds=seconds,
        )
        return RunRecord(self.run, provenance, not_for_comparison, heading_known, self.parent)


def plan_run(
    lab: Lab,
    trial: TrialInputs,
    config: PipelineConfig,
    *,
    static_run: str,
    from_stage: Stage | None,
    screening: Screening | None,
    estimator: PoseEstimator | None = None,
) -> RunPlan:
    """Name the run that these inputs, this configuration and this version make.

    static_run: run of the static trial that is referred to, "" for none. estimator: looks at the videos of a take that
    has no 2D landmarks. screening: None for trials that are no gait.

    Raises:
        InputError: a stage was asked for, and there is no run to begin from or it was made differently up to there.
    """
    inputs = {**trial.hashes, **(screening.inputs if screening else {})}
    if static_run and trial.static:
        inputs[f"{STATIC_PREFIX}{trial.static.trial}"] = static_run
    settings = _settings(config, estimator)
    parameters = {**settings, **trial.facts, **(screening.facts if screening else {})}
    parent, keeps = "", frozenset[Stage]()
    if from_stage is not None:
        parent = _parent(lab, trial.trial.name, from_stage)
        if from_stage is Stage.ANALYSE:
            _check_same_until_analysis(load_run(lab, trial.trial.name, parent), trial, settings)
            keeps = frozenset((Stage.RECONSTRUCT,))
        parameters |= {"run.from": from_stage.value, "run.parent": parent}
    version = f"{code_version()}/{CATALOGUE_VERSION}"
    return RunPlan(
        run_identity(inputs, parameters, version),
        inputs,
        parameters,
        parent,
        keeps,
        frozenset((Stage.POSE2D,)) if from_stage is Stage.POSE2D else frozenset(),
        trial.take.source if estimator is None else estimator.identity,
    )


def _settings(config: PipelineConfig, estimator: PoseEstimator | None) -> dict[str, str]:
    """Every setting that the run depends on; those about a model only where one looks at videos, as it states them."""
    settings = {key: value for key, value in config.dotted().items() if not key.startswith("pose2d.")}
    return settings if estimator is None else {**settings, **estimator.parameters}


def _parent(lab: Lab, name: TrialName, from_stage: Stage) -> str:
    parent = current_run(lab, name)
    if parent is None:
        raise InputError(
            f"trial {name} was not processed yet, nothing to begin from at stage {from_stage}",
            remedy="Leave --from out",
        )
    return parent


def _check_same_until_analysis(parent: RunRecord, trial: TrialInputs, settings: Mapping[str, str]) -> None:
    made = parent.provenance
    changed = [path for path, digest in trial.hashes.items() if made.inputs.get(path) != digest]
    wanted = {k: v for k, v in settings.items() if not k.startswith(("analyse.", "profile"))}
    changed += [key for key, value in wanted.items() if made.parameters.get(key) != value]
    if changed:
        raise InputError(
            f"the current run {parent.run} was made with another {', '.join(changed)}",
            where=str(trial.trial.name),
            remedy="Use the same settings as that run, or begin with --from reconstruct",
        )
