"""Whole comparisons: which row gets which verdict, and why some get none."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import labsys.longitudinal
from labsys.core.catalogue import METRICS, MetricDefinition, Reference, find_metric
from labsys.core.errors import InputError, UnknownNameError
from labsys.core.measurement_error import ErrorTable, SessionError
from labsys.core.motion import Quality
from labsys.core.session import Conditions, Goal, Surface
from labsys.core.skeleton import Side, Tier
from labsys.core.units import radians
from labsys.longitudinal import (
    Family,
    Verdict,
    check_goal,
    explain_row,
)
from labsys.longitudinal.calibrations import reason_against

from .compared_visits import ERRORS, HIP, PRE, compare, make_goal, make_visit, row_of


def test_every_catalogue_row_is_there_in_catalogue_order() -> None:
    comparison = compare(PRE, make_visit("2026-03-01"))
    assert [(r.id, r.side) for r in comparison.rows] == [(m.id, s) for m in METRICS for s in m.sided.sides]
    assert comparison.comparable
    assert comparison.reason is None


def test_a_goal_by_hand() -> None:
    comparison = compare(PRE, make_visit("2026-03-01", {HIP: radians(9.0)}), make_goal())
    row = row_of(comparison)
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
    row = row_of(compare(PRE, make_visit("2026-03-01", {HIP: radians(9.0)})))
    assert (row.family, row.verdict, row.direction) == (Family.EXPLORATORY, Verdict.POSSIBLE_CHANGE, None)
    assert row.ci95[0] > 0, "the row's own interval is not widened for the page"


def test_a_goal_dated_after_the_post_visit_is_marked_and_stays_exploratory() -> None:
    comparison = compare(PRE, make_visit("2026-03-01", {HIP: radians(9.0)}), make_goal(date="2026-03-02"))
    row = row_of(comparison)
    assert (row.family, row.goal_late, row.goal_direction) == (Family.EXPLORATORY, True, None)
    assert any("after the post visit" in w for w in comparison.warnings)
    on_the_day = compare(PRE, make_visit("2026-03-01"), make_goal(date="2026-03-01"))
    assert row_of(on_the_day).family is Family.GOAL


def test_several_goals_share_the_family_rate() -> None:
    # 7.1 deg beats 1.96·SE of one goal, not the 2.39·SE of the first of three.
    post = make_visit("2026-03-01", {HIP: radians(7.5)})
    goals = (make_goal(), make_goal("cadence", Side.BOTH), make_goal("trunk_lean_stance_mean"))
    assert row_of(compare(PRE, post, make_goal())).verdict is Verdict.LARGER_THAN_ERROR
    assert row_of(compare(PRE, post, *goals)).verdict is Verdict.POSSIBLE_CHANGE


def test_a_goal_moving_away_is_said_so() -> None:
    row = row_of(compare(PRE, make_visit("2026-03-01", {HIP: radians(-12.0)}), make_goal()))
    assert (row.direction, row.goal_direction) == ("lower", "away")


def test_a_declared_goal_that_was_not_measured_still_counts() -> None:
    goals = (make_goal(), make_goal("cadence", Side.BOTH))
    post = make_visit("2026-03-01", {HIP: radians(9.0)})
    without = compare(make_visit("2026-01-01", drop="cadence"), post, *goals)
    assert row_of(without, "cadence", Side.BOTH).verdict is Verdict.NOT_MEASURED
    assert row_of(without).threshold == pytest.approx(row_of(compare(PRE, post, *goals)).threshold)


@pytest.mark.parametrize(
    ("n", "verdict"), [(40, None), (25, None), (24, Verdict.INDICATIVE_ONLY), (10, Verdict.INDICATIVE_ONLY)]
)
def test_strides_decide_whether_there_is_a_verdict(n: int, verdict: Verdict | None) -> None:
    row = row_of(compare(PRE, make_visit("2026-03-01", {HIP: radians(20.0)}, n=n)))
    assert row.verdict is (verdict or Verdict.LARGER_THAN_ERROR)
    assert row.change == pytest.approx(radians(20.0))
    assert row.direction == (None if verdict else "higher")


def test_what_the_recording_makes_indicative_gets_no_verdict_however_many_strides() -> None:
    row = row_of(compare(make_visit("2026-01-01"), make_visit("2026-03-01", quality=Quality.INDICATIVE)))
    assert row.verdict is Verdict.INDICATIVE_ONLY
    assert "frame rate" in (row.reason or "")


def test_fewer_than_ten_strides_are_refused() -> None:
    row = row_of(compare(PRE, make_visit("2026-03-01", n=9)))
    assert row.verdict is Verdict.NOT_MEASURED
    assert "9 strides" in (row.reason or "")
    assert math.isnan(row.post)
    assert math.isnan(row.change)


def test_what_the_landmarks_cannot_give_is_not_measured_with_the_reason() -> None:
    post = make_visit("2026-03-01", quality=Quality.EXCLUDED, reason="needs four pelvic points")
    row = row_of(compare(PRE, post))
    assert row.verdict is Verdict.NOT_MEASURED
    assert "needs four pelvic points" in (row.reason or "")


def test_tiers_must_agree() -> None:
    row = row_of(compare(PRE, make_visit("2026-03-01", tier=Tier.T2)))
    assert row.verdict is Verdict.NOT_COMPARABLE
    assert row.reason == "tiers differ: pre T3, post T2"
    assert math.isnan(row.change)


def test_definition_versions_must_agree() -> None:
    row = row_of(compare(PRE, make_visit("2026-03-01", version=2)))
    assert row.verdict is Verdict.NOT_COMPARABLE
    assert "versions" in (row.reason or "")


def test_an_unknown_error_gives_no_verdict() -> None:
    row = row_of(compare(PRE, make_visit("2026-03-01", {"duty_factor": 0.4})), "duty_factor")
    assert (row.verdict, row.reason, row.sem_source) == (Verdict.NOT_COMPARABLE, "error unknown", "")


def test_the_labs_own_error_makes_a_verdict_possible_and_firm() -> None:
    errors = ErrorTable({("duty_factor", Tier.T3): SessionError(1e-4, 1e-4, 2e-4, "lab", df=12.0)})
    row = row_of(compare(PRE, make_visit("2026-03-01", {"duty_factor": 0.4}), errors=errors), "duty_factor")
    assert (row.verdict, row.sem_source, row.provisional) == (Verdict.LARGER_THAN_ERROR, "lab", False)
    assert row.df == pytest.approx(12.0, rel=0.5)


def test_nothing_alike_means_not_comparable_with_the_way_out() -> None:
    other = make_visit("2026-03-01", conditions=Conditions(Surface.TREADMILL, 3.5))
    comparison = compare(PRE, other)
    assert not comparison.comparable
    assert comparison.rows == ()
    assert "Record next time at 3.00 m/s" in (comparison.reason or "")
    assert len(comparison.unpaired) == 2


def test_an_overridden_calibration_is_not_for_comparison() -> None:
    comparison = compare(PRE, make_visit("2026-03-01", not_for_comparison="the calibration was overridden"))
    assert not comparison.comparable


def test_badly_known_gravity_stops_angles_against_vertical_only() -> None:
    tilted = make_visit("2026-03-01", up_sd_rad=radians(0.5))
    comparison = compare(PRE, tilted)
    assert row_of(comparison, "trunk_lean_stance_mean").verdict is Verdict.NOT_COMPARABLE
    assert "0.5°" in (row_of(comparison, "trunk_lean_stance_mean").reason or "")
    assert row_of(comparison, "pelvis_tilt_mean", Side.BOTH).verdict is Verdict.NOT_COMPARABLE
    for free in (HIP, "thigh_ext_excursion_stance"):
        assert row_of(comparison, free).verdict is Verdict.NO_DETECTABLE_CHANGE
    shared = compare(
        make_visit("2026-01-01", static_shares_calibration=True),
        make_visit("2026-03-01", up_sd_rad=radians(0.5), static_shares_calibration=True),
    )
    assert row_of(shared, "pelvis_tilt_mean", Side.BOTH).verdict is Verdict.NO_DETECTABLE_CHANGE


def test_gravity_that_nobody_graded_warns() -> None:
    assert any("gravity" in w for w in compare(PRE, make_visit("2026-03-01")).warnings)
    graded = {"up_sd_rad": radians(0.1), "heading_sd_rad": radians(0.1)}
    assert compare(make_visit("2026-01-01", **graded), make_visit("2026-03-01", **graded)).warnings == ()


def test_an_unknown_heading_stops_what_is_measured_against_it() -> None:
    against_heading: MetricDefinition = replace(find_metric("pelvis_rot_rom"), rotation_invariant=False)
    unknown = make_visit("2026-03-01", heading_known=False).captures
    assert reason_against(against_heading, PRE.captures + unknown) == "the heading of the calibration is unknown"
    assert reason_against(against_heading, PRE.captures) is None
    assert against_heading.reference is Reference.HEADING
    # Ranges and values minus their stride mean are exempt.
    comparison = compare(PRE, make_visit("2026-03-01", heading_known=False))
    assert row_of(comparison, "pelvis_rot_rom", Side.BOTH).verdict is Verdict.NO_DETECTABLE_CHANGE


def test_repeated_captures_sharpen_the_row() -> None:
    once = row_of(compare(PRE, make_visit("2026-03-01")))
    twice = row_of(compare(PRE, make_visit("2026-03-01", n_captures=2)))
    assert twice.se_total < once.se_total
    assert twice.n_post == 80


def test_the_page_counts_rows_before_values_are_known() -> None:
    whole = compare(PRE, make_visit("2026-03-01"))
    known = [m for m in METRICS if ERRORS.find(m.id, Tier.T3) is not None]
    assert whole.n_exploratory == sum(len(m.sided.sides) for m in known)
    missing = compare(PRE, make_visit("2026-03-01", drop="cadence"))
    assert missing.n_exploratory == whole.n_exploratory, "a missing value does not lower the bar for the others"
    assert compare(PRE, make_visit("2026-03-01"), make_goal()).n_exploratory == whole.n_exploratory - 1


@pytest.mark.parametrize(
    ("goals", "error"),
    [
        ((make_goal("hip_ext_excursion_stence"),), UnknownNameError),
        ((make_goal(side=Side.BOTH),), InputError),
        ((make_goal(), make_goal()), InputError),
        (
            (make_goal(), make_goal(side=Side.RIGHT), make_goal("cadence", Side.BOTH), make_goal("contact_time")),
            InputError,
        ),
    ],
)
def test_goals_that_no_row_answers_are_refused(goals: tuple[Goal, ...], error: type[InputError]) -> None:
    with pytest.raises(error) as caught:
        compare(PRE, make_visit("2026-03-01"), *goals)
    assert caught.value.exit_code == 2


def test_an_unknown_metric_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'hip_ext_excursion_stance'"):
        check_goal("hip_ext_excursion_stence", Side.LEFT)


@pytest.mark.slow
@given(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5))
def test_swapping_visits_mirrors_the_comparison(shift: float, cadence: float) -> None:
    post = make_visit("2026-01-01", {HIP: shift, "cadence": cadence})
    there, back = compare(PRE, post), compare(post, PRE)
    mirrored = {"higher": "lower", "lower": "higher", None: None}
    for row, other in zip(there.rows, back.rows, strict=True):
        assert row.verdict is other.verdict
        assert (row.direction, row.pre, row.post) == (mirrored[other.direction], other.post, other.pre)
        if not math.isnan(row.change):
            assert row.change == -other.change
            assert row.ci95 == pytest.approx((-other.ci95[1], -other.ci95[0]))
            assert row.threshold == pytest.approx(other.threshold)


@pytest.mark.slow
@given(st.floats(0.0, 0.6), st.floats(0.0, 0.6))
def test_a_larger_change_is_never_judged_smaller(a: float, b: float) -> None:
    order = [Verdict.NO_DETECTABLE_CHANGE, Verdict.POSSIBLE_CHANGE, Verdict.LARGER_THAN_ERROR]
    small, large = sorted((a, b))
    verdicts = [order.index(row_of(compare(PRE, make_visit("2026-03-01", {HIP: s}))).verdict) for s in (small, large)]
    assert verdicts[0] <= verdicts[1]


def test_words_for_every_verdict_and_none_that_praises() -> None:
    visits = {
        "no change larger than": make_visit("2026-03-01"),
        "not distinguishable": make_visit("2026-03-01", {HIP: radians(9.0)}),
        "larger than measurement error": make_visit("2026-03-01", {HIP: radians(20.0)}),
        "indicative only": make_visit("2026-03-01", n=12),
        "not comparable": make_visit("2026-03-01", tier=Tier.T2),
        "not measured": make_visit("2026-03-01", drop=HIP),
    }
    for expected, post in visits.items():
        assert expected in explain_row(row_of(compare(PRE, post)))
    toward = explain_row(row_of(compare(PRE, make_visit("2026-03-01", {HIP: radians(20.0)}), make_goal())))
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


def test_every_row_carries_what_a_reader_needs_to_judge_it() -> None:
    row = row_of(compare(PRE, make_visit("2026-03-01", {HIP: radians(9.0)}), make_goal()))
    half = (row.pre_ci95[1] - row.pre_ci95[0]) / 2
    assert half == pytest.approx(radians(1.95996 * math.sqrt(2.5**2 + 1.5**2 / (40 * 0.7 / 1.3))), rel=1e-4)
    assert (row.pre_sd, row.post_sd) == (pytest.approx(radians(1.5)), pytest.approx(radians(1.5)))
    assert (row.tier, row.quality, row.n_pre, row.n_post) == (Tier.T3, Quality.OK, 40, 40)


def test_a_visit_of_several_captures_rests_on_the_split_and_says_so() -> None:
    error = SessionError(*(radians(1.0) ** 2,) * 3, "lab", 12.0, "default")
    errors = ErrorTable({(HIP, Tier.T3): error})
    one = row_of(compare(PRE, make_visit("2026-03-01"), errors=errors))
    two = row_of(compare(PRE, make_visit("2026-03-01", n_captures=2), errors=errors))
    assert (one.sem_source, one.provisional) == ("lab", False)
    assert (two.sem_source, two.provisional) == ("mixed", True)


def test_an_error_learnt_at_the_speed_goes_before_that_of_all_speeds() -> None:
    slow, fast = (SessionError(radians(v) ** 2, 0.0, 0.0, "lab", 12.0) for v in (1.0, 3.0))
    errors = ErrorTable({(HIP, Tier.T3): slow}, {(HIP, Tier.T3, 3.0): fast})
    assert row_of(compare(PRE, make_visit("2026-03-01"), errors=errors)).mdc95 == pytest.approx(fast.mdc95)
