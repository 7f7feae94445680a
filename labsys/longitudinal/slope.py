"""The line through three and more visits, against the measurement error; visits are few, so the error is the known one.

The scatter of three points about their line says almost nothing of the error; what the lab knows of it between
sessions says more, and is what two visits are judged by too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from labsys.core.measurement_error import SessionError
from labsys.longitudinal.values import Family, TrendSlope
from labsys.longitudinal.verdict import Change, VariancePart, VisitValue, judge, welch_satterthwaite

MIN_VISITS = 3
_WEEK_S = 7.0 * 86400.0


@dataclass(frozen=True)
class DatedVisit:
    """A visit's value with the parts of its error, and when it was. date: ISO-8601."""

    date: str
    value: VisitValue


def fit_slope(visits: Sequence[DatedVisit], *, error: SessionError, level: float, family: Family) -> TrendSlope | None:
    """Weighted least squares over time, or None for fewer than three visits, or visits of one moment.

    level: two-sided error rate of the verdict. Weights are inverse squared errors; the session error of all visits is
    one estimate and counts as one part (Satterthwaite 1946).
    """
    if len(visits) < MIN_VISITS:
        return None
    weeks = _weeks([v.date for v in visits])
    span = max(weeks)
    if not span > 0.0:
        return None
    coefficients = _coefficients(weeks, [sum(p.variance for p in v.value.parts(error)) for v in visits])
    slope = sum(c * v.value.value for c, v in zip(coefficients, visits, strict=True))
    parts = _parts(coefficients, [v.value for v in visits], error)
    se, df = math.sqrt(sum(p.variance for p in parts)), welch_satterthwaite(parts)
    over_span = Change(slope * span, se * span, df, math.nan)
    per_week = Change(slope, se, df, math.nan)
    threshold = over_span.threshold(level)
    verdict = judge(over_span.change, threshold)
    return TrendSlope(
        n_visits=len(visits),
        span_weeks=span,
        per_week=slope,
        per_week_ci95=per_week.ci95,
        change=over_span.change,
        ci95=over_span.ci95,
        threshold=threshold,
        detectable_change=over_span.detectable(level),
        se=over_span.se,
        df=df,
        family=family,
        verdict=verdict,
    )


def _weeks(dates: Sequence[str]) -> list[float]:
    moments = [datetime.fromisoformat(d) for d in dates]
    aware = [m if m.tzinfo else m.replace(tzinfo=UTC) for m in moments]
    return [(m - aware[0]).total_seconds() / _WEEK_S for m in aware]


def _coefficients(weeks: Sequence[float], variances: Sequence[float]) -> list[float]:
    """What each visit's value is multiplied by in the slope."""
    weights = [1.0 / v for v in variances]
    centre = sum(w * x for w, x in zip(weights, weeks, strict=True)) / sum(weights)
    spread = sum(w * (x - centre) ** 2 for w, x in zip(weights, weeks, strict=True))
    return [w * (x - centre) / spread for w, x in zip(weights, weeks, strict=True)]


def _parts(coefficients: Sequence[float], values: Sequence[VisitValue], error: SessionError) -> list[VariancePart]:
    squares = [c * c for c in coefficients]
    of_strides = [VariancePart(q * p.variance, p.df) for q, v in zip(squares, values, strict=True) for p in v.strides]
    a, b, c = (sum(q * v.weights[i] for q, v in zip(squares, values, strict=True)) for i in range(3))
    of_session = VariancePart(error.variance((a, b, c)), error.df_of((a, b, c)))
    reconstruction = sum(q * v.reconstruction for q, v in zip(squares, values, strict=True))
    return [*of_strides, of_session, VariancePart(reconstruction, math.inf)]
