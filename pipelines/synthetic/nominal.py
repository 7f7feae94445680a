"""How far ahead the feet land, solved so that a gait has its peak hip extension."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from labsys.core.arrays import FloatArray
from labsys.core.errors import InputError
from pipelines.synthetic.anatomy import STANDING_TILT_RAD, Body
from pipelines.synthetic.heights import settle_heights
from pipelines.synthetic.leg_motion import leg_angles
from pipelines.synthetic.legs import Leg
from pipelines.synthetic.parameters import RunnerParameters
from pipelines.synthetic.plan import HipResponse, plan_regular
from pipelines.synthetic.published import Style
from pipelines.synthetic.trunk import make_trunk, no_wander

_SAMPLES = 60
_STEP = {"R": 2, "L": 3}  # the steps of the six-step gait that are looked at
_TOLERANCE_RAD = math.radians(0.01)
_RESPONSE_M = np.array([-0.08, -0.035, 0.0, 0.035, 0.08])


@dataclass(frozen=True)
class _Search:
    style: Style
    parameters: RunnerParameters
    body: Body

    def target_rad(self, side: str) -> float:
        sign = 1.0 if side == "R" else -1.0
        return self.style.hip_peak_rad + 0.5 * sign * self.parameters.asymmetry.hip_extension_rad

    def hip_peak_rad(self, place_m: Mapping[str, float], side: str) -> float:
        """Peak hip extension against standing of the regular gait with these landing places."""
        style = self.style
        regular = plan_regular(style, self.parameters, place_m, n_steps=6, start_s=0.0)
        plan = settle_heights(style, regular, self.body, no_wander(), within_reach=False)
        trunk = make_trunk(style, plan, wander_m=no_wander())
        step = _STEP[side]
        strike, off, following = plan.strike_s[step], plan.off_s[step], plan.strike_s[step + 2]
        window = np.linspace(strike + 0.6 * (off - strike), off + 0.3 * (following - off), _SAMPLES)
        hip = leg_angles(Leg(self.body, trunk, side), window, within_reach=False)[:, 0]
        return STANDING_TILT_RAD - _vertex_minimum(hip)


def solve_places(style: Style, parameters: RunnerParameters, body: Body) -> dict[str, float]:
    """Landing place per side, m ahead of the hips, of a gait without variability.

    Peak hip extension falls with every centimetre that the foot lands further ahead, so each side is one root. The
    sides meet in the flight between them, hence the rounds.

    Raises:
        InputError: no place gives the hip extension asked for.
    """
    search = _Search(style, parameters, body)
    place = dict.fromkeys("RL", 0.3 * style.speed_mps * style.contact_s)
    for _ in range(5):
        for side in "RL":
            place[side] = _solve_side(search, place, side)
        if all(abs(search.hip_peak_rad(place, s) - search.target_rad(s)) < _TOLERANCE_RAD for s in "RL"):
            break
    return place


def hip_response(
    style: Style, parameters: RunnerParameters, body: Body, place_m: Mapping[str, float]
) -> dict[str, HipResponse]:
    """How each side's landing place and peak hip extension go together around the solved gait."""
    search = _Search(style, parameters, body)
    out: dict[str, HipResponse] = {}
    for side in "RL":
        moves = [{**place_m, side: place_m[side] + float(move)} for move in _RESPONSE_M]
        hips = np.array([search.hip_peak_rad(there, side) for there in moves])
        change = hips - hips[_RESPONSE_M == 0.0]
        # From far ahead (little extension) to far behind; where a straight leg ends the fall, the table ends, too.
        order = np.argsort(change)
        out[side] = HipResponse(change[order], _RESPONSE_M[order])
    return out


def _solve_side(search: _Search, place: dict[str, float], side: str) -> float:
    target = search.target_rad(side)

    def miss(x: float) -> float:
        return search.hip_peak_rad({**place, side: x}, side) - target

    travel = search.style.speed_mps * search.style.contact_s
    near = (place[side] - 0.02, place[side] + 0.02)
    wide = (0.1 * travel, 0.7 * travel)
    for low, high in (near, wide):
        if miss(low) > 0 > miss(high):
            return float(brentq(miss, low, high, xtol=2e-6))
    raise InputError(
        f"no gait of the synthetic runner has {math.degrees(target):.1f} deg of hip extension at "
        f"{search.style.speed_mps:g} m/s",
        remedy="Choose a cap nearer to what people do at this speed",
    )


def _vertex_minimum(values: FloatArray) -> float:
    """Least value of a smooth curve sampled evenly, between samples by a parabola: smooth in what shapes the curve."""
    k = int(np.clip(np.argmin(values), 1, values.size - 2))
    before, here, after = values[k - 1 : k + 2]
    bend = before - 2 * here + after
    return float(here - (after - before) ** 2 / (8 * bend)) if bend > 0 else float(here)
