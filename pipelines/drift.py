"""Every trial checks its own calibration: did a camera move since."""

from __future__ import annotations

from dataclasses import replace

from calibration.drift.drift import DriftCheck, DriftSettings, check_drift
from calibration.drift.repair import measure_misfit
from labsys.core.camera_audit import CameraMotion, DriftAudit, LandmarkBias, ReconstructionAudit
from labsys.core.cameras import CameraRig
from labsys.core.errors import InputError
from labsys.core.landmarks import Landmarks2D
from labsys.core.session import Trial, TrialName
from labsys.core.units import degrees, millimetres
from labsys.storage.lab import Lab
from labsys.storage.results import AUDIT_FILE, read_audit
from labsys.storage.runs import current_run, load_run, run_file
from labsys.storage.trials import list_trials
from pipelines.trial_inputs import TrialInputs


def with_drift(
    lab: Lab, trial: TrialInputs, landmarks: Landmarks2D, rig: CameraRig, audit: ReconstructionAudit
) -> ReconstructionAudit:
    """The audit with what the landmarks say about the calibration, and a warning where a camera moved.

    Args:
        rig: cameras in the order of `landmarks.cameras`.
    """
    drift = audit_drift(lab, trial, landmarks, rig)
    warning = drift_warning(drift, trial.trial.name)
    if drift.unchecked and drift.motions:
        warning = f"{drift.unchecked}; what does: labsys show {trial.trial.name} --why"
    return replace(audit, drift=drift, warnings=(*audit.warnings, *((warning,) if warning else ())))


def audit_drift(lab: Lab, trial: TrialInputs, landmarks: Landmarks2D, rig: CameraRig) -> DriftAudit:
    """What the landmarks say about the calibration; why not, where they are too few."""
    since, known = find_reference(lab, trial)
    return judge_drift(landmarks, rig, since=since, known=known)


def judge_drift(landmarks: Landmarks2D, rig: CameraRig, *, since: str, known: LandmarkBias | None) -> DriftAudit:
    """As `audit_drift`, given the earlier trial and its biases ("" and None without one)."""
    try:
        check = check_drift(rig, landmarks, known=known)
    except InputError as error:
        return DriftAudit(unchecked=error.what)
    if unexplained := _unexplained(landmarks, rig, check):
        return DriftAudit(motions=check.motions, n_frames=check.n_frames, since=since, unchecked=unexplained)
    return DriftAudit(
        suspects=check.suspects,
        others_moved=check.others_moved,
        motions=check.motions,
        n_frames=check.n_frames,
        bias_px=check.bias_px,
        since=since,
        bias=check.bias,
    )


def _unexplained(landmarks: Landmarks2D, rig: CameraRig, check: DriftCheck) -> str:
    """Says that a camera does not fit the others in a way that no move explains; "" where all is well or explained."""
    if check.likeliest is None or len(rig.cameras) < 3:
        return ""
    name = check.motions[0].camera
    least = DriftSettings().min_confidence
    misfit = measure_misfit(rig, check.likeliest, landmarks, rig.names.index(name), min_confidence=least)
    if misfit.is_explained:
        return ""
    return f"{name} does not fit the others by {misfit.before_px:.1f} px, and no move of it explains that"


def find_reference(lab: Lab, trial: TrialInputs) -> tuple[str, LandmarkBias | None]:
    """The earliest trial of the visit, of the same kind and calibration, in which no camera had moved; "" if none.

    What a detector does to this person in these cameras is known from there; only what changed since then counts.
    """
    own = trial.trial
    before = [
        t
        for t in list_trials(lab, own.name.subject, own.name.session)
        if t.kind is own.kind and not t.excluded and t.name != own.name and t.recorded_at < own.recorded_at
    ]
    for earlier in sorted(before, key=lambda t: (t.recorded_at, t.uuid)):
        bias = _bias_of(lab, earlier, trial.take.calibration)
        if bias is not None:
            return str(earlier.name), bias
    return "", None


def _bias_of(lab: Lab, trial: Trial, calibration: str) -> LandmarkBias | None:
    run = current_run(lab, trial.name)
    if run is None:
        return None
    record = load_run(lab, trial.name, run)
    if record.provenance.calibration != calibration or AUDIT_FILE not in record.files:
        return None
    drift = read_audit(run_file(lab, trial.name, run, AUDIT_FILE)).drift
    return None if drift is None or drift.suspects else drift.bias


def drift_warning(drift: DriftAudit, name: TrialName) -> str | None:
    """What a person should know and do, None where no camera moved."""
    if not drift.suspects:
        return None
    when = f"since {drift.since}" if drift.since else "since its calibration"
    if len(drift.suspects) > 1:
        return (
            f"a camera moved {when}: {' or '.join(drift.suspects)}, which of them cannot be told; calibrate again "
            "with the board"
        )
    if len(drift.others_moved) + 1 >= len(drift.motions) - 1:
        return (
            f"the cameras no longer fit each other {when}: more than one moved, or the calibration is not of this "
            "recording; calibrate again with the board"
        )
    if drift.others_moved:
        return (
            f"{drift.suspects[0]} moved {when}, and {', '.join(drift.others_moved)} as well; calibrate again with the "
            "board"
        )
    return f"{describe_motion(drift.motions[0])} {when}; repair it with: labsys recalibrate {name}"


def describe_motion(motion: CameraMotion) -> str:
    """A move in words."""
    parts = []
    if motion.turn_rad > 0:
        parts.append(f"turned by {degrees(motion.turn_rad):.2f} ± {degrees(motion.turn_sd_rad):.2f}°")
    if motion.shift_m > 0:
        parts.append(f"shifted by {millimetres(motion.shift_m):.1f} ± {millimetres(motion.shift_sd_m):.1f} mm")
    return f"{motion.camera} {' and '.join(parts)} ({motion.image_px:.1f} px in its image)"
