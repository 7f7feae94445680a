"""Right against left beside the rows of a comparison."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from labsys.core.derived_metrics import symmetry_index
from labsys.core.measurement_error import ErrorTable, SessionError
from labsys.core.skeleton import Side, Tier
from labsys.core.units import radians
from labsys.longitudinal import (
    Comparison,
    SideDifference,
    Visit,
)

from .compared_visits import ERRORS, HIP, PRE, compare, make_visit


def _sided(day: str, right_deg: float, **changes: Any) -> Visit:
    (capture,) = (visit := make_visit(day, **changes)).captures
    metrics = tuple(
        replace(m, mean=m.mean + radians(right_deg)) if (m.id, m.side) == (HIP, Side.RIGHT) else m
        for m in capture.metrics
    )
    return replace(visit, captures=(replace(capture, metrics=metrics),))


def _asymmetry(comparison: Comparison, metric_id: str = HIP) -> SideDifference:
    return next(s for s in comparison.symmetry if s.id == metric_id)


def test_side_differences_by_hand() -> None:
    row = _asymmetry(compare(_sided("2026-01-01", 2.0), _sided("2026-03-01", -4.0)))
    assert (row.pre, row.post, row.change) == pytest.approx((radians(2.0), radians(-4.0), radians(-6.0)))
    se_visit = math.sqrt(2 * (2.5**2 + 1.5**2 / (40 * 0.7 / 1.3)))
    assert row.pre_ci95 == pytest.approx(
        (radians(2.0 - 1.95996 * se_visit), radians(2.0 + 1.95996 * se_visit)), rel=1e-3
    )
    half = (row.ci95[1] - row.ci95[0]) / 2
    assert half == pytest.approx(radians(1.95996 * math.sqrt(2) * se_visit), rel=1e-3)
    assert row.mdc95 == pytest.approx(radians(1.96 * 2 * 2.5), rel=1e-3)
    assert math.isnan(row.pre_index), "a share of an angle near zero says nothing"
    times = _asymmetry(compare(make_visit("2026-01-01"), make_visit("2026-03-01")), "contact_time")
    assert (times.pre, times.pre_index) == (0.0, 0.0)


def test_a_side_that_was_not_measured_gives_no_difference() -> None:
    comparison = compare(make_visit("2026-01-01", n=9), make_visit("2026-03-01"))
    row = _asymmetry(comparison)
    assert "9 strides" in (row.reason or "")
    assert all(math.isnan(v) for v in (row.pre, row.post, row.change, *row.ci95))
    tiers = _asymmetry(compare(PRE, make_visit("2026-03-01", tier=Tier.T2)))
    assert (tiers.reason, math.isnan(tiers.change)) == ("tiers or definition versions differ", True)


def test_an_error_of_the_difference_that_was_learnt_goes_before_that_of_the_sides() -> None:
    learnt = SessionError(radians(1.0) ** 2, 0.0, 0.0, "lab", 20.0)
    errors = ErrorTable({**ERRORS.errors, (f"{HIP}_asym", Tier.T3): learnt})
    row = _asymmetry(compare(PRE, make_visit("2026-03-01"), errors=errors))
    assert (row.mdc95, row.sem_source) == (pytest.approx(learnt.mdc95), "lab")


def test_mirrored_runners_have_mirrored_differences() -> None:
    there = _asymmetry(compare(_sided("2026-01-01", 3.0), _sided("2026-03-01", 1.0)))
    back = _asymmetry(compare(_sided("2026-01-01", -3.0), _sided("2026-03-01", -1.0)))
    assert there.change == pytest.approx(-back.change)
    assert there.ci95 == pytest.approx((-back.ci95[1], -back.ci95[0]))


def _over(day: str, metric_id: str, right: float, left: float) -> Visit:
    (capture,) = (visit := make_visit(day)).captures
    means = {Side.RIGHT: right, Side.LEFT: left}
    metrics = tuple(replace(m, mean=means[m.side], sd=0.001) if m.id == metric_id else m for m in capture.metrics)
    return replace(visit, captures=(replace(capture, metrics=metrics),))


def test_the_share_is_that_of_the_trial_s_own_metric_and_not_given_near_zero() -> None:
    """Below zero it keeps its sign; where a side may be zero the mean of both may be, and a share says nothing."""
    metric_id = "ahead_at_fs"
    wide = _asymmetry(
        compare(_over("2026-01-01", metric_id, 0.22, 0.18), _over("2026-03-01", metric_id, -0.22, -0.18)), metric_id
    )
    assert wide.pre_index == pytest.approx(symmetry_index(0.22, 0.18)) == pytest.approx(0.2)
    assert wide.post_index == pytest.approx(-0.2)
    near = _asymmetry(
        compare(_over("2026-01-01", metric_id, 0.003, 0.001), _over("2026-03-01", metric_id, 0.04, -0.04)), metric_id
    )
    assert math.isnan(near.pre_index)
    assert math.isnan(near.post_index)
    assert near.pre == pytest.approx(0.002), "the difference itself stands"


def test_the_strides_tell_what_may_be_zero_where_the_error_is_unknown() -> None:
    metric_id = "pelvis_rot_lag_to_hip_ext"
    near, far = (
        _asymmetry(compare(*(_over(day, metric_id, *sides) for day in ("2026-01-01", "2026-03-01"))), metric_id)
        for sides in ((0.0003, 0.0001), (0.03, 0.01))
    )
    assert near.reason == far.reason == "error unknown"
    assert math.isnan(near.pre_index)
    assert math.isnan(near.post_index)
    assert far.pre_index == far.post_index == pytest.approx(1.0)


@pytest.mark.parametrize("metric_id", ["ahead_at_fs_per_leg", "front_back_ratio", "front_back_ratio_pelvis"])
def test_a_quotient_may_be_zero_where_the_length_is_that_it_is_made_of(metric_id: str) -> None:
    """No table has an error of a quotient: its strides scatter little, and the length errs by 10 mm from day to day."""
    length = "ahead_at_fs_pelvis" if metric_id.endswith("pelvis") else "ahead_at_fs"

    def visit(day: str, ahead_m: float) -> Visit:
        (capture,) = (found := make_visit(day)).captures
        means = {metric_id: ahead_m / 0.8, length: ahead_m}
        apart = {Side.RIGHT: 1.1, Side.LEFT: 0.9}
        metrics = tuple(
            replace(m, mean=means[m.id] * apart[m.side], sd=0.001) if m.id in means else m for m in capture.metrics
        )
        return replace(found, captures=(replace(capture, metrics=metrics),))

    near, far = (_asymmetry(compare(visit("2026-01-01", a), visit("2026-03-01", a)), metric_id) for a in (0.015, 0.15))
    assert math.isnan(near.pre_index)
    assert far.pre_index == far.post_index == pytest.approx(0.2)


def test_reconstruction_tells_too_what_may_be_zero() -> None:
    metric_id = "pelvis_rot_lag_to_hip_ext"
    index = {}
    for se in (math.nan, 0.001, 0.01):
        pre, post = (_over(day, metric_id, 0.015, 0.010) for day in ("2026-01-01", "2026-03-01"))
        (capture,) = pre.captures
        metrics = tuple(replace(m, se_reconstruction=se) if m.id == metric_id else m for m in capture.metrics)
        pre = replace(pre, captures=(replace(capture, metrics=metrics),))
        index[se] = _asymmetry(compare(pre, post), metric_id).pre_index
    assert math.isnan(index.pop(0.01))
    assert list(index.values()) == pytest.approx([0.4, 0.4])
