"""What a run rests on, read back: 2D landmarks as it used them, cameras, result, and the check of its calibration."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from calibration.triangulation.triangulate import RobustSettings
from labsys.core.arrays import IntArray
from labsys.core.camera_audit import LandmarkBias, ReconstructionAudit
from labsys.core.cameras import Calibration, CameraRig
from labsys.core.errors import InputError
from labsys.core.landmarks import Landmarks2D, Landmarks3D
from labsys.core.session import TrialName
from labsys.storage.finished_runs import RunRecord, load_run, run_file
from labsys.storage.lab import Lab, take_folder
from labsys.storage.results import AUDIT_FILE, LANDMARKS3D_FILE, read_audit, read_landmarks3d
from labsys.storage.runs import current_run
from pipelines.calibrating.fingerprints import differs_from_calibration, fingerprint_take
from pipelines.config import PipelineConfig, SidesConfig, restore_config
from pipelines.drift import find_reference
from pipelines.pose2d import find_landmarks2d
from pipelines.prepare2d import prepare_landmarks2d
from pipelines.reconstruct import matching_rig
from pipelines.retiming.stamps import TIMESTAMPS
from pipelines.sides import repair_sides
from pipelines.trial_inputs import TrialInputs, gather_inputs, load_calibration


@dataclass(frozen=True, eq=False)
class TrialEvidence:
    """One run of one trial.

    Attributes:
        used: 2D landmarks as the run used them, on one clock.
        exchanged: (T, C) index into `sides.Exchange`, what is exchanged between left and right in the 2D landmarks as
            they came. repaired: whether the run put it right.
        found: the run's 3D landmarks, (T, K). rig: cameras in the order of `used.cameras`.
        since, known: earlier trial whose biases of landmarks the calibration check may lean on; "" and None.
        remarks: what is known to be wrong with the calibration.
    """

    trial: TrialName
    run: str
    used: Landmarks2D
    exchanged: IntArray
    repaired: bool
    found: Landmarks3D
    rig: CameraRig
    audit: ReconstructionAudit
    config: PipelineConfig
    since: str = ""
    known: LandmarkBias | None = None
    remarks: tuple[str, ...] = ()

    @property
    def settings(self) -> RobustSettings:
        """When the run believed a camera."""
        own = self.config.reconstruct
        return RobustSettings(
            min_confidence=own.min_likelihood, max_error_px=own.max_error_px, min_cameras=own.min_cameras
        )


def gather_evidence(lab: Lab, name: TrialName, run: str | None = None) -> TrialEvidence:
    """Read back what a run of a trial rests on; without `run` the current one.

    Raises:
        UnknownNameError: no such trial or run. InputError: not processed yet, 3D markers of another system, or files
            that do not fit the run any more.
    """
    inputs = gather_inputs(lab, name)
    chosen = run or current_run(lab, name)
    if chosen is None:
        raise InputError(f"trial {name} was not processed yet", remedy=f"Run `labsys process {name}`")
    record = load_run(lab, name, chosen)
    # The run may be older than the calibration that counts now.
    inputs = replace(inputs, take=replace(inputs.take, calibration=record.provenance.calibration))
    calibration = _require_cameras(lab, inputs)
    config = restore_config(record.provenance.parameters)
    raw = _landmarks_of(lab, inputs, chosen, config, calibration)
    found = read_landmarks3d(run_file(lab, name, chosen, LANDMARKS3D_FILE))
    if found.times_s.size != raw.times_s.size or found.landmarks != raw.landmarks:
        raise InputError(
            f"run {chosen} was made from other 2D landmarks than labsys reads now",
            where=f"{found.times_s.size} frames, now {raw.times_s.size}",
            remedy=f"Process it again: labsys process {name}",
        )
    rig = matching_rig(raw, calibration)
    sides = repair_sides(raw, rig)
    since, known = find_reference(lab, inputs)
    return TrialEvidence(
        trial=name,
        run=chosen,
        used=sides.landmarks if config.sides.repair else raw,
        exchanged=sides.exchanged,
        repaired=config.sides.repair,
        found=found,
        rig=rig,
        audit=_audit_of(lab, name, record),
        config=config,
        since=since,
        known=known,
        remarks=_remarks(inputs, calibration),
    )


def _require_cameras(lab: Lab, inputs: TrialInputs) -> Calibration:
    name = inputs.trial.name
    if "markers" in inputs.take.files:
        raise InputError(
            f"trial {name} came as 3D markers: there are no cameras to blame",
            remedy="Ask the system that measured the markers",
        )
    calibration = load_calibration(lab, inputs.take)
    if calibration is None:
        raise InputError(
            f"trial {name} has 2D landmarks but no calibration",
            remedy=f"Say in which one it stands: labsys trial edit {name} --calibration NAME",
        )
    return calibration


def _landmarks_of(
    lab: Lab, inputs: TrialInputs, run: str, config: PipelineConfig, calibration: Calibration
) -> Landmarks2D:
    """On one clock as the run had them, left and right as they came."""
    name, stamps = inputs.trial.name, inputs.take.files.get(TIMESTAMPS)
    return prepare_landmarks2d(
        find_landmarks2d(lab, name, inputs.take, run=run),
        partial(matching_rig, calibration=calibration),
        rate_hz=inputs.take.rate_hz,
        stamps=None if stamps is None else take_folder(lab, name) / stamps.path,
        config=config.model_copy(update={"sides": SidesConfig(repair=False)}),
    ).landmarks


def _audit_of(lab: Lab, name: TrialName, record: RunRecord) -> ReconstructionAudit:
    if AUDIT_FILE not in record.files:
        return ReconstructionAudit()
    return read_audit(run_file(lab, name, record.run, AUDIT_FILE))


def _remarks(inputs: TrialInputs, calibration: Calibration) -> tuple[str, ...]:
    remarks = list(differs_from_calibration(fingerprint_take(inputs.take), calibration))
    if calibration.override_reason:
        remarks.append(f"it was refused and is used all the same: {calibration.override_reason}")
    return tuple(remarks)


def body_sizes_px(landmarks: Landmarks2D, *, min_confidence: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """(C,) diagonal of the box around all landmarks, median over time; NaN for a camera that sees nobody."""
    seen = (landmarks.confidence >= min_confidence)[..., None] & np.isfinite(landmarks.xy_px)
    high = np.where(seen, landmarks.xy_px, -np.inf).max(axis=2)
    low = np.where(seen, landmarks.xy_px, np.inf).min(axis=2)
    diagonal = np.where(np.isfinite(high - low).all(axis=-1), np.hypot(*np.moveaxis(high - low, -1, 0)), np.nan)
    known = np.isfinite(diagonal).any(axis=0)
    return np.where(known, np.nanmedian(np.where(known, diagonal, 0.0), axis=0), np.nan)
