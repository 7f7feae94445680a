"""The lab's own error: published worked examples, simulated repeats of known components, and what is no repeat."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from labsys.core.catalogue import CATALOGUE_VERSION
from labsys.core.errors import InputError
from labsys.core.learnt_error import LearntErrors
from labsys.core.measurement_error import SessionError, default_error, default_error_table
from labsys.core.motion import Quality
from labsys.core.session import Conditions, Phase, Surface, TrialKind, TrialName
from labsys.core.skeleton import Side, Tier
from labsys.core.units import radians
from labsys.longitudinal import Capture, CaptureMetric, Person, Visit, learn_reliability, plan_captures
from labsys.longitudinal.agreement import bland_altman, icc_2_1
from labsys.longitudinal.components import learn_components
from labsys.longitudinal.families import correlated_page_level, page_level, shrunken_correlation
from labsys.longitudinal.nested import RepeatedCapture, RepeatedMeasure, sum_squares
from labsys.longitudinal.repeats import find_repeats

HIP = "hip_ext_excursion_stance"
TRUE = (0.625, 3.75, 1.875)
SPLIT = (0.1, 0.6, 0.3)
DEFAULTS = default_error_table((HIP, "cadence"))


def test_icc_of_shrout_and_fleiss() -> None:
    # Shrout & Fleiss 1979, table 2 (6 targets, 4 judges): ICC(2,1) = 0.29; the interval as McGraw & Wong 1996 give it.
    scores = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    icc = icc_2_1(np.array(scores, float))
    assert icc.value == pytest.approx(0.29, abs=0.005)
    assert icc.ci95 == pytest.approx((0.02, 0.76), abs=0.005)


def test_limits_of_bland_and_altman() -> None:
    # Bland & Altman 1986, table 1: peak flow of 17 people, mini meter and large meter; mean -2.1, SD 38.8 l/min.
    large = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
    mini = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]
    found = bland_altman(np.array(mini, float), np.array(large, float))
    assert (found.bias, found.sd) == (pytest.approx(-2.1, abs=0.05), pytest.approx(38.8, abs=0.05))
    assert found.bias_ci95 == pytest.approx((-22.0, 17.8), abs=0.05)
    assert found.limits == pytest.approx((-78.1, 73.9), abs=0.05)


def _repeats(
    rng: np.random.Generator, *, people: int, visits: int, places: int, captures: int, noise: float = 0.1
) -> list[RepeatedMeasure]:
    def one(person: int) -> RepeatedMeasure:
        found = []
        base = rng.normal(30.0, 6.0)
        for v in range(visits):
            day = rng.normal(0.0, math.sqrt(TRUE[2]))
            for p in range(places):
                place = rng.normal(0.0, math.sqrt(TRUE[1]))
                for _ in range(captures):
                    value = base + day + place + rng.normal(0.0, math.sqrt(TRUE[0])) + rng.normal(0.0, math.sqrt(noise))
                    found.append(RepeatedCapture(f"v{v}", f"p{p}", value, noise))
        return RepeatedMeasure(str(person), tuple(found))

    return [one(k) for k in range(people)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layout", "sources", "split_source"),
    [
        ({"people": 15, "visits": 2, "places": 1, "captures": 1}, ["split", "split", "split"], "default"),
        ({"people": 15, "visits": 2, "places": 2, "captures": 1}, ["split", "split", "lab"], "default"),
        ({"people": 15, "visits": 2, "places": 1, "captures": 2}, ["lab", "split", "split"], "default"),
        ({"people": 15, "visits": 2, "places": 2, "captures": 2}, ["lab", "lab", "lab"], "lab"),
    ],
)
def test_known_components_come_back_from_many_labs(
    layout: dict[str, int], sources: list[str], split_source: str
) -> None:
    rng = np.random.default_rng(7)
    learnt = [learn_components(_repeats(rng, **layout), split=SPLIT, fallback=None) for _ in range(150)]
    found = [c for c in learnt if c is not None]
    assert len(found) == 150
    assert [getattr(found[0], k).source for k in ("capture", "palpation", "day")] == sources
    assert (found[0].error.source, found[0].error.split_source) == ("lab", split_source)
    for k, true in zip(("capture", "palpation", "day"), TRUE, strict=True):
        values = [getattr(c, k).variance for c in found]
        # Three standard errors of the mean over labs, and what drawing negative estimates to zero adds.
        assert np.mean(values) == pytest.approx(true, abs=3 * float(np.std(values)) / math.sqrt(150) + 0.12 * true)
    covered = np.mean([c.sem_ci95[0] <= 2.5 <= c.sem_ci95[1] for c in found])
    assert 0.89 <= covered <= 0.99
    claimed = np.sqrt(np.mean([np.sum(c.error.covariance) for c in found]))
    assert claimed == pytest.approx(np.std([c.error.variance((1, 1, 1)) for c in found]), rel=0.25)


def test_what_strides_add_is_taken_off() -> None:
    """Strides that add more than captures, stickers and days together: the session's error must not hold theirs."""
    rng = np.random.default_rng(3)
    measures = _repeats(rng, people=600, visits=2, places=2, captures=2, noise=8.0)
    found = learn_components(measures, split=SPLIT, fallback=None)
    assert found is not None
    assert found.error.sem**2 == pytest.approx(sum(TRUE), rel=0.25)
    assert found.capture.variance == pytest.approx(TRUE[0], abs=0.8)


def test_degrees_of_freedom_of_people_seen_twice_are_the_people() -> None:
    rng = np.random.default_rng(1)
    found = learn_components(
        _repeats(rng, people=10, visits=2, places=1, captures=1, noise=1e-9), split=SPLIT, fallback=None
    )
    assert found is not None
    assert found.error.df == pytest.approx(10.0, rel=1e-6)
    for weights in itertools.product((0.5, 1.0), (0.5, 1.0), (1.0,)):
        assert found.error.df_of(weights) == pytest.approx(10.0, rel=1e-6), "one sum, shared by default"


def test_two_sides_of_a_person_count_as_one() -> None:
    rng = np.random.default_rng(1)
    one_side = _repeats(rng, people=10, visits=2, places=1, captures=1)
    sums, doubled = sum_squares(one_side), sum_squares([*one_side, *one_side])
    np.testing.assert_allclose(doubled.squares, sums.squares)
    np.testing.assert_allclose(doubled.df, sums.df)
    found, again = (learn_components(m, split=SPLIT, fallback=None) for m in (one_side, [*one_side, *one_side]))
    assert found is not None
    assert again is not None
    assert again.error.df == pytest.approx(found.error.df)


def test_too_few_people_leave_the_default_in_place() -> None:
    rng = np.random.default_rng(2)
    default = SessionError(1.0, 6.0, 3.0, "default")
    few = _repeats(rng, people=7, visits=2, places=1, captures=1)
    assert learn_components(few, split=SPLIT, fallback=default) is None
    within = _repeats(rng, people=10, visits=1, places=1, captures=2)
    found = learn_components(within, split=SPLIT, fallback=default)
    assert found is not None
    assert [p.source for p in (found.capture, found.palpation, found.day)] == ["lab", "default", "default"]
    assert (found.error.source, found.error.v_palpation, found.error.v_day) == ("mixed", 6.0, 3.0)
    assert found.capture.df == 10.0
    assert learn_components(within, split=SPLIT, fallback=None) is None, "without a default the day stays unknown"


def test_an_error_that_strides_explain_whole_is_not_learnt_as_zero() -> None:
    same = RepeatedCapture("v0", "", 1.0, 4.0), RepeatedCapture("v1", "", 1.0, 4.0)
    measures = [RepeatedMeasure(str(k), same) for k in range(12)]
    assert learn_components(measures, split=SPLIT, fallback=None) is None


def test_equal_rows_are_judged_as_one_and_independent_ones_apart() -> None:
    assert correlated_page_level(np.ones((30, 30)), 0) == pytest.approx(0.05, rel=0.05)
    assert correlated_page_level(np.eye(30), 0) == pytest.approx(page_level(30), rel=0.1)
    assert correlated_page_level(np.eye(10), 20) == pytest.approx(page_level(30), rel=0.1)
    assert correlated_page_level(np.empty((0, 0)), 30) == pytest.approx(page_level(30), rel=0.1)


def test_few_people_do_not_invent_correlation() -> None:
    rng = np.random.default_rng(4)
    apart = ~np.eye(40, dtype=bool)
    nothing = shrunken_correlation(rng.standard_normal((10, 40)))
    assert np.abs(nothing[apart]).mean() < 0.05
    many = shrunken_correlation(rng.standard_normal((4000, 1)) * 0.7**0.5 + rng.standard_normal((4000, 40)) * 0.3**0.5)
    assert many[apart].mean() == pytest.approx(0.7, abs=0.03)


def test_plans_are_the_published_ones() -> None:
    # SEM 2.5: one capture sees 5 in 29 % of pairs and 8 in 61 %; two re-palpated ones 37 % (half day), 51 % (no day).
    def option(day_share: float, change: float, k: int) -> tuple[float, float]:
        rest = 6.25 * (1.0 - day_share)
        plan = plan_captures(SessionError(rest / 2, rest / 2, 6.25 * day_share, "lab"), change)
        found = next(o for o in plan.options if o.n_captures == k and o.replaced is (k > 1))
        return found.power, found.detectable

    assert option(0.3, 5.0, 1)[0] == pytest.approx(0.29, abs=0.01)
    assert option(0.3, 8.0, 1)[0] == pytest.approx(0.61, abs=0.015)
    assert option(0.5, 5.0, 2) == (pytest.approx(0.37, abs=0.01), pytest.approx(8.6, abs=0.1))
    assert option(0.0, 5.0, 2) == (pytest.approx(0.51, abs=0.015), pytest.approx(7.0, abs=0.1))


def test_a_day_that_varies_too_much_rules_a_change_out() -> None:
    plan = plan_captures(SessionError(0.5, 0.5, 5.25, "lab"), 5.0)
    assert plan.enough is None
    assert plan.smallest == pytest.approx((1.95996 + 0.84162) * math.sqrt(2 * 5.25), rel=1e-4)
    assert all(o.detectable > plan.smallest for o in plan.options)


def test_an_uncertain_error_plans_for_less() -> None:
    sure, unsure = (plan_captures(SessionError(0.6, 3.7, 1.9, "lab", df), 8.0) for df in (math.inf, 10.0))
    for a, b in zip(sure.options, unsure.options, strict=True):
        assert b.power < a.power
        assert b.detectable > a.detectable
    with pytest.raises(InputError, match="larger than zero"):
        plan_captures(SessionError(0.6, 3.7, 1.9, "lab"), 0.0)


def _visit(session: str, mean: float, *, n_captures: int = 1, repeats: str = "", phase: Phase | None = None) -> Visit:
    def capture(k: int) -> Capture:
        metric = CaptureMetric(HIP, Side.LEFT, mean + 0.001 * k, 0.02, 40, 0.3, math.nan, Tier.T3, CATALOGUE_VERSION)
        name = TrialName("S", session[:10], f"run{k}")
        return Capture(name, TrialKind.RUN, Conditions(Surface.TREADMILL, 3.0), True, None, (metric,), placement=str(k))

    return Visit(session, session, phase, tuple(capture(k) for k in range(n_captures)), repeats=repeats)


def _layout(*visits: Visit) -> tuple[list[list[tuple[str, str]]], dict[str, str]]:
    found = find_repeats([Person("S", visits)])
    return [[(c.visit, c.placement) for c in m.captures] for ms in found.measures.values() for m in ms], found.left_out


def test_marked_visits_and_captures_of_one_visit_are_repeats() -> None:
    first, second = _visit("2026-01-01", 0.6, n_captures=2), _visit("2026-01-03", 0.6, repeats="2026-01-01")
    assert _layout(second, first) == (
        [[("2026-01-01", "0"), ("2026-01-01", "1"), ("2026-01-03", "0")]],
        {},
    )
    third = _visit("2026-01-05", 0.6, repeats="2026-01-03")
    (chain,), _ = _layout(first, second, third)
    assert len(chain) == 4, "a repeat of a repeat is of the same chain"


def test_pre_and_post_of_a_treated_person_never_enter() -> None:
    pre, post = _visit("2026-01-01", 0.6, phase=Phase.PRE), _visit("2026-03-01", 0.7, phase=Phase.POST)
    assert _layout(pre, post) == ([], {})
    measures, left_out = _layout(pre, replace(post, repeats="2026-01-01"))
    assert measures == []
    assert "phases differ" in left_out["S/2026-03-01"]


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (_visit("2026-01-01T20:00:00", 0.6, repeats="2026-01-01"), "24 hours"),
        (_visit("2026-01-05", 0.6, repeats="2025-01-01"), "no earlier visit"),
        (_visit("2026-01-05", 0.6, repeats="2026-02-01"), "no earlier visit"),
    ],
)
def test_what_is_marked_and_is_no_repeat_is_named(second: Visit, reason: str) -> None:
    second = replace(second, captures=tuple(replace(c, name=TrialName("S", "b", "r")) for c in second.captures))
    measures, left_out = _layout(_visit("2026-01-01", 0.6), second)
    assert measures == []
    assert reason in left_out[f"S/{second.session}"]


def test_captures_that_nothing_may_be_compared_with_teach_nothing() -> None:
    first, second = _visit("2026-01-01", 0.6), _visit("2026-01-03", 0.6, repeats="2026-01-01")
    spoilt = replace(second, captures=(replace(second.captures[0], not_for_comparison="the pose was repaired"),))
    assert _layout(first, spoilt)[0] == []
    fast = replace(second.captures[0], conditions=Conditions(Surface.TREADMILL, 4.0))
    assert _layout(first, replace(second, captures=(fast,)))[0] == []


def test_what_is_only_indicative_teaches_nothing() -> None:
    first, second = _visit("2026-01-01", 0.6), _visit("2026-01-03", 0.6, repeats="2026-01-01")
    (capture,) = second.captures
    unsure = replace(capture, metrics=tuple(replace(m, quality=Quality.INDICATIVE) for m in capture.metrics))
    assert len(_layout(first, second)[0]) == 1
    assert _layout(first, replace(second, captures=(unsure,)))[0] == []


def _lab(people: int, seed: int) -> LearntErrors:
    rng = np.random.default_rng(seed)

    def person(k: int) -> Person:
        base = rng.normal(radians(38.0), radians(5.0))
        means = base + rng.normal(0.0, radians(2.0), 2)
        visits = _visit("2026-01-01", means[0]), _visit("2026-01-08", means[1], repeats="2026-01-01")
        return Person(f"S{k:02d}", visits)

    return learn_reliability([person(k) for k in range(people)], defaults=DEFAULTS, made_at="2026-02-01T00:00:00Z")


def test_a_lab_learns_from_ten_people_and_its_table_takes_the_defaults_place() -> None:
    learnt = _lab(40, seed=1)
    overall, band = learnt.rows
    assert (overall.metric, overall.tier, overall.band, band.band) == (HIP, Tier.T3, None, 3.0)
    assert overall.error.sem == pytest.approx(radians(2.0), rel=0.25)
    assert overall.n_people == 40
    assert overall.agreement[0].icc == pytest.approx(25.0 / (25.0 + 4.0), abs=0.12)
    table = learnt.table(DEFAULTS, name="2026-02-01-001")
    assert table.find(HIP, Tier.T3, 3.1) == band.error
    assert table.find(HIP, Tier.T3, 4.0) == overall.error
    assert table.find(HIP, Tier.T2) == default_error(HIP, Tier.T2)
    assert table.find(HIP, Tier.T3).source_of(divided=True) == "mixed", "the split is a default"  # type: ignore[union-attr]
    assert table.find(HIP, Tier.T3).source_of(divided=False) == "lab"  # type: ignore[union-attr]


def test_nine_people_are_too_few_only_below_eight_degrees_of_freedom() -> None:
    assert _lab(9, seed=1).rows != ()
    assert _lab(7, seed=1).rows == ()


def test_what_other_definitions_taught_is_not_used() -> None:
    learnt = _lab(12, seed=1)
    older = replace(learnt, rows=tuple(replace(r, version=CATALOGUE_VERSION - 1) for r in learnt.rows))
    assert older.table(DEFAULTS, name="x").find(HIP, Tier.T3) == default_error(HIP, Tier.T3)
