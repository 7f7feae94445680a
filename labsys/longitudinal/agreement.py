"""How well two visits of the same people agree when nothing was done between: Bland-Altman and ICC(2,1)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from labsys.core.arrays import FloatArray, as_floats
from labsys.longitudinal.distributions import f_quantile, student_quantile

MIN_PEOPLE = 3
_LIMITS_Z = 1.96


@dataclass(frozen=True)
class BlandAltman:
    """Second minus first visit: bias with its 95 % interval, SD of the differences, 95 % limits of agreement."""

    n: int
    bias: float
    bias_ci95: tuple[float, float]
    sd: float
    limits: tuple[float, float]


@dataclass(frozen=True)
class Icc:
    """ICC(2,1): two-way random effects, absolute agreement, single measurement; with its 95 % interval."""

    n: int
    value: float
    ci95: tuple[float, float]


def bland_altman(first: FloatArray, second: FloatArray) -> BlandAltman:
    """Agreement of two measurements per person, (N,) each, N >= 3 (InputError on other shapes).

    Source: Bland & Altman 1986, doi:10.1016/S0140-6736(86)90837-8.
    """
    a = as_floats("first visit", first, (None,), finite=True)
    difference = as_floats("second visit", second, (a.size,), finite=True) - a
    n, bias, sd = difference.size, float(difference.mean()), float(difference.std(ddof=1))
    half = student_quantile(n - 1, 0.975) * sd / math.sqrt(n)
    limits = (bias - _LIMITS_Z * sd, bias + _LIMITS_Z * sd)
    return BlandAltman(n, bias, (bias - half, bias + half), sd, limits)


def icc_2_1(scores: FloatArray) -> Icc:
    """ICC(2,1) of scores (N people, K visits), N >= 3 (InputError on other shapes).

    Source: Shrout & Fleiss 1979, doi:10.1037/0033-2909.86.2.420; interval: McGraw & Wong 1996,
    doi:10.1037/1082-989X.1.1.30.
    """
    x = as_floats("scores", scores, (None, None), finite=True)
    n, k = x.shape
    of_people, of_visits, of_rest = _mean_squares(x)
    below = of_people + (k - 1) * of_rest + k * (of_visits - of_rest) / n
    value = (of_people - of_rest) / below if below > 0.0 else math.nan
    return Icc(n, value, _icc_interval(value, of_people, of_visits, of_rest, n=n, k=k))


def _mean_squares(x: FloatArray) -> tuple[float, float, float]:
    """Mean squares of people, visits and residual of a complete table (N, K)."""
    n, k = x.shape
    rows, columns, all_of_it = x.mean(axis=1), x.mean(axis=0), x.mean()
    residual = x - rows[:, None] - columns + all_of_it
    of_people = k * float(((rows - all_of_it) ** 2).sum()) / (n - 1)
    of_visits = n * float(((columns - all_of_it) ** 2).sum()) / (k - 1)
    return of_people, of_visits, float((residual**2).sum()) / ((n - 1) * (k - 1))


def _icc_interval(value: float, people: float, visits: float, rest: float, *, n: int, k: int) -> tuple[float, float]:
    if not (math.isfinite(value) and value < 1.0 and rest > 0.0):
        return math.nan, math.nan
    a = k * value / (n * (1.0 - value))
    b = 1.0 + k * value * (n - 1) / (n * (1.0 - value))
    # Satterthwaite's degrees of freedom of a·visits + b·rest.
    combined = (a * visits + b * rest) ** 2
    df = combined / ((a * visits) ** 2 / (k - 1) + (b * rest) ** 2 / ((n - 1) * (k - 1)))
    f_low, f_high = f_quantile(n - 1, df, 0.975), f_quantile(df, n - 1, 0.975)
    others = k * visits + (k * n - k - n) * rest
    low = n * (people - f_low * rest) / (f_low * others + n * people)
    high = n * (f_high * people - rest) / (others + n * f_high * people)
    return low, high
