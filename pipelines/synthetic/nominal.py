"""Where the feet land and how high the hips ride, solved so that a gait meets its published angles."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import brentq

from labsys.core.arrays import FloatArray
from labsys.core.errors import InputError
from pipelines.synthetic.anatomy import STANDING_TILT_RAD, Body
from pipelines.synthetic.legs import Leg, leg_angles, planted_foot, resting_ankle
from pipelines.synthetic.parameters import RunnerParameters
from pipelines.synthetic.plan import LegGeometry, Plan, plan_regular
from pipelines.synthetic.published import Style
from pipelines.synthetic.trunk import TrunkMotion, make_trunk, no_wander, walking_dip_m

_SAMPLES = 60
_STEP = {"R": 2, "L": 3}  # the steps of the trial plan that are looked at
# Scatter may extend a knee to these shares of what the style asks for.
_LEAST_STRIKE_SHARE, _LEAST_OFF_SHARE = 0.6, 0.85
_LEAST_WALKING_KNEE_RAD = math.radians(4.0)
_PROBE = np.array([1e-3, 1e-3, 1e-3])


@dataclass(frozen=True)
class LegTargets:
    """What one leg is solved for: peak hip extension against standing, knee flexion at strike, extra height of the hips
    at toe-off."""

    hip_peak_rad: float
    knee_strike_rad: float
    rise_m: float = 0.0


@dataclass(frozen=True, eq=False)
class Nominal:
    """The solved gait: geometry per side, and how it answers to its targets.

    sensitivity: side -> (3, 3), change of (place_x, strike_y, off_y) per change of (peak hip extension, knee flexion at
    strike, height at toe-off), m/rad, m/rad, 1.
    """

    legs: dict[str, LegGeometry]
    sensitivity: dict[str, FloatArray]


def solve_nominal(style: Style, parameters: RunnerParameters, body: Body) -> Nominal:
    """Solve a gait without variability. The hip's peak falls with every centimetre that the foot lands further ahead,
    so that each side is one root; the heights then follow from the knees in closed form.

    Raises:
        InputError: no geometry meets the targets.
    """
    targets = {s: _targets(style, parameters, s) for s in "RL"}
    place = dict.fromkeys("RL", 0.36 * style.speed_mps * style.contact_s)
    for _ in range(2):
        for side in "RL":
            place[side] = _solve_side(style, parameters, body, targets, place, side)
    legs = _geometry(style, parameters, body, targets, place)
    return Nominal(legs, {s: _sensitivity(style, parameters, body, targets, place, s) for s in "RL"})


def _targets(style: Style, parameters: RunnerParameters, side: str) -> LegTargets:
    sign = 1.0 if side == "R" else -1.0
    hip = style.hip_peak_rad + 0.5 * sign * parameters.asymmetry.hip_extension_rad
    return LegTargets(hip, style.knee_strike_rad)


def _solve_side(
    style: Style,
    parameters: RunnerParameters,
    body: Body,
    targets: dict[str, LegTargets],
    place: dict[str, float],
    side: str,
) -> float:
    def miss(x: float) -> float:
        return _hip_peak(style, parameters, body, targets, {**place, side: x}, side) - targets[side].hip_peak_rad

    travel = style.speed_mps * style.contact_s
    low, high = 0.15 * travel, 0.7 * travel
    if not miss(low) > 0 > miss(high):
        raise InputError(
            f"no gait of the synthetic runner has {math.degrees(targets[side].hip_peak_rad):.1f} deg of hip extension "
            f"at {style.speed_mps:g} m/s",
            remedy="Choose a cap nearer to what people do at this speed",
        )
    return float(brentq(miss, low, high, xtol=1e-5))


def _geometry(
    style: Style, parameters: RunnerParameters, body: Body, targets: dict[str, LegTargets], place: dict[str, float]
) -> dict[str, LegGeometry]:
    """Heights of the hips at which the knees have their target angles at strike and toe-off."""
    plan, trunk = _trial_gait(style, parameters, {s: LegGeometry(place[s], 0.0, 0.0) for s in "RL"})
    out: dict[str, LegGeometry] = {}
    for side, step in _STEP.items():
        leg = Leg(body, trunk, side)
        strike_y = _height(leg, step, float(plan.strike_s[step]), targets[side].knee_strike_rad)
        highest = _height(leg, step, float(plan.off_s[step]), style.knee_off_least_rad)
        off_y = _soft_least(strike_y + style.rise_m + targets[side].rise_m, highest)
        out[side] = LegGeometry(place[side], strike_y, off_y)
    return _level_walk(out, trunk, plan) if style.walking else out


def keep_within_reach(style: Style, plan: Plan, body: Body, wander_m: FloatArray) -> Plan:
    """Lower the hips wherever scatter would have stretched a knee nearly straight; a walker's as a whole."""
    trunk = make_trunk(style, plan, wander_m=wander_m)
    if style.walking:
        return _lower_walk(plan, trunk, body)
    strike_y, off_y = plan.strike_y_m.copy(), plan.off_y_m.copy()
    for k, side in enumerate(plan.sides):
        leg = Leg(body, trunk, side)
        highest = _height(leg, k, float(plan.strike_s[k]), _LEAST_STRIKE_SHARE * style.knee_strike_rad)
        strike_y[k] = _soft_least(float(strike_y[k]), highest)
        highest = _height(leg, k, float(plan.off_s[k]), _LEAST_OFF_SHARE * style.knee_off_least_rad)
        off_y[k] = _soft_least(float(off_y[k]), highest)
    return replace(plan, strike_y_m=strike_y, off_y_m=off_y)


def _lower_walk(plan: Plan, trunk: TrunkMotion, body: Body) -> Plan:
    share = np.linspace(0.0, 1.0, 101)
    lower_m = 0.0
    # The last step is left out: its stance may end beyond the plan.
    for k, side in enumerate(plan.sides[:-1]):
        leg = Leg(body, trunk, side)
        times_s = float(plan.strike_s[k]) + share * float(plan.contact_s[k])
        line = planted_foot(leg, k, times_s)[0] - leg.hip_centre_m(times_s)
        thigh, shank = body.thigh_m[side], body.shank_m[side]
        longest_squared = thigh**2 + shank**2 + 2 * thigh * shank * math.cos(_LEAST_WALKING_KNEE_RAD)
        # How far down the hip must come so that the leg reaches the ankle with its knee a little bent.
        level_squared = line[:, 0] ** 2 + line[:, 2] ** 2
        lower_m = max(lower_m, float(np.max(-line[:, 1] - np.sqrt(longest_squared - level_squared))))
    return replace(plan, strike_y_m=plan.strike_y_m - lower_m, off_y_m=plan.off_y_m - lower_m)


def _height(leg: Leg, step: int, time_s: float, knee_rad: float) -> float:
    thigh, shank = leg.body.thigh_m[leg.side], leg.body.shank_m[leg.side]
    reach_squared = thigh**2 + shank**2 + 2 * thigh * shank * math.cos(knee_rad)
    at = np.array([time_s])
    hips_y = float(leg.trunk.hips_m(at)[0, 1])
    hip, ankle = leg.hip_centre_m(at)[0], resting_ankle(leg, step, time_s)
    level_squared = float((hip[0] - ankle[0]) ** 2 + (hip[2] - ankle[2]) ** 2)
    return (
        float(ankle[1]) + math.sqrt(max(reach_squared - level_squared, 0.1 * reach_squared)) - (float(hip[1]) - hips_y)
    )


def _soft_least(a: float, b: float, corner_m: float = 0.004) -> float:
    """The lesser of two heights, rounded where they meet."""
    return 0.5 * (a + b - math.hypot(a - b, corner_m))


def _level_walk(legs: dict[str, LegGeometry], trunk: TrunkMotion, plan: Plan) -> dict[str, LegGeometry]:
    """Walking has one mean height: that of the hips at strike, less where strike lies on the wave."""
    dips = walking_dip_m(trunk, plan.strike_s[[_STEP["R"], _STEP["L"]]])
    mean = 0.5 * (legs["R"].strike_y_m + legs["L"].strike_y_m) - float(np.mean(dips))
    return {s: replace(g, strike_y_m=mean, off_y_m=mean) for s, g in legs.items()}


def _trial_gait(style: Style, parameters: RunnerParameters, legs: dict[str, LegGeometry]) -> tuple[Plan, TrunkMotion]:
    plan = plan_regular(style, parameters, legs, n_steps=8, start_s=0.0)
    return plan, make_trunk(style, plan, wander_m=no_wander())


def _hip_peak(
    style: Style,
    parameters: RunnerParameters,
    body: Body,
    targets: dict[str, LegTargets],
    place: dict[str, float],
    side: str,
) -> float:
    legs = _geometry(style, parameters, body, targets, place)
    plan, trunk = _trial_gait(style, parameters, legs)
    step = _STEP[side]
    strike, off, following = plan.strike_s[step], plan.off_s[step], plan.strike_s[step + 2]
    window = np.linspace(strike + 0.6 * (off - strike), off + 0.3 * (following - off), _SAMPLES)
    return STANDING_TILT_RAD - _vertex_minimum(leg_angles(Leg(body, trunk, side), window, within_reach=False)[:, 0])


def _vertex_minimum(values: FloatArray) -> float:
    """Least value of a smooth curve sampled evenly, between samples by a parabola: smooth in what shapes the curve."""
    k = int(np.clip(np.argmin(values), 1, values.size - 2))
    before, here, after = values[k - 1 : k + 2]
    bend = before - 2 * here + after
    return float(here - (after - before) ** 2 / (8 * bend)) if bend > 0 else float(here)


def _sensitivity(
    style: Style,
    parameters: RunnerParameters,
    body: Body,
    targets: dict[str, LegTargets],
    place: dict[str, float],
    side: str,
) -> FloatArray:
    """By differences in (place_x, knee at strike, rise), then turned round to answer to the hip."""

    def outcome(move: FloatArray) -> FloatArray:
        aim = targets[side]
        moved = replace(aim, knee_strike_rad=aim.knee_strike_rad + float(move[1]), rise_m=aim.rise_m + float(move[2]))
        there = {**place, side: place[side] + float(move[0])}
        goals = {**targets, side: moved}
        leg = _geometry(style, parameters, body, goals, there)[side]
        peak = _hip_peak(style, parameters, body, goals, there, side)
        return np.array([peak, leg.place_x_m, leg.strike_y_m, leg.off_y_m])

    base = outcome(np.zeros(3))
    slopes = np.stack([(outcome(h * np.eye(3)[j]) - base) / h for j, h in enumerate(_PROBE)], axis=1)
    inputs_of_targets = np.linalg.inv(np.vstack([slopes[0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]))
    return np.asarray(slopes[1:] @ inputs_of_targets)
