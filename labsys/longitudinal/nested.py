"""Nested sums of squares: captures within placements of stickers, placements within visits, visits within a person.

Strides are no fourth level: their share in each capture's mean is known from the capture itself and is taken off.
Source: Henderson 1953, doi:10.2307/3001853 (method 1); Satterthwaite 1946, doi:10.2307/3002019.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from labsys.core.arrays import FloatArray

# Levels in the order of every array here, inner to outer.
CAPTURE, PALPATION, DAY = range(3)


@dataclass(frozen=True)
class RepeatedCapture:
    """One capture's mean, with the variance that its strides give it; inside unit and its square."""

    visit: str
    placement: str
    value: float
    strides_variance: float


@dataclass(frozen=True)
class RepeatedMeasure:
    """One quantity of one person (a metric, side and condition) over visits between which nothing was done."""

    person: str
    captures: tuple[RepeatedCapture, ...]

    @property
    def n_visits(self) -> int:
        """How many visits it was measured in."""
        return len({c.visit for c in self.captures})


@dataclass(frozen=True, eq=False)
class NestedSums:
    """What all measures together say.

    Attributes:
        squares: (3,) sum of squares per level. df: (3,) degrees of freedom.
        noise: (3,) what strides alone are expected to add. expected: (3, 3) expectation of squares [level] per unit
            of each component [level].
    """

    squares: FloatArray
    df: FloatArray
    noise: FloatArray
    expected: FloatArray


def sum_squares(measures: Sequence[RepeatedMeasure]) -> NestedSums:
    """Sums over all measures. A person's measures share a weight of one: sides and speeds err together."""
    squares, df, noise, expected = np.zeros(3), np.zeros(3), np.zeros(3), np.zeros((3, 3))
    for batch in _batches(measures):
        forms, groups, of_one = _design(batch.layout)
        total = batch.weights.sum()
        squares += np.einsum("m,jab,ma,mb->j", batch.weights, forms, batch.values, batch.values, optimize=True)
        noise += np.einsum("m,jaa,ma->j", batch.weights, forms, batch.noise)
        df += total * of_one
        expected += total * np.einsum("jab,kba->jk", forms, groups)
    return NestedSums(squares, df, noise, expected)


def squares_covariance(measures: Sequence[RepeatedMeasure], components: FloatArray) -> FloatArray:
    """Sampling covariance (3, 3) of the sums of squares under normal errors with these components (3,).

    A person's measures are taken to err as one, which is the safe side.
    """
    total = np.zeros((3, 3))
    for batch in _batches(measures):
        forms, groups, _ = _design(batch.layout)
        n = len(batch.layout)
        covariance = np.tensordot(components, groups, axes=1) + batch.noise[:, :, None] * np.eye(n)
        spread = np.einsum("jab,mbc->mjac", forms, covariance)
        total += 2.0 * np.einsum("m,mjab,mlba->jl", batch.weights, spread, spread, optimize=True)
    return total


@dataclass(frozen=True, eq=False)
class _Batch:
    """Measures of one layout with n captures. values, noise: (M, n). weights: (M,)."""

    layout: tuple[tuple[int, int], ...]
    values: FloatArray
    noise: FloatArray
    weights: FloatArray


def _batches(measures: Sequence[RepeatedMeasure]) -> list[_Batch]:
    count = Counter(m.person for m in measures)
    by_layout: dict[tuple[tuple[int, int], ...], list[RepeatedMeasure]] = defaultdict(list)
    for measure in measures:
        by_layout[_layout(measure)].append(measure)
    return [
        _Batch(
            layout,
            np.array([[c.value for c in m.captures] for m in same]),
            np.array([[c.strides_variance for c in m.captures] for m in same]),
            np.array([1.0 / count[m.person] for m in same]),
        )
        for layout, same in by_layout.items()
    ]


def _layout(measure: RepeatedMeasure) -> tuple[tuple[int, int], ...]:
    """(visit, placement) of every capture as small numbers, so that equal designs are recognised."""
    visits = {v: i for i, v in enumerate(dict.fromkeys(c.visit for c in measure.captures))}
    places = {p: i for i, p in enumerate(dict.fromkeys((c.visit, c.placement) for c in measure.captures))}
    return tuple((visits[c.visit], places[c.visit, c.placement]) for c in measure.captures)


@lru_cache(maxsize=256)
def _design(layout: tuple[tuple[int, int], ...]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Quadratic forms (3, n, n), covariance per component (3, n, n) and degrees of freedom (3,) of one layout."""
    n = len(layout)
    same_visit = np.array([[float(a[0] == b[0]) for b in layout] for a in layout])
    same_place = np.array([[float(a[1] == b[1]) for b in layout] for a in layout])
    means = [np.eye(n), *(m / m.sum(axis=1, keepdims=True) for m in (same_place, same_visit, np.ones((n, n))))]
    forms = np.stack([inner - outer for inner, outer in pairwise(means)])
    df = np.round(np.trace(forms, axis1=1, axis2=2), 9)
    return forms, np.stack([np.eye(n), same_place, same_visit]), df
