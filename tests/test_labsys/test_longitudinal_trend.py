"""A metric over visits: one series per condition, nothing pooled that differs."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from labsys.core.catalogue import METRICS
from labsys.core.errors import InputError, UnknownNameError
from labsys.core.measurement_error import SessionError, default_error_table
from labsys.core.motion import Quality
from labsys.core.session import Conditions, Goal, GoalDirection, Surface, TrialKind, TrialName
from labsys.core.skeleton import Side, Tier
from labsys.core.units import radians
from labsys.longitudinal import Capture, CaptureMetric, Family, Trend, Verdict, Visit, metric_trend
from labsys.longitudinal.slope import DatedVisit, fit_slope
from labsys.longitudinal.verdict import visit_value

ERRORS = default_error_table(("cadence", "duty_factor", "hip_ext_excursion_stance"))


def _capture(session: str, mean: float, *, trial: str = "run1", speed_mps: float = 3.0, **changes: Any) -> Capture:
    metric_id, side = changes.pop("metric", "cadence"), changes.pop("side", Side.BOTH)
    fields = {"sd": 0.02, "n": 40, "lag1": 0.0, "se_reconstruction": math.nan, "tier": Tier.T3, "version": 1}
    fields["quality"] = Quality.OK
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


def _dated(day: int, mean: float, **changes: Any) -> Visit:
    session = f"2026-01-{day:02d}"
    return _visit(session, _capture(session, mean, **changes))


def test_two_visits_have_no_line() -> None:
    assert _trend(_dated(1, 2.8), _dated(8, 2.9)).series[0].slope is None


def test_a_line_by_hand() -> None:
    # Equal errors: weeks 0, 1, 2; slope = (y2 - y0) / 2, its SE = SE_visit / sqrt(2).
    (series,) = _trend(_dated(1, 2.8), _dated(8, 2.83), _dated(15, 2.9)).series
    slope = series.slope
    assert slope is not None
    se_visit = math.sqrt((1.5 / 60) ** 2 + 0.02**2 / 40)
    assert (slope.n_visits, slope.span_weeks) == (3, pytest.approx(2.0))
    assert slope.per_week == pytest.approx(0.05)
    assert slope.change == pytest.approx(0.1)
    assert slope.se == pytest.approx(2.0 * se_visit / math.sqrt(2.0))
    assert slope.ci95 == pytest.approx((0.1 - 1.96 * slope.se, 0.1 + 1.96 * slope.se), abs=1e-4)
    assert slope.per_week_ci95 == pytest.approx(tuple(b / 2.0 for b in slope.ci95))
    assert [p.since_first for p in series.points] == pytest.approx([0.0, 0.03, 0.1])
    low, high = series.points[2].since_first_ci95
    assert (high - low) / 2 == pytest.approx(1.96 * math.sqrt(2) * se_visit, rel=1e-3)
    assert math.isnan(series.points[0].since_first_ci95[0])


def test_a_declared_goal_asks_for_less_than_a_row_among_many() -> None:
    visits = (_dated(1, 2.8), _dated(8, 2.84), _dated(15, 2.88))
    goal = Goal("cadence", Side.BOTH, GoalDirection.TOWARD_HIGHER, "2026-01-02")
    every = default_error_table(tuple(m.id for m in METRICS))
    slopes = [metric_trend(visits, "cadence", Side.BOTH, every, goals=g).series[0].slope for g in ((goal,), ())]
    declared, undeclared = slopes
    assert declared is not None
    assert undeclared is not None
    assert (declared.family, declared.verdict) == (Family.GOAL, Verdict.LARGER_THAN_ERROR)
    assert (undeclared.family, undeclared.verdict) == (Family.EXPLORATORY, Verdict.POSSIBLE_CHANGE)
    assert undeclared.threshold > 1.5 * declared.threshold
    late = Goal("cadence", Side.BOTH, GoalDirection.TOWARD_HIGHER, "2026-01-16")
    found = metric_trend(visits, "cadence", Side.BOTH, every, goals=(late,)).series[0].slope
    assert found is not None
    assert found.family is Family.EXPLORATORY


def test_visits_with_few_strides_are_points_but_do_not_bend_the_line() -> None:
    (series,) = _trend(_dated(1, 2.8), _dated(8, 2.8), _dated(15, 2.8), _dated(22, 9.9, n=12)).series
    assert len(series.points) == 4
    assert series.slope is not None
    assert (series.slope.n_visits, series.slope.change) == (3, pytest.approx(0.0))


def test_visits_that_are_only_indicative_do_not_bend_the_line() -> None:
    unsure = _dated(22, 9.9, quality=Quality.INDICATIVE)
    (series,) = _trend(_dated(1, 2.8), _dated(8, 2.8), _dated(15, 2.8), unsure).series
    assert len(series.points) == 4
    assert series.slope is not None
    assert (series.slope.n_visits, series.slope.change) == (3, pytest.approx(0.0))


def test_a_visit_of_unsteady_strides_bends_the_line_less() -> None:
    error, weeks, values = SessionError(1.0, 3.0, 2.25, "lab"), (0.0, 1.0, 2.0, 3.0), (30.0, 31.0, 36.0, 32.0)
    sds = (1.0, 1.0, 40.0, 1.0)
    visits = [
        visit_value([replace(_still(v), sd=sd)], error=error, n_placements=1) for v, sd in zip(values, sds, strict=True)
    ]
    dated = [DatedVisit(f"2026-01-{1 + 7 * int(w):02d}", v) for w, v in zip(weeks, visits, strict=True)]
    slope = fit_slope(dated, error=error, level=0.05, family=Family.GOAL)
    assert slope is not None
    by_hand = np.polyfit(weeks, values, 1, w=[1.0 / math.sqrt(6.25 + sd**2 / 40) for sd in sds])[0]
    assert slope.per_week == pytest.approx(by_hand)
    assert abs(by_hand - np.polyfit(weeks, values, 1)[0]) > 0.2


def test_lines_through_unchanged_visits_err_at_their_rate() -> None:
    rng = np.random.default_rng(3)
    error = SessionError(1.0, 3.0, 2.25, "lab")
    goal, called = Family.GOAL, []
    for _ in range(1500):
        values = [visit_value([_still(2.5 * rng.standard_normal())], error=error, n_placements=1) for _ in range(4)]
        dated = [DatedVisit(f"2026-0{k + 1}-01", v) for k, v in enumerate(values)]
        slope = fit_slope(dated, error=error, level=0.05, family=goal)
        called.append(slope is not None and slope.verdict is Verdict.LARGER_THAN_ERROR)
    assert float(np.mean(called)) == pytest.approx(0.05, abs=0.017)


def _turned(tilt_deg: float) -> dict[str, tuple[float, ...]]:
    """Turns of two standing cameras in a LAB tilted about X."""
    lab = Rotation.from_euler("X", tilt_deg, degrees=True)
    cameras = {"a": Rotation.from_euler("Y", 40.0, degrees=True), "b": Rotation.from_euler("Y", -60.0, degrees=True)}
    return {name: tuple((turn * lab).as_rotvec()) for name, turn in cameras.items()}


def test_calibrations_that_disagree_about_gravity_are_not_joined() -> None:
    """A lean that changes by the 0.8° by which the second calibration's up is off is no change of the person."""
    tilts = {1: 0.0, 8: 0.0, 15: 0.8, 22: 0.8}
    visits = [
        _dated(day, radians(5.0 + tilt), metric="trunk_lean_stance_mean", side=Side.LEFT,
               calibration=f"tilted {tilt:g}", camera_turns=_turned(tilt))
        for day, tilt in tilts.items()
    ]  # fmt: skip
    errors = default_error_table(("trunk_lean_stance_mean",))
    first, second = metric_trend(visits, "trunk_lean_stance_mean", Side.LEFT, errors).series
    assert [[p.session[-2:] for p in s.points] for s in (first, second)] == [["01", "08"], ["15", "22"]]
    assert first.notes == ()
    (note,) = second.notes
    assert note.startswith("not joined: gravity or heading of calibrations tilted 0 and tilted 0.8 differ by 0.8°")
    cadence = [_dated(d, 2.8, calibration=f"tilted {t:g}", camera_turns=_turned(t)) for d, t in tilts.items()]
    assert len(_trend(*cadence).series) == 1, "steps have no gravity"


def test_captures_with_and_without_a_static_trial_are_not_joined() -> None:
    hip = {"metric": "hip_ext_excursion_stance", "side": Side.LEFT}
    visits = [_dated(d, 0.6, has_static=has, **hip) for d, has in ((1, True), (8, False), (15, True), (22, True))]
    first, second = metric_trend(visits, "hip_ext_excursion_stance", Side.LEFT, ERRORS).series
    assert [[p.session[-2:] for p in s.points] for s in (first, second)] == [["01", "15", "22"], ["08"]]
    assert "no static trial for 2026-01-08/run1" in second.notes[0]


def test_contact_times_of_feet_that_land_otherwise_have_no_line() -> None:
    def landing(day: int, angle_deg: float) -> Visit:
        visit = _dated(day, 0.25 + 0.001 * day, metric="contact_time", side=Side.LEFT)
        (capture,) = visit.captures
        foot = CaptureMetric("foot_angle_at_fs", Side.LEFT, radians(angle_deg), 0.01, 40, 0.0, math.nan, Tier.T3, 1)
        return _visit(visit.session, replace(capture, metrics=(*capture.metrics, foot)))

    errors = default_error_table(("contact_time",))
    same = metric_trend([landing(d, 12.0) for d in (1, 8, 15)], "contact_time", Side.LEFT, errors).series[0]
    assert same.slope is not None
    assert same.notes == ()
    changed = metric_trend(
        [landing(1, 12.0), landing(8, 12.0), landing(15, -4.0)], "contact_time", Side.LEFT, errors
    ).series[0]
    assert changed.slope is None
    assert "no line: the left foot landed on the rearfoot before" in changed.notes[0]


def _still(mean: float) -> CaptureMetric:
    return CaptureMetric("cadence", Side.BOTH, mean, 1e-6, 40, 0.0, math.nan, Tier.T3, 1)
