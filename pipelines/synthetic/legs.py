"""Leg angles over time: in stance from the planted foot, in swing from keyframes between toe-off and strike.

Seven angles per leg, (T, 7) rad: hip a, b, c (JCS of thigh on pelvis), knee flexion, ankle a, b, c (JCS of foot on
shank). Both sides use the same right-handed axes; clinical signs are given in `truth`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.interpolate import make_interp_spline

from labsys.core.arrays import BoolArray, FloatArray
from labsys.core.errors import InputError
from pipelines.synthetic.anatomy import STANDING_TILT_RAD, Body
from pipelines.synthetic.plan import Plan
from pipelines.synthetic.published import Style
from pipelines.synthetic.rotations import about_axis, compose_baker, compose_jcs, extract_jcs, rotate, unit
from pipelines.synthetic.shoe import PitchProfile, contact_from_ankle, roll_ankle, roll_rates
from pipelines.synthetic.trunk import TrunkMotion

HIP, KNEE, ANKLE = slice(0, 3), 3, slice(4, 7)
_STEP_S = 5e-4  # for derivatives at the ends of stance
_STRAIGHT_KNEE_RAD = 0.02  # the nearest to straight that a moving knee comes
# A knee begins to yield before strike, but only the impact makes it flex faster than this.
_KNEE_LANDING_RAD_S = 2.5
_KNEE_LANDING_SHARE = 0.25
# The foot's pitch stops falling once the calf has nothing to push against; this also lifts the toe off the belt.
_OFF_PITCH_BRAKE_RAD_S2 = 220.0


@dataclass(frozen=True, eq=False)
class Leg:
    """One leg of a body on a moving trunk."""

    body: Body
    trunk: TrunkMotion
    side: str

    @property
    def style(self) -> Style:
        """The gait's style."""
        return self.trunk.style

    @property
    def plan(self) -> Plan:
        """The gait's steps."""
        return self.trunk.plan

    @property
    def heading_rad(self) -> float:
        """Yaw of the foot: toes out."""
        return -self.style.toe_out_rad if self.side == "R" else self.style.toe_out_rad

    def hip_centre_m(self, times_s: FloatArray) -> FloatArray:
        """Hip centre in LAB, (T, 3) m."""
        R_pelvis = compose_baker(self.trunk.pelvis_rad(times_s))
        return self.trunk.hips_m(times_s) + rotate(R_pelvis, self.body.hip_m[self.side] - self.body.mid_hip_m)


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
            out[swing] = _swing_angles(leg, here, following, times_s[swing], lifted=within_reach)
    if within_reach:
        _check_reach(out, planted)
    return out


def _check_reach(angles_rad: FloatArray, planted: BoolArray) -> None:
    stretched = angles_rad[planted, KNEE].min(initial=1.0) <= _STRAIGHT_KNEE_RAD + 1e-9
    if stretched or angles_rad[:, KNEE].min() < 0.0:
        where = "in stance" if stretched else "in swing"
        raise InputError(
            f"the synthetic leg cannot reach the belt {where} with these parameters",
            remedy="Choose a speed, cadence and vertical oscillation nearer to what people do",
        )


def stance_angles(leg: Leg, step: int, times_s: FloatArray) -> FloatArray:
    """Angles that put the foot where it stands, (T, 7) rad; the knee nearly straight where it is out of reach."""
    ankle_m, pitch = planted_foot(leg, step, times_s)
    return _reach(leg, times_s, ankle_m, pitch)


def planted_foot(leg: Leg, step: int, times_s: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Ankle centre in LAB (T, 3) m and pitch (T,) rad of the foot of one stance."""
    since = times_s - leg.plan.strike_s[step]
    pitch = pitch_profile(leg, step).at(since)
    return _ankle_on_belt(leg, step, since, pitch), pitch


def resting_ankle(leg: Leg, step: int, time_s: float) -> FloatArray:
    """Ankle centre in LAB, (3,) m, at strike or at toe-off, where the pitch is given by the plan."""
    since = time_s - float(leg.plan.strike_s[step])
    pitch = leg.plan.strike_rad[step] if since <= 0 else leg.plan.off_rad[step]
    return np.asarray(_ankle_on_belt(leg, step, np.array([since]), np.array([pitch]))[0])


def pitch_profile(leg: Leg, step: int) -> PitchProfile:
    """Pitch over one stance; its rate at toe-off follows from what the knee does there."""
    style, plan = leg.style, leg.plan
    contact = float(plan.contact_s[step])
    off_rad = float(plan.off_rad[step])
    rate, acceleration = _push_off(leg, step, off_rad)
    scale = float(plan.strike_rad[step]) / style.strike_rad
    return PitchProfile(
        strike_rad=float(plan.strike_rad[step]),
        strike_rate_rad_s=style.strike_rate_rad_s * scale,
        flat_from_s=style.flat_from_s,
        flat_to_s=max(style.flat_to_s, contact - _longest_roll_s(off_rad, rate)),
        off_s=contact,
        off_rad=off_rad,
        off_rate_rad_s=rate,
        off_acceleration_rad_s2=acceleration,
    )


def _longest_roll_s(off_rad: float, rate_rad_s: float) -> float:
    """Longest time over the toes in which the pitch falls without first rising (a rise would rock the shoe back)."""
    return 2.4 * off_rad / min(rate_rad_s, -1e-3)


def _push_off(leg: Leg, step: int, off_rad: float) -> tuple[float, float]:
    """Pitch rate and acceleration at toe-off with which the knee flexes there as its style asks."""
    time = float(leg.plan.off_s[step])
    around = time + _STEP_S * np.array([-1.0, 0.0, 1.0])
    hip = leg.hip_centre_m(around)
    hip_mps = (hip[2] - hip[0]) / (2 * _STEP_S)
    hip_mps2 = (hip[2] - 2 * hip[1] + hip[0]) / _STEP_S**2
    since = np.array([float(leg.plan.contact_s[step])])
    line = _ankle_on_belt(leg, step, since, np.array([off_rad]))[0] - hip[1]
    first, second = (_along_heading(leg, d) for d in roll_rates(leg.body.sole, np.array(off_rad)))
    belt = np.array([-leg.style.speed_mps, 0.0, 0.0])
    thigh, shank = leg.body.thigh_m[leg.side], leg.body.shank_m[leg.side]
    cos_knee = min((line @ line - thigh**2 - shank**2) / (2 * thigh * shank), np.cos(_STRAIGHT_KNEE_RAD))
    sin_knee = np.sqrt(1.0 - cos_knee**2)
    knee, knee2 = leg.style.knee_off_rate_rad_s, leg.style.knee_off_acceleration_rad_s2
    # Half the squared distance is thigh shank cos(knee) plus a constant: its first and second derivative.
    shrink, shrink2 = -thigh * shank * sin_knee * knee, -thigh * shank * (cos_knee * knee**2 + sin_knee * knee2)
    rate = float(((hip_mps - belt) @ line + shrink) / (first @ line))
    closing = belt + rate * first - hip_mps
    acceleration = float((shrink2 - closing @ closing - (rate**2 * second - hip_mps2) @ line) / (first @ line))
    return rate, acceleration


def _along_heading(leg: Leg, forward_up: FloatArray) -> FloatArray:
    """A vector of the foot's sagittal plane (..., 2) in LAB, (..., 3)."""
    forward, up = forward_up[..., 0], forward_up[..., 1]
    return np.stack([np.cos(leg.heading_rad) * forward, up, -np.sin(leg.heading_rad) * forward], axis=-1)


def _ankle_on_belt(leg: Leg, step: int, since_s: FloatArray, pitch_rad: FloatArray) -> FloatArray:
    plan = leg.plan
    hips_x = float(leg.trunk.hips_m(plan.strike_s[step : step + 1])[0, 0])
    spot = np.stack(
        [
            hips_x + plan.place_x_m[step] - leg.style.speed_mps * since_s,
            np.zeros_like(since_s),
            np.full_like(since_s, plan.place_z_m[step]),
        ],
        axis=-1,
    )
    return np.asarray(spot + _along_heading(leg, roll_ankle(leg.body.sole, pitch_rad)))


def _reach(leg: Leg, times_s: FloatArray, ankle_m: FloatArray, pitch_rad: FloatArray) -> FloatArray:
    """Two-link inverse kinematics: knee from hip-to-ankle distance, knee axis as near the pelvis's Z as it can be."""
    R_pelvis = compose_baker(leg.trunk.pelvis_rad(times_s))
    hip_m = leg.hip_centre_m(times_s)
    thigh, shank = leg.body.thigh_m[leg.side], leg.body.shank_m[leg.side]
    line = ankle_m - hip_m
    longest = np.sqrt(thigh**2 + shank**2 + 2 * thigh * shank * np.cos(_STRAIGHT_KNEE_RAD))
    distance = np.clip(np.linalg.norm(line, axis=-1), 0.5 * longest, longest)
    knee = np.arccos((distance**2 - thigh**2 - shank**2) / (2 * thigh * shank))
    forward = np.arccos((thigh**2 + distance**2 - shank**2) / (2 * thigh * distance))
    down = unit(line)
    z = R_pelvis[..., :, 2]
    z = unit(z - np.sum(z * down, axis=-1, keepdims=True) * down)
    front = np.cross(z, down)
    y = -(np.cos(forward)[:, None] * down + np.sin(forward)[:, None] * front)
    R_thigh = np.stack([np.cross(y, z), y, z], axis=-1)
    R_shank = R_thigh @ about_axis(2, -knee)
    R_foot = about_axis(1, np.full(times_s.shape, leg.heading_rad)) @ about_axis(2, pitch_rad)
    hip = extract_jcs(np.swapaxes(R_pelvis, -1, -2) @ R_thigh)
    ankle = extract_jcs(np.swapaxes(R_shank, -1, -2) @ R_foot)
    return np.concatenate([hip, knee[:, None], ankle], axis=-1)


def _swing_angles(leg: Leg, here: int, following: int, times_s: FloatArray, *, lifted: bool) -> FloatArray:
    off, landing = float(leg.plan.off_s[here]), float(leg.plan.strike_s[following])
    start, end = _leaving(leg, here), _landing(leg, following)
    duration = landing - off
    style = leg.style
    reaching = max(float(end[0][KNEE]) - style.knee_reach_rad, 2.0 * _STRAIGHT_KNEE_RAD)
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

    def swing(u: FloatArray, lift_rad: float) -> FloatArray:
        angles = np.stack([c(u) for c in columns], axis=-1)
        return np.asarray(angles + lift_rad * _lift_shape(u)[:, None] * _LIFT)

    lift_rad = _needed_lift(leg, swing, off, duration) if lifted else 0.0
    return swing((times_s - off) / duration, lift_rad)


# Shortening the leg along its own line: hip, knee and ankle flex, the toes come up a little.
_LIFT = np.array([1.0, 0.0, 0.0, 2.0, 1.5, 0.0, 0.0])
_CLEARANCE_M = 0.015


def _lift_shape(u: FloatArray) -> FloatArray:
    """A bump late in swing where the toe passes lowest, flat to second order at both ends, 1 at three quarters."""
    return np.asarray(4.0**12 / 3.0**9 * u**9 * (1.0 - u) ** 3)


def _needed_lift(leg: Leg, swing: Callable[[FloatArray, float], FloatArray], off: float, duration: float) -> float:
    """Extra flexion with which the shoe clears the belt by 15 mm in mid-swing, and does not dip into it at the ends."""
    u = np.linspace(0.05, 0.97, 47)
    times_s = off + u * duration
    lift = 0.0
    for _ in range(12):
        short = _CLEARANCE_M * np.minimum(1.0, 3.0 * _lift_shape(u)) - sole_height(leg, times_s, swing(u, lift))
        if short.max() <= 0:
            break
        k = int(np.argmax(short))
        lift += 0.005 + float(short[k]) / max(float(_lift_shape(u)[k]), 0.3)
    return lift


def sole_height(leg: Leg, times_s: FloatArray, angles_rad: FloatArray) -> FloatArray:
    """Height of the lowest point of the sole above the belt, (T,) m."""
    R_thigh = compose_baker(leg.trunk.pelvis_rad(times_s)) @ compose_jcs(angles_rad[:, HIP])
    R_shank = R_thigh @ about_axis(2, -angles_rad[:, KNEE])
    R_foot = R_shank @ compose_jcs(angles_rad[:, ANKLE])
    ankle = leg.hip_centre_m(times_s) - leg.body.thigh_m[leg.side] * R_thigh[..., 1]
    ankle = ankle - leg.body.shank_m[leg.side] * R_shank[..., 1]
    pitch = np.arcsin(np.clip(R_foot[..., 1, 0], -1.0, 1.0))
    return np.asarray(ankle[:, 1] + contact_from_ankle(leg.body.sole, pitch)[:, 1])


Boundary = tuple[FloatArray, FloatArray, FloatArray]


def _leaving(leg: Leg, step: int) -> Boundary:
    """Angles, rates and accelerations just after toe-off; the pitch gets its brake."""
    around = float(leg.plan.off_s[step]) + _STEP_S * np.array([-1.0, 0.0, 1.0])
    value, rate, acceleration = _derivatives(stance_angles(leg, step, around))
    acceleration[4] += _OFF_PITCH_BRAKE_RAD_S2
    return value, rate, acceleration


def _landing(leg: Leg, step: int) -> Boundary:
    """Angles, rates and accelerations just before strike: the shoe point still comes down and forward.

    What the limit on the knee takes away, the shoe point gains as landing speed.
    """
    style, plan = leg.style, leg.plan
    dt = _STEP_S * np.array([-1.0, 0.0, 1.0])
    pitch = float(plan.strike_rad[step]) + style.approach_rate_rad_s * dt
    lever = -contact_from_ankle(leg.body.sole, np.array(plan.strike_rad[step]))
    turning = style.approach_rate_rad_s * np.array([-lever[1], lever[0]])
    velocity = _along_heading(leg, turning + np.array([style.landing_mps[0], -style.landing_mps[1]]))
    velocity[0] -= style.speed_mps
    at_strike = _ankle_on_belt(leg, step, np.zeros(1), plan.strike_rad[step : step + 1])
    times_s = float(plan.strike_s[step]) + dt
    velocity = _limit_knee(leg, times_s, at_strike[0], velocity)
    return _derivatives(_reach(leg, times_s, at_strike + dt[:, None] * velocity, pitch))


def _limit_knee(leg: Leg, times_s: FloatArray, ankle_m: FloatArray, ankle_mps: FloatArray) -> FloatArray:
    """Ankle velocity before strike at which the knee yields no faster than it would on its own.

    What is taken from the knee's rate is added along the leg: the foot comes down faster than the leg gives way.
    """
    hip = leg.hip_centre_m(times_s)
    hip_mps = (hip[2] - hip[0]) / (2 * _STEP_S)
    line = ankle_m - hip[1]
    distance = float(np.linalg.norm(line))
    thigh, shank = leg.body.thigh_m[leg.side], leg.body.shank_m[leg.side]
    cos_knee = min((distance**2 - thigh**2 - shank**2) / (2 * thigh * shank), np.cos(_STRAIGHT_KNEE_RAD))
    gearing = thigh * shank * np.sqrt(1.0 - cos_knee**2) / distance
    rate = -float((ankle_mps - hip_mps) @ line) / distance / gearing
    limit = _KNEE_LANDING_RAD_S + _KNEE_LANDING_SHARE * max(rate, 0.0)
    allowed = limit * np.tanh(rate / limit)
    return np.asarray(ankle_mps + (rate - allowed) * gearing * line / distance)


def _derivatives(three: FloatArray) -> Boundary:
    rate = (three[2] - three[0]) / (2 * _STEP_S)
    return three[1], rate, (three[2] - 2 * three[1] + three[0]) / _STEP_S**2
