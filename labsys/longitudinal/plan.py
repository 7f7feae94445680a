"""How often a visit must be repeated within itself until a change of a given size is seen."""

from __future__ import annotations

import math
from dataclasses import dataclass

from labsys.core.errors import InputError
from labsys.core.measurement_error import SessionError, Weights
from labsys.longitudinal.distributions import noncentral_student_cdf, normal_cdf
from labsys.longitudinal.verdict import POWER, VariancePart, quantile, welch_satterthwaite

MAX_CAPTURES = 8
_LEVEL = 0.05


@dataclass(frozen=True)
class PlanOption:
    """Both visits with so many captures. replaced: stickers taken off and re-placed before every capture.

    power: share of pairs in which the change would be called; detectable: the change that 80 % of pairs call.
    """

    n_captures: int
    replaced: bool
    se_change: float
    df: float
    power: float
    detectable: float


@dataclass(frozen=True)
class Plan:
    """Options for one metric and change, inside unit.

    Attributes:
        enough: the smallest number of captures that reaches 80 % power, or None. smallest: detectable change that no
            number of captures within a visit goes below, since day-to-day variation stays.
    """

    change: float
    error: SessionError
    options: tuple[PlanOption, ...]
    enough: PlanOption | None
    smallest: float


def plan_captures(error: SessionError, change: float, *, strides_variance: float = 0.0) -> Plan:
    """Power for a change (inside unit, one declared goal) with one capture per visit up to eight.

    strides_variance: that a capture's strides give its mean. Raises InputError for a change that is not positive.
    """
    if not (math.isfinite(change) and change > 0.0):
        raise InputError("a change to plan for must be larger than zero", remedy="Give --change 5, say")
    options = tuple(
        _option(error, change, strides_variance, k, replaced=replaced)
        for replaced in (False, True)
        for k in range(1, MAX_CAPTURES + 1)
        if k > 1 or not replaced
    )
    enough = [o for o in options if o.power >= POWER]
    unlimited = _spread(error, (0.0, 0.0, 1.0), 0.0)
    return Plan(
        change=change,
        error=error,
        options=options,
        enough=min(enough, key=lambda o: (o.n_captures, o.replaced), default=None),
        smallest=_detectable(*unlimited),
    )


def _option(error: SessionError, change: float, strides_variance: float, k: int, *, replaced: bool) -> PlanOption:
    se, df = _spread(error, (1.0 / k, 1.0 / k if replaced else 1.0, 1.0), strides_variance / k)
    return PlanOption(k, replaced, se, df, _power(change / se, df) if se > 0.0 else 1.0, _detectable(se, df))


def _spread(error: SessionError, weights: Weights, strides: float) -> tuple[float, float]:
    """SE of a change between two visits of these weights, and its degrees of freedom."""
    parts = (VariancePart(2.0 * error.variance(weights), error.df_of(weights)), VariancePart(2.0 * strides, math.inf))
    return math.sqrt(sum(p.variance for p in parts)), welch_satterthwaite(parts)


def _detectable(se: float, df: float) -> float:
    return (quantile(1.0 - _LEVEL / 2.0, df) + quantile(POWER, df)) * se if se > 0.0 else 0.0


def _power(shift: float, df: float) -> float:
    """Probability that |t| of a true change of `shift` standard errors exceeds its 5 % quantile."""
    q = quantile(1.0 - _LEVEL / 2.0, df)
    if math.isinf(df):
        return float(normal_cdf(shift - q) + normal_cdf(-shift - q))
    return 1.0 - noncentral_student_cdf(df, shift, q) + noncentral_student_cdf(df, shift, -q)
