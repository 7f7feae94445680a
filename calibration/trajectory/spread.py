"""By how much noise that is neither Gaussian nor white widens the posterior, and how long errors last.

The posterior of the normal equations holds for white Gaussian noise of the tuned variance. Detectors err otherwise:
heavy tails, and the same error for many frames. Both show in the residuals.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.trajectory.medians import median_over_time
from labsys.core.arrays import FloatArray

_MOST_LEVERAGE = 0.95  # an observation that the point follows altogether shows nothing of its error
_FREQUENCIES = 512


@dataclass(frozen=True, eq=False)
class RobustSums:
    """What observations with the fading loss add up to, (K,) each: of parts of a trial these may be added."""

    belief: FloatArray
    slope: FloatArray
    square: FloatArray
    count: FloatArray

    @classmethod
    def of(cls, distance: FloatArray, explained: FloatArray, scale: float) -> RobustSums:
        """Sums over observations (N, K), NaN where not seen.

        distance: squared residuals over their variance, two degrees of freedom each. explained: what the uncertainty of
        the point, in the same units, would show in them: half of it is the observation's leverage.
        """
        far = distance / scale**2
        belief = 1.0 / (1.0 + far) ** 2
        with np.errstate(invalid="ignore"):
            slope = np.nan_to_num((1.0 - far) / (1.0 + far) ** 3)
            left = 1.0 - np.minimum(0.5 * explained, _MOST_LEVERAGE)
        return cls(
            belief=np.nan_to_num(belief).sum(axis=0),
            slope=slope.sum(axis=0),
            square=np.nan_to_num(belief**2 * distance / left).sum(axis=0),
            count=np.isfinite(distance).sum(axis=0).astype(np.float64),
        )

    def __add__(self, other: RobustSums) -> RobustSums:
        return RobustSums(
            self.belief + other.belief,
            self.slope + other.slope,
            self.square + other.square,
            self.count + other.count,
        )

    def factor(self) -> FloatArray:
        """Variance of the estimate with the fading loss over that of the normal equations, (K,).

        Huber's sandwich (Robust Statistics, 1981, section 6.3), pooled over each landmark's observations. Residuals are
        smaller than errors by what the point took up of them, most where few cameras see it; each square is divided by
        what its leverage leaves (MacKinnon & White 1985, HC2, doi:10.1016/0304-4076(85)90158-7).
        """
        count = np.maximum(self.count, 1.0)
        mean_belief, mean_slope, square = self.belief / count, self.slope / count, 0.5 * self.square / count
        usable = mean_slope > 0.1
        return np.where(usable, square * mean_belief / np.where(usable, mean_slope, 1.0) ** 2, 1.0)


def robust_factor(distance: FloatArray, explained: FloatArray, scale: float) -> FloatArray:
    """`RobustSums.factor` of distances (N, K) that are at hand all at once."""
    return RobustSums.of(distance, explained, scale).factor()


def temporal_spread(
    information: FloatArray, stiffness: FloatArray, motion: FloatArray, *, order: int, correlation: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Variance relative to white noise (K,), and autocorrelation of the error (K, L).

    In frequency the solve is a filter H = a / (a + s |D|²), with `a` the information of one frame and `s` the
    stiffness; its error is what passes of the noise and what it takes off the motion.

    Args:
        information: (K,) 1/m² per axis and frame. stiffness: (K,) 1/m². motion: (K,) 1/m², inverse
            variance of the difference over time. correlation: (K, L) of the pixel noise.
    """
    n_lags = correlation.shape[1]
    phase = np.pi * (np.arange(_FREQUENCIES) + 0.5) / _FREQUENCIES
    gain = information[:, None] / (
        information[:, None] + stiffness[:, None] * (2.0 * np.sin(0.5 * phase)) ** (2 * order)
    )
    cosines = np.cos(phase[:, None] * np.arange(n_lags))
    both_sides = np.where(np.arange(n_lags) > 0, 2.0, 1.0) * taper(n_lags)
    noise = np.maximum((correlation * both_sides) @ cosines.T, 0.0)
    noise /= noise.mean(axis=1, keepdims=True)
    power = gain**2 * noise + gain * (1.0 - gain) * (stiffness / motion)[:, None]
    factor = power.mean(axis=1) / gain.mean(axis=1)
    return factor, np.asarray((power @ cosines) / power.sum(axis=1, keepdims=True))


def taper(n_lags: int) -> FloatArray:
    """(L,) by which correlations end at the longest lag; `error_correlation` keeps it."""
    return 1.0 - np.arange(n_lags) / n_lags


def information_shown(normal: FloatArray) -> FloatArray:
    """(T, K) 1/m² that each frame holds per axis, NaN where none; of normal matrices (T, 6, K)."""
    mean = normal[:, [0, 3, 5]].sum(axis=1) / 3.0
    return np.where(mean > 1.5, mean, np.nan)  # 1 stands where no point is solved for


def typical_information(shown: FloatArray) -> FloatArray:
    """(K,) 1/m² that a frame holds per axis, the median over frames with any; of `information_shown` (T, K)."""
    return median_over_time(shown.T, otherwise=1e-6)
