"""The clinician's case: one runner, two visits, row by row against the measurement error.

A comparison is built in three steps: captures are paired like with like, every catalogue row is measured on its own,
and then all rows are judged together, since the families share their error rates.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from labsys.core.catalogue import METRICS, MetricDefinition
from labsys.core.measurement_error import ErrorTable, RowCorrelation, SessionError
from labsys.core.session import Goal
from labsys.core.skeleton import Side, Tier
from labsys.longitudinal.calibrations import depends_on_calibration, largest_differences, reason_against
from labsys.longitudinal.families import correlated_page_level, holm_levels, page_level
from labsys.longitudinal.goals import check_goals, goal_direction, is_late
from labsys.longitudinal.guards import differing_zero, strike_changed, visit_warnings
from labsys.longitudinal.making import differing_making
from labsys.longitudinal.pairing import advice_for_next_time, pair_captures
from labsys.longitudinal.symmetry import side_differences
from labsys.longitudinal.values import (
    Comparison,
    ComparisonRow,
    ConditionPair,
    Family,
    Verdict,
    Visit,
)
from labsys.longitudinal.verdict import Change, change_between, judge
from labsys.longitudinal.visits import MIN_STRIDES_FOR_VERDICT, Measured, measure_visit, worst_quality


@dataclass(frozen=True)
class _Draft:
    """A row before it is judged: what was measured, and why there may be no verdict."""

    pair: int
    definition: MetricDefinition
    side: Side
    pre: Measured
    post: Measured
    error: SessionError | None
    change: Change | None
    blocked: Verdict | None
    reason: str | None
    goal: Goal | None
    late: bool
    counts: bool

    @property
    def sem_source(self) -> str:
        """Where the error of both visits comes from; empty where it is unknown."""
        if self.error is None:
            return ""
        return self.error.source_of(divided=self.pre.divided or self.post.divided)

    @property
    def family(self) -> Family:
        return Family.GOAL if self.goal is not None and not self.late else Family.EXPLORATORY


def compare_visits(pre: Visit, post: Visit, *, goals: tuple[Goal, ...], errors: ErrorTable, subject: str) -> Comparison:
    """Compare two visits of one subject.

    Rows are listed pair by pair in catalogue order, also those that could not be measured or compared. Source: the
    single-person verdict of docs/conventions.md.

    Raises:
        UnknownNameError: a goal names no metric.
        InputError: a goal's metric has other sides, two goals share a row, or there are more than three.
    """
    check_goals(goals)
    pairing = pair_captures(pre, post)
    drafts = tuple(
        draft
        for index, pair in enumerate(pairing.pairs)
        for draft in _draft_rows(index, pair, goals=goals, errors=errors, post_date=post.date)
    )
    comparable = bool(pairing.pairs)
    return Comparison(
        subject=subject,
        pre=pre.session,
        post=post.session,
        comparable=comparable,
        reason=None if comparable else advice_for_next_time(pre, post),
        warnings=(*pairing.warnings, *_goal_warnings(drafts), *visit_warnings(pre, post, pairing.pairs)),
        unpaired=pairing.unpaired,
        pairs=pairing.pairs,
        rows=_judge_rows(drafts, errors.correlation),
        n_exploratory=_count_exploratory(drafts),
        symmetry=tuple(row for i, p in enumerate(pairing.pairs) for row in side_differences(i, p, errors=errors)),
    )


def _draft_rows(
    index: int, pair: ConditionPair, *, goals: tuple[Goal, ...], errors: ErrorTable, post_date: str
) -> Iterator[_Draft]:
    """Every catalogue row of one pair, in catalogue order."""
    wanted = {(g.metric, g.side): g for g in goals}
    page_tier = max((m.tier for c in pair.pre + pair.post for m in c.metrics), default=None)
    for definition in METRICS:
        for side in definition.sided.sides:
            goal = wanted.get((definition.id, side))
            late = goal is not None and is_late(goal, post_date=post_date)
            yield _draft_row(index, pair, definition, side, errors=errors, goal=goal, late=late, page_tier=page_tier)


def _draft_row(
    index: int,
    pair: ConditionPair,
    definition: MetricDefinition,
    side: Side,
    *,
    errors: ErrorTable,
    goal: Goal | None,
    late: bool,
    page_tier: Tier | None,
) -> _Draft:
    before = measure_visit(pair.pre, definition.id, side)
    after = measure_visit(pair.post, definition.id, side)
    error = errors.find(definition.id, before.tier, pair.speed_mps) if before.tier is not None else None
    blocked, reason = _obstacle(definition, before, after, error)
    change = None
    if error is not None and blocked in (None, Verdict.INDICATIVE_ONLY):
        change = change_between(before.value(error), after.value(error), error=error)
    # What counts toward the page is fixed by catalogue, tier and error table, before any value is known.
    shown = page_tier is not None and definition.tier <= page_tier
    counts = page_tier is not None and shown and errors.find(definition.id, page_tier, pair.speed_mps) is not None
    return _Draft(index, definition, side, before, after, error, change, blocked, reason, goal, late, counts)


def _obstacle(
    definition: MetricDefinition, before: Measured, after: Measured, error: SessionError | None
) -> tuple[Verdict | None, str | None]:
    """Why a row gets no verdict on the error, or (None, None)."""
    for visit, measured in (("pre", before), ("post", after)):
        if not measured.metrics:
            return Verdict.NOT_MEASURED, f"{visit}: {measured.reason}"
    if before.tiers != after.tiers or len(before.tiers) > 1:
        return Verdict.NOT_COMPARABLE, f"tiers differ: pre {_names(before.tiers)}, post {_names(after.tiers)}"
    if before.versions != after.versions or len(before.versions) > 1:
        return Verdict.NOT_COMPARABLE, "definition versions differ; process the older trial again"
    captures = before.captures + after.captures
    otherwise = differing_making(captures) or differing_zero(definition, captures)
    if otherwise is not None:
        return Verdict.NOT_COMPARABLE, otherwise
    moves = depends_on_calibration(definition)
    differences = largest_differences(before.captures, after.captures) if moves else ()
    against = reason_against(definition, captures, differences)
    if against is not None:
        return Verdict.NOT_COMPARABLE, against
    if error is None:
        return Verdict.NOT_COMPARABLE, "error unknown"
    fewest = min(before.n_strides, after.n_strides)
    if fewest < MIN_STRIDES_FOR_VERDICT:
        return Verdict.INDICATIVE_ONLY, f"{fewest} strides; a verdict needs {MIN_STRIDES_FOR_VERDICT}"
    if before.only_indicative or after.only_indicative:
        return Verdict.INDICATIVE_ONLY, "the frame rate or the landmarks of a recording make this indicative"
    limited = strike_changed(definition, before.captures, after.captures)
    return (Verdict.INDICATIVE_ONLY, limited) if limited is not None else (None, None)


def _judge_rows(drafts: tuple[_Draft, ...], correlation: RowCorrelation | None) -> tuple[ComparisonRow, ...]:
    """All rows with their verdicts; goals by Holm among themselves, the others at the page's level."""
    goal_rows = [k for k, d in enumerate(drafts) if d.family is Family.GOAL]
    # A goal that could not be judged still counts: it was declared.
    p_values = [_p_value(drafts[k]) for k in goal_rows]
    levels = dict(zip(goal_rows, holm_levels(p_values), strict=True))
    page = _page_level([d for d in drafts if d.counts and d.family is Family.EXPLORATORY], correlation)
    return tuple(_row(draft, level=levels.get(k, page)) for k, draft in enumerate(drafts))


def _page_level(counting: list[_Draft], correlation: RowCorrelation | None) -> float:
    """The level of exploratory rows. Rows of several conditions on a page, and unknown ones, are independent."""
    if correlation is None:
        return page_level(len(counting))
    place = {row: i for i, row in enumerate(correlation.rows)}
    first = [place[d.definition.id, d.side] for d in counting if d.pair == 0 and (d.definition.id, d.side) in place]
    return correlated_page_level(correlation.matrix[np.ix_(first, first)], len(counting) - len(first))


def _p_value(draft: _Draft) -> float:
    judged = draft.change is not None and draft.blocked is None
    return draft.change.p_value if judged and draft.change is not None else 1.0


def _count_exploratory(drafts: tuple[_Draft, ...]) -> int:
    return sum(d.counts and d.family is Family.EXPLORATORY for d in drafts)


def _row(draft: _Draft, *, level: float) -> ComparisonRow:
    change, error = draft.change, draft.error
    threshold = change.threshold(level) if change is not None else math.nan
    verdict = draft.blocked or judge(change.change if change is not None else math.nan, threshold)
    called = change is not None and verdict is Verdict.LARGER_THAN_ERROR
    toward = draft.family is Family.GOAL and called
    return ComparisonRow(
        pair=draft.pair,
        id=draft.definition.id,
        side=draft.side,
        pre=draft.pre.mean,
        post=draft.post.mean,
        change=change.change if change is not None else math.nan,
        ci95=change.ci95 if change is not None else (math.nan, math.nan),
        pre_sd=draft.pre.sd,
        post_sd=draft.post.sd,
        pre_ci95=draft.pre.interval(error),
        post_ci95=draft.post.interval(error),
        tier=draft.pre.tier if draft.pre.tiers == draft.post.tiers else None,
        quality=worst_quality((draft.pre.quality, draft.post.quality)),
        threshold=threshold,
        detectable_change=change.detectable(level) if change is not None else math.nan,
        mdc95=error.mdc95 if error is not None else math.nan,
        se_total=change.se if change is not None else math.nan,
        df=change.df if change is not None else math.nan,
        change_stride_sds=change.stride_sds if change is not None else math.nan,
        n_pre=draft.pre.n_strides,
        n_post=draft.post.n_strides,
        family=draft.family,
        verdict=verdict,
        direction=("higher" if change.change > 0 else "lower") if called and change is not None else None,
        goal=draft.goal,
        goal_late=draft.late,
        goal_direction=goal_direction(draft.goal, change.change) if toward and draft.goal and change else None,
        sem_source=draft.sem_source,
        provisional=draft.sem_source not in ("", "lab"),
        reason=draft.reason,
    )


def _goal_warnings(drafts: tuple[_Draft, ...]) -> tuple[str, ...]:
    late = sorted({f"{d.definition.id} {d.side}" for d in drafts if d.late})
    return tuple(f"the goal on {row} is dated after the post visit and stays exploratory" for row in late)


def _names(tiers: frozenset[Tier]) -> str:
    return " and ".join(t.name for t in sorted(tiers))
