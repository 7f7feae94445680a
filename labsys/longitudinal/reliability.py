"""The lab's own error of every metric, learnt from all repeats on file."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from labsys.core.arrays import FloatArray
from labsys.core.catalogue import DERIVED_METRICS, METRICS
from labsys.core.learnt_error import Bounds, LearntError, LearntErrors, LearntPart, SideAgreement
from labsys.core.measurement_error import ErrorTable, default_split
from labsys.core.skeleton import Side, Tier
from labsys.longitudinal.agreement import MIN_PEOPLE, bland_altman, icc_2_1
from labsys.longitudinal.components import MIN_DF, Component, learn_components
from labsys.longitudinal.families import shrunken_correlation
from labsys.longitudinal.nested import RepeatedMeasure
from labsys.longitudinal.repeats import MeasureKey, Person, find_repeats


def learn_reliability(people: Sequence[Person], *, defaults: ErrorTable, made_at: str) -> LearntErrors:
    """Components, agreement and row correlation from every repeat that these people's visits hold."""
    repeats = find_repeats(people)
    newest = _newest(repeats.measures)
    rows: list[LearntError] = []
    for definition in METRICS + DERIVED_METRICS:
        keys = [k for k in newest if k.metric == definition.id]
        for tier in sorted({k.tier for k in keys}):
            at_tier = [k for k in keys if k.tier is tier]
            for band in (None, *sorted({k.band for k in at_tier if math.isfinite(k.band)})):
                chosen = {k: newest[k] for k in at_tier if band in (None, k.band)}
                row = _learn_row(chosen, tier, band, defaults)
                rows += [row] if row is not None else []
    known = {m.person for measures in newest.values() for m in measures}
    names, matrix = _correlate(newest)
    return LearntErrors(made_at, len(known), tuple(rows), names, matrix, repeats.left_out)


def _newest(
    measures: Mapping[MeasureKey, tuple[RepeatedMeasure, ...]],
) -> dict[MeasureKey, tuple[RepeatedMeasure, ...]]:
    """Only the newest definition version of every metric: versions are never joined."""
    version: dict[str, int] = defaultdict(int)
    for key in measures:
        version[key.metric] = max(version[key.metric], key.version)
    return {k: v for k, v in measures.items() if k.version == version[k.metric]}


def _learn_row(
    chosen: Mapping[MeasureKey, tuple[RepeatedMeasure, ...]], tier: Tier, band: float | None, defaults: ErrorTable
) -> LearntError | None:
    first = next(iter(chosen))
    measures = [m for found in chosen.values() for m in found]
    components = learn_components(
        measures, split=default_split(first.metric, tier), fallback=defaults.find(first.metric, tier)
    )
    if components is None:
        return None
    error = components.error
    return LearntError(
        metric=first.metric,
        tier=tier,
        version=first.version,
        band=band,
        capture=_part(components.capture),
        palpation=_part(components.palpation),
        day=_part(components.day),
        sem_ci95=_bounds(components.sem_ci95),
        source=error.source,
        df=error.df,
        split_source=error.split_source,
        covariance=error.covariance or (),
        n_people=components.n_people,
        n_visits=components.n_visits,
        n_captures=components.n_captures,
        strides_variance=float(np.median([c.strides_variance for m in measures for c in m.captures])),
        agreement=_agreement(chosen),
    )


def _part(component: Component) -> LearntPart:
    known = math.isfinite(component.ci95[0])
    bounds = _bounds(component.ci95) if known else None
    return LearntPart(component.variance, bounds, component.df, component.source)


def _bounds(interval: tuple[float, float]) -> Bounds:
    return interval[0], interval[1] if math.isfinite(interval[1]) else None


def _agreement(chosen: Mapping[MeasureKey, tuple[RepeatedMeasure, ...]]) -> tuple[SideAgreement, ...]:
    """Per side, over one pair of visits per person: the first two that repeat each other."""
    found = []
    for side in dict.fromkeys(k.side for k in chosen):
        pairs = _first_two_visits(m for k, measures in chosen.items() if k.side is side for m in measures)
        if len(pairs) >= MIN_PEOPLE:
            found.append(_agree(side, np.array(list(pairs.values()))))
    return tuple(found)


def _agree(side: Side, scores: FloatArray) -> SideAgreement:
    """scores: (N people, 2 visits)."""
    differences, icc = bland_altman(scores[:, 0], scores[:, 1]), icc_2_1(scores)
    known = math.isfinite(icc.value)
    return SideAgreement(
        side=side,
        n=icc.n,
        bias=differences.bias,
        bias_ci95=differences.bias_ci95,
        difference_sd=differences.sd,
        limits=differences.limits,
        icc=icc.value if known else None,
        icc_ci95=icc.ci95 if known and math.isfinite(icc.ci95[0]) else None,
    )


def _first_two_visits(measures: Iterable[RepeatedMeasure]) -> dict[str, tuple[float, float]]:
    """Person -> means of the first two visits; of a person with several conditions the first counts."""
    pairs: dict[str, tuple[float, float]] = {}
    for measure in measures:
        by_visit: dict[str, list[float]] = defaultdict(list)
        for capture in measure.captures:
            by_visit[capture.visit].append(capture.value)
        means = [sum(v) / len(v) for v in by_visit.values()]
        if len(means) > 1 and measure.person not in pairs:
            pairs[measure.person] = (means[0], means[1])
    return pairs


def _correlate(
    measures: Mapping[MeasureKey, tuple[RepeatedMeasure, ...]],
) -> tuple[tuple[tuple[str, Side], ...], tuple[tuple[float, ...], ...]]:
    """Correlation of row errors over people who have all rows of the tier that most people have; empty below 8."""
    by_tier: dict[Tier, dict[tuple[str, Side], dict[str, tuple[float, float]]]] = defaultdict(lambda: defaultdict(dict))
    shown = {m.id for m in METRICS}
    for key, found in measures.items():
        if key.metric not in shown:
            continue
        pairs = by_tier[key.tier][key.metric, key.side]
        for person, pair in _first_two_visits(found).items():
            pairs.setdefault(person, pair)
    best = max(by_tier.values(), key=lambda rows: max(len(p) for p in rows.values()), default={})
    people = sorted({person for pairs in best.values() for person in pairs})
    rows = tuple(row for row, pairs in best.items() if len(pairs) == len(people))
    if len(people) < MIN_DF or len(rows) < 2:
        return (), ()
    differences = np.array([[best[row][p][1] - best[row][p][0] for row in rows] for p in people])
    matrix = shrunken_correlation(differences)
    return rows, tuple(tuple(round(float(c), 6) for c in row) for row in matrix)
