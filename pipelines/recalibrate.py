"""Solve the pose of a camera that moved anew from a trial, and let the trial use it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from calibration.drift.repair import CameraRepair, repair_moved_camera
from calibration.formats import format_anipose
from labsys.core.cameras import Calibration, CameraRig
from labsys.core.clock import utc_now
from labsys.core.errors import InputError
from labsys.core.landmarks import Landmarks2D
from labsys.core.progress import Progress
from labsys.core.session import TrialName
from labsys.core.units import degrees, millimetres
from labsys.storage.calibrations import read_calibration_report, save_calibration_folder
from labsys.storage.lab import Lab, take_folder
from labsys.storage.runs import current_run, load_run
from labsys.storage.trials import load_trial, save_trial
from pipelines.config import PipelineConfig, restore_config
from pipelines.drift import find_reference
from pipelines.pose2d import find_landmarks2d
from pipelines.prepare2d import prepare_landmarks2d
from pipelines.recalibrated import REPAIR
from pipelines.reconstruct import matching_rig
from pipelines.retiming.stamps import TIMESTAMPS
from pipelines.run import run_trial
from pipelines.trial_inputs import TrialInputs, calibrated_take, gather_inputs, load_calibration

_NAME = re.compile(r"\d{4}-\d{2}-\d{2}_(?P<label>.+)_\d{3,}")
_ENDING = "-repaired"


@dataclass(frozen=True, eq=False)
class Recalibration:
    """A calibration with one pose solved anew, and what uses it.

    Attributes:
        calibration: its name. made_from: name of the one that it was made from. document: what was repaired.
        trials: that use it now. run: of the first, made anew.
    """

    calibration: str
    made_from: str
    document: dict[str, Any]
    trials: tuple[TrialName, ...]
    run: str


def recalibrate_trial(
    lab: Lab, name: TrialName, *, also: Sequence[TrialName] = (), progress: Progress
) -> Recalibration:
    """Repair the camera that moved, keep the calibration, and process the trial with it.

    Args:
        also: other trials recorded with the same calibration after the camera moved; they use the repaired one too,
            and are not processed.

    Raises:
        InputError: no 2D landmarks or calibration, fewer than three cameras, too few landmarks, or a trial of `also`
            that has another calibration. GateRefusedError: no camera moved, it cannot be told which, or more than one.
    """
    trial = gather_inputs(lab, name)
    config = _config_of(lab, name)
    calibration = _require_calibration(lab, trial)
    used = trial.take.calibration
    for other in also:
        if calibrated_take(lab, load_trial(lab, other)).calibration != used:
            raise InputError(f"trial {other} does not use calibration {used}", remedy="Leave it out")
    progress.stage("repair the calibration", 1)
    landmarks = _landmarks_of(lab, trial, config, calibration)
    known = find_reference(lab, trial)[1]
    repair = repair_moved_camera(matching_rig(landmarks, calibration), landmarks, known=known)
    document = _repair_document(repair, trial=name, made_from=used)
    new = _store(lab, calibration, repair, used, document)
    progress.advance()
    trials = tuple(dict.fromkeys((name, *also)))
    for one in trials:
        save_trial(lab, replace(load_trial(lab, one), calibration=new))
    outcome = run_trial(lab, name, config=config, progress=progress)
    return Recalibration(new, used, document, trials, outcome.run)


def _config_of(lab: Lab, name: TrialName) -> PipelineConfig:
    """As the trial was processed last."""
    run = current_run(lab, name)
    return PipelineConfig() if run is None else restore_config(load_run(lab, name, run).provenance.parameters)


def _require_calibration(lab: Lab, trial: TrialInputs) -> Calibration:
    calibration = load_calibration(lab, trial.take)
    if calibration is None or "markers" in trial.take.files:
        raise InputError(
            f"trial {trial.trial.name} has no 2D landmarks with a calibration",
            remedy="Only a trial that cameras saw says something about their calibration",
        )
    return calibration


def _landmarks_of(lab: Lab, trial: TrialInputs, config: PipelineConfig, calibration: Calibration) -> Landmarks2D:
    stamps = trial.take.files.get(TIMESTAMPS)
    return prepare_landmarks2d(
        find_landmarks2d(lab, trial.trial.name, trial.take),
        partial(matching_rig, calibration=calibration),
        rate_hz=trial.take.rate_hz,
        stamps=None if stamps is None else take_folder(lab, trial.trial.name) / stamps.path,
        config=config,
    ).landmarks


def _repair_document(repair: CameraRepair, *, trial: TrialName, made_from: str) -> dict[str, Any]:
    return {
        "camera": repair.camera,
        "trial": str(trial),
        "made_from": made_from,
        "move": str(repair.move),
        "rotation_deg": degrees(repair.turn_rad),
        "rotation_sd_deg": degrees(repair.turn_sd_rad),
        "translation_mm": millimetres(repair.shift_m),
        "translation_sd_mm": millimetres(repair.shift_sd_m),
        "before_px": repair.before_px,
        "after_px": repair.after_px,
        "before_image_px": repair.before.motions[0].image_px,
        "after_image_px": next(m.image_px for m in repair.after.motions if m.camera == repair.camera),
    }


def _store(lab: Lab, calibration: Calibration, repair: CameraRepair, made_from: str, document: dict[str, Any]) -> str:
    solved = {c.name: c for c in repair.rig.cameras}
    rig = CameraRig(tuple(solved.get(c.name, c) for c in calibration.rig.cameras))
    label = _NAME.fullmatch(made_from)
    stem = (label["label"] if label else made_from).removesuffix(_ENDING)
    report = {k: v for k, v in read_calibration_report(lab, made_from).items() if k != REPAIR}
    return save_calibration_folder(
        lab,
        label=f"{stem}{_ENDING}",
        date=utc_now()[:10],
        calibration_toml=format_anipose(replace(calibration, rig=rig, covariance=None)),
        original=None,
        report={**report, REPAIR: document},
    )
