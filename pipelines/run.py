"""The story of a trial: load, 2D, 3D, angles and strides, save."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from labsys.core.cameras import Calibration
from labsys.core.landmarks import Landmarks3D
from labsys.core.progress import Progress
from labsys.core.session import TrialName
from labsys.storage.atomic import write_json_atomic
from labsys.storage.lab import Lab
from labsys.storage.results import (
    AUDIT_FILE,
    LANDMARKS3D_FILE,
    read_landmarks3d,
    write_audit,
    write_landmarks3d,
    write_motion,
)
from labsys.storage.runs import (
    RunRecord,
    StagedRun,
    is_complete,
    load_run,
    open_run,
    run_file,
    set_current_run,
    settle_run,
)
from pipelines.analyse import analyse
from pipelines.calibrating.fingerprints import differs_from_calibration, fingerprint_take
from pipelines.config import PipelineConfig
from pipelines.dlc import open_configured
from pipelines.importing.markers import read_taken_markers
from pipelines.pose2d import (
    PoseEstimator,
    estimate_pose,
    needs_model,
    pose_files,
    take_videos,
    write_estimate,
)
from pipelines.recalibrated import doubt_about_calibration
from pipelines.run_landmarks import make_landmarks3d, timed
from pipelines.run_plan import RunPlan, plan_run
from pipelines.screening import Screening, gather_screening
from pipelines.stages import Stage
from pipelines.static_beside import StaticRun, process_static
from pipelines.trajectory import SOLVE_FILE
from pipelines.trial_inputs import TrialInputs, gather_inputs, load_calibration


@dataclass(frozen=True)
class RunOutcome:
    """What processing a trial came to.

    Attributes:
        is_new: False where a complete run was there already.
        model: what looked at the videos, "" where 2D landmarks or markers were imported. notes: worth telling a person.
    """

    trial: TrialName
    run: str
    static: str
    is_new: bool
    model: str = ""
    notes: tuple[str, ...] = ()


def run_trial(
    lab: Lab,
    name: TrialName,
    *,
    config: PipelineConfig,
    from_stage: Stage | None = None,
    progress: Progress,
    open_model: Callable[[Lab, PipelineConfig], PoseEstimator] = open_configured,
    beside: bool = False,
) -> RunOutcome:
    """Process one trial and make the run current; complete runs are not repeated, incomplete ones are resumed.

    open_model: what looks at the videos of a take that has no 2D landmarks. beside: leave every `current` as it is.

    Raises:
        InputError: the trial cannot be processed; says what is missing or wrong. ConcurrencyError: another process is
            at this very run.
    """
    how = _How(open_model, beside)
    return _run_gathered(lab, gather_inputs(lab, name), config, from_stage, progress, how)


@dataclass(frozen=True)
class _How:
    """How a trial is processed besides its settings."""

    model: Callable[[Lab, PipelineConfig], PoseEstimator]
    beside: bool


def _run_gathered(
    lab: Lab,
    trial: TrialInputs,
    config: PipelineConfig,
    from_stage: Stage | None,
    progress: Progress,
    how: _How,
) -> RunOutcome:
    """As `run_trial`, of a trial whose inputs are read."""
    name = trial.trial.name
    estimator = how.model(lab, config) if needs_model(trial.take) else None

    def process(static: TrialInputs, shown: Progress) -> str:
        return _run_gathered(lab, static, config, None, shown, how).run

    with process_static(lab, trial, config, process=process, progress=progress) as static:
        screening = gather_screening(lab, trial.trial)
        plan = plan_run(
            lab, trial, config, static_run=static.run, from_stage=from_stage, screening=screening, estimator=estimator
        )
        outcome = RunOutcome(
            name,
            plan.run,
            trial.static.trial if trial.static else "",
            is_new=not is_complete(lab, name, plan.run),
            model="" if estimator is None else estimator.identity,
        )
        if not outcome.is_new:
            static.wait()
            settle_run(lab, name, plan.run)
            if not how.beside:
                set_current_run(lab, name, plan.run)
            return outcome
        with open_run(lab, name, plan.run) as staged:
            notes = () if estimator is None else _pose_stage(lab, staged, trial, plan, estimator, progress)
            made = _make_run(lab, staged, trial, plan, config, static=static, screening=screening, progress=progress)
            staged.finish(made, beside=how.beside)
    return replace(outcome, notes=notes)


def _pose_stage(
    lab: Lab,
    staged: StagedRun,
    trial: TrialInputs,
    plan: RunPlan,
    estimator: PoseEstimator,
    progress: Progress,
) -> tuple[str, ...]:
    """Find 2D landmarks in the take's videos, as files of the run; returns what is worth telling."""
    name = trial.trial.name
    if staged.has(Stage.POSE2D):
        return ()
    if Stage.RECONSTRUCT in plan.keeps:
        staged.inherit(Stage.POSE2D, plan.parent, pose_files(tuple(trial.take.cameras)))
        return ()
    seconds = dict[str, float]()
    with timed(seconds, Stage.POSE2D):
        videos = take_videos(lab, name, trial.take)
        found = estimate_pose(videos, estimator, afresh=Stage.POSE2D in plan.afresh, progress=progress)
        files = write_estimate(staged.folder, found)
    staged.complete(Stage.POSE2D, files, seconds=seconds)
    return found.notes


def _make_run(
    lab: Lab,
    staged: StagedRun,
    trial: TrialInputs,
    plan: RunPlan,
    config: PipelineConfig,
    *,
    static: StaticRun,
    screening: Screening | None,
    progress: Progress,
) -> RunRecord:
    """Make every stage that is not made; returns what run.json will say."""
    calibration = load_calibration(lab, trial.take)
    heading_known = _heading_known(lab, trial, calibration)
    _reconstruct_stage(lab, staged, trial, plan, config, calibration, progress)
    static.wait()
    if not staged.has(Stage.ANALYSE):
        seconds = dict[str, float]()
        progress.stage("analyse", 1)
        with timed(seconds, Stage.ANALYSE):
            motion = analyse(
                read_landmarks3d(staged.file(LANDMARKS3D_FILE)),
                static=_static_landmarks(lab, trial, static.run),
                trial=trial.trial,
                session=trial.session,
                heading_known=heading_known,
                settings=config.analyse,
                screening=screening,
            )
            differing = differs_from_calibration(fingerprint_take(trial.take), calibration)
            if differing:
                motion = replace(motion, notes={**motion.notes, "calibration": "; ".join(differing)})
            files = write_motion(staged.folder, motion)
        staged.complete(Stage.ANALYSE, files, seconds=seconds)
        progress.advance()
    reason = _not_for_comparison(lab, trial, calibration, static.run)
    return plan.record(
        trial,
        started_at=staged.started_at,
        seconds=staged.seconds,
        heading_known=heading_known,
        not_for_comparison=reason,
    )


def _reconstruct_stage(
    lab: Lab,
    staged: StagedRun,
    trial: TrialInputs,
    plan: RunPlan,
    config: PipelineConfig,
    calibration: Calibration | None,
    progress: Progress,
) -> None:
    if staged.has(Stage.RECONSTRUCT):
        return
    if Stage.RECONSTRUCT in plan.keeps:
        made = load_run(lab, trial.trial.name, plan.parent).files
        kept = tuple(path for path in (LANDMARKS3D_FILE, AUDIT_FILE, SOLVE_FILE) if path in made)
        staged.inherit(Stage.RECONSTRUCT, plan.parent, kept)
        return
    progress.stage("reconstruct", 1)
    seconds = dict[str, float]()
    found, audit = make_landmarks3d(lab, staged, trial, config, calibration, seconds)
    with timed(seconds, "write_landmarks3d"):
        write_landmarks3d(staged.folder / LANDMARKS3D_FILE, found.landmarks)
        write_audit(staged.folder / AUDIT_FILE, audit)
        write_json_atomic(staged.folder / SOLVE_FILE, dict(found.solve))
    staged.complete(Stage.RECONSTRUCT, (LANDMARKS3D_FILE, AUDIT_FILE, SOLVE_FILE), seconds=seconds)
    progress.advance()


def _static_landmarks(lab: Lab, trial: TrialInputs, static_run: str) -> Landmarks3D | None:
    if trial.static is None:
        return None
    return read_landmarks3d(run_file(lab, trial.static, static_run, LANDMARKS3D_FILE))


def _heading_known(lab: Lab, trial: TrialInputs, calibration: Calibration | None) -> bool:
    if calibration is not None:
        return calibration.heading_known
    return read_taken_markers(lab, trial.trial.name, trial.take)[1] if "markers" in trial.take.files else True


def _not_for_comparison(lab: Lab, trial: TrialInputs, calibration: Calibration | None, static_run: str) -> str | None:
    if calibration is not None and calibration.override_reason:
        return f"refused calibration used all the same: {calibration.override_reason}"
    doubt = doubt_about_calibration(lab, trial.take.calibration, recorded_at=trial.trial.recorded_at)
    if doubt:
        return doubt
    if trial.static is not None:
        reason = load_run(lab, trial.static, static_run).not_for_comparison
        if reason:
            return f"static trial {trial.static.trial}: {reason}"
    return None
