"""One metric over all visits. Values of different conditions, tiers or definition versions are never joined."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from labsys.core.catalogue import find_metric
from labsys.core.measurement_error import ErrorTable
from labsys.core.skeleton import Side, Tier
from labsys.longitudinal.calibrations import reason_against
from labsys.longitudinal.goals import check_goal
from labsys.longitudinal.pairing import COMPARED_KINDS, group_alike
from labsys.longitudinal.values import Capture, Trend, TrendPoint, TrendSeries, Visit
from labsys.longitudinal.verdict import visit_interval
from labsys.longitudinal.visits import Measured, measure_visit


@dataclass(frozen=True)
class _Origin:
    visit: Visit
    capture: Capture


def metric_trend(visits: Sequence[Visit], metric: str, side: Side, errors: ErrorTable) -> Trend:
    """Series of one metric and side, one per condition, in order of date.

    Raises:
        UnknownNameError: no such metric.
        InputError: the metric has other sides.
    """
    check_goal(metric, side)
    left_out: dict[str, str] = {}
    origins = [
        _Origin(visit, capture)
        for visit in sorted(visits, key=lambda v: (v.date, v.session))
        for capture in visit.captures
        if capture.kind in COMPARED_KINDS and _counts(capture, metric, side, left_out)
    ]
    series = []
    for group in group_alike(o.capture for o in origins):
        members = [o for o in origins if any(o.capture is c for c in group)]
        series += _series_of(members, metric, side, errors)
    return Trend(metric=metric, side=side, series=tuple(series), left_out=left_out)


def _counts(capture: Capture, metric: str, side: Side, left_out: dict[str, str]) -> bool:
    """Whether a capture gives a point; otherwise notes why not."""
    reason: str | None = None
    if capture.not_for_comparison is not None:
        reason = f"not for comparison: {capture.not_for_comparison}"
    elif not math.isfinite(capture.speed_mps):
        reason = "its speed is neither stated nor measured"
    else:
        reason = measure_visit((capture,), metric, side).reason or reason_against(find_metric(metric), (capture,))
    if reason is not None:
        left_out[str(capture.name)] = reason.removeprefix(f"{capture.name.trial}: ")
    return reason is None


def _series_of(members: list[_Origin], metric: str, side: Side, errors: ErrorTable) -> list[TrendSeries]:
    """One series per tier and definition version of captures under one condition."""
    by_definition: dict[tuple[Tier, int], list[_Origin]] = defaultdict(list)
    for origin in members:
        found = origin.capture.find(metric, side)
        if found is not None:
            by_definition[found.tier, found.version].append(origin)
    return [
        _one_series(origins, metric, side, errors, tier=tier, version=version)
        for (tier, version), origins in sorted(by_definition.items())
    ]


def _one_series(
    origins: list[_Origin], metric: str, side: Side, errors: ErrorTable, *, tier: Tier, version: int
) -> TrendSeries:
    by_visit: dict[str, list[_Origin]] = defaultdict(list)
    for origin in origins:
        by_visit[origin.visit.session].append(origin)
    first = origins[0].capture
    return TrendSeries(
        kind=first.kind,
        surface=first.conditions.surface,
        speed_mps=sum(o.capture.speed_mps for o in origins) / len(origins),
        incline_pct=sum(o.capture.conditions.incline_pct for o in origins) / len(origins),
        tier=tier,
        version=version,
        points=tuple(_point(group, metric, side, errors, tier) for group in by_visit.values()),
    )


def _point(group: list[_Origin], metric: str, side: Side, errors: ErrorTable, tier: Tier) -> TrendPoint:
    visit = group[0].visit
    measured = measure_visit([o.capture for o in group], metric, side)
    se, ci95, source = _interval(measured, metric, errors, tier)
    return TrendPoint(
        session=visit.session,
        date=visit.date,
        phase=visit.phase,
        value=measured.mean,
        ci95=ci95,
        se_visit=se,
        n_strides=measured.n_strides,
        n_captures=len(measured.metrics),
        sem_source=source,
        provisional=source not in ("", "lab"),
    )


def _interval(
    measured: Measured, metric: str, errors: ErrorTable, tier: Tier
) -> tuple[float, tuple[float, float], str]:
    error = errors.find(metric, tier)
    if error is None:
        return math.nan, (math.nan, math.nan), ""
    se, ci95 = visit_interval(measured.value(error), error=error)
    return se, ci95, error.source
