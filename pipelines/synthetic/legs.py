"""One leg on a moving trunk, and its angles in stance: inverse kinematics from the planted foot.

Seven angles per leg, (T, 7) rad: hip a, b, c (JCS of thigh on pelvis), knee flexion, ankle a, b, c (JCS of foot on
shank). Both sides use the same right-handed axes; clinical signs are given in `true_angles`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from labsys.core.arrays import FloatArray
from pipelines.synthetic.anatomy import Body
from pipelines.synthetic.plan import Plan
from pipelines.synthetic.published import Style
from pipelines.synthetic.rotations import about_axis, compose_baker, extract_jcs, rotate, unit
from pipelines.synthetic.shoe import PitchProfile, roll_ankle, roll_rates
from pipelines.synthetic.trunk import TrunkMotion

HIP, KNEE, ANKLE = slice(0, 3), 3, slice(4, 7)
STEP_S = 5e-4  # for derivatives at the ends of stance
STRAIGHT_KNEE_RAD = 0.02  # the nearest to straight that a moving knee comes

Made = TypeVar("Made")


@dataclass(frozen=True, eq=False)
class Leg:
    """One leg of a body on a moving trunk."""

    body: Body
    trunk: TrunkMotion
    side: str
    _kept: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False)

    def kept(self, name: Hashable, make: Callable[[], Made]) -> Made:
        """What does not depend on the moments asked for, made once under a name."""
        if name not in self._kept:
            self._kept[name] = make()
        found: Made = self._kept[name]
        return found

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
        return self.pelvis_and_hip(times_s)[1]

    def pelvis_and_hip(self, times_s: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Rotation of the pelvis (T, 3, 3), and hip centre (T, 3) m, in LAB."""
        R_pelvis = compose_baker(self.trunk.pelvis_rad(times_s))
        from_middle = rotate(R_pelvis, self.body.hip_m[self.side] - self.body.mid_hip_m)
        return R_pelvis, self.trunk.hips_m(times_s) + from_middle


def stance_angles(leg: Leg, step: int, times_s: FloatArray) -> FloatArray:
    """Angles that put the foot where it stands, (T, 7) rad; the knee nearly straight where it is out of reach."""
    ankle_m, pitch = planted_foot(leg, step, times_s)
    return reach_angles(leg, times_s, ankle_m, pitch)


def planted_foot(leg: Leg, step: int, times_s: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Ankle centre in LAB (T, 3) m and pitch (T,) rad of the foot of one stance."""
    since = times_s - leg.plan.strike_s[step]
    pitch = leg.kept(("pitch", step), lambda: pitch_profile(leg, step)).at(since)
    return ankle_on_belt(leg, step, since, pitch), pitch


def resting_ankle(leg: Leg, step: int, time_s: float) -> FloatArray:
    """Ankle centre in LAB, (3,) m, at strike or at toe-off, where the pitch is given by the plan."""
    since = time_s - float(leg.plan.strike_s[step])
    pitch = leg.plan.strike_rad[step] if since <= 0 else leg.plan.off_rad[step]
    return np.asarray(ankle_on_belt(leg, step, np.array([since]), np.array([pitch]))[0])


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
    around = time + STEP_S * np.array([-1.0, 0.0, 1.0])
    hip = leg.hip_centre_m(around)
    hip_mps = (hip[2] - hip[0]) / (2 * STEP_S)
    hip_mps2 = (hip[2] - 2 * hip[1] + hip[0]) / STEP_S**2
    since = np.array([float(leg.plan.contact_s[step])])
    line = ankle_on_belt(leg, step, since, np.array([off_rad]))[0] - hip[1]
    first, second = (along_heading(leg, d) for d in roll_rates(leg.body.sole, np.array(off_rad)))
    belt = np.array([-leg.style.speed_mps, 0.0, 0.0])
    thigh, shank = leg.body.thigh_m[leg.side], leg.body.shank_m[leg.side]
    cos_knee = min((line @ line - thigh**2 - shank**2) / (2 * thigh * shank), np.cos(STRAIGHT_KNEE_RAD))
    sin_knee = np.sqrt(1.0 - cos_knee**2)
    knee, knee2 = leg.style.knee_off_rate_rad_s, leg.style.knee_off_acceleration_rad_s2
    # Half the squared distance is thigh shank cos(knee) plus a constant: its first and second derivative.
    shrink, shrink2 = -thigh * shank * sin_knee * knee, -thigh * shank * (cos_knee * knee**2 + sin_knee * knee2)
    rate = float(((hip_mps - belt) @ line + shrink) / (first @ line))
    closing = belt + rate * first - hip_mps
    acceleration = float((shrink2 - closing @ closing - (rate**2 * second - hip_mps2) @ line) / (first @ line))
    return rate, acceleration


def along_heading(leg: Leg, forward_up: FloatArray) -> FloatArray:
    """A vector of the foot's sagittal plane (..., 2) in LAB, (..., 3)."""
    forward, up = forward_up[..., 0], forward_up[..., 1]
    return np.stack([np.cos(leg.heading_rad) * forward, up, -np.sin(leg.heading_rad) * forward], axis=-1)


def ankle_on_belt(leg: Leg, step: int, since_s: FloatArray, pitch_rad: FloatArray) -> FloatArray:
    """Ankle centre in LAB, (T, 3) m, of the foot planted in one step, from time since strike and pitch (T,)."""
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
    return np.asarray(spot + along_heading(leg, roll_ankle(leg.body.sole, pitch_rad)))


def reach_angles(leg: Leg, times_s: FloatArray, ankle_m: FloatArray, pitch_rad: FloatArray) -> FloatArray:
    """Two-link inverse kinematics: knee from hip-to-ankle distance, knee axis as near the pelvis's Z as it can be."""
    R_pelvis, hip_m = leg.pelvis_and_hip(times_s)
    thigh, shank = leg.body.thigh_m[leg.side], leg.body.shank_m[leg.side]
    line = ankle_m - hip_m
    longest = np.sqrt(thigh**2 + shank**2 + 2 * thigh * shank * np.cos(STRAIGHT_KNEE_RAD))
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
