"""Visit values and changes: numbers worked out by hand, and laws."""

from __future__ import annotations

import math
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labsys.core.measurement_error import SessionError
from labsys.core.skeleton import Side, Tier
from labsys.longitudinal.values import CaptureMetric, Verdict
from labsys.longitudinal.verdict import (
    Change,
    VariancePart,
    change_between,
    judge,
    quantile,
    visit_interval,
    visit_value,
    welch_satterthwaite,
)

# SEM 2.5, split 10/60/30 %, in whatever unit: the statistics do not know it.
ERROR = SessionError(0.625, 3.75, 1.875, "default")


def _metric(mean: float, *, sd: float = 1.5, n: int = 40, lag1: float = 0.3, se: float = math.nan) -> CaptureMetric:
    return CaptureMetric("hip_ext_excursion_stance", Side.LEFT, mean, sd, n, lag1, se, Tier.T3, 1)


def test_one_capture_by_hand() -> None:
    visit = visit_value([_metric(34.0)], error=ERROR, n_placements=1)
    # n_eff = 40 * 0.7 / 1.3 = 21.538; 1.5² / 21.538 = 0.10446
    assert visit.strides[0].variance == pytest.approx(0.104464, abs=1e-6)
    assert visit.strides[0].df == pytest.approx(20.538462, abs=1e-6)
    assert visit.session == pytest.approx(6.25)
    se, ci95 = visit_interval(visit, error=ERROR)
    assert se == pytest.approx(math.sqrt(6.25 + 0.104464), abs=1e-6)
    assert ci95 == pytest.approx((34.0 - 1.959975 * se, 34.0 + 1.959975 * se), abs=1e-4)


def test_only_what_was_repeated_is_divided() -> None:
    two_captures = visit_value([_metric(34.0), _metric(36.0)], error=ERROR, n_placements=1)
    assert two_captures.value == 35.0
    assert two_captures.session == pytest.approx(0.625 / 2 + 3.75 + 1.875)
    assert sum(p.variance for p in two_captures.strides) == pytest.approx(0.104464 / 2, abs=1e-6)
    replaced = visit_value([_metric(34.0), _metric(36.0)], error=ERROR, n_placements=2)
    assert replaced.session == pytest.approx(0.625 / 2 + 3.75 / 2 + 1.875)


def test_reconstruction_takes_the_place_of_the_capture_part_only_when_it_is_worse() -> None:
    good = visit_value([_metric(34.0, se=0.5)], error=ERROR, n_placements=1)
    assert (good.session, good.reconstruction) == (pytest.approx(6.25), 0.0)
    bad = visit_value([_metric(34.0, se=2.0)], error=ERROR, n_placements=1)
    assert (bad.session, bad.reconstruction) == (pytest.approx(5.625), pytest.approx(4.0))


def test_change_by_hand() -> None:
    pre = visit_value([_metric(34.0)], error=ERROR, n_placements=1)
    post = visit_value([_metric(43.0)], error=ERROR, n_placements=1)
    change = change_between(pre, post, error=ERROR)
    se = math.sqrt(2 * (6.25 + 0.104464))
    assert change.change == 9.0
    assert change.se == pytest.approx(se, abs=1e-6)
    assert change.df > 1e5
    assert change.threshold(0.05) == pytest.approx(1.95996 * se, abs=1e-3)
    assert change.detectable(0.05) == pytest.approx((1.95996 + 0.84162) * se, abs=1e-3)
    assert change.ci95 == pytest.approx((9 - 1.95996 * se, 9 + 1.95996 * se), abs=1e-3)
    assert change.stride_sds == pytest.approx(6.0)


def test_published_power_of_one_capture() -> None:
    # SEM 2.5: 29 % for a change of 5, 61 % for 8 (normal theory, strides neglected).
    se = math.sqrt(2) * 2.5
    for true_change, published in ((5.0, 0.29), (8.0, 0.61)):
        beyond = NormalDist().cdf(-1.959964 + true_change / se)
        assert beyond == pytest.approx(published, abs=0.011)
    # Two re-palpated captures, nothing of SEM² being day-to-day: detectable 7.1; half of it: 8.6.
    for day_share, published in ((0.0, 7.1), (0.5, 8.6)):
        rest = 6.25 * (1 - day_share)
        error = SessionError(rest / 2, rest / 2, 6.25 * day_share, "lab")
        still = [_metric(0.0, sd=1.5), _metric(0.0, sd=1.5)]
        visit = visit_value(still, error=error, n_placements=2)
        assert change_between(visit, visit, error=error).detectable(0.05) == pytest.approx(published, abs=0.1)


def test_a_learnt_error_counts_once_for_both_visits() -> None:
    error = SessionError(0.625, 3.75, 1.875, "lab", df=10.0)
    noiseless = visit_value([_metric(0.0, sd=1e-9)], error=error, n_placements=1)
    assert change_between(noiseless, noiseless, error=error).df == pytest.approx(10.0)


def test_welch_satterthwaite_by_hand() -> None:
    parts = [VariancePart(4.0, 10.0), VariancePart(2.0, 5.0)]
    assert welch_satterthwaite(parts) == pytest.approx(36.0 / (16.0 / 10 + 4.0 / 5))
    assert welch_satterthwaite([VariancePart(4.0, math.inf)]) == math.inf


def test_quantiles_are_students() -> None:
    assert quantile(0.975, 10.0) == pytest.approx(2.228139, abs=1e-5)
    assert quantile(0.975, math.inf) == pytest.approx(1.959964, abs=1e-5)


def test_no_error_no_p_value() -> None:
    assert math.isnan(Change(1.0, 0.0, math.inf, math.nan).p_value)
    assert math.isnan(Change(1.0, math.nan, math.inf, math.nan).p_value)


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        (0.0, Verdict.NO_DETECTABLE_CHANGE),
        (3.49, Verdict.NO_DETECTABLE_CHANGE),
        (-3.5, Verdict.POSSIBLE_CHANGE),
        (6.99, Verdict.POSSIBLE_CHANGE),
        (-7.0, Verdict.LARGER_THAN_ERROR),
    ],
)
def test_verdict_at_its_limits(change: float, verdict: Verdict) -> None:
    assert judge(change, 7.0) is verdict


VALUES = st.floats(-60.0, 60.0)
SPREADS = st.floats(0.05, 8.0)


@given(VALUES, VALUES, SPREADS, SPREADS, st.integers(10, 80), st.floats(0.0, 0.9))
def test_swapping_the_visits_turns_the_change_round(
    a: float, b: float, sd_a: float, sd_b: float, n: int, lag1: float
) -> None:
    one = visit_value([_metric(a, sd=sd_a, n=n, lag1=lag1)], error=ERROR, n_placements=1)
    two = visit_value([_metric(b, sd=sd_b)], error=ERROR, n_placements=1)
    there, back = change_between(one, two, error=ERROR), change_between(two, one, error=ERROR)
    assert there.change == -back.change
    assert there.se == pytest.approx(back.se)
    assert there.df == pytest.approx(back.df)
    assert there.p_value == pytest.approx(back.p_value)


@given(VALUES, VALUES, SPREADS, st.floats(1e-3, 0.2))
def test_threshold_and_p_value_agree(a: float, b: float, sd: float, level: float) -> None:
    error = SessionError(0.6, 3.7, 1.9, "lab", df=12.0)
    one = visit_value([_metric(a, sd=sd)], error=error, n_placements=1)
    two = visit_value([_metric(b, sd=sd)], error=error, n_placements=1)
    change = change_between(one, two, error=error)
    if abs(change.p_value - level) > 1e-9:
        assert (change.p_value < level) is (abs(change.change) >= change.threshold(level))


@given(SPREADS, st.floats(0.0, 0.85))
def test_more_strides_and_less_autocorrelation_never_hurt(sd: float, lag1: float) -> None:
    def variance(n: int, r: float) -> float:
        return visit_value([_metric(0.0, sd=sd, n=n, lag1=r)], error=ERROR, n_placements=1).strides[0].variance

    assert variance(80, lag1) < variance(40, lag1)
    assert variance(40, lag1) < variance(40, lag1 + 0.05)
