"""Leg angles in swing: keyframes between toe-off and strike, matched to stance at both ends."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.interpolate import BSpline, make_interp_spline

from labsys.core.arrays import FloatArray
from pipelines.synthetic.anatomy import STANDING_TILT_RAD
from pipelines.synthetic.legs import (
    ANKLE,
    HIP,
    KNEE,
    STEP_S,
    STRAIGHT_KNEE_RAD,
    Leg,
    along_heading,
    ankle_on_belt,
    reach_angles,
    stance_angles,
)
from pipelines.synthetic.rotations import about_axis, compose_jcs, unit
from pipelines.synthetic.shoe import contact_from_ankle

# A knee begins to yield before strike, but only the impact makes it flex faster than this.
_KNEE_LANDING_RAD_S = 2.5
_KNEE_LANDING_SHARE = 0.25
# The foot's pitch stops falling once the calf has nothing to push against; this also lifts the toe off the belt.
_OFF_PITCH_BRAKE_RAD_S2 = 220.0


@dataclass(frozen=True, eq=False)
class Swing:
    """One swing of a leg.

    Attributes:
        off_s, duration_s: when it begins, how long it takes. columns: a spline over 0..1 for each of the seven angles.
        lift_rad: extra flexion with which the shoe clears the belt.
    """

    off_s: float
    duration_s: float
    columns: tuple[BSpline, ...]
    lift_rad: float = 0.0

    def angles(self, times_s: FloatArray) -> FloatArray:
        """All seven angles, (T, 7) rad."""
        u = (times_s - self.off_s) / self.duration_s
        angles = np.stack([c(u) for c in self.columns], axis=-1)
        return np.asarray(angles + self.lift_rad * _lift_shape(u)[:, None] * _LIFT)


def plan_swing(leg: Leg, here: int, following: int, *, lifted: bool) -> Swing:
    """Between toe-off of step `here` and strike of step `following`.

    Rates and accelerations at toe-off continue those of stance; `lifted`: flex more where the shoe would dip.
    """
    off, landing = float(leg.plan.off_s[here]), float(leg.plan.strike_s[following])
    start, end = _leaving(leg, here), _landing(leg, following)
    duration = landing - off
    style = leg.style
    reaching = max(float(end[0][KNEE]) - style.knee_reach_rad, 2.0 * STRAIGHT_KNEE_RAD)
    keys: dict[int, list[tuple[float, float]]] = {
        0: [(style.hip_swing_at, style.hip_swing_rad + STANDING_TILT_RAD)],
        KNEE: [(style.knee_swing_at, style.knee_swing_rad), (style.knee_reach_at, reaching)],
        4: [(at, style.ankle_swing_rad) for at in style.ankle_swing_at],
    }
    columns = []
    for j in range(7):
        knots = [0.0, *(at for at, _ in keys.get(j, [])), 1.0]
        values = [start[0][j], *(value for _, value in keys.get(j, [])), end[0][j]]
        leaving = [(1, start[1][j] * duration), (2, start[2][j] * duration**2)]
        # Acceleration before strike is free; a spline of least jerk then has none at that end.
        landing_ends = [(1, end[1][j] * duration), (3, 0.0)]
        columns.append(make_interp_spline(knots, values, k=5, bc_type=(leaving, landing_ends)))
    swing = Swing(off, duration, tuple(columns))
    return replace(swing, lift_rad=_needed_lift(leg, swing)) if lifted else swing


# Shortening the leg along its own line: hip, knee and ankle flex, the toes come up a little.
_LIFT = np.array([1.0, 0.0, 0.0, 2.0, 1.5, 0.0, 0.0])
_CLEARANCE_M = 0.015


def _lift_shape(u: FloatArray) -> FloatArray:
    """A bump late in swing where the toe passes lowest, flat to second order at both ends, 1 at three quarters."""
    return np.asarray(4.0**12 / 3.0**9 * u**9 * (1.0 - u) ** 3)


def _needed_lift(leg: Leg, swing: Swing) -> float:
    """Extra flexion with which the shoe clears the belt by 15 mm in mid-swing, and does not dip into it at the ends."""
    u = np.linspace(0.05, 0.97, 47)
    times_s = swing.off_s + u * swing.duration_s
    unlifted, shape, trunk = swing.angles(times_s), _lift_shape(u), leg.pelvis_and_hip(times_s)
    lift = 0.0
    for _ in range(12):
        angles = unlifted + lift * shape[:, None] * _LIFT
        short = _CLEARANCE_M * np.minimum(1.0, 3.0 * shape) - _sole_height(leg, *trunk, angles)
        if short.max() <= 0:
            break
        k = int(np.argmax(short))
        lift += 0.005 + float(short[k]) / max(float(shape[k]), 0.3)
    return lift


def _sole_height(leg: Leg, R_pelvis: FloatArray, hip_m: FloatArray, angles_rad: FloatArray) -> FloatArray:
    """Height of the lowest point of the sole above the belt, (T,) m."""
    R_thigh = R_pelvis @ compose_jcs(angles_rad[:, HIP])
    R_shank = R_thigh @ about_axis(2, -angles_rad[:, KNEE])
    R_foot = R_shank @ compose_jcs(angles_rad[:, ANKLE])
    ankle = hip_m - leg.body.thigh_m[leg.side] * R_thigh[..., 1]
    ankle = ankle - leg.body.shank_m[leg.side] * R_shank[..., 1]
    pitch = np.arcsin(np.clip(R_foot[..., 1, 0], -1.0, 1.0))
    return np.asarray(ankle[:, 1] + contact_from_ankle(leg.body.sole, pitch)[:, 1])


Boundary = tuple[FloatArray, FloatArray, FloatArray]


def _leaving(leg: Leg, step: int) -> Boundary:
    """Angles, rates and accelerations just after toe-off; the pitch gets its brake."""
    around = float(leg.plan.off_s[step]) + STEP_S * np.array([-1.0, 0.0, 1.0])
    value, rate, acceleration = _derivatives(stance_angles(leg, step, around))
    acceleration[4] += _OFF_PITCH_BRAKE_RAD_S2
    return value, rate, acceleration


def _landing(leg: Leg, step: int) -> Boundary:
    """Angles, rates and accelerations just before strike: the shoe point still comes down and forward.

    What the limit on the knee takes away, the shoe point gains as landing speed; where that is little, the leg
    reaches for the belt, as no shoe lands without an impact.
    """
    style, plan = leg.style, leg.plan
    dt = STEP_S * np.array([-1.0, 0.0, 1.0])
    pitch = float(plan.strike_rad[step]) + style.approach_rate_rad_s * dt
    lever = -contact_from_ankle(leg.body.sole, np.array(plan.strike_rad[step]))
    turning = style.approach_rate_rad_s * np.array([-lever[1], lever[0]])
    velocity = along_heading(leg, turning + np.array([style.landing_mps[0], -style.landing_mps[1]]))
    velocity[0] -= style.speed_mps
    at_strike = ankle_on_belt(leg, step, np.zeros(1), plan.strike_rad[step : step + 1])
    times_s = float(plan.strike_s[step]) + dt
    velocity = _limit_knee(leg, times_s, at_strike[0], velocity)
    line = unit(at_strike[0] - leg.hip_centre_m(times_s[1:2])[0])
    missing = style.least_landing_mps + float(velocity[1]) - float(turning[1])
    velocity = velocity + max(missing, 0.0) / -line[1] * line
    return _derivatives(reach_angles(leg, times_s, at_strike + dt[:, None] * velocity, pitch))


def _limit_knee(leg: Leg, times_s: FloatArray, ankle_m: FloatArray, ankle_mps: FloatArray) -> FloatArray:
    """Ankle velocity before strike at which the knee yields no faster than it would on its own.

    What is taken from the knee's rate is added along the leg: the foot comes down faster than the leg gives way.
    """
    hip = leg.hip_centre_m(times_s)
    hip_mps = (hip[2] - hip[0]) / (2 * STEP_S)
    line = ankle_m - hip[1]
    distance = float(np.linalg.norm(line))
    thigh, shank = leg.body.thigh_m[leg.side], leg.body.shank_m[leg.side]
    cos_knee = min((distance**2 - thigh**2 - shank**2) / (2 * thigh * shank), np.cos(STRAIGHT_KNEE_RAD))
    gearing = thigh * shank * np.sqrt(1.0 - cos_knee**2) / distance
    rate = -float((ankle_mps - hip_mps) @ line) / distance / gearing
    limit = _KNEE_LANDING_RAD_S + _KNEE_LANDING_SHARE * max(rate, 0.0)
    allowed = limit * np.tanh(rate / limit)
    return np.asarray(ankle_mps + (rate - allowed) * gearing * line / distance)


def _derivatives(three: FloatArray) -> Boundary:
    rate = (three[2] - three[0]) / (2 * STEP_S)
    return three[1], rate, (three[2] - 2 * three[1] + three[0]) / STEP_S**2
