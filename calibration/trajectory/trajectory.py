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
from calibration.trajectory.sample import Observed, sample_of
from calibration.trajectory.sections import Solver, robust_widening, solve_sections
from calibration.trajectory.setup import ORDER, first_tuning, make_objective, usable_limbs
from calibration.trajectory.spread import temporal_spread, typical_information
from calibration.trajectory.tuning import Floors, Tuning, tune
from calibration.triangulation.blocks import PackedRig
from calibration.triangulation.triangulate import Triangulation, match_observations
from labsys.core.arrays import BoolArray, FloatArray, IntArray
from labsys.core.cameras import CameraRig
from labsys.core.errors import InputError

_WINDOWS, _WINDOW_S = 4, 1.5
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
    trial = _observed(rig, xy_px, confidence, start, rate_hz, settings)
    limbs = usable_limbs(bones, start.xyz_m)
    noise = StartResiduals.of(rig, trial, n_lags=_n_lags(rate_hz), fade_sigmas=settings.fade_sigmas)
    packed = PackedRig.pack(rig)
    tuning = _tune(packed, trial, start, limbs, noise, rate_hz, settings)
    solver = Solver(packed, trial, tuning, limbs, rate_hz, settings.fade_sigmas)
    return _solve(solver, noise.correlation(tuning), began)


def _observed(
    rig: CameraRig,
    xy_px: ArrayLike,
    confidence: ArrayLike,
    start: Triangulation,
    rate_hz: float,
    settings: TrajectorySettings,
) -> Observed:
    xy, weights = match_observations(rig, xy_px, confidence)
    if xy.ndim == 4 and len(xy) < 2:
        raise InputError(f"{len(xy)} frame(s) are too few: a trajectory needs two at least")
    if xy.ndim != 4 or start.xyz_m.shape[:2] != xy.shape[:2] or not rate_hz > 0.0:
        raise InputError(f"pixels of shape {xy.shape} at {rate_hz:g} Hz are no trial; expected (T, K, C, 2)")
    max_gap = math.floor(settings.max_gap_s * rate_hz + 1e-9)
    return Observed(xy, weights, start.xyz_m, settings.min_confidence, max_gap)


def _tune(
    rig: PackedRig,
    trial: Observed,
    start: Triangulation,
    limbs: IntArray,
    noise: StartResiduals,
    rate_hz: float,
    settings: TrajectorySettings,
) -> Tuning:
    first = first_tuning(start, limbs, rate_hz=rate_hz, noise_floor_px=settings.noise_floor_px)
    sample = sample_of(trial, n_windows=_WINDOWS, n_frames=math.ceil(_WINDOW_S * rate_hz), apart=ORDER)
    return tune(
        make_objective(rig, sample, limbs, fade_sigmas=settings.fade_sigmas),
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


def _n_lags(rate_hz: float) -> int:
    return max(2, math.ceil(_CORRELATION_S * rate_hz))


def _solve(solver: Solver, correlation: FloatArray, began: float) -> Trajectory:
    """Solve all sections, and widen the covariance by what only the whole trial shows of its noise."""
    solved, effort = solve_sections(solver)
    tuning = solver.tuning
    information = typical_information(solved.information)
    widening, error_correlation = temporal_spread(
        information, tuning.stiffness, tuning.motion, order=ORDER, correlation=correlation
    )
    widening = widening * robust_widening(solver, solved, widening)
    np.multiply(solved.covariance_m2, widening[:, None, None], out=solved.covariance_m2)
    solved.freeze()
    return Trajectory(
        xyz_m=solved.xyz_m,
        residual_px=solved.residual_px,
        used=solved.used,
        covariance_m2=solved.covariance_m2,
        interpolated=solved.interpolated,
        error_correlation=error_correlation,
        report=TrajectoryReport(
            iterations=effort.iterations,
            sections=effort.sections,
            cost_start=effort.cost_start,
            cost=effort.cost,
            seconds=time.perf_counter() - began,
            noise_px=tuning.noise_px,
            cutoff_hz=_cutoff_hz(information, tuning.stiffness, solver.rate_hz),
            limbs=solver.limbs,
            lengths_m=tuning.lengths_m,
            limb_sd_m=tuning.limb_sd_m,
        ),
    )


def _cutoff_hz(information: FloatArray, stiffness: FloatArray, rate_hz: float) -> FloatArray:
    """Where the solve, as a filter, halves the amplitude of motion."""
    half = 0.5 * (information / stiffness) ** (0.5 / ORDER)
    return np.asarray(rate_hz / math.pi * np.arcsin(np.minimum(half, 1.0)))
