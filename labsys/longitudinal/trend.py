"""One metric over all visits. Values of different conditions, tiers or definition versions are never joined."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from labsys.core.catalogue import METRICS, MetricDefinition, find_metric
from labsys.core.measurement_error import ErrorTable, SessionError
from labsys.core.session import Goal
from labsys.core.skeleton import Side, Tier
from labsys.longitudinal.calibrations import depends_on_calibration, largest_differences, reason_against
from labsys.longitudinal.families import FAMILY_RATE, page_level
from labsys.longitudinal.goals import check_goal, is_late
from labsys.longitudinal.guards import STRIKE_METRIC, differing_zero, rests_on_static, strike_changed
from labsys.longitudinal.making import describe_making, group_made_alike
from labsys.longitudinal.pairing import COMPARED_KINDS, group_alike
from labsys.longitudinal.slope import DatedVisit, fit_slope
from labsys.longitudinal.values import Capture, Family, Trend, TrendPoint, TrendSeries, TrendSlope, Visit
from labsys.longitudinal.verdict import change_between, visit_interval
from labsys.longitudinal.visits import MIN_STRIDES_FOR_VERDICT, Measured, measure_visit

# Metrics that a trend of any metric looks at besides: which runs are alike, and how feet land.
TREND_NEEDS = ("speed", STRIKE_METRIC)
_NOWHERE = (math.nan, math.nan)


@dataclass(frozen=True)
class _Origin:
    visit: Visit
    capture: Capture


@dataclass(frozen=True)
class _Question:
    """What is followed, against which error, and under which declared goals."""

    metric: str
    side: Side
    errors: ErrorTable
    goals: tuple[Goal, ...]


def metric_trend(
    visits: Sequence[Visit], metric: str, side: Side, errors: ErrorTable, *, goals: tuple[Goal, ...] = ()
) -> Trend:
    """Series of one metric and side, one per condition, in order of date; with a slope from three visits on.

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
    question = _Question(metric, side, errors, goals)
    series = []
    for group in group_alike(o.capture for o in origins):
        inside = {id(c) for c in group}
        series += _series_of([o for o in origins if id(o.capture) in inside], question)
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


def _why_apart(definition: MetricDefinition, a: Capture, b: Capture) -> str | None:
    """Why two captures of one condition may not be joined although both count, or None."""
    differences = largest_differences((a,), (b,)) if depends_on_calibration(definition) else ()
    return differing_zero(definition, (a, b)) or reason_against(definition, (a, b), differences)


def _joinable(members: Sequence[_Origin], definition: MetricDefinition) -> list[tuple[list[_Origin], str]]:
    """Captures in groups in which each may be joined with every other, and why a group stands apart from the first."""
    if not (depends_on_calibration(definition) or rests_on_static(definition)):
        return [(list(members), "")]
    groups: list[tuple[list[_Origin], str]] = []
    for origin in members:
        against = [
            next((why for o in group if (why := _why_apart(definition, o.capture, origin.capture)) is not None), None)
            for group, _ in groups
        ]
        if None in against:
            groups[against.index(None)][0].append(origin)
        else:
            groups.append(([origin], next((why for why in against if why is not None), "")))
    return groups


def _series_of(members: list[_Origin], question: _Question) -> list[TrendSeries]:
    """One series per tier, definition version and making of captures under one condition, and per what they are
    measured from."""
    by_definition: dict[tuple[Tier, int, int], list[_Origin]] = defaultdict(list)
    makings = {id(c): i for i, group in enumerate(group_made_alike(o.capture for o in members)) for c in group}
    for origin in members:
        found = origin.capture.find(question.metric, question.side)
        if found is not None:
            by_definition[found.tier, found.version, makings[id(origin.capture)]].append(origin)
    return [
        _one_series(joined, question, tier=tier, version=version, apart=apart)
        for (tier, version, _), origins in sorted(by_definition.items())
        for joined, apart in _joinable(origins, find_metric(question.metric))
    ]


def _one_series(
    origins: list[_Origin], question: _Question, *, tier: Tier, version: int, apart: str = ""
) -> TrendSeries:
    by_visit: dict[str, list[_Origin]] = defaultdict(list)
    for origin in origins:
        by_visit[origin.visit.session].append(origin)
    speed_mps = sum(o.capture.speed_mps for o in origins) / len(origins)
    error = question.errors.find(question.metric, tier, speed_mps)
    measured = {
        group[0].visit.session: measure_visit([o.capture for o in group], question.metric, question.side)
        for group in by_visit.values()
    }
    visits = [group[0].visit for group in by_visit.values()]
    first = origins[0].capture
    limited = _strike_changes(list(by_visit.values()), find_metric(question.metric))
    return TrendSeries(
        kind=first.kind,
        surface=first.conditions.surface,
        speed_mps=speed_mps,
        incline_pct=sum(o.capture.conditions.incline_pct for o in origins) / len(origins),
        tier=tier,
        version=version,
        points=tuple(_point(v, measured[v.session], measured[visits[0].session], error) for v in visits),
        slope=None if limited else _slope(visits, measured, question, error, tier),
        made_by=", ".join(dict.fromkeys(describe_making(o.capture) for o in origins)),
        notes=((f"not joined: {apart}",) if apart else ()) + ((f"no line: {limited}",) if limited else ()),
    )


def _strike_changes(by_visit: Sequence[Sequence[_Origin]], definition: MetricDefinition) -> str:
    """Why a line through times of contact would show how feet land instead, or ""."""
    visits = [[o.capture for o in group] for group in by_visit]
    found = (strike_changed(definition, a, b) for a, b in pairwise(visits))
    return next((why for why in found if why is not None), "")


def _point(visit: Visit, measured: Measured, first: Measured, error: SessionError | None) -> TrendPoint:
    se, ci95, since_ci95 = math.nan, _NOWHERE, _NOWHERE
    if error is not None:
        se, ci95 = visit_interval(measured.value(error), error=error)
        if measured is not first:
            since_ci95 = change_between(first.value(error), measured.value(error), error=error).ci95
    source = error.source_of(divided=measured.divided) if error is not None else ""
    return TrendPoint(
        session=visit.session,
        date=visit.date,
        phase=visit.phase,
        value=measured.mean,
        sd=measured.sd,
        ci95=ci95,
        se_visit=se,
        since_first=measured.mean - first.mean,
        since_first_ci95=since_ci95,
        n_strides=measured.n_strides,
        n_captures=len(measured.metrics),
        sem_source=source,
        provisional=source not in ("", "lab"),
        quality=measured.quality,
    )


def _slope(
    visits: Sequence[Visit],
    measured: dict[str, Measured],
    question: _Question,
    error: SessionError | None,
    tier: Tier,
) -> TrendSlope | None:
    """Over the visits that have strides enough for a verdict."""
    if error is None:
        return None
    enough = [
        v
        for v in visits
        if measured[v.session].n_strides >= MIN_STRIDES_FOR_VERDICT and not measured[v.session].only_indicative
    ]
    dated = [DatedVisit(v.date, measured[v.session].value(error)) for v in enough]
    family, level = _family(question, tier, enough[-1].date if enough else "")
    return fit_slope(dated, error=error, level=level, family=family)


def _family(question: _Question, tier: Tier, last_date: str) -> tuple[Family, float]:
    """Goals share their rate equally (Bonferroni: the others' p-values are not known here); else the page's level."""
    in_time = [g for g in question.goals if not is_late(g, post_date=last_date)]
    if any(g.metric == question.metric and g.side is question.side for g in in_time):
        return Family.GOAL, FAMILY_RATE / len(in_time)
    goals = {(g.metric, g.side) for g in in_time}
    return Family.EXPLORATORY, page_level(len(_rows_with_error(question.errors, tier) - goals))


@lru_cache(maxsize=32)
def _rows_with_error(errors: ErrorTable, tier: Tier) -> frozenset[tuple[str, Side]]:
    """Of the catalogue at this tier."""
    known = [m for m in METRICS if m.tier <= tier and errors.find(m.id, tier) is not None]
    return frozenset((m.id, side) for m in known for side in m.sided.sides)
