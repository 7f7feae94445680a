"""The trajectory of every landmark over a whole trial: pixels, smoothness and limb lengths at once, each point with its
covariance.

Objective after Anipose (Karashchuk et al. 2021, doi:10.1016/j.celrep.2021.109730), with three differences: observations
far off stop pulling at all; the third difference over time is penalised instead of the first, so that a steady speed
or acceleration costs nothing; and every weight follows from the trial itself (`trajectory_tuning`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from calibration.processors import n_processors
from calibration.trajectory.correlation import StartResiduals
from calibration.trajectory.posterior import posterior
from calibration.trajectory.sample import Track, make_track, sample_of, sections_of
from calibration.trajectory.setup import ORDER, first_tuning, make_objective, usable_limbs
from calibration.trajectory.solve import Objective, minimise
from calibration.trajectory.spread import robust_factor, temporal_spread, typical_information
from calibration.trajectory.tuning import Floors, Tuning, tune
from calibration.triangulation.blocks import PackedRig
from calibration.triangulation.triangulate import Triangulation, check_observations
from labsys.core.arrays import BoolArray, FloatArray, IntArray
from labsys.core.cameras import CameraRig
from labsys.core.errors import InputError

_WINDOWS, _WINDOW_S = 4, 1.5
_TOLERANCE, _MAX_ITERATIONS = 1e-5, 20
_SECTION_BYTES = 96e6  # of Cholesky factors
_OVERLAP_S = 1.0  # many times as long as smoothness reaches
_CORRELATION_S = 0.5


@dataclass(frozen=True)
class TrajectorySettings:
    """What the solve may assume.

    Attributes:
        min_confidence: observations below it are not looked at.
        max_gap_s: longest time without a triangulated point that smoothness, limbs and single cameras may bridge.
        least_cutoff_hz: motion slower than this never loses half of its amplitude, however calm the trial.
        fade_sigmas: error, in standard deviations, at which an observation has lost three quarters of its weight.
        noise_floor_px, limb_floor_m: least standard deviation of pixels and of limb lengths believed.
    """

    min_confidence: float = 0.1
    max_gap_s: float = 0.1
    least_cutoff_hz: float = 5.0
    fade_sigmas: float = 3.0
    noise_floor_px: float = 0.3
    limb_floor_m: float = 0.005

    def __post_init__(self) -> None:
        if not self.max_gap_s >= 0.0:
            raise InputError(f"max_gap_s is {self.max_gap_s:g}, expected 0 or more")
        if not min(self.fade_sigmas, self.noise_floor_px, self.limb_floor_m) > 0.0:
            raise InputError("fade_sigmas, noise_floor_px and limb_floor_m must be positive")


@dataclass(frozen=True, eq=False)
class TrajectoryReport:
    """How a solve went.

    Attributes:
        iterations: Newton steps of the longest section. sections: in how many parts the trial was solved.
        cost_start, cost: of the objective before and after, sections added up.
        seconds: wall time, tuning included.
        noise_px: (K,) standard deviation per axis. cutoff_hz: (K,) where smoothness halves the amplitude of motion.
        limbs, lengths_m, limb_sd_m: (B, 2) landmarks, and (B,) m, of each limb.
    """

    iterations: int
    sections: int
    cost_start: float
    cost: float
    seconds: float
    noise_px: FloatArray
    cutoff_hz: FloatArray
    limbs: IntArray
    lengths_m: FloatArray
    limb_sd_m: FloatArray


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Points in LAB and how well each is known.

    Attributes:
        xyz_m: (T, K, 3) m in LAB, NaN in gaps longer than allowed.
        residual_px: (T, K) mean distance over the cameras used; NaN where none is.
        used: (T, K, C) which cameras the point rests on.
        covariance_m2: (T, K, 3, 3) m² of each point by itself; NaN where missing.
        interpolated: (T, K) fewer than two cameras used: smoothness and limbs carry the point.
        error_correlation: (K, L) autocorrelation of a landmark's error at lag 0 to L - 1 frames.
    """

    xyz_m: FloatArray
    residual_px: FloatArray
    used: BoolArray
    covariance_m2: FloatArray
    interpolated: BoolArray
    error_correlation: FloatArray
    report: TrajectoryReport


def solve_trajectory(
    rig: CameraRig,
    xy_px: ArrayLike,
    confidence: ArrayLike,
    start: Triangulation,
    *,
    bones: Sequence[tuple[int, int]],
    rate_hz: float,
    settings: TrajectorySettings | None = None,
) -> Trajectory:
    """Find the trajectories of a whole trial.

    Args:
        xy_px: (T, K, C, 2) px in IMAGE, cameras in the rig's order; NaN where missing. confidence: (T, K, C) in 0..1.
        start: the same trial triangulated. bones: landmarks whose distance changes little.
        rate_hz: frames per second, evenly spaced.

    Raises:
        InputError: fewer than two cameras, shapes that do not fit together, a rate that is not positive.
    """
    began = time.perf_counter()
    settings = settings or TrajectorySettings()
    xy, weights = check_observations(rig, xy_px, confidence)
    if xy.ndim == 4 and len(xy) < 2:
        raise InputError(f"{len(xy)} frame(s) are too few: a trajectory needs two at least")
    if xy.ndim != 4 or start.xyz_m.shape[:2] != xy.shape[:2] or not rate_hz > 0.0:
        raise InputError(f"pixels of shape {xy.shape} at {rate_hz:g} Hz are no trial; expected (T, K, C, 2)")
    track = make_track(
        xy,
        weights,
        start.xyz_m,
        min_confidence=settings.min_confidence,
        max_gap=math.floor(settings.max_gap_s * rate_hz + 1e-9),
    )
    limbs = usable_limbs(bones, start.xyz_m)
    noise = StartResiduals.of(rig, track, start.xyz_m, n_lags=_n_lags(rate_hz), fade_sigmas=settings.fade_sigmas)
    tuning = _tune(rig, track, start, limbs, noise, rate_hz, settings)
    solved = _solve_sections(rig, track, tuning, limbs, rate_hz, settings)
    correlation = noise.correlation(tuning)
    return _assemble(track, limbs, tuning, solved, correlation, began=began, rate_hz=rate_hz, settings=settings)


@dataclass(frozen=True, eq=False)
class _Solved:
    """Sections put together: points (T, 3, K), covariance (T, 6, K), squared errors and what the uncertainty of the
    points adds to them (T, C, K) px², normal matrices of pixels (T, 6, K)."""

    points: FloatArray
    covariance: FloatArray
    squares: FloatArray
    spread: FloatArray
    normal: FloatArray
    cost_start: float
    cost: float
    iterations: int
    sections: int


def _tune(
    rig: CameraRig,
    track: Track,
    start: Triangulation,
    limbs: IntArray,
    noise: StartResiduals,
    rate_hz: float,
    settings: TrajectorySettings,
) -> Tuning:
    first = first_tuning(start, limbs, rate_hz=rate_hz, noise_floor_px=settings.noise_floor_px)
    sample = sample_of(track, n_windows=_WINDOWS, n_frames=math.ceil(_WINDOW_S * rate_hz), apart=ORDER)
    return tune(
        make_objective(PackedRig.pack(rig), sample, limbs, fade_sigmas=settings.fade_sigmas),
        sample.confidence,
        sample.points,
        first,
        noise.correlation(first),
        floors=Floors(
            noise_px=settings.noise_floor_px,
            limb_m=settings.limb_floor_m,
            least_gain=(2.0 * math.sin(math.pi * min(settings.least_cutoff_hz / rate_hz, 0.5))) ** (2 * ORDER),
        ),
        n_threads=n_processors(),
    )


def _solve_sections(
    rig: CameraRig, track: Track, tuning: Tuning, limbs: IntArray, rate_hz: float, settings: TrajectorySettings
) -> _Solved:
    n_frames, n_landmarks = track.there.shape
    longest = max(1000, int(_SECTION_BYTES / (8 * 3 * (3 * ORDER + 3) * n_landmarks)))
    overlap = math.ceil(_OVERLAP_S * rate_hz)
    packed = PackedRig.pack(rig)
    parts = []
    for frames, keep in sections_of(n_frames, longest=longest, overlap=overlap):
        section = track.part(frames.start, frames.stop)
        objective = make_objective(packed, section, limbs, fade_sigmas=settings.fade_sigmas)
        tuned = tuning.apply(objective, section.confidence)
        parts.append(_solve_section(tuned, section.points, tuning.information, keep))
    return _Solved(
        points=np.concatenate([p.points for p in parts]),
        covariance=np.concatenate([p.covariance for p in parts]),
        squares=np.concatenate([p.squares for p in parts]),
        spread=np.concatenate([p.spread for p in parts]),
        normal=np.concatenate([p.normal for p in parts]),
        cost_start=sum(p.cost_start for p in parts),
        cost=sum(p.cost for p in parts),
        iterations=max(p.iterations for p in parts),
        sections=len(parts),
    )


def _solve_section(objective: Objective, start: FloatArray, information: FloatArray, keep: slice) -> _Solved:
    n_threads = n_processors()
    found = minimise(objective, start, tolerance=_TOLERANCE, max_iterations=_MAX_ITERATIONS, n_threads=n_threads)
    best = found.best
    belief = posterior(objective, best, information=information, n_threads=n_threads)
    return _Solved(
        best.points[keep], belief.covariance[keep], belief.squares[keep], belief.spread[keep],
        best.normal_of_pixels[keep],
        found.cost_start, best.cost, found.iterations, 1,
    )  # fmt: skip


def _n_lags(rate_hz: float) -> int:
    return max(2, math.ceil(_CORRELATION_S * rate_hz))


def _assemble(
    track: Track,
    limbs: IntArray,
    tuning: Tuning,
    solved: _Solved,
    correlation: FloatArray,
    *,
    began: float,
    rate_hz: float,
    settings: TrajectorySettings,
) -> Trajectory:
    weights = tuning.weights(track.confidence)
    distance = np.where(weights > 0.0, weights * solved.squares, np.nan)
    believed = np.moveaxis(np.nan_to_num(distance, nan=np.inf) < settings.fade_sigmas**2, 1, 2)
    information = typical_information(solved.normal)
    widening, error_correlation = temporal_spread(
        information, tuning.stiffness, tuning.motion, order=ORDER, correlation=correlation
    )
    expected = weights * (solved.squares + widening * solved.spread)
    widening = widening * robust_factor(expected.reshape(-1, expected.shape[2]), settings.fade_sigmas)
    covariance = solved.covariance * widening
    errors = np.where(believed, np.sqrt(np.moveaxis(solved.squares, 1, 2)), 0.0)
    n_used = believed.sum(axis=-1)
    there = track.there
    return Trajectory(
        xyz_m=np.where(there[..., None], np.moveaxis(solved.points, 1, 2), np.nan),
        residual_px=np.where(n_used > 0, errors.sum(axis=-1) / np.maximum(n_used, 1), np.nan),
        used=believed,
        covariance_m2=np.where(there[..., None, None], _as_matrices(covariance), np.nan),
        interpolated=there & (n_used < 2),
        error_correlation=error_correlation,
        report=TrajectoryReport(
            iterations=solved.iterations,
            sections=solved.sections,
            cost_start=solved.cost_start,
            cost=solved.cost,
            seconds=time.perf_counter() - began,
            noise_px=tuning.noise_px,
            cutoff_hz=_cutoff_hz(information, tuning.stiffness, rate_hz),
            limbs=limbs,
            lengths_m=tuning.lengths_m,
            limb_sd_m=tuning.limb_sd_m,
        ),
    )


def _cutoff_hz(information: FloatArray, stiffness: FloatArray, rate_hz: float) -> FloatArray:
    """Where the solve, as a filter, halves the amplitude of motion."""
    half = 0.5 * (information / stiffness) ** (0.5 / ORDER)
    return np.asarray(rate_hz / math.pi * np.arcsin(np.minimum(half, 1.0)))


def _as_matrices(covariance: FloatArray) -> FloatArray:
    """(T, 6, K) as (T, K, 3, 3)."""
    return np.moveaxis(covariance, 1, 2)[..., [[0, 1, 2], [1, 3, 4], [2, 4, 5]]]
