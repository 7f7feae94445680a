"""What must be alike in two visits: refused or warned of by name, with the remedy."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from scipy.spatial.transform import Rotation

from labsys.core.session import Conditions, Surface
from labsys.core.skeleton import Side, Tier
from labsys.core.units import radians
from labsys.longitudinal import (
    Verdict,
    Visit,
)

from .compared_visits import HIP, PRE, compare, make_metric, make_visit, row_of


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
        make_visit(day, {"trunk_lean_stance_mean": shift}, **_calibrated(name, turns))
        for day, shift, name, turns in (("2026-01-01", 0.0, "one", _turned()), ("2026-03-01", 0.2, "two", other))
    )
    comparison = compare(pre, post)
    for metric in GRAVITY_ROWS:
        row = row_of(comparison, metric)
        assert row.verdict is Verdict.NOT_COMPARABLE
        assert math.isnan(row.change)
        assert "calibrations one and two differ by 0." in (row.reason or "")
    assert row_of(comparison).verdict is Verdict.NO_DETECTABLE_CHANGE, "an excursion does not see a constant turn"
    (warning,) = [w for w in comparison.warnings if "calibrations one and two" in w]
    assert "place the wrong one in the lab anew" in warning


@pytest.mark.parametrize(
    ("name", "turns"),
    [("two", _turned(yaw_deg=0.2)), ("two", _turned(yaw_deg=40.0, moved_deg=5.0)), ("one", _turned(yaw_deg=0.8))],
)
def test_frames_that_agree_or_cannot_be_compared_stay(name: str, turns: dict[str, Any]) -> None:
    pre = make_visit("2026-01-01", **_calibrated("one", _turned()))
    comparison = compare(pre, make_visit("2026-03-01", **_calibrated(name, turns)))
    assert all(row_of(comparison, m).verdict is Verdict.NO_DETECTABLE_CHANGE for m in GRAVITY_ROWS)
    assert not any("calibrations" in w for w in comparison.warnings)


def test_mixed_tiers_are_refused_row_by_row_and_named_with_the_remedy() -> None:
    comparison = compare(PRE, make_visit("2026-03-01", {HIP: radians(20.0)}, tier=Tier.T1))
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
    pre, post = make_visit("2026-01-01", **same), make_visit("2026-03-01", **{**same, **changes})
    assert compare(pre, make_visit("2026-03-01", **same)).warnings == compare(pre, pre_of(pre)).warnings
    assert any(said in w for w in compare(pre, post).warnings)


def pre_of(visit: Visit) -> Visit:
    return replace(visit, session="2026-03-01", date="2026-03-01")


def test_another_hand_that_places_stickers_is_named() -> None:
    pre, post = replace(PRE, operator="MK"), replace(make_visit("2026-03-01"), operator="JS")
    assert any("other operators (pre MK, post JS)" in w for w in compare(pre, post).warnings)
    assert not any("operators" in w for w in compare(pre, replace(post, operator="MK")).warnings)


def test_feet_that_land_otherwise_make_contact_times_indicative() -> None:
    def landing(day: str, angle_deg: float) -> Visit:
        visit = make_visit(day, {"contact_time": 0.05} if day > "2026-02" else None)
        foot = tuple(make_metric("foot_angle_at_fs", s, radians(angle_deg)) for s in (Side.LEFT, Side.RIGHT))
        (capture,) = visit.captures
        kept = tuple(m for m in capture.metrics if m.id != "foot_angle_at_fs")
        return replace(visit, captures=(replace(capture, metrics=kept + foot),))

    row = row_of(compare(landing("2026-01-01", 15.0), landing("2026-03-01", -5.0)), "contact_time")
    assert row.verdict is Verdict.INDICATIVE_ONLY
    assert "rearfoot before and lands on the forefoot now" in (row.reason or "")
    same = row_of(compare(landing("2026-01-01", 15.0), landing("2026-03-01", 12.0)), "contact_time")
    assert same.verdict is Verdict.LARGER_THAN_ERROR


@pytest.mark.slow
def test_a_visit_without_a_static_trial_is_not_compared_where_the_other_is_measured_from_standing() -> None:
    """Its excursion of hip extension is not the rotation from standing: 4.5° apart in the public running recording."""
    pre, post = make_visit("2026-01-01", has_static=True), make_visit("2026-03-01", {HIP: 0.2}, has_static=False)
    comparison = compare(pre, post)
    row = row_of(comparison)
    assert row.verdict is Verdict.NOT_COMPARABLE
    assert math.isnan(row.change)
    assert "no static trial for 2026-03-01/run1" in (row.reason or "")
    assert row_of(comparison, "thigh_ext_excursion_stance").verdict is Verdict.NO_DETECTABLE_CHANGE
    (warning,) = [w for w in comparison.warnings if "no static trial" in w]
    assert "record a quiet stance in every visit" in warning
    side = next(s for s in comparison.symmetry if s.id == HIP)
    assert "no static trial" in (side.reason or "")
    for has in (True, False, None):
        alike = compare(make_visit("2026-01-01", has_static=has), make_visit("2026-03-01", {HIP: 0.4}, has_static=has))
        assert row_of(alike).verdict is Verdict.LARGER_THAN_ERROR
        assert not any("no static trial" in w for w in alike.warnings)
