"""From what a run rests on to who is to blame: each cause is taken out before the next one is judged.

A camera that lags or moved spoils the views of fast or of all landmarks, and would make good 2D look bad. So lags are
measured first and taken out, then the calibration is checked and its moved camera solved anew, and only what is left
counts against 2D detection.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from calibration.drift.repair import CameraRepair, repair_moved_camera
from labsys.core.arrays import BoolArray, FloatArray, IntArray
from labsys.core.camera_audit import DriftAudit
from labsys.core.cameras import CameraRig
from labsys.core.errors import GateRefusedError, InputError
from labsys.core.landmarks import Landmarks2D
from pipelines.attributing.blame import Attribution, Blame, CameraFigures, Cause, LandmarkFigures, Normal
from pipelines.attributing.detection import (
    find_elsewhere,
    judge_elsewhere,
    judge_noise,
    judge_presence,
    judge_sides,
)
from pipelines.attributing.evidence import TrialEvidence, body_sizes_px
from pipelines.attributing.geometry import (
    judge_calibration,
    judge_disagreement,
    judge_frames,
    judge_lags,
    judge_limbs,
    judge_losses,
    judge_offsets,
    judge_rays,
    measure_limbs,
)
from pipelines.attributing.lags import Lag, find_losses, measure_lags, without_lags, without_losses
from pipelines.attributing.views import ViewErrors, measure_views, spread_frames
from pipelines.drift import describe_motion, judge_drift
from pipelines.retiming.losses import LostFrames

MOST_FRAMES = 2000
_FEWEST_FRAMES = 30  # of which noise can be told


@dataclass(frozen=True, eq=False)
class Corrected:
    """A trial with the lags and the moved camera taken out.

    Attributes:
        landmarks, rig: without them. lags: of every camera; {} where they cannot be told.
        lost: frames that a camera lost within the trial; taken out as well.
        drift: the check of the calibration. repair: its moved camera solved anew; None where not possible or needed.
    """

    landmarks: Landmarks2D
    rig: CameraRig
    lags: Mapping[str, Lag]
    lost: tuple[LostFrames, ...]
    drift: DriftAudit
    repair: CameraRepair | None

    @property
    def is_trusted(self) -> bool:
        """Whether what is left can be held against 2D detection."""
        return not self.drift.suspects or self.repair is not None


def attribute(evidence: TrialEvidence, *, normal: Normal | None = None) -> Attribution:
    """Name who is to blame for a run's 3D, with figures for every camera and landmark."""
    normal = normal or Normal()
    settings, names = evidence.settings, evidence.used.landmarks
    corrected = _correct(evidence, normal)
    frames = spread_frames(corrected.landmarks.times_s.size, most=MOST_FRAMES)
    views = measure_views(corrected.rig, corrected.landmarks, frames, settings=settings)
    elsewhere = find_elsewhere(views, body_sizes_px(corrected.landmarks, min_confidence=settings.min_confidence))
    limbs = measure_limbs(evidence.found)
    return Attribution(
        trial=evidence.trial,
        run=evidence.run,
        blames=tuple(sorted(_judge(evidence, corrected, views, elsewhere, limbs, normal), key=lambda b: -b.excess)),
        cameras=tuple(_camera_figures(evidence, corrected, views, elsewhere, c) for c in range(len(views.seen[0, 0]))),
        landmarks=tuple(_landmark_figures(evidence, views, limbs, k) for k in range(len(names))),
        unchecked=_unchecked(corrected, frames),
        n_frames=frames.size,
        n_frames_all=evidence.used.times_s.size,
    )


def _correct(evidence: TrialEvidence, normal: Normal) -> Corrected:
    least = evidence.settings.min_confidence
    used, lost = evidence.used, tuple[LostFrames, ...]()
    lags = measure_lags(used, evidence.rig, min_confidence=least)
    if any(lag.may_be_beyond(normal.lag_s) for lag in lags.values()):
        lost = find_losses(used, evidence.rig, lags, min_confidence=least)
    if lost:
        used = without_losses(used, lost, min_confidence=least)
        lags = measure_lags(used, evidence.rig, min_confidence=least)
    landmarks = _without(used, lags, least, normal)
    is_as_run = landmarks is evidence.used
    drift = evidence.audit.drift if is_as_run else None
    if drift is None:
        drift = judge_drift(landmarks, evidence.rig, since=evidence.since, known=evidence.known)
    repair = _repair(evidence, landmarks) if drift.suspects else None
    if repair is None:
        return Corrected(landmarks, evidence.rig, lags, lost, drift, None)
    # A moved camera moves the estimate of the lags as well.
    lags = measure_lags(used, repair.rig, min_confidence=least)
    return Corrected(_without(used, lags, least, normal), repair.rig, lags, lost, drift, repair)


def _without(landmarks: Landmarks2D, lags: Mapping[str, Lag], least: float, normal: Normal) -> Landmarks2D:
    if not any(lag.is_beyond(normal.lag_s) for lag in lags.values()):
        return landmarks
    return without_lags(landmarks, lags, min_confidence=least)


def _repair(evidence: TrialEvidence, landmarks: Landmarks2D) -> CameraRepair | None:
    try:
        return repair_moved_camera(evidence.rig, landmarks, known=evidence.known)
    except (InputError, GateRefusedError):
        return None  # two cameras, or more than one moved: what is left cannot be judged, and that is said


def _judge(
    evidence: TrialEvidence,
    corrected: Corrected,
    views: ViewErrors,
    elsewhere: BoolArray,
    limbs: Mapping[tuple[str, str], tuple[float, float]],
    normal: Normal,
) -> list[Blame]:
    cameras, names, used = evidence.used.cameras, evidence.used.landmarks, evidence.used
    blames = judge_presence(views, cameras, names, normal)
    blames += judge_sides(evidence.exchanged, used, repaired=evidence.repaired, normal=normal)
    if corrected.is_trusted:
        blames += judge_elsewhere(elsewhere, cameras, normal)
        lost = {camera for b in blames if not b.landmarks for camera in b.cameras}
        off = [b for b in judge_offsets(views, cameras, normal) if not lost.issuperset(b.cameras)]
        spared = lost.union(*(b.cameras for b in off))
        blames += off + judge_noise(views, cameras, names, spared=spared, normal=normal)
    estimated = evidence.config.retime.estimate_offsets
    blames += judge_lags(corrected.lags, used, estimated=estimated, trial=evidence.trial, normal=normal)
    blames += judge_losses(corrected.lost, normal)
    blames += judge_frames(evidence.audit.cameras, normal)
    blames += judge_calibration(
        corrected.drift, corrected.repair, views.px_per_m, remarks=evidence.remarks, trial=evidence.trial, normal=normal
    )
    never = frozenset(name for k, name in enumerate(names) if not views.seen[:, k].any())
    rays = judge_rays(views, cameras, names, min_cameras=evidence.settings.min_cameras, normal=normal)
    blames += [blame for blame in rays if not never.issuperset(blame.landmarks)]
    # Symptoms count only where no cause was found for them.
    if not any(not b.landmarks for b in blames):
        blamed = frozenset(name for b in blames for name in b.landmarks)
        apart = judge_disagreement(views, names, blamed=blamed, normal=normal)
        blamed |= {name for b in apart for name in b.landmarks}
        blames += apart + judge_limbs(limbs, blamed=blamed, normal=normal)
    return blames


def _camera_figures(
    evidence: TrialEvidence, corrected: Corrected, views: ViewErrors, elsewhere: BoolArray, c: int
) -> CameraFigures:
    name = evidence.used.cameras[c]
    lag, drift = corrected.lags.get(name), corrected.drift
    judged = (views.seen[:, :, c] & views.found).sum()
    moved = {m.camera: m for m in drift.motions if m.camera in (*drift.suspects, *drift.others_moved)}
    constant = [_median(views.constant_px[:, c, i]) for i in range(2)]
    return CameraFigures(
        camera=name,
        seen=float(views.seen[:, :, c].mean()),
        wrong=float(views.wrong[:, :, c].sum() / max(int(judged), 1)),
        noise_px=_median(views.noise_px[:, c]),
        noise_m=_median(views.noise_m[:, c]),
        constant_px=(constant[0], constant[1]),
        lag_s=None if lag is None else lag.lag_s,
        lag_sd_s=None if lag is None else lag.sd_s,
        exchanged=float((evidence.exchanged[:, c] > 0).mean()),
        elsewhere=float(elsewhere[:, c].mean()),
        moved=describe_motion(moved[name]).removeprefix(name).strip() if name in moved else "",
    )


def _landmark_figures(
    evidence: TrialEvidence, views: ViewErrors, limbs: Mapping[tuple[str, str], tuple[float, float]], k: int
) -> LandmarkFigures:
    name, found = evidence.used.landmarks[k], evidence.found
    noise = views.noise_px[k]
    worst = int(np.nanargmax(noise)) if np.isfinite(noise).any() else -1
    judged = (views.seen[:, k] & views.found[:, k, None]).sum()
    own = max(((sd, f"{a}-{b}") for (a, b), (_, sd) in limbs.items() if name in (a, b)), default=(float("nan"), ""))
    covariance = found.covariance_m2[:, k]
    known = np.isfinite(covariance).all(axis=(1, 2))
    largest = np.linalg.eigvalsh(covariance[known])[:, -1] if known.any() else np.array([np.nan])
    return LandmarkFigures(
        landmark=name,
        placed=float(np.isfinite(found.xyz_m[:, k]).all(axis=-1).mean()),
        filled=float(found.interpolated[:, k].mean()),
        n_cameras=float(views.seen[:, k].sum(axis=-1).mean()),
        angle_rad=_median(views.angle_rad[:, k]),
        wrong=float(views.wrong[:, k].sum() / max(int(judged), 1)),
        noise_px=float(noise[worst]) if worst >= 0 else float("nan"),
        worst_camera=evidence.used.cameras[worst] if worst >= 0 else "",
        sd_m=float(np.median(np.sqrt(np.maximum(largest, 0.0)))),
        limb=own[1],
        limb_sd_m=own[0],
    )


def _unchecked(corrected: Corrected, frames: IntArray) -> dict[Cause, str]:
    out: dict[Cause, str] = {}
    if frames.size < _FEWEST_FRAMES:
        out[Cause.DETECTION] = f"{frames.size} frames are too few to tell noise"
    elif not corrected.is_trusted:
        out[Cause.DETECTION] = "views cannot be judged before the calibration is right"
    if not corrected.lags:
        out[Cause.SYNC] = "too little moves for its noise, or too few frames are there, to tell lags"
    if corrected.drift.unchecked:
        out[Cause.CALIBRATION] = corrected.drift.unchecked
    return out


def _median(values: FloatArray) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else float("nan")
