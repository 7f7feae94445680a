"""How long errors last: what residuals of several views say about detectors that err alike for many frames.

A detector's error against one view is partly the same in every frame, partly the same whenever the body comes back to a
posture, and partly gone after some frames. In the residuals, all three show in the autocorrelation: far from lag zero
only what stays and what repeats is left. An error that all views share leaves no residual and cannot be seen here.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from calibration.processors import n_processors
from labsys.core.arrays import FloatArray

Value = TypeVar("Value", bound=np.generic)

HARMONICS = 6
_MOST_FRAMES = 12000  # from the middle of a longer trial
_SHORTEST_STRIDE_S, _LONGEST_STRIDE_S = 0.45, 1.7
_ALIKE = 0.4  # autocorrelation of the motion at one stride, below which it does not count as gait
_AS_HIGH = 0.85  # of the highest peak: the first such peak is one stride, not two
_FADED_S = 0.3  # by then what fades has faded
_LONGEST_LAG_S = 3.0
_STRIDES = 3.5
PRIOR = 15.0  # views' worth that all landmarks together count against one of them


@dataclass(frozen=True, eq=False)
class ErrorTimes:
    """Shares of variance, as in `PointErrors`: steady (K,), repeating (K, H), fade_s (K,), period_s."""

    steady: FloatArray
    repeating: FloatArray
    fade_s: FloatArray
    period_s: float


def find_period(xyz_m: FloatArray, rate_hz: float) -> float:
    """Stride period of landmarks (T, K, 3) m, from the autocorrelation of their motion; NaN where it is no gait."""
    part = middle(xyz_m)
    if len(part) < 2.2 * _SHORTEST_STRIDE_S * rate_hz:
        return float("nan")
    tracks = part.reshape(len(part), -1)
    known = np.isfinite(tracks)
    mean = np.where(known, tracks, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    first, last = (int(s * rate_hz) for s in (_SHORTEST_STRIDE_S, _LONGEST_STRIDE_S))
    n_lags = min(len(part) // 2, last + 2)
    covariance = lag_products(np.where(known, tracks - mean, np.nan)[:, None], n_lags).sum(axis=1)
    curve = covariance / max(covariance[0], 1e-300)
    peaks = [i for i in range(max(first, 1), curve.size - 1) if curve[i - 1] <= curve[i] > curve[i + 1]]
    peaks = [i for i in peaks if curve[i] > _ALIKE]
    if not peaks:
        return float("nan")
    best = max(curve[i] for i in peaks)
    at = next(i for i in peaks if curve[i] >= _AS_HIGH * best)
    bend = curve[at - 1] - 2.0 * curve[at] + curve[at + 1]
    return float((at + (0.5 * (curve[at - 1] - curve[at + 1]) / bend if bend < 0.0 else 0.0)) / rate_hz)


def lag_products(values: FloatArray, n_lags: int) -> FloatArray:
    """Mean products (L, K) of values (T, M, K) with themselves at lag 0 to L - 1, over time and M; NaN is absent."""
    n_lags = min(n_lags, len(values))
    size = 1 << (len(values) + n_lags - 1).bit_length()
    total, pairs = np.zeros((n_lags, values.shape[2])), np.zeros((n_lags, values.shape[2]))

    def products(series: FloatArray) -> FloatArray:
        spectrum = np.fft.rfft(series, size, axis=0)
        return np.fft.irfft(np.abs(spectrum) ** 2, size, axis=0)[:n_lags]

    def add_up(m: int) -> tuple[FloatArray, FloatArray]:
        known = np.isfinite(values[:, m])
        return products(np.where(known, values[:, m], 0.0)), products(known.astype(np.float64))

    # Fourier transforms leave the interpreter to other threads; added up in order, so that no bit depends on them.
    with ThreadPoolExecutor(max_workers=n_processors()) as pool:
        for own, count in pool.map(add_up, range(values.shape[1])):
            total += own
            pairs += count
    return np.where(pairs > 0.5, total / np.maximum(pairs, 1.0), 0.0)


def find_times(
    residuals: FloatArray, freedom: FloatArray, *, period_s: float, rate_hz: float, known_steady: FloatArray
) -> ErrorTimes:
    """Shares of each landmark's error that stay, repeat and fade.

    Landmarks are alike in this more often than not, and each alone has few views: every share is drawn towards that of
    all landmarks together.

    Args:
        residuals: (T, M, K) px of M image coordinates; NaN where a view was not used.
        freedom: (K,) redundant image coordinates per frame, 2 C - 3 with C views.
        period_s: stride period, NaN where nothing repeats.
        known_steady: (K,) px², part of the residuals' variance that the calibration's own error explains.
    """
    part = middle(residuals)
    n_lags = max(2, min(len(part) // 2, int(rate_hz * (_STRIDES * period_s if period_s > 0 else _LONGEST_LAG_S)) + 2))
    products = lag_products(part, n_lags)
    variance = np.maximum(products[0], 1e-12)
    explained = np.minimum(known_steady, 0.5 * variance)
    own = np.maximum(variance - explained, 1e-12)
    correlation = (products - explained) / own
    weight = np.maximum(freedom, 0.0)
    pooled = (correlation * weight).sum(axis=1) / max(weight.sum(), 1e-12)
    drawn = (weight * correlation + PRIOR * pooled[:, None]) / (weight + PRIOR)
    steady, repeating = _lasting(drawn, period_s, rate_hz)
    return ErrorTimes(steady, repeating, fading_times(correlation, steady, repeating, period_s, rate_hz), period_s)


def widened_by_doubt(
    steady: FloatArray, repeating: FloatArray, freedom: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Shares that stay (K,) and repeat (K, H), and by how much the whole variance grows (K,), for being known from few
    views only.

    However long the trial, what lasts shows once in every view. With `freedom` (K,) redundant coordinates and `PRIOR`
    of them from all landmarks together the error follows Student's t of so many degrees of freedom about the estimate:
    its variance is larger (Gelman et al., Bayesian Data Analysis, 3rd ed. 2013, section 3.2).
    """
    known = freedom + PRIOR
    wider = known / (known - 2.0)
    growth = 1.0 + (steady + repeating.sum(axis=1)) * (wider - 1.0)
    return steady * wider / growth, repeating * (wider / growth)[:, None], growth


def middle(values: NDArray[Value]) -> NDArray[Value]:
    """The frames of a trial, (T, ...), that times are found from: all but of a long one."""
    first = max(0, (len(values) - _MOST_FRAMES) // 2)
    return values[first : first + _MOST_FRAMES]


def _lasting(correlation: FloatArray, period_s: float, rate_hz: float) -> tuple[FloatArray, FloatArray]:
    """What is left of correlations (L, K) far from lag zero: its mean (K,) and its harmonics (K, H)."""
    lag_s = np.arange(len(correlation)) / rate_hz
    from_s = max(_FADED_S, 0.5 * period_s) if period_s > 0 else _FADED_S
    gait = period_s > 0 and lag_s[-1] - from_s >= period_s
    from_s = from_s if gait else _FADED_S
    if lag_s[-1] < from_s + 0.1:
        return np.zeros(correlation.shape[1]), np.zeros((correlation.shape[1], 0))
    # A whole number of periods, so that harmonics do not leak into the mean.
    to_s = from_s + int((lag_s[-1] - from_s) / period_s) * period_s if gait else lag_s[-1]
    late = (lag_s >= from_s) & (lag_s < to_s)
    steady = np.clip(correlation[late].mean(axis=0), 0.0, 0.95)
    if not gait:
        return steady, np.zeros((steady.size, 0))
    waves = np.cos(2.0 * np.pi * np.outer(lag_s[late] / period_s, np.arange(1, HARMONICS + 1)))
    repeating = np.clip(2.0 * correlation[late].T @ waves / late.sum(), 0.0, None)
    room = 0.98 - steady
    return steady, repeating * np.minimum(1.0, room / np.maximum(repeating.sum(axis=1), 1e-12))[:, None]


def _correlation_of(steady: FloatArray, repeating: FloatArray, period_s: float, lag_s: FloatArray) -> FloatArray:
    """Autocorrelation (L, K) of what stays and what repeats."""
    lasting = np.repeat(steady[None], lag_s.size, axis=0)
    if repeating.shape[1]:
        lasting += np.cos(2.0 * np.pi * np.outer(lag_s / period_s, np.arange(1, repeating.shape[1] + 1))) @ repeating.T
    return lasting


def lasting_part(
    correlation: FloatArray, steady: FloatArray, repeating: FloatArray, period_s: float, rate_hz: float
) -> float:
    """Part, 0 to 1, of the shares that stay and repeat which an estimate's errors hold, by its autocorrelations (L, K).

    Shares of the residuals' variance are too large, as outliers count in it that the estimate leaves aside; what its
    correlations show where noise has faded is too small, as large errors that last are taken for outliers. Halfway, in
    ratio, is where they were found on synthetic runners. One part for all landmarks, as each alone is noisy.
    """
    lag_s = np.arange(len(correlation)) / rate_hz
    late = lag_s >= _FADED_S
    expected = float(_correlation_of(steady, repeating, period_s, lag_s[late]).sum())
    shown = float(correlation[late].sum())
    return math.sqrt(min(max(shown / expected, 0.0), 1.0)) if expected > 0.0 else 1.0


def fading_times(
    correlation: FloatArray, steady: FloatArray, repeating: FloatArray, period_s: float, rate_hz: float
) -> FloatArray:
    """Time after which what neither stays nor repeats falls to 1/e, (K,) s, from autocorrelations (L, K).

    Taken from the area under its correlation up to the first zero.
    """
    n = min(len(correlation), max(2, int(_FADED_S * rate_hz) + 1))
    lasting = _correlation_of(steady, repeating, period_s, np.arange(n) / rate_hz)
    rest = (correlation[:n] - lasting) / np.maximum(1.0 - lasting[0], 0.02)
    rest[0] = 1.0
    before_zero = np.cumprod(rest > 0.0, axis=0)
    area = (rest * before_zero)[1:].sum(axis=0)
    # Of an exponential with ratio a from frame to frame the area after lag zero is a / (1 - a).
    ratio = np.clip(area / (1.0 + area), 0.0, 0.99)
    return np.where(ratio > 0.05, -1.0 / (rate_hz * np.log(np.maximum(ratio, 1e-9))), 0.0)
