"""How high the hips ride at strike and toe-off, in closed form from what the knees shall do there."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from labsys.core.arrays import FloatArray
from pipelines.synthetic.anatomy import Body
from pipelines.synthetic.legs import Leg, planted_foot, resting_ankle
from pipelines.synthetic.plan import Plan
from pipelines.synthetic.published import Style
from pipelines.synthetic.trunk import make_trunk, walking_dip_m

_LEAST_WALKING_KNEE_RAD = math.radians(4.0)
_LEAST_RUNNING_KNEE_RAD = math.radians(9.0)


def settle_heights(style: Style, plan: Plan, body: Body, wander_m: FloatArray, *, within_reach: bool = True) -> Plan:
    """The plan with heights: a runner's per step, a walker's as one level that keeps every knee bent.

    within_reach: lower a walker until no knee is stretched (a solver on its way goes without).

    At strike the knee has its planned flexion. At toe-off the hips have risen as planned, as far as the leg reaches.
    """
    trunk = make_trunk(style, plan, wander_m=wander_m)
    legs = {s: Leg(body, trunk, s) for s in "RL"}
    strike_y, off_y = np.empty(len(plan.sides)), np.empty(len(plan.sides))
    for k, side in enumerate(plan.sides):
        knee = max(float(plan.knee_strike_rad[k]), 0.0 if style.walking else _LEAST_RUNNING_KNEE_RAD)
        strike_y[k] = _height(legs[side], k, float(plan.strike_s[k]), knee)
        highest = _height(legs[side], k, float(plan.off_s[k]), style.knee_off_least_rad)
        off_y[k] = _soft_least(float(strike_y[k] + plan.rise_m[k]), highest)
    if not style.walking:
        return replace(plan, strike_y_m=strike_y, off_y_m=off_y)
    level = np.full(strike_y.size, float(np.mean(strike_y - walking_dip_m(trunk, plan.strike_s))))
    settled = replace(plan, strike_y_m=level, off_y_m=level)
    return _lower_walk(style, settled, body, wander_m) if within_reach else settled


def _height(leg: Leg, step: int, time_s: float, knee_rad: float) -> float:
    """Height of the hips at which this knee is flexed so much at strike or toe-off."""
    thigh, shank = leg.body.thigh_m[leg.side], leg.body.shank_m[leg.side]
    reach_squared = thigh**2 + shank**2 + 2 * thigh * shank * math.cos(knee_rad)
    at = np.array([time_s])
    hips_y = float(leg.trunk.hips_m(at)[0, 1])
    hip, ankle = leg.hip_centre_m(at)[0], resting_ankle(leg, step, time_s)
    level_squared = float((hip[0] - ankle[0]) ** 2 + (hip[2] - ankle[2]) ** 2)
    # A solver on its way may ask for a foot beyond all reach; `legs` refuses it in the end.
    return float(ankle[1]) + math.sqrt(max(reach_squared - level_squared, 0.1 * reach_squared)) - float(hip[1]) + hips_y


def _soft_least(a: float, b: float, corner_m: float = 0.004) -> float:
    """The lesser of two heights, rounded where they meet."""
    return 0.5 * (a + b - math.hypot(a - b, corner_m))


def _lower_walk(style: Style, plan: Plan, body: Body, wander_m: FloatArray) -> Plan:
    # Lower hips change how the foot rolls off, and with it the reach: a few rounds settle it.
    for _ in range(4):
        trunk = make_trunk(style, plan, wander_m=wander_m)
        # The last step's stance may end beyond the plan.
        lower_m = max(_excess_m(Leg(body, trunk, s), k) for k, s in enumerate(plan.sides[:-1]))
        if lower_m <= 0:
            break
        plan = replace(plan, strike_y_m=plan.strike_y_m - lower_m, off_y_m=plan.off_y_m - lower_m)
    return plan


def _excess_m(leg: Leg, step: int) -> float:
    """How far the hips must come down for the leg to reach its planted foot with the knee a little bent, m."""
    times_s = float(leg.plan.strike_s[step]) + np.linspace(0.0, 1.0, 101) * float(leg.plan.contact_s[step])
    line = planted_foot(leg, step, times_s)[0] - leg.hip_centre_m(times_s)
    thigh, shank = leg.body.thigh_m[leg.side], leg.body.shank_m[leg.side]
    reach_squared = thigh**2 + shank**2 + 2 * thigh * shank * math.cos(_LEAST_WALKING_KNEE_RAD)
    level_squared = np.minimum(line[:, 0] ** 2 + line[:, 2] ** 2, 0.9 * reach_squared)
    return float(np.max(-line[:, 1] - np.sqrt(reach_squared - level_squared)))
