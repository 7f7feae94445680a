"""From true landmarks to what a 2D detector would say of every camera."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.signal import lfilter

from calibration.projection import project_rig
from labsys.core.arrays import BoolArray, FloatArray
from labsys.core.cameras import CameraRig
from labsys.core.errors import InputError
from labsys.core.landmarks import Landmarks2D, Landmarks3D
from pipelines.synthetic.anatomy import make_body
from pipelines.synthetic.occlusion import find_hidden
from pipelines.synthetic.trial import SyntheticTrial

# DLC_LIKE is a Gaussian with a lognormal scale. With these two numbers the radial error of points in sight has its
# median at 2.5 px and its 95th percentile at 10 px (Monte Carlo, held by a test).
_DLC_SCALE_PX = 2.22
_DLC_SPREAD = 0.69
_DLC_CORRELATION_S = 0.050
_POSE_SHARE = 0.4  # of the variance: an offset that depends on landmark, view and pose, and does not average out
_HIDDEN_FACTOR = 2.0
_OUTLIER_PX = (30.0, 200.0)
_SWAP_S = (0.03, 0.15)
# What gets swapped together: the leg below the hip, the foot, the arm.
_SWAP_GROUPS = (
    ("GT", "LFE", "MFE", "LM", "MM", "HEEL", "MT5", "MT1", "TOE"),
    ("LM", "MM", "HEEL", "MT5", "MT1", "TOE"),
    ("ELB", "WRI"),
)


class NoiseKind(StrEnum):
    """WHITE: independent per frame. DLC_LIKE: heavy-tailed, correlated, pose-dependent, with swaps and occlusion."""

    NONE = "none"
    WHITE = "white"
    DLC_LIKE = "dlc_like"


@dataclass(frozen=True)
class NoiseModel:
    """How 2D landmarks err.

    Attributes:
        sigma_px: WHITE: standard deviation per axis; DLC_LIKE: a factor, at 1 points in sight have a median radial
            error of 2.5 px and a 95th percentile of 10 px, and hidden ones err twice as much.
        outliers: probability per point of an error of 30..200 px. missing: probability per point of no detection.
        swap_rate_hz: DLC_LIKE: left/right swaps per second and camera.
    """

    kind: NoiseKind = NoiseKind.WHITE
    sigma_px: float = 1.0
    outliers: float = 0.0
    missing: float = 0.0
    swap_rate_hz: float = 0.05

    def __post_init__(self) -> None:
        if self.sigma_px < 0 or self.swap_rate_hz < 0 or not (0 <= self.outliers < 1 and 0 <= self.missing < 1):
            raise InputError(
                f"noise of {self.sigma_px:g} px with outliers {self.outliers:g} and missing {self.missing:g}",
                remedy="Give sigma >= 0 px and probabilities of at least 0 and below 1",
            )

    @classmethod
    def none(cls) -> NoiseModel:
        """Exact projections, full confidence."""
        return cls(kind=NoiseKind.NONE, sigma_px=0.0)

    @classmethod
    def white(cls, sigma_px: float = 1.0, *, outliers: float = 0.0, missing: float = 0.0) -> NoiseModel:
        """Independent Gaussian noise."""
        return cls(kind=NoiseKind.WHITE, sigma_px=sigma_px, outliers=outliers, missing=missing)

    @classmethod
    def dlc_like(cls, *, outliers: float = 0.0, missing: float = 0.0) -> NoiseModel:
        """Errors as DeepLabCut makes them."""
        return cls(kind=NoiseKind.DLC_LIKE, sigma_px=1.0, outliers=outliers, missing=missing)


def observe(trial: SyntheticTrial, rig: CameraRig, noise: NoiseModel, seed: int) -> Landmarks2D:
    """2D landmarks of every camera on the trial's own clock, (T, C, K, 2) px; points outside the image are missing."""
    return _see(trial, trial.landmarks, rig, noise, np.random.default_rng([seed, 61]))


def observe_free_running(
    trial: SyntheticTrial, rig: CameraRig, noise: NoiseModel, times_s: tuple[FloatArray, ...], seed: int
) -> tuple[Landmarks2D, ...]:
    """One `Landmarks2D` per camera, each at that camera's own exposure times (`rigs.free_running_times`).

    Between samples the landmarks follow a cubic spline: make the trial at 200 Hz or more.

    Raises:
        InputError: not one series of times per camera, or times outside the trial.
    """
    if len(times_s) != len(rig.cameras):
        raise InputError(f"{len(times_s)} series of times for {len(rig.cameras)} cameras")
    track = trial.landmarks
    spline = CubicSpline(track.times_s, track.xyz_m)
    out = []
    for i, (camera, own_s) in enumerate(zip(rig.cameras, times_s, strict=True)):
        seen_s = own_s[(own_s >= track.times_s[0]) & (own_s <= track.times_s[-1])]
        there = Landmarks3D.from_positions(track.landmarks, seen_s, spline(seen_s))
        out.append(_see(trial, there, CameraRig((camera,)), noise, np.random.default_rng([seed, 61, i])))
    return tuple(out)


def _see(
    trial: SyntheticTrial, landmarks: Landmarks3D, rig: CameraRig, noise: NoiseModel, rng: np.random.Generator
) -> Landmarks2D:
    xy = np.moveaxis(project_rig(rig, landmarks.xyz_m), 2, 1).copy()
    confidence = np.ones(xy.shape[:-1])
    match noise.kind:
        case NoiseKind.WHITE:
            xy += noise.sigma_px * rng.standard_normal(xy.shape)
            confidence = rng.uniform(0.85, 1.0, confidence.shape)
        case NoiseKind.DLC_LIKE:
            hidden = np.stack([find_hidden(landmarks, c.centre_lab_m) for c in rig.cameras], axis=1)
            error = noise.sigma_px * _dlc_error(trial, landmarks, rig, hidden, rng)
            xy += error
            confidence = _dlc_confidence(np.linalg.norm(error, axis=-1), hidden, rng)
            _swap_sides(xy, confidence, landmarks, noise.swap_rate_hz, rng)
    _spoil(xy, confidence, noise, rng)
    _crop(xy, confidence, rig)
    return Landmarks2D(rig.names, landmarks.landmarks, landmarks.times_s, xy, confidence)


def _dlc_error(
    trial: SyntheticTrial, landmarks: Landmarks3D, rig: CameraRig, hidden: BoolArray, rng: np.random.Generator
) -> FloatArray:
    """(T, C, K, 2) px."""
    times = landmarks.times_s
    shape = hidden.shape
    noise = correlated_noise(rng, times, (*shape[1:], 2), _DLC_CORRELATION_S)
    scale = np.exp(_DLC_SPREAD * correlated_noise(rng, times, shape[1:], _DLC_CORRELATION_S))
    mixed = math.sqrt(_POSE_SHARE) * _pose_offset(trial, landmarks, rig, rng) + math.sqrt(1 - _POSE_SHARE) * noise
    factor = np.where(hidden, _HIDDEN_FACTOR, 1.0) * scale
    return np.asarray(_DLC_SCALE_PX * factor[..., None] * mixed)


def correlated_noise(
    rng: np.random.Generator, times_s: FloatArray, shape: tuple[int, ...], correlation_s: float
) -> FloatArray:
    """Stationary Gaussian noise (T, *shape) of unit variance whose correlation falls to 1/e after `correlation_s`."""
    white = rng.standard_normal((times_s.size, *shape))
    if times_s.size < 2:
        return white
    keep = math.exp(-float(np.median(np.diff(times_s))) / correlation_s)
    white[1:] *= math.sqrt(1.0 - keep**2)
    return np.asarray(lfilter([1.0], [1.0, -keep], white, axis=0))


def _pose_offset(trial: SyntheticTrial, landmarks: Landmarks3D, rig: CameraRig, rng: np.random.Generator) -> FloatArray:
    """Offset of unit variance per landmark and view that changes as the segment turns against the camera."""
    points = make_body(trial.parameters.height_m, trial.parameters.anatomy, trial.seed).points
    turn = rng.standard_normal((len(rig.cameras), len(landmarks.landmarks), 2, 3))
    start = rng.uniform(0.0, 2 * math.pi, turn.shape[:-1])
    out = np.empty((landmarks.times_s.size, *turn.shape[:-1]))
    own = trial.landmarks.times_s
    for c, camera in enumerate(rig.cameras):
        for k, name in enumerate(landmarks.landmarks):
            R = trial.rotations[points[name][0]]
            view = camera.centre_lab_m - trial.landmarks.xyz_m[:, k]
            view = view / np.linalg.norm(view, axis=-1, keepdims=True)
            seen = np.einsum("tji,tj->ti", R, view)
            at = np.stack([np.interp(landmarks.times_s, own, seen[:, j]) for j in range(3)], axis=-1)
            out[:, c, k] = math.sqrt(2.0) * np.sin(2.0 * at @ turn[c, k].T + start[c, k])
    return out


def _dlc_confidence(radial_px: FloatArray, hidden: BoolArray, rng: np.random.Generator) -> FloatArray:
    """Likelihoods: high in sight, lower where the error is large, mostly below 0.5 where the body hides the point."""
    base = rng.uniform(0.90, 1.0, radial_px.shape) / (1.0 + (radial_px / 25.0) ** 2)
    lost = rng.beta(2.0, 5.0, radial_px.shape)
    return np.asarray(np.clip(np.where(hidden, lost, base), 0.01, 1.0))


def _swap_sides(
    xy: FloatArray, confidence: FloatArray, landmarks: Landmarks3D, rate_hz: float, rng: np.random.Generator
) -> None:
    """Exchange left and right of a group of landmarks in one camera for a few frames, now and then."""
    times = landmarks.times_s
    if times.size < 2:
        return
    for camera in range(xy.shape[1]):
        for _ in range(rng.poisson(rate_hz * float(times[-1] - times[0]))):
            start = rng.uniform(times[0], times[-1])
            frames = (times >= start) & (times <= start + rng.uniform(*_SWAP_S))
            group = _SWAP_GROUPS[int(rng.integers(len(_SWAP_GROUPS)))]
            right = [landmarks.index(f"R{n}") for n in group]
            left = [landmarks.index(f"L{n}") for n in group]
            rows = np.flatnonzero(frames)[:, None]
            for array in (xy, confidence):
                swapped = array[rows, camera, right].copy()
                array[rows, camera, right] = array[rows, camera, left]
                array[rows, camera, left] = swapped


def _spoil(xy: FloatArray, confidence: FloatArray, noise: NoiseModel, rng: np.random.Generator) -> None:
    """Outliers in a random direction, still with a fair likelihood; and points that were not found."""
    if noise.outliers > 0:
        far = rng.uniform(size=confidence.shape) < noise.outliers
        reach, direction = rng.uniform(*_OUTLIER_PX, far.sum()), rng.uniform(0, 2 * math.pi, far.sum())
        xy[far] += np.stack([reach * np.cos(direction), reach * np.sin(direction)], axis=-1)
        confidence[far] = rng.uniform(0.3, 0.95, far.sum())
    if noise.missing > 0:
        lost = rng.uniform(size=confidence.shape) < noise.missing
        xy[lost], confidence[lost] = np.nan, 0.0


def _crop(xy: FloatArray, confidence: FloatArray, rig: CameraRig) -> None:
    for i, camera in enumerate(rig.cameras):
        width, height = camera.intrinsics.size_px
        x, y = xy[:, i, :, 0], xy[:, i, :, 1]
        with np.errstate(invalid="ignore"):
            inside = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
        xy[:, i][~inside] = np.nan
        confidence[:, i][~inside] = 0.0
