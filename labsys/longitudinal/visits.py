"""What one visit says of one metric under one condition: the captures that count, and why others do not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from labsys.core.measurement_error import SessionError
from labsys.core.skeleton import Side, Tier
from labsys.longitudinal.values import Capture, CaptureMetric
from labsys.longitudinal.verdict import VisitValue, visit_value

MIN_STRIDES = 10


@dataclass(frozen=True)
class Measured:
    """Captures of a visit that give a metric. Empty `metrics` means not measured, for `reason`."""

    captures: tuple[Capture, ...]
    metrics: tuple[CaptureMetric, ...]
    reason: str | None

    @property
    def mean(self) -> float:
        """Mean over captures, NaN where not measured."""
        return sum(m.mean for m in self.metrics) / len(self.metrics) if self.metrics else math.nan

    @property
    def n_strides(self) -> int:
        """Strides of all captures together."""
        return sum(m.n for m in self.metrics)

    @property
    def tiers(self) -> frozenset[Tier]:
        """Tiers that the values come from."""
        return frozenset(m.tier for m in self.metrics)

    @property
    def tier(self) -> Tier | None:
        """The one tier of all values, or None."""
        return next(iter(self.tiers)) if len(self.tiers) == 1 else None

    @property
    def versions(self) -> frozenset[int]:
        """Definition versions of the values."""
        return frozenset(m.version for m in self.metrics)

    def value(self, error: SessionError) -> VisitValue:
        """The visit's value with the parts of its error."""
        placements = len({c.placement for c in self.captures})
        return visit_value(self.metrics, error=error, n_placements=placements)


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


def _reason_against(metric: CaptureMetric | None) -> str | None:
    if metric is None:
        return "not computed"
    if not metric.measured:
        return metric.reason or "no value"
    if metric.n < MIN_STRIDES:
        return f"{metric.n} strides, fewer than {MIN_STRIDES}"
    return None
