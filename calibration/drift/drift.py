"""Whether a camera moved after calibration, which one and how far, from the 2D landmarks of one trial.

Only multi-view consistency counts: the landmarks may move as they like, so gait has no say. Detectors err alike over a
whole trial, differently in every camera; how much so is estimated, and a move must explain more than that can. Where an
earlier trial with the same cameras tells each landmark's bias in each camera, only what changed since is left.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from calibration.drift.evidence import (
    Hypothesis,
    Tolerance,
    best_move,
    free_spread,
    overdispersion,
    solve_lags,
)
from calibration.drift.model import (
    CameraEvidence,
    LandmarkBlocks,
    build_blocks,
    estimate_bias_spread,
    fit_blocks,
    left_unexplained,
)
from calibration.drift.noise import ViewNoise, estimate_noise, remove_medians
from calibration.drift.views import SHIFT, TURN, BodyViews, choose_frames, linearise_views, move_camera
from labsys.core.arrays import FloatArray
from labsys.core.camera_audit import CameraMotion, LandmarkBias
from labsys.core.cameras import CameraRig
from labsys.core.errors import InputError
from labsys.core.landmarks import Landmarks2D

_ROUNDS = 3
_CAMERA_FRAMES = 1600  # frames times cameras: cost stays bounded
_FEWEST_FRAMES, _FEWEST_LANDMARKS = 20, 6
_LEAST_PX = 1e-3
# Beside an earlier trial: what its biases are wrong by, and what they change by with gait; constant and along the two
# motions. Three or four cameras hardly tell biases from poses; the likeliest spread is then often none at all, and
# chance looks like a moved camera. Rigs large enough to tell show 0.1, 0.5 and 0.2 px.
_LEAST_SINCE_PX = np.array([0.1, 0.3, 0.2])


@dataclass(frozen=True)
class DriftSettings:
    """When a camera is said to have moved.

    Attributes:
        alarm_gain: what a move must explain, as twice a log likelihood ratio. Chance alone reaches 16; landmarks with
            biases that change with gait come nearer (docs/accuracy.md).
        named_margin: by how much the named camera must explain more than any other.
        tolerance: what the calibration leaves open.
    """

    alarm_gain: float = 32.0
    named_margin: float = 6.0
    most_frames: int = 200
    spacing_s: float = 0.1
    min_confidence: float = 0.3
    tolerance: Tolerance = field(default_factory=Tolerance)


@dataclass(frozen=True, eq=False)
class DriftCheck:
    """What one trial says about its calibration.

    Attributes:
        motions: of every camera, the likeliest first; a motion says little unless the camera is a suspect.
        suspects: cameras of which one moved; () where none did, one where it can be named.
        others_moved: cameras that moved beside the named one.
        lags_s: time offset of every camera against their mean; not a move, and taken into account.
        bias_px: spread of constant biases that was allowed for. n_frames: looked at.
        bias: of this trial, for later ones. compared: whether an earlier trial's was given.
        likeliest: the rig with the likeliest camera at the pose that it seems to have; None without an alarm.
    """

    motions: tuple[CameraMotion, ...]
    suspects: tuple[str, ...]
    others_moved: tuple[str, ...]
    lags_s: dict[str, float]
    bias_px: float
    n_frames: int
    bias: LandmarkBias
    compared: bool
    likeliest: CameraRig | None = None

    @property
    def moved(self) -> CameraMotion | None:
        """The camera that moved, where it can be named and is the only one."""
        return self.motions[0] if len(self.suspects) == 1 and not self.others_moved else None


@dataclass(frozen=True, eq=False)
class BodyEvidence:
    """Views of a trial with all that was estimated from them."""

    views: BodyViews
    noise: ViewNoise
    blocks: LandmarkBlocks
    bias_spread_px: FloatArray
    evidence: CameraEvidence
    dispersion: float


def check_drift(
    rig: CameraRig,
    landmarks: Landmarks2D,
    *,
    known: LandmarkBias | None = None,
    settings: DriftSettings | None = None,
) -> DriftCheck:
    """Look for a camera that is not where the calibration has it.

    Args:
        rig: cameras in the order of `landmarks.cameras`.
        known: biases of an earlier trial with this rig, in which no camera had moved.

    Raises:
        InputError: too few frames or landmarks that several cameras see.
    """
    settings = settings or DriftSettings()
    body = gather_evidence(rig, landmarks, known=known, settings=settings)
    weighed = [
        best_move(body.evidence, i, tolerance=settings.tolerance, dispersion=body.dispersion)
        for i in range(len(rig.cameras))
    ]
    weighed.sort(key=lambda h: -h.gain)
    best = weighed[0]
    alarm = best.gain > settings.alarm_gain
    # Of two cameras, either could have moved: a pair says only that its rays miss each other.
    near = -np.inf if len(rig.cameras) == 2 else best.gain - settings.named_margin
    suspects = [h for h in weighed if alarm and h.gain > near]
    others = _also_moved(rig, landmarks, best, known, settings) if len(suspects) == 1 else []
    lags = solve_lags(body.evidence, best if alarm else None, settings.tolerance)
    return DriftCheck(
        motions=tuple(_motion(rig, body.views, h) for h in weighed),
        suspects=tuple(rig.names[h.index] for h in suspects),
        others_moved=tuple(rig.names[i] for i in others),
        lags_s={name: float(lag) for name, lag in zip(rig.names, lags, strict=True)},
        bias_px=float(body.bias_spread_px[0]),
        n_frames=body.views.times_s.size,
        bias=_bias(rig, landmarks, body, known, settings.tolerance),
        compared=known is not None,
        likeliest=_at_new_pose(rig, best) if alarm else None,
    )


def gather_evidence(
    rig: CameraRig, landmarks: Landmarks2D, *, known: LandmarkBias | None, settings: DriftSettings
) -> BodyEvidence:
    """Views of a trial, their noise, and what they say about the cameras (InputError: too few)."""
    most = min(settings.most_frames, _CAMERA_FRAMES // len(rig.cameras))
    frames = choose_frames(landmarks.times_s, most=most, spacing_s=settings.spacing_s)
    if frames.size < _FEWEST_FRAMES:
        raise InputError(f"{landmarks.times_s.size} frames are too few to check the calibration")
    views = linearise_views(rig, landmarks, frames, min_confidence=settings.min_confidence)
    placed = int((views.seen.any(axis=-1).sum(axis=0) >= _FEWEST_FRAMES).sum())
    if placed < _FEWEST_LANDMARKS:
        raise InputError(
            f"only {placed} landmarks are seen by two cameras or more, {_FEWEST_LANDMARKS} are needed to check the "
            "calibration"
        )
    offset = None if known is None else _offset(known, rig, landmarks)
    free, spread = free_spread(len(rig.cameras)), np.ones(views.motion.shape[2])
    left = remove_medians(views)
    for _ in range(_ROUNDS):
        noise = estimate_noise(views, left)
        lessened = views if offset is None else _less_bias(views, noise, offset)
        blocks = build_blocks(lessened, noise)
        spread = estimate_bias_spread(blocks, spread, free, least_px=_LEAST_PX if offset is None else _LEAST_SINCE_PX)
        fit = fit_blocks(blocks, spread, free)
        left = left_unexplained(lessened, noise, blocks, fit)
    return BodyEvidence(lessened, noise, blocks, spread, fit.evidence, overdispersion(fit.evidence, fit.cameras))


def _less_bias(views: BodyViews, noise: ViewNoise, offset_px: FloatArray) -> BodyViews:
    left = views.residual_px - noise.ratio[..., None] * offset_px
    return replace(views, residual_px=np.where(views.seen[..., None], left, 0.0))


def _offset(known: LandmarkBias, rig: CameraRig, landmarks: Landmarks2D) -> FloatArray:
    """The known biases (K, C, 2) px in the order of this trial, 0 where unknown."""
    nothing = (0.0, 0.0)
    of_landmarks = [known.xy_px.get(name, {}) for name in landmarks.landmarks]
    return np.array([[own.get(camera, nothing) for camera in rig.names] for own in of_landmarks], dtype=np.float64)


def _bias(
    rig: CameraRig, landmarks: Landmarks2D, body: BodyEvidence, known: LandmarkBias | None, tolerance: Tolerance
) -> LandmarkBias:
    """Constant biases if no camera moved."""
    n_cameras = len(rig.cameras)
    fit = fit_blocks(body.blocks, body.bias_spread_px, tolerance.spread(n_cameras))
    own = fit.biases_px.reshape(len(landmarks.landmarks), -1, n_cameras, 2)[:, 0]
    before = 0.0 if known is None else _offset(known, rig, landmarks)
    total = own + before
    return LandmarkBias(
        {
            name: {camera: (float(x), float(y)) for camera, (x, y) in zip(rig.names, total[k], strict=True)}
            for k, name in enumerate(landmarks.landmarks)
        }
    )


def _at_new_pose(rig: CameraRig, moved: Hypothesis) -> CameraRig:
    turn, shift = moved.parts
    return move_camera(rig, moved.index, turn_rad=turn, shift_m=shift)


def _also_moved(
    rig: CameraRig, landmarks: Landmarks2D, best: Hypothesis, known: LandmarkBias | None, settings: DriftSettings
) -> list[int]:
    """Cameras that explain, with the best one at its new pose and still free, as much as would raise an alarm."""
    body = gather_evidence(_at_new_pose(rig, best), landmarks, known=known, settings=settings)
    others = [i for i in range(len(rig.cameras)) if i != best.index]
    beyond = [
        best_move(body.evidence, i, tolerance=settings.tolerance, dispersion=body.dispersion, given=best)
        for i in others
    ]
    return [h.index for h in beyond if h.gain > settings.alarm_gain]


def _motion(rig: CameraRig, views: BodyViews, hypothesis: Hypothesis) -> CameraMotion:
    turn, shift = hypothesis.parts
    seen = views.seen[:, :, hypothesis.index]
    J = views.by_camera[:, :, hypothesis.index][seen]
    image = J[..., TURN] @ turn + J[..., SHIFT] @ shift
    return CameraMotion(
        camera=rig.names[hypothesis.index],
        move=str(hypothesis.move),
        gain=hypothesis.gain,
        turn_rad=float(np.linalg.norm(turn)),
        turn_sd_rad=length_sd(turn, hypothesis.covariance[TURN, TURN]),
        shift_m=float(np.linalg.norm(shift)),
        shift_sd_m=length_sd(shift, hypothesis.covariance[SHIFT, SHIFT]),
        image_px=float(np.sqrt((image**2).sum(axis=-1).mean())) if seen.any() else 0.0,
    )


def length_sd(vector: FloatArray, covariance: FloatArray) -> float:
    """Standard deviation of a vector's length, 0 for no vector."""
    length = float(np.linalg.norm(vector))
    if length == 0.0:
        return 0.0
    along = vector / length
    return float(np.sqrt(along @ covariance @ along))
