"""The story of a trial: load, 2D, 3D, angles and strides, save."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

from labsys.core.camera_audit import ReconstructionAudit
from labsys.core.cameras import Calibration
from labsys.core.errors import InputError
from labsys.core.landmarks import Landmarks3D
from labsys.core.progress import Progress
from labsys.core.session import TrialName
from labsys.storage.atomic import write_json_atomic
from labsys.storage.exchange.tracks import CameraTrack
from labsys.storage.lab import Lab, take_folder
from labsys.storage.results import (
    AUDIT_FILE,
    LANDMARKS3D_FILE,
    read_landmarks3d,
    write_audit,
    write_landmarks3d,
    write_motion,
)
from labsys.storage.runs import (
    StagedRun,
    current_run,
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
from pipelines.drift import with_drift
from pipelines.importing.markers import read_taken_markers
from pipelines.pose2d import (
    PoseEstimator,
    estimate_pose,
    find_landmarks2d,
    needs_model,
    pose_files,
    read_tracks,
    take_videos,
    write_estimate,
)
from pipelines.prepare2d import prepare_landmarks2d
from pipelines.recalibrated import doubt_about_calibration
from pipelines.reconstruct import Reconstruction, marked, matching_rig, reconstruct_trial
from pipelines.retiming.stamps import TIMESTAMPS
from pipelines.run_plan import RunPlan, Stage, plan_run
from pipelines.screening import Screening, gather_screening
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
) -> RunOutcome:
    """Process one trial and make the run current; complete runs are not repeated, incomplete ones are resumed.

    open_model: what looks at the videos of a take that has no 2D landmarks.

    Raises:
        InputError: the trial cannot be processed; says what is missing or wrong. ConcurrencyError: another process is
            at this very run.
    """
    trial = gather_inputs(lab, name)
    estimator = open_model(lab, config) if needs_model(trial.take) else None
    static_run = _run_static(lab, trial, config, progress, open_model)
    screening = gather_screening(lab, trial.trial)
    plan = plan_run(
        lab, trial, config, static_run=static_run, from_stage=from_stage, screening=screening, estimator=estimator
    )
    model = "" if estimator is None else estimator.identity
    static = trial.static.trial if trial.static else ""
    if is_complete(lab, name, plan.run):
        settle_run(lab, name, plan.run)
        set_current_run(lab, name, plan.run)
        return RunOutcome(name, plan.run, static, is_new=False, model=model)
    with open_run(lab, name, plan.run) as staged:
        notes = () if estimator is None else _pose_stage(lab, staged, trial, plan, estimator, progress)
        _make_run(lab, staged, trial, plan, config, static_run=static_run, screening=screening, progress=progress)
    return RunOutcome(name, plan.run, static, is_new=True, model=model, notes=notes)


def _run_static(
    lab: Lab,
    trial: TrialInputs,
    config: PipelineConfig,
    progress: Progress,
    open_model: Callable[[Lab, PipelineConfig], PoseEstimator],
) -> str:
    """Process the static trial alike and return its run; its own current run, if it has one, stays current."""
    if trial.static is None:
        return ""
    before = current_run(lab, trial.static)
    outcome = run_trial(lab, trial.static, config=config, progress=progress, open_model=open_model)
    if before is not None and before != outcome.run:
        set_current_run(lab, trial.static, before)
    return outcome.run


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
    with _timed(seconds, Stage.POSE2D):
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
    static_run: str,
    screening: Screening | None,
    progress: Progress,
) -> None:
    calibration = load_calibration(lab, trial.take)
    heading_known = _heading_known(lab, trial, calibration)
    _reconstruct_stage(lab, staged, trial, plan, config, calibration, progress)
    if not staged.has(Stage.ANALYSE):
        seconds = dict[str, float]()
        progress.stage("analyse", 1)
        with _timed(seconds, Stage.ANALYSE):
            motion = analyse(
                read_landmarks3d(staged.file(LANDMARKS3D_FILE)),
                static=_static_landmarks(lab, trial, static_run),
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
    reason = _not_for_comparison(lab, trial, calibration, static_run)
    staged.finish(
        plan.record(
            trial,
            started_at=staged.started_at,
            seconds=staged.seconds,
            heading_known=heading_known,
            not_for_comparison=reason,
        )
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
    found, audit = _landmarks3d(lab, staged, trial, config, calibration, seconds)
    with _timed(seconds, "write_landmarks3d"):
        write_landmarks3d(staged.folder / LANDMARKS3D_FILE, found.landmarks)
        write_audit(staged.folder / AUDIT_FILE, audit)
        write_json_atomic(staged.folder / SOLVE_FILE, dict(found.solve))
    staged.complete(Stage.RECONSTRUCT, (LANDMARKS3D_FILE, AUDIT_FILE, SOLVE_FILE), seconds=seconds)
    progress.advance()


def _landmarks3d(
    lab: Lab,
    staged: StagedRun,
    trial: TrialInputs,
    config: PipelineConfig,
    calibration: Calibration | None,
    seconds: dict[str, float],
) -> tuple[Reconstruction, ReconstructionAudit]:
    name, take = trial.trial.name, trial.take
    if "markers" in take.files:
        with _timed(seconds, "read_markers"):
            return marked(read_taken_markers(lab, name, take)[0]), ReconstructionAudit()
    if calibration is None:
        raise InputError(f"trial {name} has 2D landmarks but no calibration", remedy="Import it again with one")
    stamps = take.files.get(TIMESTAMPS)
    prepared = prepare_landmarks2d(
        _tracks(lab, staged, trial, seconds),  # by no name: a long trial's would else stay until it is reconstructed
        partial(matching_rig, calibration=calibration),
        rate_hz=take.rate_hz,
        stamps=None if stamps is None else take_folder(lab, name) / stamps.path,
        config=config,
    )
    seconds |= prepared.seconds
    settings = config.reconstruct
    with _timed(seconds, Stage.RECONSTRUCT):
        found = reconstruct_trial(
            prepared.landmarks,
            calibration,
            rule=settings.rule,
            min_likelihood=settings.min_likelihood,
            max_error_px=settings.max_error_px,
            min_cameras=settings.min_cameras,
            max_gap_s=settings.max_gap_s,
        )
    seconds["trajectory"] = round(found.solve_s, 3)
    with _timed(seconds, "drift"):
        audit = with_drift(
            lab, trial, prepared.landmarks, matching_rig(prepared.landmarks, calibration), prepared.audit
        )
    return found, audit


def _tracks(lab: Lab, staged: StagedRun, trial: TrialInputs, seconds: dict[str, float]) -> dict[str, CameraTrack]:
    name, take = trial.trial.name, trial.take
    if staged.has(Stage.POSE2D):
        with _timed(seconds, "read_pose2d"):
            return read_tracks(staged.file, tuple(take.cameras))
    with _timed(seconds, Stage.POSE2D):
        return find_landmarks2d(lab, name, take)


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


@contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    seconds[str(step)] = round(time.perf_counter() - began, 3)
