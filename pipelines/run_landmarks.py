"""The part of a run from 2D files to landmarks in space, with what was found out about the cameras."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from labsys.core.camera_audit import ReconstructionAudit
from labsys.core.cameras import Calibration
from labsys.core.errors import InputError
from labsys.storage.atomic import read_json
from labsys.storage.exchange.tracks import CameraTrack
from labsys.storage.lab import Lab, take_folder
from labsys.storage.runs import StagedRun
from pipelines.config import PipelineConfig
from pipelines.drift import with_drift
from pipelines.importing.markers import read_taken_markers
from pipelines.pose2d import find_landmarks2d, read_tracks
from pipelines.prepare2d import Prepared2D, prepare_landmarks2d
from pipelines.reconstruct import Reconstruction, marked, matching_rig, reconstruct_configured
from pipelines.retiming.grade import believe_trigger
from pipelines.retiming.stamps import TIMESTAMPS
from pipelines.stages import Stage
from pipelines.trial_inputs import TrialInputs


def make_landmarks3d(
    lab: Lab,
    staged: StagedRun,
    trial: TrialInputs,
    config: PipelineConfig,
    calibration: Calibration | None,
    seconds: dict[str, float],
) -> tuple[Reconstruction, ReconstructionAudit]:
    """Reconstruct a trial's landmarks, or read its markers; `seconds` gains how long each step took.

    Raises:
        InputError: no calibration, or 2D landmarks that cannot be reconstructed.
    """
    name, take = trial.trial.name, trial.take
    if "markers" in take.files:
        with timed(seconds, "read_markers"):
            return marked(read_taken_markers(lab, name, take)[0]), ReconstructionAudit()
    if calibration is None:
        raise InputError(
            f"trial {name} has 2D landmarks but no calibration",
            remedy=f"Say in which one it stands: labsys trial edit {name} --calibration NAME",
        )
    stamps = take.files.get(TIMESTAMPS)
    prepared = prepare_landmarks2d(
        _tracks(lab, staged, trial, seconds),  # by no name: a long trial's would else stay until it is reconstructed
        partial(matching_rig, calibration=calibration),
        rate_hz=take.rate_hz,
        stamps=None if stamps is None else take_folder(lab, name) / stamps.path,
        config=config,
    )
    prepared = _with_trigger(lab, trial, prepared)
    seconds |= prepared.seconds
    rig = matching_rig(prepared.landmarks, calibration)
    # Drift is judged by the 2D landmarks alone, beside the reconstruction, whose loops leave the interpreter free.
    with ThreadPoolExecutor(max_workers=1) as beside:
        judged = beside.submit(with_drift, lab, trial, prepared.landmarks, rig, prepared.audit)
        found = _reconstruct(prepared, calibration, config, seconds)
        with timed(seconds, "drift"):  # what is left of it
            return found, judged.result()


def _with_trigger(lab: Lab, trial: TrialInputs, prepared: Prepared2D) -> Prepared2D:
    """What the recorder knows of a trigger no timestamp tells."""
    report = trial.take.files.get("report")
    if report is None:
        return prepared
    told = read_json(take_folder(lab, trial.trial.name) / report.path)
    sync = believe_trigger(prepared.audit.sync, told)
    return replace(prepared, audit=replace(prepared.audit, sync=sync))


def _reconstruct(
    prepared: Prepared2D, calibration: Calibration, config: PipelineConfig, seconds: dict[str, float]
) -> Reconstruction:
    with timed(seconds, Stage.RECONSTRUCT):
        found = reconstruct_configured(prepared.landmarks, calibration, config.reconstruct)
    seconds["trajectory"] = round(found.solve_s, 3)
    return found


def _tracks(lab: Lab, staged: StagedRun, trial: TrialInputs, seconds: dict[str, float]) -> dict[str, CameraTrack]:
    name, take = trial.trial.name, trial.take
    if staged.has(Stage.POSE2D):
        with timed(seconds, "read_pose2d"):
            return read_tracks(staged.file, tuple(take.cameras))
    with timed(seconds, Stage.POSE2D):
        return find_landmarks2d(lab, name, take)


@contextmanager
def timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    """Note the wall time of a step, s."""
    began = time.perf_counter()
    yield
    seconds[str(step)] = round(time.perf_counter() - began, 3)
