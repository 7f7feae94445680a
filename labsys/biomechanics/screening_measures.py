"""One measure of a screening rule against its thresholds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from labsys.biomechanics.reference_text import describe_reference
from labsys.core.arrays import FloatArray
from labsys.core.catalogue import find_metric
from labsys.core.derived_metrics import ASYMMETRY
from labsys.core.measurement_error import Z_95, mdc95_of
from labsys.core.motion import FindingValue, Metric
from labsys.core.references import MIN_OWN_SUBJECTS, ReferenceTable
from labsys.core.screening import Beyond, FindingStatus, Measure, Threshold
from labsys.core.session import Surface
from labsys.core.skeleton import Side, Tier
from labsys.core.units import INSIDE


@dataclass(frozen=True, eq=False)
class Known:
    """What a rule may look at: the trial's metrics (each with its error), strides and references."""

    metrics: Mapping[tuple[str, Side], Metric]
    values: Mapping[tuple[str, Side], FloatArray]
    tier: Tier
    surface: Surface | None
    speed_mps: float
    sex: str
    references: ReferenceTable

    def find(self, metric_id: str, side: Side) -> Metric | None:
        """The metric of this side, or that of the midline."""
        return self.metrics.get((metric_id, side)) or self.metrics.get((metric_id, Side.BOTH))

    def reference_texts(self, metric_id: str) -> tuple[str, ...]:
        """What may stand beside a metric, in words; nothing where surface or speed are others."""
        found = self.references.find(
            metric_id, surface=self.surface, speed_mps=self.speed_mps, sex=self.sex, tier=self.tier.name
        )
        return tuple(describe_reference(r) for r in found)

    def value_of(
        self,
        metric: Metric,
        status: FindingStatus,
        *,
        borderline: float | None = None,
        flagged: float | None = None,
        strides_beyond: float | None = None,
    ) -> FindingValue:
        """A metric as findings carry it: what is not known is None."""
        return FindingValue(
            metric=metric.id,
            side=metric.side,
            unit=INSIDE[find_metric(metric.id).unit],
            mean=metric.mean,
            sd=_finite(metric.sd),
            n=metric.n,
            ci95=_interval(metric.ci95),
            ci95_strides=_interval(metric.ci95_strides),
            se_reconstruction=_finite(metric.se_reconstruction),
            quality=metric.quality,
            provisional=metric.provisional,
            status=status,
            borderline=borderline,
            flagged=flagged,
            strides_beyond=strides_beyond,
        )


@dataclass(frozen=True)
class Assessed:
    """A measure that was judged."""

    measure: Measure
    value: FindingValue


@dataclass(frozen=True)
class Unassessed:
    """A measure that could not be judged, and why."""

    metric: str
    reason: str


def assess(measure: Measure, side: Side, known: Known) -> Assessed | Unassessed:
    """Hold the first of the measure's metrics that was measured against its thresholds."""
    looked = [known.find(metric, side) for metric in measure.metrics]
    metric = next((m for m in looked if m is not None and math.isfinite(m.mean)), None)
    if metric is None:
        first = next((m for m in looked if m is not None), None)
        return Unassessed(measure.metrics[0], (first.reason if first else None) or "not measured")
    flagged = _resolve(measure.flagged, measure.beyond, metric, known)
    borderline = None if measure.borderline is None else _resolve(measure.borderline, measure.beyond, metric, known)
    for threshold in (flagged, borderline):
        if isinstance(threshold, str):
            return Unassessed(metric.id, threshold)
    assert not isinstance(flagged, str)  # narrowed above
    assert not isinstance(borderline, str)
    share = _share_beyond(measure, metric, flagged, known)
    status = _judge(measure, metric, borderline, flagged, share)
    value = known.value_of(metric, status, borderline=borderline, flagged=flagged, strides_beyond=share)
    return Assessed(measure, value)


def _resolve(threshold: Threshold, beyond: Beyond, metric: Metric, known: Known) -> float | str:
    """A threshold as a number, or why there is none; the farthest out of what it names."""
    sign = -1.0 if beyond is Beyond.BELOW else 1.0
    candidates = [] if threshold.value is None else [threshold.value]
    if threshold.mdc95:
        if not math.isfinite(metric.sem_measurement):
            return "its measurement error is unknown"
        candidates.append(sign * _detectable(metric))
    if threshold.lab_sds is not None:
        own = known.references.find_own(
            metric.id, surface=known.surface, speed_mps=known.speed_mps, sex=known.sex, tier=known.tier.name
        )
        if own is None:
            return (
                f"needs this lab's own reference: {MIN_OWN_SUBJECTS} runners of the same sex at this speed "
                "(`labsys reference learn`)"
            )
        candidates.append(own.mean + sign * threshold.lab_sds * own.sd)
    return sign * max(sign * c for c in candidates)


def _detectable(metric: Metric) -> float:
    """The smallest difference that its error does not explain, MDC95 of the measurements that are compared.

    Left against right compares two measurements, and the error of their difference is that of both already.
    """
    both = metric.id.endswith(ASYMMETRY)
    return Z_95 * metric.sem_measurement if both else mdc95_of(metric.sem_measurement)


def _share_beyond(measure: Measure, metric: Metric, flagged: float, known: Known) -> float | None:
    if measure.stride_share is None:
        return None
    values = known.values.get((metric.id, metric.side), np.array([]))
    return float(np.mean([_is_beyond(v, flagged, measure.beyond) for v in values])) if values.size else None


def _judge(
    measure: Measure, metric: Metric, borderline: float | None, flagged: float, share: float | None
) -> FindingStatus:
    interval = _interval(metric.ci95)
    if measure.beyond is Beyond.FROM_ZERO and (interval is None or interval[0] <= 0.0 <= interval[1]):
        return FindingStatus.NOT_FLAGGED
    often = measure.stride_share is None or (share is not None and share > measure.stride_share)
    if often and interval is not None and _is_whole_beyond(interval, flagged, measure.beyond):
        return FindingStatus.FLAGGED
    begins = flagged if borderline is None else borderline
    stands_out = _is_beyond(metric.mean, begins, measure.beyond)
    return FindingStatus.BORDERLINE if stands_out else FindingStatus.NOT_FLAGGED


def _is_beyond(value: float, threshold: float, beyond: Beyond) -> bool:
    match beyond:
        case Beyond.BELOW:
            return value < threshold
        case Beyond.ABOVE:
            return value > threshold
        case Beyond.FROM_ZERO:
            return abs(value) > threshold


def _is_whole_beyond(interval: tuple[float, float], threshold: float, beyond: Beyond) -> bool:
    low, high = interval
    match beyond:
        case Beyond.BELOW:
            return high < threshold
        case Beyond.ABOVE:
            return low > threshold
        case Beyond.FROM_ZERO:
            return low > threshold or high < -threshold


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _interval(bounds: tuple[float, float]) -> tuple[float, float] | None:
    return bounds if all(math.isfinite(b) for b in bounds) else None
