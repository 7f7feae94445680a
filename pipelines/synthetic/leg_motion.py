"""Leg angles over time: stance and swing in turn."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from labsys.core.arrays import BoolArray, FloatArray
from labsys.core.errors import InputError
from pipelines.synthetic.legs import KNEE, STRAIGHT_KNEE_RAD, Leg, stance_angles
from pipelines.synthetic.swing import Swing, plan_swing


def leg_angles(leg: Leg, times_s: FloatArray, *, within_reach: bool = True) -> FloatArray:
    """All seven angles at any times inside the plan, (T, 7) rad.

    Args:
        within_reach: refuse a foot that the straight leg does not reach, and lift a shoe that would dip into the belt
            (a solver on its way goes without).

    Raises:
        InputError: the foot is out of the leg's reach.
    """
    out = np.full((times_s.size, 7), np.nan)
    planted = np.zeros(times_s.shape, dtype=np.bool_)
    steps = leg.plan.steps_of(leg.side)
    for here, following in pairwise(steps):
        strike, off, landing = leg.plan.strike_s[here], leg.plan.off_s[here], leg.plan.strike_s[following]
        stance = (times_s >= strike) & (times_s <= off)
        swing = (times_s > off) & (times_s < landing)
        planted |= stance
        if stance.any():
            out[stance] = stance_angles(leg, here, times_s[stance])
        if swing.any():
            out[swing] = _swing(leg, here, following, lifted=within_reach).angles(times_s[swing])
    if within_reach:
        _check_reach(out, planted)
    return out


def _swing(leg: Leg, here: int, following: int, *, lifted: bool) -> Swing:
    return leg.kept(("swing", here, lifted), lambda: plan_swing(leg, here, following, lifted=lifted))


def _check_reach(angles_rad: FloatArray, planted: BoolArray) -> None:
    stretched = angles_rad[planted, KNEE].min(initial=1.0) <= STRAIGHT_KNEE_RAD + 1e-9
    if stretched or angles_rad[:, KNEE].min() < 0.0:
        where = "in stance" if stretched else "in swing"
        raise InputError(
            f"the synthetic leg cannot reach the belt {where} with these parameters",
            remedy="Choose a speed, cadence and vertical oscillation nearer to what people do",
        )
