"""Metrics between segments that are absolute although the trial has a static: it lacks the landmarks for their angle.

Where there is a static, such metrics are of the change from standing, and stickers that sit askew make the two differ
by up to 5°; so that what is absolute for want of landmarks is indicative, and says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from labsys.biomechanics.metric_source import MetricSource
from labsys.biomechanics.metrics import RULES
from labsys.core.catalogue import Reference, find_angle, find_metric
from labsys.core.derived_metrics import ASYMMETRY
from labsys.core.motion import Metric, Quality
from labsys.core.skeleton import Side


def lower_unreferenced(metrics: tuple[Metric, ...], source: MetricSource, *, has_static: bool) -> tuple[Metric, ...]:
    """Grade them indicative, with the angles in words."""
    return tuple(_lowered(m, source) for m in metrics) if has_static else metrics


def _lowered(metric: Metric, source: MetricSource) -> Metric:
    definition = find_metric(metric.id)
    if not metric.n or definition.static_referenced or definition.reference is not Reference.PROXIMAL_SEGMENT:
        return metric
    angles = ", ".join(dict.fromkeys(_absolute(definition.derived_from or metric.id, metric, source)))
    if not angles:
        return metric
    reason = f"absolute: the static trial lacks the landmarks for {angles}"
    return replace(metric, quality=Quality.INDICATIVE, reason="; ".join(filter(None, (metric.reason, reason))))


def _absolute(source_id: str, metric: Metric, source: MetricSource) -> Iterator[str]:
    """The angles that a metric is made of and that are absolute; of a spread the angle itself."""
    sides = (Side.LEFT, Side.RIGHT) if metric.id.endswith(ASYMMETRY) else (metric.side,)
    for angle in RULES[source_id].angles if source_id in RULES else (source_id,):
        keys = {(angle, side) for side in (*sides, Side.BOTH)} & source.readers.keys()
        if find_angle(angle).static_referenced and not keys <= source.referenced:
            yield angle
