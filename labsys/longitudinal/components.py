"""A lab's own error from its repeats: what capture, palpation and day add, each with what is known about how well."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labsys.core.arrays import FloatArray
from labsys.core.measurement_error import Z_95, SessionError
from labsys.longitudinal.distributions import chi2_quantile_above
from labsys.longitudinal.nested import (
    CAPTURE,
    DAY,
    PALPATION,
    NestedSums,
    RepeatedMeasure,
    squares_covariance,
    sum_squares,
)

# A component with fewer degrees of freedom is not learnt (chosen, see docs/conventions.md).
MIN_DF = 8.0
# Sums of weights that make whole degrees of freedom may miss them by rounding.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Component:
    """One part of SEM². `source`: "lab" (learnt), "split" (default share of a learnt sum) or "default".

    variance, ci95: inside unit squared; NaN bounds where it is a default. df: of the repeats that show it.
    """

    variance: float
    ci95: tuple[float, float]
    df: float
    source: str


@dataclass(frozen=True)
class Components:
    """The error of one metric at one tier, learnt. sem_ci95, df: of the sum; `error` is what verdicts take."""

    capture: Component
    palpation: Component
    day: Component
    sem_ci95: tuple[float, float]
    error: SessionError
    n_people: int
    n_visits: int
    n_captures: int


@dataclass(frozen=True, eq=False)
class _Unknown:
    """A sum of components in a given ratio, and the levels whose squares tell it. shares: (3,)."""

    shares: FloatArray
    levels: tuple[int, ...]


def learn_components(
    measures: Sequence[RepeatedMeasure], *, split: tuple[float, float, float], fallback: SessionError | None
) -> Components | None:
    """The three components from repeats, or None where nothing can be learnt.

    split: default shares, used where levels cannot be told apart (one capture per visit shows their sum only).
    fallback: the default error, which stands in for an outer component that has too few degrees of freedom.
    A negative estimate is zero, its squares pooled with the level within (Thompson 1962, doi:10.1214/aoms/1177704731).
    """
    used = [m for m in measures if len(m.captures) > 1]
    sums = sum_squares(used)
    unknowns, rest = _arrange(sums, np.asarray(split))
    if not unknowns or (rest and fallback is None):
        return None
    default = np.array([fallback.v_capture, fallback.v_palpation, fallback.v_day]) if fallback else np.zeros(3)
    fixed = np.array([default[k] if k in rest else 0.0 for k in range(3)])
    kept, estimates = _solve(sums, unknowns, fixed)
    learnt = sum((u.shares * v for u, v in zip(kept, estimates, strict=True)), np.zeros(3))
    if not learnt.sum() > 0.0:
        return None
    spread = _covariance(used, sums, kept, learnt + fixed)
    return _described(used, sums, unknowns, rest, learnt=learnt, fixed=fixed, spread=spread)


def _arrange(sums: NestedSums, split: FloatArray) -> tuple[list[_Unknown], tuple[int, ...]]:
    """Unknowns inner to outer. A level with too few degrees of freedom joins the next one out; the rest is default."""
    unknowns: list[_Unknown] = []
    pending: list[int] = []
    for level in range(3):
        pending.append(level)
        if sums.df[level] >= MIN_DF - _ROUNDING:
            shares = np.zeros(3)
            shares[pending] = split[pending] if split[pending].sum() > 0.0 else 1.0
            unknowns.append(_Unknown(shares / shares.sum(), (level,)))
            pending = []
    return unknowns, tuple(pending)


def _solve(sums: NestedSums, unknowns: list[_Unknown], fixed: FloatArray) -> tuple[list[_Unknown], FloatArray]:
    """Non-negative sums of each unknown, and the unknowns that were kept."""
    kept = list(unknowns)
    while kept:
        matrix, right = _equations(sums, kept, fixed)
        estimates = np.asarray(np.linalg.solve(matrix, right), dtype=np.float64)
        negative = [i for i, v in enumerate(estimates) if v < 0.0]
        if not negative:
            return kept, estimates
        gone = kept.pop(negative[0])
        if negative[0] > 0:
            inner = kept[negative[0] - 1]
            kept[negative[0] - 1] = _Unknown(inner.shares, inner.levels + gone.levels)
    return [], np.zeros(0)


def _equations(sums: NestedSums, unknowns: list[_Unknown], fixed: FloatArray) -> tuple[FloatArray, FloatArray]:
    rows = [list(u.levels) for u in unknowns]
    expected = np.array([sums.expected[row].sum(axis=0) for row in rows])
    right = np.array([(sums.squares - sums.noise)[row].sum() for row in rows]) - expected @ fixed
    return expected @ np.stack([u.shares for u in unknowns], axis=1), right


def _covariance(
    measures: Sequence[RepeatedMeasure], sums: NestedSums, kept: list[_Unknown], components: FloatArray
) -> FloatArray:
    """Sampling covariance (3, 3) of the learnt components."""
    squares = squares_covariance(measures, components)
    inverse = np.linalg.inv(_equations(sums, kept, np.zeros(3))[0])
    pick = np.zeros((len(kept), 3))
    for i, unknown in enumerate(kept):
        pick[i, list(unknown.levels)] = 1.0
    to_components = np.stack([u.shares for u in kept], axis=1) @ inverse @ pick
    return np.asarray(to_components @ squares @ to_components.T)


def _described(
    measures: Sequence[RepeatedMeasure],
    sums: NestedSums,
    unknowns: list[_Unknown],
    rest: tuple[int, ...],
    *,
    learnt: FloatArray,
    fixed: FloatArray,
    spread: FloatArray,
) -> Components:
    alone = {u.levels[0] for u in unknowns if np.count_nonzero(u.shares) == 1}
    sources = ["default" if k in rest else "lab" if k in alone else "split" for k in range(3)]
    values = learnt + fixed
    capture, palpation, day = (_component(k, values, spread, sums, sources[k]) for k in range(3))
    total, variance, held = float(learnt.sum()), float(spread.sum()), float(fixed.sum())
    low, high = variance_interval(total, 2.0 * total**2 / variance)
    error = SessionError(
        float(values[CAPTURE]),
        float(values[PALPATION]),
        float(values[DAY]),
        source="mixed" if rest else "lab",
        df=2.0 * (total + held) ** 2 / variance,
        split_source="lab" if sources == ["lab"] * 3 else "default",
        covariance=tuple(tuple(float(c) for c in row) for row in spread),
    )
    return Components(
        capture=capture,
        palpation=palpation,
        day=day,
        sem_ci95=(math.sqrt(low + held), math.sqrt(high + held)),
        error=error,
        n_people=len({m.person for m in measures}),
        n_visits=len({(m.person, c.visit) for m in measures for c in m.captures}),
        n_captures=sum(len(m.captures) for m in measures),
    )


def _component(level: int, variances: FloatArray, spread: FloatArray, sums: NestedSums, source: str) -> Component:
    value, own = float(variances[level]), float(spread[level, level])
    if source == "default":
        return Component(value, (math.nan, math.nan), float(sums.df[level]), source)
    if value > 0.0 and own > 0.0:
        interval = variance_interval(value, 2.0 * value**2 / own)
    else:
        # Estimated as zero: from above it is bounded by what its squares could not have told from zero.
        told = math.sqrt(2.0 / max(sums.df[level], 1.0)) * float(variances[: level + 1].sum() or variances[DAY])
        interval = (0.0, Z_95 * told)
    return Component(value, interval, float(sums.df[level]), source)


def variance_interval(variance: float, df: float) -> tuple[float, float]:
    """95 % interval of a variance with these degrees of freedom (chi squared)."""
    upper, lower = chi2_quantile_above(df, 0.025), chi2_quantile_above(df, 0.975)
    # With hardly a degree of freedom nothing bounds it from above.
    return df * variance / upper, df * variance / lower if lower > 0.0 else math.inf
