"""A metric over visits: one series per condition, nothing pooled that differs."""

from __future__ import annotations

import math
from typing import Any

import pytest

from labsys.core.errors import InputError, UnknownNameError
from labsys.core.measurement_error import default_error_table
from labsys.core.session import Conditions, Surface, TrialKind, TrialName
from labsys.core.skeleton import Side, Tier
from labsys.longitudinal import Capture, CaptureMetric, Trend, Visit, metric_trend

ERRORS = default_error_table(("cadence", "duty_factor", "hip_ext_excursion_stance"))


def _capture(session: str, mean: float, *, trial: str = "run1", speed_mps: float = 3.0, **changes: Any) -> Capture:
    metric_id, side = changes.pop("metric", "cadence"), changes.pop("side", Side.BOTH)
    fields = {"sd": 0.02, "n": 40, "lag1": 0.0, "se_reconstruction": math.nan, "tier": Tier.T3, "version": 1}
    own = {k: changes.pop(k) for k in list(changes) if k in fields}
    metric = CaptureMetric(metric_id, side, mean, **{**fields, **own})
    conditions = Conditions(Surface.TREADMILL, speed_mps)
    name = TrialName("S01", session, trial)
    return Capture(name, TrialKind.RUN, conditions, True, changes.pop("not_for_comparison", None), (metric,), **changes)


def _visit(session: str, *captures: Capture) -> Visit:
    return Visit(session, session, None, captures)


def _trend(*visits: Visit, metric: str = "cadence", side: Side = Side.BOTH) -> Trend:
    return metric_trend(visits, metric, side, ERRORS)


def test_points_come_in_order_of_date() -> None:
    trend = _trend(_visit("2026-03-01", _capture("2026-03-01", 2.9)), _visit("2026-01-01", _capture("2026-01-01", 2.8)))
    (series,) = trend.series
    assert [(p.session, p.value) for p in series.points] == [("2026-01-01", 2.8), ("2026-03-01", 2.9)]
    sem = 1.5 / 60
    assert series.points[0].se_visit == pytest.approx(math.sqrt(sem**2 + 0.02**2 / 40))
    low, high = series.points[0].ci95
    assert (low + high) / 2 == pytest.approx(2.8)
    assert series.points[0].provisional


def test_speeds_tiers_and_versions_are_never_joined() -> None:
    trend = _trend(
        _visit("a", _capture("a", 2.8), _capture("a", 3.1, trial="fast", speed_mps=4.0)),
        _visit("b", _capture("b", 2.8, tier=Tier.T1)),
        _visit("c", _capture("c", 2.8, version=2)),
        _visit("d", _capture("d", 2.8, speed_mps=3.05)),
    )
    found = [(round(s.speed_mps, 2), s.tier, s.version, [p.session for p in s.points]) for s in trend.series]
    assert found == [
        (3.0, Tier.T1, 1, ["b"]),
        (3.02, Tier.T3, 1, ["a", "d"]),
        (3.0, Tier.T3, 2, ["c"]),
        (4.0, Tier.T3, 1, ["a"]),
    ]


def test_repeated_captures_make_one_point() -> None:
    (series,) = _trend(_visit("a", _capture("a", 2.8), _capture("a", 2.9, trial="run2"))).series
    (point,) = series.points
    assert (point.value, point.n_captures, point.n_strides) == (pytest.approx(2.85), 2, 80)


def test_what_does_not_count_is_named_with_its_reason() -> None:
    trend = _trend(
        _visit("a", _capture("a", 2.8, n=9)),
        _visit("b", _capture("b", 2.8, not_for_comparison="the pose was repaired")),
        _visit("c", _capture("c", 2.8)),
    )
    assert trend.left_out == {
        "S01/a/run1": "9 strides, fewer than 10",
        "S01/b/run1": "not for comparison: the pose was repaired",
    }
    assert [p.session for p in trend.series[0].points] == ["c"]


def test_without_an_error_there_is_a_value_and_no_interval() -> None:
    (series,) = _trend(
        _visit("a", _capture("a", 0.3, metric="duty_factor", side=Side.LEFT)), metric="duty_factor", side=Side.LEFT
    ).series
    (point,) = series.points
    assert point.value == 0.3
    assert math.isnan(point.ci95[0])
    assert (point.sem_source, point.provisional) == ("", False)


def test_a_metric_or_side_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="cadence"):
        _trend(metric="cadance")
    with pytest.raises(InputError, match="no side 'left'"):
        _trend(side=Side.LEFT)


def test_no_visit_no_series() -> None:
    assert _trend().series == ()
