"""Holm's rule and the page's level: laws and hand-computed numbers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labsys.longitudinal.families import holm_levels, page_level
from labsys.longitudinal.verdict import quantile

P_VALUES = st.lists(st.floats(0.0, 1.0), max_size=6)


def test_holm_by_hand() -> None:
    # Sorted 0.01 <= 0.05/3, 0.02 <= 0.05/2, 0.06 > 0.05: two are called.
    assert holm_levels([0.06, 0.01, 0.02]) == pytest.approx((0.05, 0.05 / 3, 0.025))
    # 0.03 fails at 0.025, so that 0.04 is not called although it is below 0.05.
    assert holm_levels([0.04, 0.03]) == pytest.approx((0.025, 0.025))


def test_one_goal_is_judged_at_the_full_rate() -> None:
    assert holm_levels([0.5]) == (0.05,)
    assert holm_levels([]) == ()


@given(P_VALUES)
def test_a_smaller_p_value_is_called_whenever_a_larger_one_is(p_values: list[float]) -> None:
    called = [p <= level for p, level in zip(p_values, holm_levels(p_values), strict=True)]
    worst_called = max((p for p, c in zip(p_values, called, strict=True) if c), default=-1.0)
    assert all(c for p, c in zip(p_values, called, strict=True) if p < worst_called)


@given(P_VALUES, st.data())
def test_lowering_a_p_value_never_takes_a_call_away(p_values: list[float], data: st.DataObject) -> None:
    if not p_values:
        return
    row = data.draw(st.integers(0, len(p_values) - 1))
    lower = [*p_values[:row], data.draw(st.floats(0.0, p_values[row])), *p_values[row + 1 :]]
    before = [p <= level for p, level in zip(p_values, holm_levels(p_values), strict=True)]
    after = [p <= level for p, level in zip(lower, holm_levels(lower), strict=True)]
    assert all(b or not a for a, b in zip(before, after, strict=True))


@given(P_VALUES)
def test_holm_lies_between_bonferroni_and_no_correction(p_values: list[float]) -> None:
    for level in holm_levels(p_values):
        assert 0.05 / len(p_values) - 1e-15 <= level <= 0.05


@given(P_VALUES, st.randoms())
def test_the_order_of_rows_does_not_matter(p_values: list[float], random: object) -> None:
    reverse = list(reversed(p_values))
    called = [p <= level for p, level in zip(p_values, holm_levels(p_values), strict=True)]
    called_reversed = [p <= level for p, level in zip(reverse, holm_levels(reverse), strict=True)]
    assert called == list(reversed(called_reversed))


@given(st.integers(1, 500))
def test_a_page_of_independent_rows_errs_at_the_family_rate(n: int) -> None:
    assert 1.0 - (1.0 - page_level(n)) ** n == pytest.approx(0.05, rel=1e-9)


def test_published_price_of_forty_rows() -> None:
    level = page_level(40)
    assert 3.1 <= quantile(1 - level / 2, math.inf) <= 3.25
    assert quantile(1 - level / 2, 10.0) == pytest.approx(4.4, abs=0.05)


def test_more_rows_ask_for_more() -> None:
    levels = [page_level(n) for n in range(1, 60)]
    assert levels == sorted(levels, reverse=True)
    assert page_level(1) == pytest.approx(0.05)
    assert page_level(0) == 0.05
