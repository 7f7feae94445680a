"""Which landmarks it was that a metric could not be computed for, where no stride shows it throughout."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from labsys.biomechanics.contributions import Contributions
from labsys.biomechanics.metric_rules import UNSEEN
from labsys.biomechanics.points import BodyPoints, is_seen
from labsys.biomechanics.strides import frames_of, strides_of
from labsys.core.arrays import BoolArray
from labsys.core.catalogue import find_metric
from labsys.core.motion import Metric, Stride


def name_the_unseen(
    metrics: tuple[Metric, ...], strides: tuple[Stride, ...], points: BodyPoints, contributions: Contributions
) -> tuple[Metric, ...]:
    """The metrics, those without a value for missing landmarks with their names and how long each was missing."""
    return tuple(
        replace(m, reason=_reason(m, strides, points, contributions)) if m.reason == UNSEEN else m for m in metrics
    )


def _reason(metric: Metric, strides: tuple[Stride, ...], points: BodyPoints, contributions: Contributions) -> str:
    counted = strides_of(strides, metric.side)
    if not counted:
        return UNSEEN
    roles = contributions.metric_roles(find_metric(metric.id).derived_from or metric.id, metric.side, counted[0].side)
    missing = _missing(roles, points, frames_of(counted, points.times_s))
    named = ", ".join(f"{role} ({100.0 * share:.0f} % of the time)" for share, role in missing)
    return f"missing in part of every stride: {named}" if named else UNSEEN


def _missing(roles: Collection[str], points: BodyPoints, inside: BoolArray) -> list[tuple[float, str]]:
    """Share of the frames in which each landmark is missing, the worst first, those that always show left out."""
    shares = [(1.0 - float(is_seen(points[r])[inside].mean()), r) for r in roles if points.has(r)]
    return sorted(((share, role) for share, role in shares if share > 0.0), key=lambda each: (-each[0], each[1]))
