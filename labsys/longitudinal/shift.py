"""What another processing of the same recordings would change: every metric of one person, and which verdicts turn."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from labsys.core.catalogue import METRICS, metric_place
from labsys.core.measurement_error import ErrorTable
from labsys.core.session import Goal, TrialName
from labsys.core.skeleton import Side
from labsys.longitudinal.compare import compare_visits
from labsys.longitudinal.values import Capture, CaptureMetric, Comparison, ComparisonRow, Family, Verdict, Visit

Goals = Mapping[str, tuple[Goal, ...]]


@dataclass(frozen=True)
class MetricShift:
    """How far one metric of one person shifts; inside unit, new minus present.

    Attributes:
        n: trials that give it both ways; mean, largest over them (largest: by size, with its sign); trial: where.
        sem: standard error between days of the tier at hand, NaN where unknown: what the shift is to be held against.
        gained, lost: trials that give it only the new way, only the present way.
    """

    id: str
    side: Side
    n: int
    mean: float
    largest: float
    trial: str
    sem: float
    gained: int
    lost: int


@dataclass(frozen=True)
class VerdictFlip:
    """One row of one comparison that says something else. None: the row is in one of the two only (visits pair
    otherwise)."""

    pre: str
    post: str
    id: str
    side: Side
    family: Family
    before: ComparisonRow | None
    after: ComparisonRow | None


@dataclass(frozen=True)
class SubjectShift:
    """One person under another processing.

    Attributes:
        shifts: in the order of the catalogue; only metrics that some trial gives.
        flips: of comparisons of consecutive visits, and of the first with the last. n_rows: their rows with a verdict.
    """

    subject: str
    shifts: tuple[MetricShift, ...]
    flips: tuple[VerdictFlip, ...]
    n_comparisons: int
    n_rows: int


def shift_subject(
    subject: str, before: Sequence[Visit], after: Sequence[Visit], *, goals: Goals, errors: ErrorTable
) -> SubjectShift:
    """Compare two processings of one person's visits, given in order of date. goals: by the session of a post visit."""
    shifts = tuple(_metric_shifts(before, after, errors))
    pairs = _compared_visits(before, after)
    compared = [_compare_both(subject, pre, post, before, after, goals, errors) for pre, post in pairs]
    flips = tuple(flip for a, b in compared for flip in _flips(a, b))
    n_rows = sum(_says(row) for a, _ in compared for row in a.rows)
    return SubjectShift(subject, shifts, flips, len(compared), n_rows)


def _metric_shifts(before: Sequence[Visit], after: Sequence[Visit], errors: ErrorTable) -> Iterator[MetricShift]:
    present, new = _by_trial(before), _by_trial(after)
    shared = [(present[name], new[name]) for name in present if name in new]
    for definition in METRICS:
        for side in definition.sided.sides:
            found = [(a, a.find(definition.id, side), b.find(definition.id, side)) for a, b in shared]
            shift = _shift_of(definition.id, side, found, errors)
            if shift is not None:
                yield shift


def _shift_of(
    metric: str,
    side: Side,
    found: Sequence[tuple[Capture, CaptureMetric | None, CaptureMetric | None]],
    errors: ErrorTable,
) -> MetricShift | None:
    both = [(c, a, b) for c, a, b in found if a and b and a.measured and b.measured]
    gained = sum(bool(b and b.measured and not (a and a.measured)) for _, a, b in found)
    lost = sum(bool(a and a.measured and not (b and b.measured)) for _, a, b in found)
    if not both:
        none = math.nan
        return MetricShift(metric, side, 0, none, none, "", none, gained, lost) if gained or lost else None
    capture, was, becomes = max(both, key=lambda t: abs(t[2].mean - t[1].mean))
    error = errors.find(metric, becomes.tier, capture.speed_mps)
    return MetricShift(
        metric,
        side,
        len(both),
        sum(b.mean - a.mean for _, a, b in both) / len(both),
        becomes.mean - was.mean,
        f"{capture.name.session}/{capture.name.trial}",
        error.sem if error is not None else math.nan,
        gained,
        lost,
    )


def _by_trial(visits: Sequence[Visit]) -> dict[TrialName, Capture]:
    return {capture.name: capture for visit in visits for capture in visit.captures}


def _compared_visits(before: Sequence[Visit], after: Sequence[Visit]) -> list[tuple[str, str]]:
    """Consecutive visits that have captures either way, and the first with the last."""
    with_captures = {v.session for visits in (before, after) for v in visits if v.captures}
    codes = [v.session for v in before if v.session in with_captures]
    pairs = list(pairwise(codes))
    return [*pairs, (codes[0], codes[-1])] if len(codes) > 2 else pairs


def _compare_both(
    subject: str, pre: str, post: str, before: Sequence[Visit], after: Sequence[Visit], goals: Goals, errors: ErrorTable
) -> tuple[Comparison, Comparison]:
    def compare(visits: Sequence[Visit]) -> Comparison:
        found = {v.session: v for v in visits}
        return compare_visits(found[pre], found[post], goals=goals.get(post, ()), errors=errors, subject=subject)

    return compare(before), compare(after)


def _flips(before: Comparison, after: Comparison) -> Iterator[VerdictFlip]:
    present, new = _rows(before), _rows(after)
    for key in sorted(present.keys() | new.keys(), key=lambda k: (k[0], metric_place(k[1]), k[2])):
        was, becomes = present.get(key), new.get(key)
        row = was or becomes
        if row is not None and _said(was) != _said(becomes):
            yield VerdictFlip(before.pre, before.post, row.id, row.side, row.family, was, becomes)


def _rows(comparison: Comparison) -> dict[tuple[str, str, Side], ComparisonRow]:
    """Rows by the trials they compare, metric and side."""
    pairs = [" ".join(str(c.name) for c in (*p.pre, *p.post)) for p in comparison.pairs]
    return {(pairs[row.pair], row.id, row.side): row for row in comparison.rows}


def _said(row: ComparisonRow | None) -> tuple[Verdict, str | None] | None:
    """What a row says; a row that is not there and one that measured nothing say nothing alike."""
    if row is None or row.verdict is Verdict.NOT_MEASURED:
        return None
    return row.verdict, row.direction


def _says(row: ComparisonRow) -> bool:
    return row.verdict not in (Verdict.NOT_MEASURED, Verdict.NOT_COMPARABLE)
