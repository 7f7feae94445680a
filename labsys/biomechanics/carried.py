"""Metrics that rest on a landmark which the trial never shows, so that the static places it: a lower grade, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from labsys.biomechanics.contributions import Contributions
from labsys.biomechanics.interpolated import GivenStrides
from labsys.biomechanics.points import BodyPoints
from labsys.core.catalogue import find_metric
from labsys.core.derived_metrics import ASYMMETRY, CURVE_SD
from labsys.core.motion import Metric, Quality
from labsys.core.skeleton import Side

# Thigh and shank are not here: what carries their landmarks is a cluster of markers that were put on for it.
_FOOT = ("HEEL", "MT5", "MT1", "TOE")
_SEGMENTS = {
    "thorax": ("C7", "T10", "IJ", "XP"),
    "right foot": tuple(f"R{n}" for n in _FOOT),
    "left foot": tuple(f"L{n}" for n in _FOOT),
}
# All else rests on the pelvis, through hip centres and the heading of the body.
_WITHOUT_PELVIS = frozenset(
    {"contact_time", "flight_time", "duty_factor", "step_time", "stride_time", "cadence", "speed"}
)


def lower_carried(
    metrics: tuple[Metric, ...], given: GivenStrides, points: BodyPoints, contributions: Contributions
) -> tuple[Metric, ...]:
    """Grade what rests on a carried pelvis indicative and on a carried thorax or foot low, with the reason in words."""
    if not points.carried:
        return metrics
    return tuple(_lowered(m, _roles(m.id, m.side, given, contributions), points) if m.n else m for m in metrics)


def _lowered(metric: Metric, roles: frozenset[str], points: BodyPoints) -> Metric:
    pelvis = () if _without_pelvis(metric.id) else points.carried_pelvis
    reasons = [_in_words("pelvis", pelvis)] if pelvis else []
    reasons += [_in_words(segment, names) for segment, names in _carried(roles & points.carried)]
    if not reasons:
        return metric
    quality = Quality.LOW if metric.quality is Quality.OK else metric.quality
    return replace(metric, quality=Quality.INDICATIVE if pelvis else quality, reason="; ".join(reasons))


def _without_pelvis(metric_id: str) -> bool:
    return (find_metric(metric_id).derived_from or metric_id) in _WITHOUT_PELVIS


def _carried(roles: frozenset[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for segment, names in _SEGMENTS.items():
        found = tuple(n for n in names if n in roles)
        if found:
            yield segment, found


def _in_words(segment: str, names: tuple[str, ...]) -> str:
    return f"{', '.join(names)} not found in this trial: carried from the static trial by the rest of the {segment}"


def _roles(metric_id: str, side: Side, given: GivenStrides, contributions: Contributions) -> frozenset[str]:
    """Landmarks of any metric, those of a whole trial included."""
    source = find_metric(metric_id).derived_from
    if metric_id.endswith(CURVE_SD):
        return contributions.angle_roles(source, side)
    if source:
        sides = (Side.RIGHT, Side.LEFT) if metric_id.endswith(ASYMMETRY) else (side,)
        return frozenset[str]().union(*(_roles(source, s, given, contributions) for s in sides))
    strides = given.of_metric(metric_id, side)
    return contributions.metric_roles(metric_id, side, strides[0].side) if strides else frozenset()
