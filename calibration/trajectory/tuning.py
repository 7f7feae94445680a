"""What a trial says of itself: pixel noise, how abruptly each landmark moves, and how constant limbs are.

Expectation-maximisation (Dempster, Laird & Rubin 1977) on a sample of the trial: the trajectory is solved, and every
variance is set to what the solution and its own uncertainty together show of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from calibration.trajectory.posterior import posterior
from calibration.trajectory.solve import Objective, minimise
from calibration.trajectory.spread import information_shown, robust_factor, temporal_spread, typical_information
from labsys.core.arrays import BoolArray, FloatArray, IntArray

# Observations of one bin of confidence share a noise level.
CONFIDENCE_EDGES = (0.0, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 1.0)
_MEDIAN_OF_CHI2 = 1.3863  # of two degrees of freedom, for variance 1
_LEAST_IN_BIN = 200
_ROUNDS = 5
_STEPS = 2
_STRIDE, _LIMB_STRIDE = 2.5, 3.0
_ABRUPT_FRAMES, _ABRUPT_SHARE = 5, 0.98


@dataclass(frozen=True, eq=False)
class Tuning:
    """Variances that decide how much each term of the objective counts.

    Attributes:
        noise_px: (K,) standard deviation per axis of a pixel of average confidence.
        factors: (len(CONFIDENCE_EDGES) - 1,) variance in each bin of confidence, relative to `noise_px`.
        stiffness: (K,) 1/m², weight of the difference over time. motion: (K,) 1/m², inverse variance of that difference
            as the trial shows it; larger where stiffness is held down.
        lengths_m, limb_sd_m: (B,) m.
        information: (K,) 1/m² that a typical frame holds per axis.
    """

    noise_px: FloatArray
    factors: FloatArray
    stiffness: FloatArray
    motion: FloatArray
    lengths_m: FloatArray
    limb_sd_m: FloatArray
    information: FloatArray

    def weights(self, confidence: FloatArray) -> FloatArray:
        """Inverse variance of pixels (..., K) of this confidence, 1/px²; 0 where confidence is 0."""
        inverse = 1.0 / (self.factors[bin_of(confidence)] * self.noise_px**2)
        return np.where(confidence > 0.0, inverse, 0.0)

    def apply(self, objective: Objective, confidence: FloatArray) -> Objective:
        """The objective with these variances; confidence (T, C, K), 0 where not seen."""
        gains = self.lengths_m / self.limb_sd_m
        return replace(
            objective,
            weights=self.weights(confidence),
            stiffness=self.stiffness,
            lengths_m=self.lengths_m,
            gains=gains,
        )


@dataclass(frozen=True)
class Floors:
    """Least standard deviations believed, so that a lucky fit is no certainty; and how many times a frame's information
    stiffness may not exceed the inverse of, so that motion is not taken for noise."""

    noise_px: float
    limb_m: float
    least_gain: float


def bin_of(confidence: FloatArray) -> IntArray:
    """Which bin of confidence a value belongs to."""
    return np.searchsorted(CONFIDENCE_EDGES[1:-1], confidence, side="right").astype(np.int64)


def tune(
    objective: Objective,
    confidence: FloatArray,
    start: FloatArray,
    first: Tuning,
    correlation: FloatArray,
    *,
    floors: Floors,
    n_threads: int,
) -> Tuning:
    """Variances of a trial from a sample of it.

    Args:
        objective: the sample; its weights, stiffness, gains and lengths are replaced. confidence: (T, C, K).
        start: (T, 3, K) m. first: where to begin. correlation: (K, L) autocorrelation of the noise: what lasts hides
            in the solution, not in its residuals.
    """
    tuning, points = first, start
    for _ in range(_ROUNDS):
        tuned = tuning.apply(objective, confidence)
        best = minimise(tuned, points, tolerance=1e-3, max_iterations=_STEPS, n_threads=n_threads).best
        points = best.points
        information = typical_information(information_shown(best.normal_of_pixels))
        belief = posterior(tuned, best, information=information, n_threads=n_threads)
        squares, spread = belief.squares, belief.spread
        widening, _ = temporal_spread(
            information, tuning.stiffness, tuning.motion, order=tuned.order, correlation=correlation
        )
        residual, explained = (
            (tuned.weights * part).reshape(-1, squares.shape[2]) for part in (squares, widening * spread)
        )
        widening = widening * robust_factor(residual, explained, tuned.scale)
        noise, factors = _noise(squares + widening * spread, confidence, tuning, floors.noise_px)
        motion = _motion(tuned, points, belief.roughness)
        stiffness = np.minimum(motion / _abruptness(tuned, points), information / floors.least_gain)
        lengths, sd = _limbs(tuned, best.pulls, belief.covariance, tuning, floors.limb_m)
        tuning = Tuning(noise, factors, stiffness, motion, lengths, sd, information)
    return tuning


def _noise(
    squares: FloatArray, confidence: FloatArray, before: Tuning, floor_px: float
) -> tuple[FloatArray, FloatArray]:
    """Noise of each landmark and factor of each bin of confidence, by medians, which outliers do not move."""
    which = bin_of(confidence)
    flat = squares / before.factors[which]
    enough = np.isfinite(flat).any(axis=(0, 1))
    noise = before.noise_px.copy()
    noise[enough] = np.sqrt(np.nanmedian(flat[:, :, enough], axis=(0, 1)) / _MEDIAN_OF_CHI2)
    noise = np.maximum(noise, floor_px)
    relative, seen = squares / noise**2, np.isfinite(squares)
    factors = np.full(len(before.factors), np.nan)
    for i in range(factors.size):
        values = relative[seen & (which == i)]
        if values.size >= _LEAST_IN_BIN:
            factors[i] = np.median(values) / _MEDIAN_OF_CHI2
    return noise, _descending(factors)


def _descending(factors: FloatArray) -> FloatArray:
    """More confidence never means more noise; bins with too few observations take the value of their neighbour."""
    known = np.flatnonzero(np.isfinite(factors))
    if known.size == 0:
        return np.ones(factors.size)
    filled = np.interp(np.arange(factors.size), known, factors[known])
    return np.asarray(np.maximum.accumulate(filled[::-1])[::-1])


def _motion(objective: Objective, points: FloatArray, roughness: FloatArray) -> FloatArray:
    """Inverse of the mean square of the difference over time, its uncertainty included."""
    whole, n = objective.whole, objective.order
    difference = np.diff(points, n=n, axis=0)
    squares = (np.sum(difference**2, axis=1) + roughness[: len(difference)]) * whole[: len(difference)]
    count = 3.0 * whole.sum(axis=0)
    mean = squares.sum(axis=0) / np.maximum(count, 1.0)
    ratio = np.maximum(mean, 1e-18) * objective.stiffness
    # Expectation-maximisation creeps; going further along its way gets there in the rounds that there are.
    return np.where(count > 0, objective.stiffness / np.clip(ratio, 0.2, 5.0) ** _STRIDE, objective.stiffness)


def _abruptness(objective: Objective, points: FloatArray) -> FloatArray:
    """(K,) by how much the squared difference over time exceeds its mean where it is greatest, 1 or more.

    A foot that lands moves more abruptly for some frames than in the mean; smoothness must not take that off.
    """
    whole, n = objective.whole, objective.order
    squares = np.sum(np.diff(points, n=n, axis=0) ** 2, axis=1)
    if len(squares) < _ABRUPT_FRAMES:
        return np.ones(points.shape[2])
    on = whole[: len(squares)] > 0.0
    window = np.ones(_ABRUPT_FRAMES) / _ABRUPT_FRAMES
    out = np.ones(points.shape[2])
    for k in np.flatnonzero(on.any(axis=0)):
        own = squares[on[:, k], k]
        if own.size >= _ABRUPT_FRAMES and own.mean() > 0.0:
            out[k] = max(1.0, np.quantile(np.convolve(own, window, mode="valid"), _ABRUPT_SHARE) / own.mean())
    return out


def _limbs(
    objective: Objective, pulls: FloatArray, covariance: FloatArray, before: Tuning, floor_m: float
) -> tuple[FloatArray, FloatArray]:
    lengths, sd = before.lengths_m.copy(), before.limb_sd_m.copy()
    seen = pulls[:, 4] > 0.0
    for frames, bones in _alike(seen):
        on = np.ix_(frames, np.arange(pulls.shape[1]), bones)
        x, y, z, _, length = np.moveaxis(pulls[on], 1, 0)
        norm = np.sqrt(x * x + y * y + z * z)
        i, j = (np.moveaxis(covariance[np.ix_(frames, np.arange(6), ends)], 1, 0) for ends in objective.limbs[bones].T)
        along = x / norm, y / norm, z / norm
        variance = _along(i, along) + _along(j, along)
        lengths[bones] = np.median(length, axis=0)
        # The median of a squared normal deviate is 0.455 of its variance.
        squares = (length - lengths[bones]) ** 2 + 0.455 * variance
        shown = np.sqrt(np.median(squares, axis=0) / 0.455)
        sd[bones] = np.maximum(floor_m, sd[bones] * (shown / sd[bones]) ** _LIMB_STRIDE)
    return lengths, sd


def _alike(seen: BoolArray) -> Iterator[tuple[IntArray, IntArray]]:
    """Frames and columns of (T, B) that are there together, for work on many columns at once: most have no gap."""
    by_frames: dict[bytes, list[int]] = {}
    for b, own in enumerate(seen.T):
        by_frames.setdefault(own.tobytes(), []).append(b)
    for bones in by_frames.values():
        frames = np.flatnonzero(seen[:, bones[0]])
        if frames.size:
            yield frames, np.array(bones)


def _along(P: FloatArray, unit: tuple[FloatArray, FloatArray, FloatArray]) -> FloatArray:
    """Variance (N, B) along unit vectors, three of (N, B), of covariances (6, N, B)."""
    x, y, z = unit
    return np.asarray(P[0] * x * x + P[3] * y * y + P[5] * z * z + 2.0 * (P[1] * x * y + P[2] * x * z + P[4] * y * z))
