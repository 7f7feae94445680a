"""Whole comparisons: which row gets which verdict, and why some get none."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

import labsys.longitudinal
from labsys.core.catalogue import METRICS, MetricDefinition, Reference, find_metric
from labsys.core.errors import InputError, UnknownNameError
from labsys.core.measurement_error import ErrorTable, SessionError, default_error_table
from labsys.core.motion import Quality
from labsys.core.session import Conditions, Goal, GoalDirection, Surface, TrialKind, TrialName
from labsys.core.skeleton import Side, Tier
from labsys.core.units import radians
from labsys.longitudinal import (
    Capture,
    CaptureMetric,
    Comparison,
    ComparisonRow,
    Family,
    SideDifference,
    Verdict,
    Visit,
    check_goal,
    compare_visits,
    explain_row,
)
from labsys.longitudinal.calibrations import reason_against

ERRORS = default_error_table(tuple(m.id for m in METRICS))
HIP = "hip_ext_excursion_stance"


def _metric(metric_id: str, side: Side, mean: float, **changes: Any) -> CaptureMetric:
    given_fields = {
        "sd": radians(1.5),
        "n": 40,
        "lag1": 0.3,
        "se_reconstruction": math.nan,
        "tier": Tier.T3,
        "version": 1,
    }
    return CaptureMetric(metric_id, side, mean, **{**given_fields, **changes})


def _visit(
    session: str, shifts: dict[str, float] | None = None, *, n_captures: int = 1, drop: str = "", **changes: Any
) -> Visit:
    """A visit at 3 m/s with every other catalogue metric at 0.3 (inside units), plus the shifts by id."""
    shifts = shifts or {}
    capture_fields = {k: changes.pop(k) for k in list(changes) if k in Capture.__dataclass_fields__}
    metrics = tuple(
        _metric(m.id, side, (3.0 if m.id == "speed" else 0.3) + shifts.get(m.id, 0.0), **changes)
        for m in METRICS
        for side in m.sided.sides
        if m.id != drop
    )
    conditions = capture_fields.pop("conditions", Conditions(Surface.TREADMILL, 3.0))
    captures = tuple(
        Capture(
            name=TrialName("S01", session, f"run{k + 1}"),
            kind=TrialKind.RUN,
            conditions=conditions,
            metrics=metrics,
            **{"heading_known": True, "not_for_comparison": None, **capture_fields},
        )
        for k in range(n_captures)
    )
    return Visit(session, session, None, captures)


def _compare(pre: Visit, post: Visit, *goals: Goal, errors: ErrorTable = ERRORS) -> Comparison:
    return compare_visits(pre, post, goals=goals, errors=errors, subject="S01")


def _row(comparison: Comparison, metric_id: str = HIP, side: Side = Side.LEFT) -> ComparisonRow:
    return next(r for r in comparison.rows if r.id == metric_id and r.side is side)


def _goal(metric: str = HIP, side: Side = Side.LEFT, date: str = "2026-01-02") -> Goal:
    return Goal(metric, side, GoalDirection.TOWARD_HIGHER, date)


PRE = _visit("2026-01-01")


def test_every_catalogue_row_is_there_in_catalogue_order() -> None:
    comparison = _compare(PRE, _visit("2026-03-01"))
    assert [(r.id, r.side) for r in comparison.rows] == [(m.id, s) for m in METRICS for s in m.sided.sides]
    assert comparison.comparable
    assert comparison.reason is None


def test_a_goal_by_hand() -> None:
    comparison = _compare(PRE, _visit("2026-03-01", {HIP: radians(9.0)}), _goal())
    row = _row(comparison)
    se = math.sqrt(2 * (2.5**2 + 1.5**2 / (40 * 0.7 / 1.3)))
    assert row.family is Family.GOAL
    assert row.change == pytest.approx(radians(9.0))
    assert row.threshold == pytest.approx(radians(1.95996 * se), rel=1e-4)
    assert row.detectable_change == pytest.approx(radians((1.95996 + 0.84162) * se), rel=1e-4)
    assert row.ci95 == pytest.approx((radians(9.0 - 1.95996 * se), radians(9.0 + 1.95996 * se)), rel=1e-4)
    assert row.mdc95 == pytest.approx(radians(6.93), rel=1e-3)
    assert (row.verdict, row.direction, row.goal_direction) == (Verdict.LARGER_THAN_ERROR, "higher", "toward")
    assert (row.sem_source, row.provisional) == ("default", True)


def test_the_same_change_undeclared_is_only_possible() -> None:
    row = _row(_compare(PRE, _visit("2026-03-01", {HIP: radians(9.0)})))
    assert (row.family, row.verdict, row.direction) == (Family.EXPLORATORY, Verdict.POSSIBLE_CHANGE, None)
    assert row.ci95[0] > 0, "the row's own interval is not widened for the page"


def test_a_goal_dated_after_the_post_visit_is_marked_and_stays_exploratory() -> None:
    comparison = _compare(PRE, _visit("2026-03-01", {HIP: radians(9.0)}), _goal(date="2026-03-02"))
    row = _row(comparison)
    assert (row.family, row.goal_late, row.goal_direction) == (Family.EXPLORATORY, True, None)
    assert any("after the post visit" in w for w in comparison.warnings)
    on_the_day = _compare(PRE, _visit("2026-03-01"), _goal(date="2026-03-01"))
    assert _row(on_the_day).family is Family.GOAL


def test_several_goals_share_the_family_rate() -> None:
    # 7.1 deg beats 1.96·SE of one goal, not the 2.39·SE of the first of three.
    post = _visit("2026-03-01", {HIP: radians(7.5)})
    goals = (_goal(), _goal("cadence", Side.BOTH), _goal("trunk_lean_stance_mean"))
    assert _row(_compare(PRE, post, _goal())).verdict is Verdict.LARGER_THAN_ERROR
    assert _row(_compare(PRE, post, *goals)).verdict is Verdict.POSSIBLE_CHANGE


def test_a_goal_moving_away_is_said_so() -> None:
    row = _row(_compare(PRE, _visit("2026-03-01", {HIP: radians(-12.0)}), _goal()))
    assert (row.direction, row.goal_direction) == ("lower", "away")


def test_a_declared_goal_that_was_not_measured_still_counts() -> None:
    goals = (_goal(), _goal("cadence", Side.BOTH))
    post = _visit("2026-03-01", {HIP: radians(9.0)})
    without = _compare(_visit("2026-01-01", drop="cadence"), post, *goals)
    assert _row(without, "cadence", Side.BOTH).verdict is Verdict.NOT_MEASURED
    assert _row(without).threshold == pytest.approx(_row(_compare(PRE, post, *goals)).threshold)


@pytest.mark.parametrize(
    ("n", "verdict"), [(40, None), (25, None), (24, Verdict.INDICATIVE_ONLY), (10, Verdict.INDICATIVE_ONLY)]
)
def test_strides_decide_whether_there_is_a_verdict(n: int, verdict: Verdict | None) -> None:
    row = _row(_compare(PRE, _visit("2026-03-01", {HIP: radians(20.0)}, n=n)))
    assert row.verdict is (verdict or Verdict.LARGER_THAN_ERROR)
    assert row.change == pytest.approx(radians(20.0))
    assert row.direction == (None if verdict else "higher")


def test_what_the_recording_makes_indicative_gets_no_verdict_however_many_strides() -> None:
    row = _row(_compare(_visit("2026-01-01"), _visit("2026-03-01", quality=Quality.INDICATIVE)))
    assert row.verdict is Verdict.INDICATIVE_ONLY
    assert "frame rate" in (row.reason or "")


def test_fewer_than_ten_strides_are_refused() -> None:
    row = _row(_compare(PRE, _visit("2026-03-01", n=9)))
    assert row.verdict is Verdict.NOT_MEASURED
    assert "9 strides" in (row.reason or "")
    assert math.isnan(row.post)
    assert math.isnan(row.change)


def test_what_the_landmarks_cannot_give_is_not_measured_with_the_reason() -> None:
    post = _visit("2026-03-01", quality=Quality.EXCLUDED, reason="needs four pelvic points")
    row = _row(_compare(PRE, post))
    assert row.verdict is Verdict.NOT_MEASURED
    assert "needs four pelvic points" in (row.reason or "")


def test_tiers_must_agree() -> None:
    row = _row(_compare(PRE, _visit("2026-03-01", tier=Tier.T2)))
    assert row.verdict is Verdict.NOT_COMPARABLE
    assert row.reason == "tiers differ: pre T3, post T2"
    assert math.isnan(row.change)


def test_definition_versions_must_agree() -> None:
    row = _row(_compare(PRE, _visit("2026-03-01", version=2)))
    assert row.verdict is Verdict.NOT_COMPARABLE
    assert "versions" in (row.reason or "")


def test_an_unknown_error_gives_no_verdict() -> None:
    row = _row(_compare(PRE, _visit("2026-03-01", {"duty_factor": 0.4})), "duty_factor")
    assert (row.verdict, row.reason, row.sem_source) == (Verdict.NOT_COMPARABLE, "error unknown", "")


def test_the_labs_own_error_makes_a_verdict_possible_and_firm() -> None:
    errors = ErrorTable({("duty_factor", Tier.T3): SessionError(1e-4, 1e-4, 2e-4, "lab", df=12.0)})
    row = _row(_compare(PRE, _visit("2026-03-01", {"duty_factor": 0.4}), errors=errors), "duty_factor")
    assert (row.verdict, row.sem_source, row.provisional) == (Verdict.LARGER_THAN_ERROR, "lab", False)
    assert row.df == pytest.approx(12.0, rel=0.5)


def test_nothing_alike_means_not_comparable_with_the_way_out() -> None:
    other = _visit("2026-03-01", conditions=Conditions(Surface.TREADMILL, 3.5))
    comparison = _compare(PRE, other)
    assert not comparison.comparable
    assert comparison.rows == ()
    assert "Record next time at 3.00 m/s" in (comparison.reason or "")
    assert len(comparison.unpaired) == 2


def test_an_overridden_calibration_is_not_for_comparison() -> None:
    comparison = _compare(PRE, _visit("2026-03-01", not_for_comparison="the calibration was overridden"))
    assert not comparison.comparable


def test_badly_known_gravity_stops_angles_against_vertical_only() -> None:
    tilted = _visit("2026-03-01", up_sd_rad=radians(0.5))
    comparison = _compare(PRE, tilted)
    assert _row(comparison, "trunk_lean_stance_mean").verdict is Verdict.NOT_COMPARABLE
    assert "0.5°" in (_row(comparison, "trunk_lean_stance_mean").reason or "")
    assert _row(comparison, "pelvis_tilt_mean", Side.BOTH).verdict is Verdict.NOT_COMPARABLE
    for free in (HIP, "thigh_ext_excursion_stance"):
        assert _row(comparison, free).verdict is Verdict.NO_DETECTABLE_CHANGE
    shared = _compare(
        _visit("2026-01-01", static_shares_calibration=True),
        _visit("2026-03-01", up_sd_rad=radians(0.5), static_shares_calibration=True),
    )
    assert _row(shared, "pelvis_tilt_mean", Side.BOTH).verdict is Verdict.NO_DETECTABLE_CHANGE


def test_gravity_that_nobody_graded_warns() -> None:
    assert any("gravity" in w for w in _compare(PRE, _visit("2026-03-01")).warnings)
    graded = {"up_sd_rad": radians(0.1), "heading_sd_rad": radians(0.1)}
    assert _compare(_visit("2026-01-01", **graded), _visit("2026-03-01", **graded)).warnings == ()


def test_an_unknown_heading_stops_what_is_measured_against_it() -> None:
    against_heading: MetricDefinition = replace(find_metric("pelvis_rot_rom"), rotation_invariant=False)
    unknown = _visit("2026-03-01", heading_known=False).captures
    assert reason_against(against_heading, PRE.captures + unknown) == "the heading of the calibration is unknown"
    assert reason_against(against_heading, PRE.captures) is None
    assert against_heading.reference is Reference.HEADING
    # Ranges and values minus their stride mean are exempt.
    comparison = _compare(PRE, _visit("2026-03-01", heading_known=False))
    assert _row(comparison, "pelvis_rot_rom", Side.BOTH).verdict is Verdict.NO_DETECTABLE_CHANGE


def test_repeated_captures_sharpen_the_row() -> None:
    once = _row(_compare(PRE, _visit("2026-03-01")))
    twice = _row(_compare(PRE, _visit("2026-03-01", n_captures=2)))
    assert twice.se_total < once.se_total
    assert twice.n_post == 80


def test_the_page_counts_rows_before_values_are_known() -> None:
    whole = _compare(PRE, _visit("2026-03-01"))
    known = [m for m in METRICS if ERRORS.find(m.id, Tier.T3) is not None]
    assert whole.n_exploratory == sum(len(m.sided.sides) for m in known)
    missing = _compare(PRE, _visit("2026-03-01", drop="cadence"))
    assert missing.n_exploratory == whole.n_exploratory, "a missing value does not lower the bar for the others"
    assert _compare(PRE, _visit("2026-03-01"), _goal()).n_exploratory == whole.n_exploratory - 1


@pytest.mark.parametrize(
    ("goals", "error"),
    [
        ((_goal("hip_ext_excursion_stence"),), UnknownNameError),
        ((_goal(side=Side.BOTH),), InputError),
        ((_goal(), _goal()), InputError),
        ((_goal(), _goal(side=Side.RIGHT), _goal("cadence", Side.BOTH), _goal("contact_time")), InputError),
    ],
)
def test_goals_that_no_row_answers_are_refused(goals: tuple[Goal, ...], error: type[InputError]) -> None:
    with pytest.raises(error) as caught:
        _compare(PRE, _visit("2026-03-01"), *goals)
    assert caught.value.exit_code == 2


def test_an_unknown_metric_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'hip_ext_excursion_stance'"):
        check_goal("hip_ext_excursion_stence", Side.LEFT)


@given(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5))
def test_swapping_visits_mirrors_the_comparison(shift: float, cadence: float) -> None:
    post = _visit("2026-01-01", {HIP: shift, "cadence": cadence})
    there, back = _compare(PRE, post), _compare(post, PRE)
    mirrored = {"higher": "lower", "lower": "higher", None: None}
    for row, other in zip(there.rows, back.rows, strict=True):
        assert row.verdict is other.verdict
        assert (row.direction, row.pre, row.post) == (mirrored[other.direction], other.post, other.pre)
        if not math.isnan(row.change):
            assert row.change == -other.change
            assert row.ci95 == pytest.approx((-other.ci95[1], -other.ci95[0]))
            assert row.threshold == pytest.approx(other.threshold)


@given(st.floats(0.0, 0.6), st.floats(0.0, 0.6))
def test_a_larger_change_is_never_judged_smaller(a: float, b: float) -> None:
    order = [Verdict.NO_DETECTABLE_CHANGE, Verdict.POSSIBLE_CHANGE, Verdict.LARGER_THAN_ERROR]
    small, large = sorted((a, b))
    verdicts = [order.index(_row(_compare(PRE, _visit("2026-03-01", {HIP: s}))).verdict) for s in (small, large)]
    assert verdicts[0] <= verdicts[1]


def test_words_for_every_verdict_and_none_that_praises() -> None:
    visits = {
        "no change larger than": _visit("2026-03-01"),
        "not distinguishable": _visit("2026-03-01", {HIP: radians(9.0)}),
        "larger than measurement error": _visit("2026-03-01", {HIP: radians(20.0)}),
        "indicative only": _visit("2026-03-01", n=12),
        "not comparable": _visit("2026-03-01", tier=Tier.T2),
        "not measured": _visit("2026-03-01", drop=HIP),
    }
    for expected, post in visits.items():
        assert expected in explain_row(_row(_compare(PRE, post)))
    toward = explain_row(_row(_compare(PRE, _visit("2026-03-01", {HIP: radians(20.0)}), _goal())))
    assert toward == (
        "+20.0 deg, higher (more extension between foot strike and peak): "
        "larger than measurement error, toward the goal"
    )


def test_no_source_of_the_package_speaks_of_better_or_worse() -> None:
    folder = Path(labsys.longitudinal.__file__).parent
    for path in folder.glob("*.py"):
        text = path.read_text(encoding="utf-8").lower().replace('no word for "better"', "")
        for word in ("improved", "improvement", "better", "deteriorat"):
            assert word not in text, f"{path.name} says '{word}'"


# ---- what differs between visits besides the person


def _turned(yaw_deg: float = 0.0, tilt_deg: float = 0.0, *, moved_deg: float = 0.0) -> dict[str, tuple[float, ...]]:
    """Turns of two cameras in a LAB turned about Y and tilted about X; `moved_deg`: the second camera turned."""
    lab = Rotation.from_euler("YX", [yaw_deg, tilt_deg], degrees=True)
    cameras = {
        "a": Rotation.from_euler("XYZ", [180.0, 40.0, 5.0], degrees=True),
        "b": Rotation.from_euler("XYZ", [175.0, -60.0 + moved_deg, -4.0], degrees=True),
    }
    return {name: tuple((turn * lab).as_rotvec()) for name, turn in cameras.items()}


GRAVITY_ROWS = ("trunk_lean_stance_mean", "thigh_ext_vertical_peak", "trailing_limb_angle_at_to", "shank_angle_at_fs")


def _calibrated(name: str, turns: dict[str, tuple[float, ...]]) -> dict[str, Any]:
    return {"calibration": name, "camera_turns": turns, "up_sd_rad": radians(0.1), "heading_sd_rad": radians(0.1)}


@pytest.mark.parametrize("other", [_turned(yaw_deg=0.8), _turned(tilt_deg=0.5)])
def test_calibration_frames_that_differ_are_refused_by_name_with_the_remedy(other: dict[str, Any]) -> None:
    pre, post = (
        _visit(day, {"trunk_lean_stance_mean": shift}, **_calibrated(name, turns))
        for day, shift, name, turns in (("2026-01-01", 0.0, "one", _turned()), ("2026-03-01", 0.2, "two", other))
    )
    comparison = _compare(pre, post)
    for metric in GRAVITY_ROWS:
        row = _row(comparison, metric)
        assert row.verdict is Verdict.NOT_COMPARABLE
        assert math.isnan(row.change)
        assert "calibrations one and two differ by 0." in (row.reason or "")
    assert _row(comparison).verdict is Verdict.NO_DETECTABLE_CHANGE, "an excursion does not see a constant turn"
    (warning,) = [w for w in comparison.warnings if "calibrations one and two" in w]
    assert "place the wrong one in the lab anew" in warning


@pytest.mark.parametrize(
    ("name", "turns"),
    [("two", _turned(yaw_deg=0.2)), ("two", _turned(yaw_deg=40.0, moved_deg=5.0)), ("one", _turned(yaw_deg=0.8))],
)
def test_frames_that_agree_or_cannot_be_compared_stay(name: str, turns: dict[str, Any]) -> None:
    pre = _visit("2026-01-01", **_calibrated("one", _turned()))
    comparison = _compare(pre, _visit("2026-03-01", **_calibrated(name, turns)))
    assert all(_row(comparison, m).verdict is Verdict.NO_DETECTABLE_CHANGE for m in GRAVITY_ROWS)
    assert not any("calibrations" in w for w in comparison.warnings)


def test_mixed_tiers_are_refused_row_by_row_and_named_with_the_remedy() -> None:
    comparison = _compare(PRE, _visit("2026-03-01", {HIP: radians(20.0)}, tier=Tier.T1))
    assert {r.verdict for r in comparison.rows} == {Verdict.NOT_COMPARABLE}
    assert all(math.isnan(r.change) for r in comparison.rows)
    (warning,) = [w for w in comparison.warnings if "tiers" in w]
    assert "pre T3; post T1" in warning
    assert "process both visits with models of one tier" in warning


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"conditions": Conditions(Surface.TREADMILL, 3.0, footwear="spikes")}, "footwear differs"),
        ({"model": "other 1234"}, "model that found the landmarks differs"),
        ({"settings": {"analysis.cutoff_hz": "6"}}, "other settings (analysis.cutoff_hz)"),
        ({"conditions": Conditions(Surface.TREADMILL, 3.0, footwear="shoe", pain_0_10=6.0)}, "pain differs"),
    ],
)
def test_what_else_differs_is_warned_of_with_the_remedy(changes: dict[str, Any], said: str) -> None:
    same = {
        "conditions": Conditions(Surface.TREADMILL, 3.0, footwear="shoe", pain_0_10=1.0),
        "model": "pack abcd",
        "settings": {"analysis.cutoff_hz": "8"},
    }
    pre, post = _visit("2026-01-01", **same), _visit("2026-03-01", **{**same, **changes})
    assert _compare(pre, _visit("2026-03-01", **same)).warnings == _compare(pre, pre_of(pre)).warnings
    assert any(said in w for w in _compare(pre, post).warnings)


def pre_of(visit: Visit) -> Visit:
    return replace(visit, session="2026-03-01", date="2026-03-01")


def test_another_hand_that_places_stickers_is_named() -> None:
    pre, post = replace(PRE, operator="MK"), replace(_visit("2026-03-01"), operator="JS")
    assert any("other operators (pre MK, post JS)" in w for w in _compare(pre, post).warnings)
    assert not any("operators" in w for w in _compare(pre, replace(post, operator="MK")).warnings)


def test_feet_that_land_otherwise_make_contact_times_indicative() -> None:
    def landing(day: str, angle_deg: float) -> Visit:
        visit = _visit(day, {"contact_time": 0.05} if day > "2026-02" else None)
        foot = tuple(_metric("foot_angle_at_fs", s, radians(angle_deg)) for s in (Side.LEFT, Side.RIGHT))
        (capture,) = visit.captures
        kept = tuple(m for m in capture.metrics if m.id != "foot_angle_at_fs")
        return replace(visit, captures=(replace(capture, metrics=kept + foot),))

    row = _row(_compare(landing("2026-01-01", 15.0), landing("2026-03-01", -5.0)), "contact_time")
    assert row.verdict is Verdict.INDICATIVE_ONLY
    assert "rearfoot before and lands on the forefoot now" in (row.reason or "")
    same = _row(_compare(landing("2026-01-01", 15.0), landing("2026-03-01", 12.0)), "contact_time")
    assert same.verdict is Verdict.LARGER_THAN_ERROR


def test_every_row_carries_what_a_reader_needs_to_judge_it() -> None:
    row = _row(_compare(PRE, _visit("2026-03-01", {HIP: radians(9.0)}), _goal()))
    half = (row.pre_ci95[1] - row.pre_ci95[0]) / 2
    assert half == pytest.approx(radians(1.95996 * math.sqrt(2.5**2 + 1.5**2 / (40 * 0.7 / 1.3))), rel=1e-4)
    assert (row.pre_sd, row.post_sd) == (pytest.approx(radians(1.5)), pytest.approx(radians(1.5)))
    assert (row.tier, row.quality, row.n_pre, row.n_post) == (Tier.T3, Quality.OK, 40, 40)


def test_a_visit_of_several_captures_rests_on_the_split_and_says_so() -> None:
    error = SessionError(*(radians(1.0) ** 2,) * 3, "lab", 12.0, "default")
    errors = ErrorTable({(HIP, Tier.T3): error})
    one = _row(_compare(PRE, _visit("2026-03-01"), errors=errors))
    two = _row(_compare(PRE, _visit("2026-03-01", n_captures=2), errors=errors))
    assert (one.sem_source, one.provisional) == ("lab", False)
    assert (two.sem_source, two.provisional) == ("mixed", True)


def test_an_error_learnt_at_the_speed_goes_before_that_of_all_speeds() -> None:
    slow, fast = (SessionError(radians(v) ** 2, 0.0, 0.0, "lab", 12.0) for v in (1.0, 3.0))
    errors = ErrorTable({(HIP, Tier.T3): slow}, {(HIP, Tier.T3, 3.0): fast})
    assert _row(_compare(PRE, _visit("2026-03-01"), errors=errors)).mdc95 == pytest.approx(fast.mdc95)


# ---- right against left


def _sided(day: str, right_deg: float, **changes: Any) -> Visit:
    (capture,) = (visit := _visit(day, **changes)).captures
    metrics = tuple(
        replace(m, mean=m.mean + radians(right_deg)) if (m.id, m.side) == (HIP, Side.RIGHT) else m
        for m in capture.metrics
    )
    return replace(visit, captures=(replace(capture, metrics=metrics),))


def _asymmetry(comparison: Comparison, metric_id: str = HIP) -> SideDifference:
    return next(s for s in comparison.symmetry if s.id == metric_id)


def test_side_differences_by_hand() -> None:
    row = _asymmetry(_compare(_sided("2026-01-01", 2.0), _sided("2026-03-01", -4.0)))
    assert (row.pre, row.post, row.change) == pytest.approx((radians(2.0), radians(-4.0), radians(-6.0)))
    se_visit = math.sqrt(2 * (2.5**2 + 1.5**2 / (40 * 0.7 / 1.3)))
    assert row.pre_ci95 == pytest.approx(
        (radians(2.0 - 1.95996 * se_visit), radians(2.0 + 1.95996 * se_visit)), rel=1e-3
    )
    half = (row.ci95[1] - row.ci95[0]) / 2
    assert half == pytest.approx(radians(1.95996 * math.sqrt(2) * se_visit), rel=1e-3)
    assert row.mdc95 == pytest.approx(radians(1.96 * 2 * 2.5), rel=1e-3)
    assert math.isnan(row.pre_index), "a share of an angle near zero says nothing"
    times = _asymmetry(_compare(_visit("2026-01-01"), _visit("2026-03-01")), "contact_time")
    assert (times.pre, times.pre_index) == (0.0, 0.0)


def test_a_side_that_was_not_measured_gives_no_difference() -> None:
    comparison = _compare(_visit("2026-01-01", n=9), _visit("2026-03-01"))
    row = _asymmetry(comparison)
    assert "9 strides" in (row.reason or "")
    assert all(math.isnan(v) for v in (row.pre, row.post, row.change, *row.ci95))
    tiers = _asymmetry(_compare(PRE, _visit("2026-03-01", tier=Tier.T2)))
    assert (tiers.reason, math.isnan(tiers.change)) == ("tiers or definition versions differ", True)


def test_an_error_of_the_difference_that_was_learnt_goes_before_that_of_the_sides() -> None:
    learnt = SessionError(radians(1.0) ** 2, 0.0, 0.0, "lab", 20.0)
    errors = ErrorTable({**ERRORS.errors, (f"{HIP}_asym", Tier.T3): learnt})
    row = _asymmetry(_compare(PRE, _visit("2026-03-01"), errors=errors))
    assert (row.mdc95, row.sem_source) == (pytest.approx(learnt.mdc95), "lab")


def test_mirrored_runners_have_mirrored_differences() -> None:
    there = _asymmetry(_compare(_sided("2026-01-01", 3.0), _sided("2026-03-01", 1.0)))
    back = _asymmetry(_compare(_sided("2026-01-01", -3.0), _sided("2026-03-01", -1.0)))
    assert there.change == pytest.approx(-back.change)
    assert there.ci95 == pytest.approx((-back.ci95[1], -back.ci95[0]))
