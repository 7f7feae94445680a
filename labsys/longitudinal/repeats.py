"""Which captures on file are repeats of each other: captures within a visit, and visits marked as repeats.

Visits before and after something was done to a person are no repeats, whatever they show.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from labsys.core.catalogue import find_metric
from labsys.core.measurement_error import speed_band, strides_variance
from labsys.core.motion import Quality
from labsys.core.session import Phase
from labsys.core.skeleton import Side, Tier
from labsys.longitudinal.calibrations import reason_against
from labsys.longitudinal.nested import RepeatedCapture, RepeatedMeasure
from labsys.longitudinal.pairing import COMPARED_KINDS, group_alike
from labsys.longitudinal.values import Capture, CaptureMetric, Visit
from labsys.longitudinal.visits import MIN_STRIDES

MIN_APART = timedelta(hours=24)
_TREATED = (Phase.POST, Phase.FOLLOWUP)


@dataclass(frozen=True)
class Person:
    """One subject with all visits on file."""

    subject: str
    visits: tuple[Visit, ...]


@dataclass(frozen=True)
class MeasureKey:
    """What a repeated measure is of; `band`: middle of its speed band, m/s."""

    metric: str
    side: Side
    tier: Tier
    version: int
    band: float


@dataclass(frozen=True)
class Repeats:
    """Everything that the lab's own error can be learnt from. `left_out`: SUBJECT/SESSION -> reason."""

    measures: dict[MeasureKey, tuple[RepeatedMeasure, ...]]
    left_out: dict[str, str]


def find_repeats(people: Sequence[Person]) -> Repeats:
    """Repeated measures of all people: one per metric, side, tier, condition, and run of repeated visits."""
    left_out: dict[str, str] = {}
    measures: dict[MeasureKey, list[RepeatedMeasure]] = defaultdict(list)
    for person in people:
        for visits in _chains(person, left_out):
            for key, measure in _measures(person.subject, visits):
                measures[key].append(measure)
    return Repeats({k: tuple(v) for k, v in measures.items()}, left_out)


def _chains(person: Person, left_out: dict[str, str]) -> list[tuple[Visit, ...]]:
    """Visits of a person in chains of repeats; a visit that repeats nothing begins its own."""
    chains: dict[str, list[Visit]] = {}
    chain_of: dict[str, list[Visit]] = {}
    for visit in sorted(person.visits, key=lambda v: (v.date, v.session)):
        chain = chain_of.get(visit.repeats) if visit.repeats else None
        reason = _reason_against_repeat(visit, chain)
        if reason is not None:
            left_out[f"{person.subject}/{visit.session}"] = reason
        if chain is None or reason is not None:
            chain = chains.setdefault(visit.session, [])
        chain.append(visit)
        chain_of[visit.session] = chain
    return [tuple(c) for c in chains.values()]


def _reason_against_repeat(visit: Visit, chain: list[Visit] | None) -> str | None:
    """Why a visit marked as a repeat is none, or None."""
    if not visit.repeats:
        return None
    if chain is None:
        return f"repeats '{visit.repeats}', which is no earlier visit of this person"
    if any((visit.phase in _TREATED) is not (v.phase in _TREATED) for v in chain):
        return f"repeats '{visit.repeats}', but something was done between: their phases differ"
    if any(_moment(visit.date) - _moment(v.date) < MIN_APART for v in chain):
        return f"repeats '{visit.repeats}' within less than 24 hours"
    return None


def _moment(date: str) -> datetime:
    moment = datetime.fromisoformat(date)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _measures(person: str, visits: tuple[Visit, ...]) -> Iterator[tuple[MeasureKey, RepeatedMeasure]]:
    session_of = {id(c): v.session for v in visits for c in v.captures}
    order = {v.session: i for i, v in enumerate(visits)}
    moving = [c for v in visits for c in v.captures if c.kind in COMPARED_KINDS and c.not_for_comparison is None]
    for group in group_alike(c for c in moving if c.speed_mps == c.speed_mps):
        band = speed_band(sum(c.speed_mps for c in group) / len(group))
        found: dict[MeasureKey, list[RepeatedCapture]] = defaultdict(list)
        # Groups are ordered by trial name; what is first and second is a matter of the visits.
        for capture in sorted(group, key=lambda c: order[session_of[id(c)]]):
            for metric in capture.metrics:
                if _counts(metric, capture):
                    key = MeasureKey(metric.id, metric.side, metric.tier, metric.version, band)
                    noise = strides_variance(metric.sd, metric.n, metric.lag1)
                    session = session_of[id(capture)]
                    found[key].append(RepeatedCapture(session, capture.placement, metric.mean, noise))
        for key, captures in found.items():
            if len(captures) > 1:
                yield key, RepeatedMeasure(person, tuple(captures))


def _counts(metric: CaptureMetric, capture: Capture) -> bool:
    usable = metric.measured and metric.n >= MIN_STRIDES and metric.quality is not Quality.INDICATIVE
    # A drift has no spread between strides, and what strides add to it is not known.
    usable = usable and math.isfinite(strides_variance(metric.sd, metric.n, metric.lag1))
    return usable and reason_against(find_metric(metric.id), (capture,)) is None
