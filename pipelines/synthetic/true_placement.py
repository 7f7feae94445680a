"""True values of foot placement, limb lines and travel, read off true points at true events."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from labsys.core.motion import Stride
from labsys.core.skeleton import Side
from pipelines.synthetic.true_curves import Rule, TrueCurves

_WINDOW = 401


def _line_angle(c: TrueCurves, s: Stride, upper: str, lower: str) -> float:
    """Behind vertical at toe-off."""
    line = c.point(f"{s.side.letter}{lower}", s.toe_off_s) - c.point(f"{s.side.letter}{upper}", s.toe_off_s)
    return -math.atan2(line[0], -line[1])


def _behind(c: TrueCurves, s: Stride, body: str) -> float:
    return float((c.point(body, s.toe_off_s) - c.point(f"{s.side.letter}TOE", s.toe_off_s))[0])


def _ahead(c: TrueCurves, s: Stride, body: str) -> float:
    return float((c.point(f"{s.side.letter}HEEL", s.foot_strike_s) - c.point(body, s.foot_strike_s))[0])


def _ratio(c: TrueCurves, s: Stride, body: str) -> float:
    behind = _behind(c, s, body)
    return _ahead(c, s, body) / behind if behind > 0.0 else math.nan


def _travel(c: TrueCurves, s: Stride, body: str) -> float:
    """Vertical, per step."""
    halves = ((s.foot_strike_s, s.contra_foot_strike_s), (s.contra_foot_strike_s, s.next_foot_strike_s))
    height_m = c.points_m[body][:, 1]
    return float(np.mean([np.ptp(np.interp(np.linspace(a, b, _WINDOW), c.times_s, height_m)) for a, b in halves]))


def _step_length(c: TrueCurves, s: Stride) -> float:
    here = c.point(f"{s.side.letter}HEEL", s.foot_strike_s)
    there = c.point(f"{s.side.opposite.letter}HEEL", s.contra_foot_strike_s)
    return float((there - here)[0]) + c.ground_m(s.foot_strike_s, s.contra_foot_strike_s)


def _stride_length(c: TrueCurves, s: Stride) -> float:
    start, end = (c.point("hips", t) for t in (s.foot_strike_s, s.next_foot_strike_s))
    return float((end - start)[0]) + c.ground_m(s.foot_strike_s, s.next_foot_strike_s)


def _step_width(c: TrueCurves, s: Stride) -> float:
    half_s = 0.5 * (s.toe_off_s - s.foot_strike_s)
    own, other = (
        0.5 * (c.point(f"{side.letter}HEEL", t + half_s) + c.point(f"{side.letter}TOE", t + half_s))
        for side, t in ((s.side, s.foot_strike_s), (s.side.opposite, s.contra_foot_strike_s))
    )
    apart = float((own - other)[2])
    return apart if s.side is Side.RIGHT else -apart


PLACEMENT_RULES: Mapping[str, Rule] = {
    "trailing_limb_angle_at_to": lambda c, s: _line_angle(c, s, "HJC", "AJC"),
    "foot_push_angle_at_to": lambda c, s: _line_angle(c, s, "AJC", "TOE"),
    "behind_body_at_to": lambda c, s: _behind(c, s, "com"),
    "behind_body_at_to_pelvis": lambda c, s: _behind(c, s, "hips"),
    "behind_body_at_to_per_leg": lambda c, s: _behind(c, s, "com") / c.leg_length_m,
    "behind_body_at_to_per_leg_pelvis": lambda c, s: _behind(c, s, "hips") / c.leg_length_m,
    "ahead_at_fs": lambda c, s: _ahead(c, s, "com"),
    "ahead_at_fs_pelvis": lambda c, s: _ahead(c, s, "hips"),
    "ahead_at_fs_hip": lambda c, s: _ahead(c, s, f"{s.side.letter}HJC"),
    "ahead_at_fs_per_leg": lambda c, s: _ahead(c, s, "com") / c.leg_length_m,
    "ahead_at_fs_per_leg_pelvis": lambda c, s: _ahead(c, s, "hips") / c.leg_length_m,
    "front_back_ratio": lambda c, s: _ratio(c, s, "com"),
    "front_back_ratio_pelvis": lambda c, s: _ratio(c, s, "hips"),
    "vertical_oscillation": lambda c, s: _travel(c, s, "com"),
    "vertical_oscillation_pelvis": lambda c, s: _travel(c, s, "hips"),
    "vertical_oscillation_per_leg": lambda c, s: _travel(c, s, "com") / c.leg_length_m,
    "vertical_oscillation_per_leg_pelvis": lambda c, s: _travel(c, s, "hips") / c.leg_length_m,
    "vertical_oscillation_per_step_length": lambda c, s: 2.0 * _travel(c, s, "com") / _stride_length(c, s),
    "vertical_oscillation_per_step_length_pelvis": lambda c, s: 2.0 * _travel(c, s, "hips") / _stride_length(c, s),
    "step_length": _step_length,
    "stride_length": _stride_length,
    "stride_length_per_height": lambda c, s: _stride_length(c, s) / c.height_m,
    "step_width": _step_width,
}
