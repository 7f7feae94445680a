"""One value per visit with its error, and the change between two of them. Inside units; scalar maths only.

The strides of a visit are repeats of one person on one day: they tell how well this capture's mean is known, never how
far the next visit may differ. Between visits the session error rules, so a test over strides is not used anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from labsys.core.measurement_error import SessionError, Weights, effective_n, strides_variance
from labsys.longitudinal.distributions import student_cdf, student_quantile
from labsys.longitudinal.values import CaptureMetric, Verdict

CONFIDENCE = 0.95
POWER = 0.80


@dataclass(frozen=True)
class VariancePart:
    """One independent part of a squared standard error, with the degrees of freedom behind it."""

    variance: float
    df: float


@dataclass(frozen=True)
class VisitValue:
    """Mean of a visit's captures under one condition.

    Attributes:
        strides: one part per capture. session: what was learnt from repeats.
        weights: of capture, palpation and day in it.
        reconstruction: stands in for the capture part where reconstruction alone is worse than that; else 0.
        stride_sd: pooled between-stride SD.
    """

    value: float
    strides: tuple[VariancePart, ...]
    session: float
    weights: Weights
    reconstruction: float
    stride_sd: float
    n_strides: int
    n_captures: int

    def parts(self, error: SessionError) -> tuple[VariancePart, ...]:
        """All independent parts of SE_visit²."""
        session = VariancePart(self.session, error.df_of(self.weights))
        return (*self.strides, session, VariancePart(self.reconstruction, math.inf))


@dataclass(frozen=True)
class Change:
    """Post minus pre, with standard error and degrees of freedom."""

    change: float
    se: float
    df: float
    stride_sds: float

    @property
    def p_value(self) -> float:
        """Two-sided probability of a change at least this large when nothing changed; NaN without an error."""
        if not self.se > 0:
            return math.nan
        return 2.0 * student_cdf(self.df, -abs(self.change) / self.se)

    def threshold(self, alpha: float) -> float:
        """T: the smallest change that is called at this two-sided error rate."""
        return quantile(1.0 - alpha / 2.0, self.df) * self.se

    def detectable(self, alpha: float) -> float:
        """True change that is called in 80 % of pairs at this two-sided error rate."""
        return self.threshold(alpha) + quantile(POWER, self.df) * self.se

    @property
    def ci95(self) -> tuple[float, float]:
        """Total 95 % interval of the change, for this row alone."""
        half = self.threshold(1.0 - CONFIDENCE)
        return (self.change - half, self.change + half)


def quantile(probability: float, df: float) -> float:
    """Quantile of Student's t; df may be infinite."""
    return student_quantile(df, probability)


def visit_value(metrics: Sequence[CaptureMetric], *, error: SessionError, n_placements: int) -> VisitValue:
    """Mean over a visit's captures; only what was repeated is divided: V_capture/k + V_palpation/p + V_day."""
    k = len(metrics)
    reconstruction = _mean_known([m.se_reconstruction**2 for m in metrics])
    reconstruction_rules = reconstruction > error.v_capture / k
    weights = (0.0 if reconstruction_rules else 1.0 / k, 1.0 / n_placements, 1.0)
    return VisitValue(
        value=sum(m.mean for m in metrics) / k,
        strides=tuple(_strides_part(m, k) for m in metrics),
        session=error.variance(weights),
        weights=weights,
        reconstruction=reconstruction if reconstruction_rules else 0.0,
        stride_sd=math.sqrt(sum(m.sd**2 for m in metrics) / k),
        n_strides=sum(m.n for m in metrics),
        n_captures=k,
    )


def visit_interval(visit: VisitValue, *, error: SessionError) -> tuple[float, tuple[float, float]]:
    """SE_visit and the total 95 % interval of what would be measured on another day."""
    parts = visit.parts(error)
    se = math.sqrt(sum(p.variance for p in parts))
    half = quantile(0.5 + CONFIDENCE / 2.0, welch_satterthwaite(parts)) * se
    return se, (visit.value - half, visit.value + half)


def change_between(pre: VisitValue, post: VisitValue, *, error: SessionError) -> Change:
    """Post minus pre. Both visits rest on one estimate of the session error, which therefore counts as one part."""
    weights = (pre.weights[0] + post.weights[0], pre.weights[1] + post.weights[1], 2.0)
    parts = (
        *pre.strides,
        *post.strides,
        VariancePart(pre.session + post.session, error.df_of(weights)),
        VariancePart(pre.reconstruction + post.reconstruction, math.inf),
    )
    difference = post.value - pre.value
    pooled_sd = math.sqrt((pre.stride_sd**2 + post.stride_sd**2) / 2.0)
    return Change(
        change=difference,
        se=math.sqrt(sum(p.variance for p in parts)),
        df=welch_satterthwaite(parts),
        stride_sds=difference / pooled_sd if pooled_sd > 0 else math.nan,
    )


def welch_satterthwaite(parts: Sequence[VariancePart]) -> float:
    """Degrees of freedom of a sum of independent variances (Satterthwaite 1946); infinite where all parts are."""
    total = sum(p.variance for p in parts)
    spread = sum(p.variance**2 / p.df for p in parts)
    return total**2 / spread if spread > 0 else math.inf


def judge(change: float, threshold: float) -> Verdict:
    """The verdict on a change against its threshold T."""
    if abs(change) >= threshold:
        return Verdict.LARGER_THAN_ERROR
    return Verdict.POSSIBLE_CHANGE if abs(change) >= threshold / 2.0 else Verdict.NO_DETECTABLE_CHANGE


def _strides_part(metric: CaptureMetric, n_captures: int) -> VariancePart:
    # Fewer than two independent strides give no degree of freedom; one is the least that t knows.
    df = max(effective_n(metric.n, metric.lag1) - 1.0, 1.0)
    return VariancePart(strides_variance(metric.sd, metric.n, metric.lag1) / n_captures**2, df)


def _mean_known(values: Sequence[float]) -> float:
    known = [v for v in values if math.isfinite(v)]
    return sum(known) / len(known) if known else 0.0
