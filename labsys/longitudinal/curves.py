"""Whole stride curves of two visits, by permutation of the largest |t| over the stride.

Strides of one visit resemble their neighbours, so contiguous blocks of them change places between visits, not single
strides; of groups, whole people change sign. Such a test says that two recordings differ. Whether they differ by more
than another day would, says the band of the measurement error beside it: only where both hold does a stretch count.
Source: Nichols & Holmes 2002, doi:10.1002/hbm.1058 (maximum statistic); no random field theory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labsys.core.arrays import BoolArray, FloatArray, as_floats
from labsys.core.errors import InputError

N_PERMUTATIONS = 2000
_RATE = 0.05
_SEED = 20_240_602
# Up to so many people every sign is tried.
_EXACT_PEOPLE = 11
_MIN_BLOCKS, _MIN_PEOPLE = 4, 5


@dataclass(frozen=True)
class CurveCluster:
    """A stretch of the stride, in percent, where |t| exceeds the threshold. largest: of the difference there.

    counts: somewhere in it the difference exceeds the measurement error as well, from counts_from to counts_to.
    """

    from_pct: int
    to_pct: int
    largest: float
    counts: bool
    counts_from_pct: int | None
    counts_to_pct: int | None


@dataclass(frozen=True, eq=False)
class CurveChange:
    """Two visits, or two times of a group, over the stride.

    Attributes:
        pre, post, difference, t: (P,) means, post minus pre, and its t statistic; inside unit.
        threshold: 95 % quantile of the largest |t| when labels change places. p_value: of the largest |t| seen.
        band: half width within which another day may differ (MDC95); NaN where the error is unknown.
        n_pre, n_post: curves behind each mean. block: strides per block; 1 where people change sign.
    """

    pre: FloatArray
    post: FloatArray
    difference: FloatArray
    t: FloatArray
    threshold: float
    p_value: float
    band: float
    clusters: tuple[CurveCluster, ...]
    n_pre: int
    n_post: int
    block: int


def compare_stride_curves(pre: Sequence[FloatArray], post: Sequence[FloatArray], *, band: float) -> CurveChange:
    """One person's strides of two visits; pre, post: (S, P) per capture, in stride order; band as in `CurveChange`.

    Blocks are ceil(n^(1/3)) strides of one capture, n being the strides of the smaller visit.

    Raises:
        InputError: fewer than four blocks in a visit, or curves of other lengths.
    """
    before, after = _joined("pre", pre), _joined("post", post)
    block = math.ceil(min(len(before), len(after)) ** (1.0 / 3.0))
    blocks = [b for curves in (*pre, *post) for b in _cut(curves, block)]
    n_before = sum(len(_cut(curves, block)) for curves in pre)
    for name, n in (("pre", n_before), ("post", len(blocks) - n_before)):
        if n < _MIN_BLOCKS:
            raise InputError(f"{name}: {n} blocks of {block} strides are too few to compare curves")
    seen = np.zeros((1, len(blocks)))
    seen[0, n_before:] = 1.0
    labels = _shuffled(len(blocks), n_before)
    centre = np.vstack([before, after]).mean(axis=0)
    t, null = (_welch_t(x, blocks, centre) for x in (seen, labels))
    return _change(before.mean(axis=0), after.mean(axis=0), t[0], null, band, (len(before), len(after)), block)


def compare_group_curves(pre: FloatArray, post: FloatArray, *, band: float = math.nan) -> CurveChange:
    """One mean curve per person and time, (N, P) each, paired; never pooled strides. Every sign is tried for N <= 11.

    Raises:
        InputError: fewer than five people, or other shapes.
    """
    before = as_floats("pre", pre, (None, None), finite=True)
    differences = as_floats("post", post, before.shape, finite=True) - before
    n = len(before)
    if n < _MIN_PEOPLE:
        raise InputError(f"{n} people are too few to compare curves of a group", remedy=f"{_MIN_PEOPLE} at least")
    t = _paired_t(np.ones((1, n)), differences)[0]
    null = _paired_t(_signs(n), differences)
    return _change(before.mean(axis=0), before.mean(axis=0) + differences.mean(axis=0), t, null, band, (n, n), 1)


def _joined(name: str, captures: Sequence[FloatArray]) -> FloatArray:
    if not captures or not sum(len(c) for c in captures):
        raise InputError(f"{name}: no stride to compare")
    return as_floats(name, np.vstack(captures), (None, None), finite=True)


def _cut(curves: FloatArray, block: int) -> list[FloatArray]:
    """Contiguous blocks of one capture; a short rest joins the last one."""
    n = max(len(curves) // block, 1)
    return [b for b in np.array_split(curves, n) if len(b)] if len(curves) else []


def _shuffled(n_blocks: int, n_before: int) -> FloatArray:
    """Labels (B, n_blocks) of blocks: 1 where a block goes to the post visit."""
    draws = np.random.default_rng(_SEED).random((N_PERMUTATIONS, n_blocks))
    return np.asarray(draws.argsort(axis=1).argsort(axis=1) >= n_before, dtype=np.float64)


def _signs(n: int) -> FloatArray:
    if n <= _EXACT_PEOPLE:
        codes = np.arange(2**n)[:, None]
        return np.asarray(np.where(codes >> np.arange(n) & 1, 1.0, -1.0))
    return np.asarray(np.random.default_rng(_SEED).choice((-1.0, 1.0), (N_PERMUTATIONS, n)))


def _welch_t(labels: FloatArray, blocks: Sequence[FloatArray], centre: FloatArray) -> FloatArray:
    """Welch's t (B, P) of post minus pre for every labelling (B, n_blocks)."""
    counts = np.array([float(len(b)) for b in blocks])
    sums = np.stack([(b - centre).sum(axis=0) for b in blocks])
    squares = np.stack([((b - centre) ** 2).sum(axis=0) for b in blocks])
    means, variances = [], []
    for side in (1.0 - labels, labels):
        n = (side @ counts)[:, None]
        mean = side @ sums / n
        means.append(mean)
        variances.append((side @ squares / n - mean**2) / (n - 1.0))
    return _ratio(means[1] - means[0], variances[0] + variances[1])


def _paired_t(signs: FloatArray, differences: FloatArray) -> FloatArray:
    """Paired t (B, P) of differences (N, P) under signs (B, N)."""
    n = len(differences)
    mean = signs @ differences / n
    variance = ((differences**2).mean(axis=0) - mean**2) / (n - 1)
    return _ratio(mean, variance)


def _ratio(mean: FloatArray, variance: FloatArray) -> FloatArray:
    """mean / sqrt(variance); where nothing varies a difference is infinitely sure, and no difference is none."""
    root = np.sqrt(np.maximum(variance, 0.0))
    sure = np.where(np.abs(mean) > 1e-12, np.sign(mean) * np.inf, 0.0)
    return np.asarray(np.divide(mean, root, out=sure, where=root > 1e-12))


def _change(
    pre: FloatArray,
    post: FloatArray,
    t: FloatArray,
    null: FloatArray,
    band: float,
    n: tuple[int, int],
    block: int,
) -> CurveChange:
    largest = np.abs(null).max(axis=1)
    threshold = float(np.quantile(largest, 1.0 - _RATE, method="higher"))
    p_value = float((1 + (largest >= np.abs(t).max()).sum()) / (1 + len(largest)))
    difference = post - pre
    clusters = _clusters(np.abs(t) > threshold, difference, band)
    return CurveChange(pre, post, difference, t, threshold, p_value, band, clusters, *n, block)


def _clusters(above: BoolArray, difference: FloatArray, band: float) -> tuple[CurveCluster, ...]:
    found = []
    for first, last in _runs(above):
        part = difference[first : last + 1]
        beyond = np.flatnonzero(np.abs(part) > band) if math.isfinite(band) else np.empty(0, dtype=np.int64)
        found.append(
            CurveCluster(
                from_pct=first,
                to_pct=last,
                largest=float(part[np.abs(part).argmax()]),
                counts=beyond.size > 0,
                counts_from_pct=first + int(beyond[0]) if beyond.size else None,
                counts_to_pct=first + int(beyond[-1]) if beyond.size else None,
            )
        )
    return tuple(found)


def _runs(above: BoolArray) -> list[tuple[int, int]]:
    """First and last index of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], above, [False]]).astype(np.int8)))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]
