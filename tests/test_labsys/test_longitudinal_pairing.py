"""Like with like."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labsys.core.motion import Quality
from labsys.core.session import Conditions, Surface, TrialKind, TrialName
from labsys.core.skeleton import Side, Tier
from labsys.longitudinal.pairing import advice_for_next_time, alike, group_alike, pair_captures
from labsys.longitudinal.values import AbsentTrial, Capture, CaptureMetric, Visit


def _capture(
    trial: str = "run1",
    *,
    session: str = "2026-01-01",
    speed_mps: float | None = 3.0,
    incline_pct: float = 0.0,
    surface: Surface | None = Surface.TREADMILL,
    kind: TrialKind = TrialKind.RUN,
    footwear: str = "",
    not_for_comparison: str | None = None,
    metrics: tuple[CaptureMetric, ...] = (),
) -> Capture:
    conditions = Conditions(surface=surface, speed_mps=speed_mps, incline_pct=incline_pct, footwear=footwear)
    return Capture(TrialName("S01", session, trial), kind, conditions, True, not_for_comparison, metrics)


def _visit(session: str, *captures: Capture) -> Visit:
    return Visit(session, session, None, captures)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ({}, {}, True),
        ({"speed_mps": 3.0}, {"speed_mps": 3.09}, True),
        ({"speed_mps": 3.0}, {"speed_mps": 3.10}, False),
        ({"incline_pct": 1.0}, {"incline_pct": 1.5}, True),
        ({"incline_pct": 1.0}, {"incline_pct": 1.6}, False),
        ({"surface": Surface.TREADMILL}, {"surface": Surface.OVERGROUND}, False),
        ({"kind": TrialKind.RUN}, {"kind": TrialKind.WALK}, False),
        ({"speed_mps": None}, {"speed_mps": None}, False),
        ({"footwear": "A"}, {"footwear": "B"}, True),
    ],
)
def test_alike(a: dict[str, Any], b: dict[str, Any], expected: bool) -> None:
    assert alike(_capture(**a), _capture(**b)) is expected
    assert alike(_capture(**b), _capture(**a)) is expected


def test_a_measured_speed_stands_in_for_a_stated_one_and_is_mentioned() -> None:
    speed = CaptureMetric("speed", Side.BOTH, 3.02, 0.02, 40, 0.0, math.nan, Tier.T1, 1)
    measured = _capture(speed_mps=None, metrics=(speed,))
    pairing = pair_captures(_visit("a", measured), _visit("b", _capture()))
    assert len(pairing.pairs) == 1
    assert any("not stated" in w for w in pairing.warnings)
    excluded = CaptureMetric("speed", Side.BOTH, 3.02, 0.02, 40, 0.0, math.nan, Tier.T1, 1, Quality.EXCLUDED)
    assert math.isnan(_capture(speed_mps=None, metrics=(excluded,)).speed_mps)


def _measured(speed_mps: float) -> tuple[CaptureMetric, ...]:
    return (CaptureMetric("speed", Side.BOTH, speed_mps, 0.02, 40, 0.0, math.nan, Tier.T1, 1),)


def test_runs_whose_measured_speeds_differ_do_not_pair_whatever_was_typed() -> None:
    mistyped = _capture(speed_mps=3.0, metrics=_measured(4.0))
    pairing = pair_captures(_visit("a", _capture(metrics=_measured(3.0))), _visit("b", mistyped))
    assert pairing.pairs == ()
    assert any("b/run1: stated 3.00 m/s, the recording shows 4.00 m/s" in w for w in pairing.warnings)


def test_a_belt_within_tolerance_of_what_was_stated_is_not_worth_a_word() -> None:
    pairing = pair_captures(
        _visit("a", _capture(metrics=_measured(2.95))), _visit("b", _capture(metrics=_measured(3.02)))
    )
    assert len(pairing.pairs) == 1
    assert pairing.warnings == ()


def test_trials_without_results_are_listed_and_never_taken_for_unrecorded() -> None:
    waiting = AbsentTrial("run1", TrialKind.RUN, Conditions(speed_mps=3.0), "no results as it stands now; process it")
    post = Visit("b", "b", None, (), (waiting,))
    pairing = pair_captures(_visit("a", _capture()), post)
    assert [(u.visit, u.trial, u.reason) for u in pairing.unpaired if u.visit == "post"] == [
        ("post", "run1", "no results as it stands now; process it")
    ]
    assert "process it" in advice_for_next_time(_visit("a", _capture()), post)


def test_repeated_captures_of_one_condition_stand_together() -> None:
    pre = _visit("a", _capture("run1"), _capture("run2", speed_mps=3.03), _capture("fast", speed_mps=4.0))
    post = _visit("b", _capture("run1"), _capture("fast", speed_mps=4.0))
    pairing = pair_captures(pre, post)
    assert [[c.name.trial for c in p.pre] for p in pairing.pairs] == [["run1", "run2"], ["fast"]]
    assert pairing.pairs[0].speed_mps == pytest.approx((3.0 + 3.03 + 3.0) / 3)
    assert pairing.unpaired == ()


def test_what_stays_alone_is_listed() -> None:
    pre = _visit("a", _capture("slow", speed_mps=2.5), _capture("run1"))
    post = _visit("b", _capture("run1"), _capture("up", incline_pct=4.0))
    pairing = pair_captures(pre, post)
    assert [(u.visit, u.trial) for u in pairing.unpaired] == [("pre", "slow"), ("post", "up")]


def test_a_capture_that_is_not_for_comparison_never_pairs() -> None:
    pre = _visit("a", _capture(not_for_comparison="the calibration was overridden"))
    pairing = pair_captures(pre, _visit("b", _capture()))
    assert pairing.pairs == ()
    assert "overridden" in pairing.unpaired[0].reason


def test_statics_are_no_captures_to_compare() -> None:
    pre = _visit("a", _capture("static", kind=TrialKind.STATIC, speed_mps=None), _capture())
    pairing = pair_captures(pre, _visit("b", _capture()))
    assert len(pairing.pairs) == 1
    assert pairing.unpaired == ()


def test_other_shoes_warn() -> None:
    pairing = pair_captures(_visit("a", _capture(footwear="X")), _visit("b", _capture(footwear="Y")))
    assert any("footwear" in w and "X" in w and "Y" in w for w in pairing.warnings)
    same = pair_captures(_visit("a", _capture(footwear="X")), _visit("b", _capture(footwear="X")))
    assert same.warnings == ()


def test_the_nearest_speed_wins() -> None:
    pre = _visit("a", _capture("run1", speed_mps=3.0))
    post = _visit("b", _capture("near", speed_mps=2.98), _capture("far", speed_mps=3.08))
    pairing = pair_captures(pre, post)
    assert [c.name.trial for c in pairing.pairs[0].post] == ["near"]
    assert [u.trial for u in pairing.unpaired] == ["far"]


def test_advice_names_the_speeds_present_and_the_one_to_record() -> None:
    text = advice_for_next_time(_visit("a", _capture(speed_mps=3.0)), _visit("b", _capture(speed_mps=3.5)))
    assert "3.00 m/s" in text
    assert "3.50 m/s" in text
    assert text.endswith("Record next time at 3.00 m/s")
    assert "no run or walk" in advice_for_next_time(_visit("a"), _visit("b"))


SPEEDS = st.lists(st.floats(1.5, 6.0), min_size=0, max_size=5)


@given(SPEEDS)
def test_groups_hold_every_capture_once_and_only_alike_ones(speeds: list[float]) -> None:
    captures = [_capture(f"run{i}", speed_mps=v) for i, v in enumerate(speeds)]
    groups = group_alike(captures)
    assert sorted(c.name.trial for g in groups for c in g) == sorted(c.name.trial for c in captures)
    assert all(alike(a, b) for g in groups for a in g for b in g)


@given(SPEEDS, SPEEDS)
def test_pairing_is_symmetric_and_loses_nothing(before: list[float], after: list[float]) -> None:
    pre = _visit("a", *(_capture(f"p{i}", speed_mps=v) for i, v in enumerate(before)))
    post = _visit("b", *(_capture(f"q{i}", speed_mps=v) for i, v in enumerate(after)))
    there, back = pair_captures(pre, post), pair_captures(post, pre)
    assert {(p.pre, p.post) for p in there.pairs} == {(p.post, p.pre) for p in back.pairs}
    paired = sum(len(p.pre) + len(p.post) for p in there.pairs)
    assert paired + len(there.unpaired) == len(before) + len(after)
    assert all(alike(a, b) for p in there.pairs for a in p.pre for b in p.post)
