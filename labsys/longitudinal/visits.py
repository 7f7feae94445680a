"""What one visit says of one metric under one condition: the captures that count, and why others do not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from labsys.core.catalogue import ErrorGroup, find_metric
from labsys.core.measurement_error import SessionError
from labsys.core.motion import Quality
from labsys.core.skeleton import Side, Tier
from labsys.longitudinal.values import Capture, CaptureMetric
from labsys.longitudinal.verdict import VisitValue, visit_interval, visit_value

MIN_STRIDES = 10
MIN_STRIDES_FOR_VERDICT = 25
# From the most trusted to the least.
_QUALITIES = (Quality.OK, Quality.LOW, Quality.INDICATIVE, Quality.EXCLUDED)


@dataclass(frozen=True)
class Measured:
    """Captures of a visit that give a metric. Empty `metrics` means not measured, for `reason`."""

    captures: tuple[Capture, ...]
    metrics: tuple[CaptureMetric, ...]
    reason: str | None

    @cached_property
    def mean(self) -> float:
        """Mean over captures, NaN where not measured."""
        return sum(m.mean for m in self.metrics) / len(self.metrics) if self.metrics else math.nan

    @cached_property
    def sd(self) -> float:
        """Pooled between-stride SD, NaN where not measured."""
        if not self.metrics:
            return math.nan
        return math.sqrt(sum(m.sd**2 for m in self.metrics) / len(self.metrics))

    @cached_property
    def quality(self) -> Quality:
        """The worst of the captures' qualities; EXCLUDED where not measured."""
        return worst_quality([m.quality for m in self.metrics])

    @cached_property
    def only_indicative(self) -> bool:
        """Whether a value is indicative for another reason than few strides, which several captures may make up for."""
        return any(_only_indicative(m) for m in self.metrics)

    @cached_property
    def n_strides(self) -> int:
        """Strides of all captures together."""
        return sum(m.n for m in self.metrics)

    @cached_property
    def tiers(self) -> frozenset[Tier]:
        """Tiers that the values come from."""
        return frozenset(m.tier for m in self.metrics)

    @cached_property
    def tier(self) -> Tier | None:
        """The one tier of all values, or None."""
        return next(iter(self.tiers)) if len(self.tiers) == 1 else None

    @cached_property
    def versions(self) -> frozenset[int]:
        """Definition versions of the values."""
        return frozenset(m.version for m in self.metrics)

    def value(self, error: SessionError) -> VisitValue:
        """The visit's value with the parts of its error."""
        for known, value in self._values:
            if known is error:
                return value
        value = visit_value(self.metrics, error=error, n_placements=self.n_placements)
        self._values.append((error, value))
        return value

    @cached_property
    def _values(self) -> list[tuple[SessionError, VisitValue]]:
        """Values by error, each made once: a row asks for them in its intervals and in its change."""
        return []

    def interval(self, error: SessionError | None) -> tuple[float, float]:
        """95 % interval of what another day would show; NaN where not measured or the error is unknown."""
        if error is None or not self.metrics:
            return math.nan, math.nan
        return visit_interval(self.value(error), error=error)[1]

    @cached_property
    def n_placements(self) -> int:
        """How many times stickers were placed for these captures."""
        return len({c.placement for c in self.captures})

    @property
    def divided(self) -> bool:
        """Whether captures or placements were repeated, so that the split of the session error matters."""
        return len(self.metrics) > 1 or self.n_placements > 1


def tiers_of(captures: Sequence[Capture]) -> frozenset[Tier]:
    """Tiers that the measured metrics of these captures come from."""
    return frozenset(m.tier for c in captures for m in c.metrics if m.measured)


def worst_quality(qualities: Sequence[Quality]) -> Quality:
    """The least trusted of these; EXCLUDED where there is none."""
    return max(qualities, key=_QUALITIES.index, default=Quality.EXCLUDED)


def measure_visit(captures: Sequence[Capture], metric_id: str, side: Side) -> Measured:
    """The captures whose value counts: given, not excluded, and from at least ten strides."""
    usable: list[tuple[Capture, CaptureMetric]] = []
    reasons: list[str] = []
    for capture in captures:
        metric = capture.find(metric_id, side)
        reason = _reason_against(metric)
        if metric is not None and reason is None:
            usable.append((capture, metric))
        else:
            reasons.append(f"{capture.name.trial}: {reason}")
    return Measured(
        captures=tuple(c for c, _ in usable),
        metrics=tuple(m for _, m in usable),
        reason=None if usable else "; ".join(reasons) or "no capture",
    )


def _only_indicative(metric: CaptureMetric) -> bool:
    few = metric.n < MIN_STRIDES_FOR_VERDICT and find_metric(metric.id).error_group is not ErrorGroup.CONTACT
    return metric.quality is Quality.INDICATIVE and not few


def _reason_against(metric: CaptureMetric | None) -> str | None:
    if metric is None:
        return "not computed"
    if not metric.measured:
        return metric.reason or "no value"
    if metric.n < MIN_STRIDES:
        return f"{metric.n} strides, fewer than {MIN_STRIDES}"
    return None
