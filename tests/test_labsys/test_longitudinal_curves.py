"""Curves of two visits: an injected stretch is found, noise is not, and what another day makes never counts."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from labsys.core.errors import InputError
from labsys.longitudinal import compare_group_curves, compare_stride_curves

Floats = NDArray[np.float64]
PERCENT = np.arange(101)
MDC95 = 6.93


def _strides(rng: np.random.Generator, n: int = 30, *, offset: float = 0.0, lag1: float = 0.3) -> Floats:
    """Strides (n, 101), degrees: a smooth curve, smooth noise of SD 1.5 that resembles its neighbours' by lag1."""
    waves = np.stack([np.sin(2 * np.pi * k * PERCENT / 100 + 0.7 * k) for k in range(1, 6)])
    weights = rng.standard_normal((n, 5))
    for k in range(1, n):
        weights[k] = lag1 * weights[k - 1] + math.sqrt(1 - lag1**2) * weights[k]
    noise = weights @ waves
    return 20.0 * np.cos(2 * np.pi * PERCENT / 100) + offset + 1.5 * noise / noise.std()


def _bump(height: float) -> Floats:
    return np.where((PERCENT >= 60) & (PERCENT <= 80), height * np.sin(np.pi * (PERCENT - 60) / 20), 0.0)


def test_an_injected_stretch_is_found_where_it_is_and_counts_where_it_exceeds_the_error() -> None:
    rng = np.random.default_rng(1)
    change = compare_stride_curves([_strides(rng)], [_strides(rng) + _bump(12.0)], band=MDC95)
    largest = max(change.clusters, key=lambda c: abs(c.largest))
    assert 58 <= largest.from_pct <= 64
    assert 76 <= largest.to_pct <= 82
    assert largest.largest == pytest.approx(12.0, abs=1.2)
    assert largest.counts
    # 12 sin(pi (x - 60) / 20) exceeds 6.93 from 63.9 to 76.1 %.
    assert largest.counts_from_pct == pytest.approx(64, abs=2)
    assert largest.counts_to_pct == pytest.approx(76, abs=2)
    # Seven blocks a visit have 3,432 labellings; two of them show the largest |t|.
    assert change.p_value < 0.005
    assert (change.n_pre, change.n_post, change.block) == (30, 30, 4)


def test_a_difference_that_another_day_makes_is_found_and_does_not_count() -> None:
    rng = np.random.default_rng(2)
    change = compare_stride_curves([_strides(rng)], [_strides(rng, offset=4.0)], band=MDC95)
    assert change.p_value < 0.01
    assert change.clusters
    assert not any(c.counts for c in change.clusters)
    unknown = compare_stride_curves([_strides(rng)], [_strides(rng) + _bump(30.0)], band=math.nan)
    assert unknown.clusters
    assert not any(c.counts for c in unknown.clusters), "without a known error nothing counts"


@pytest.mark.slow
def test_unchanged_visits_rarely_show_a_stretch_that_counts() -> None:
    rng = np.random.default_rng(3)
    counted = []
    for _ in range(80):
        # Session error 2.5 deg in each visit, as a constant offset: MDC95 lets 5 % of pairs through.
        pre, post = (_strides(rng, offset=2.5 * rng.standard_normal()) for _ in range(2))
        counted.append(any(c.counts for c in compare_stride_curves([pre], [post], band=MDC95).clusters))
    assert float(np.mean(counted)) <= 0.12


@pytest.mark.slow
def test_blocks_hold_the_rate_that_single_strides_would_not() -> None:
    def rate(*, block_of_one: bool) -> float:
        rng = np.random.default_rng(4)
        called = []
        for _ in range(80):
            pre, post = (_strides(rng, 40, lag1=0.6) for _ in range(2))
            # Captures of one stride each cannot form blocks: every stride changes places alone.
            parts = [[x[k : k + 1] for k in range(len(x))] if block_of_one else [x] for x in (pre, post)]
            called.append(compare_stride_curves(*parts, band=0.0).p_value <= 0.05)
        return float(np.mean(called))

    blocks, singles = rate(block_of_one=False), rate(block_of_one=True)
    assert singles > 0.25, "strides that resemble their neighbours are not independent"
    assert blocks < 0.65 * singles


def test_captures_are_not_joined_into_one_block() -> None:
    rng = np.random.default_rng(5)
    whole, parts = _strides(rng, 40), _strides(rng, 40)
    change = compare_stride_curves([whole], [parts[:20], parts[20:]], band=MDC95)
    assert (change.n_pre, change.n_post) == (40, 40)
    np.testing.assert_allclose(change.difference, parts.mean(axis=0) - whole.mean(axis=0))


def test_swapping_the_visits_turns_the_difference_round() -> None:
    rng = np.random.default_rng(6)
    a, b = _strides(rng), _strides(rng) + _bump(9.0)
    there, back = compare_stride_curves([a], [b], band=MDC95), compare_stride_curves([b], [a], band=MDC95)
    np.testing.assert_allclose(there.difference, -back.difference)
    np.testing.assert_allclose(there.t, -back.t)


def test_too_few_strides_are_refused() -> None:
    rng = np.random.default_rng(7)
    with pytest.raises(InputError, match="too few to compare curves"):
        compare_stride_curves([_strides(rng, 3)], [_strides(rng)], band=MDC95)
    with pytest.raises(InputError, match="post: no stride"):
        compare_stride_curves([_strides(rng)], [], band=MDC95)


def test_a_group_is_tested_over_people_with_every_sign() -> None:
    rng = np.random.default_rng(8)
    pre = np.stack([_strides(rng).mean(axis=0) + rng.normal(0, 5) for _ in range(6)])
    post = pre + rng.normal(0.0, 2.0, (6, 1)) + _bump(3.0)
    change = compare_group_curves(pre, post)
    differences = post - pre
    largest = []
    for signs in itertools.product((-1.0, 1.0), repeat=6):
        flipped = differences * np.array(signs)[:, None]
        t = flipped.mean(axis=0) / (flipped.std(axis=0, ddof=1) / math.sqrt(6))
        largest.append(np.abs(t).max())
    seen = np.abs(differences.mean(axis=0) / (differences.std(axis=0, ddof=1) / math.sqrt(6))).max()
    assert np.abs(change.t).max() == pytest.approx(seen)
    assert change.p_value == pytest.approx((1 + np.sum(np.array(largest) >= seen * (1 - 1e-12))) / 65)
    assert change.threshold == pytest.approx(np.quantile(largest, 0.95, method="higher"))


@pytest.mark.slow
def test_a_group_without_change_errs_at_its_rate_and_one_with_change_is_seen() -> None:
    rng = np.random.default_rng(9)

    def called(bump: float) -> float:
        found = []
        for _ in range(100):
            people = rng.normal(0.0, 5.0, (10, 1))
            pre = people + np.stack([_strides(rng, 5).mean(axis=0) for _ in range(10)])
            post = people + np.stack([_strides(rng, 5).mean(axis=0) for _ in range(10)]) + _bump(bump)
            found.append(compare_group_curves(pre, post).p_value <= 0.05)
        return float(np.mean(found))

    assert called(0.0) <= 0.11
    assert called(4.0) >= 0.95


def test_four_people_are_no_group() -> None:
    with pytest.raises(InputError, match="4 people are too few"):
        compare_group_curves(np.zeros((4, 101)), np.ones((4, 101)))
