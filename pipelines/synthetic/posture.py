"""Quiet stance, and a motion that is no gait."""

from __future__ import annotations

import math

import numpy as np

from labsys.core.arrays import FloatArray
from pipelines.synthetic.anatomy import STANDING_TILT_RAD, Body
from pipelines.synthetic.rotations import about_axis, compose_baker, compose_jcs, extract_jcs, rotate
from pipelines.synthetic.skeleton_pose import PoseAngles

_SWAY_RAD = math.radians(0.25)
_STANCE_HALF_WIDTH_SHARE = 1.0  # feet under the hips
_TOE_OUT_RAD = math.radians(7.0)


def stand(body: Body, times_s: FloatArray, *, sway: float = 1.0) -> PoseAngles:
    """Quiet stance: knees straight, arms a little out, the whole body swaying about the ankles.

    Args:
        sway: multiplies the sway of a quarter of a degree; 0 is the neutral pose that truth is referenced to.
    """
    lean = sway * _SWAY_RAD * (0.7 * np.sin(2 * math.pi * 0.4 * times_s) + 0.3 * np.sin(2 * math.pi * 0.8 * times_s))
    ones = np.ones(times_s.shape)
    pelvis = np.stack([-STANDING_TILT_RAD - lean, 0 * ones, 0 * ones], axis=-1)
    lumbar = np.stack([STANDING_TILT_RAD * ones, 0 * ones, 0 * ones], axis=-1)
    legs = {s: _standing_leg(s, lean) for s in "RL"}
    arms = np.stack([0 * ones, math.radians(15.0) * ones, math.radians(8.0) * ones], axis=-1)
    hips = _hips_over_feet(body, pelvis, legs)
    head = np.stack([-lean, 0 * ones, 0 * ones], axis=-1)
    return PoseAngles(times_s, hips, pelvis, lumbar, head, legs, {"R": arms, "L": arms})


def move_on_the_spot(body: Body, times_s: FloatArray, seed: int) -> PoseAngles:
    """Bending, turning and shallow squatting with the feet planted; no strides in it."""
    rng = np.random.default_rng([seed, 53])
    rates = 2 * math.pi * rng.uniform(0.12, 0.35, 4)
    starts = rng.uniform(0, 2 * math.pi, 4)
    wave = np.sin(rates[:, None] * times_s + starts[:, None])
    bend, turn, side = math.radians(12) * (1 + wave[0]), math.radians(15) * wave[1], math.radians(8) * wave[2]
    pelvis = np.stack([-STANDING_TILT_RAD - 0.5 * bend, 0.2 * side, 0.5 * turn], axis=-1)
    lumbar = np.stack([STANDING_TILT_RAD - 0.5 * bend, side, 0.8 * turn], axis=-1)
    squat = math.radians(20) * (1 + wave[3])
    legs = {s: _squatting_leg(s, pelvis, squat) for s in "RL"}
    arms = np.stack([bend, math.radians(20) + 0.5 * np.abs(side), math.radians(30) + 0 * bend], axis=-1)
    hips = _hips_over_feet(body, pelvis, legs)
    head = np.stack([-0.5 * bend, 0 * bend, 0.6 * turn], axis=-1)
    return PoseAngles(times_s, hips, pelvis, lumbar, head, legs, {"R": arms, "L": arms})


def _standing_leg(side: str, lean: FloatArray) -> FloatArray:
    """Vertical straight leg; the foot stays on the ground while the body leans, toes out."""
    thigh = np.zeros((*lean.shape, 3, 3))
    thigh[:] = about_axis(2, -lean)
    pelvis = about_axis(2, -STANDING_TILT_RAD - lean)
    hip = extract_jcs(np.swapaxes(pelvis, -1, -2) @ thigh)
    foot = about_axis(1, np.full(lean.shape, -_TOE_OUT_RAD if side == "R" else _TOE_OUT_RAD))
    ankle = extract_jcs(np.swapaxes(thigh, -1, -2) @ foot)
    return np.concatenate([hip, np.zeros((*lean.shape, 1)), ankle], axis=-1)


def _squatting_leg(side: str, pelvis_rad: FloatArray, squat: FloatArray) -> FloatArray:
    thigh = about_axis(2, 0.5 * squat)
    R_pelvis = compose_baker(pelvis_rad)
    hip = extract_jcs(np.swapaxes(R_pelvis, -1, -2) @ thigh)
    shank = thigh @ about_axis(2, -squat)
    foot = about_axis(1, np.full(squat.shape, -_TOE_OUT_RAD if side == "R" else _TOE_OUT_RAD))
    ankle = extract_jcs(np.swapaxes(shank, -1, -2) @ foot)
    return np.concatenate([hip, squat[:, None], ankle], axis=-1)


def _hips_over_feet(body: Body, pelvis_rad: FloatArray, legs: dict[str, FloatArray]) -> FloatArray:
    """Hips so that the ankles, on average of both legs, stay over their place at standing height."""
    R_pelvis = compose_baker(pelvis_rad)
    reach = []
    for side in "RL":
        R_thigh = R_pelvis @ compose_jcs(legs[side][:, 0:3])
        R_shank = R_thigh @ about_axis(2, -legs[side][:, 3])
        offset = rotate(R_pelvis, body.hip_m[side] - body.mid_hip_m)
        reach.append(offset - body.thigh_m[side] * R_thigh[..., 1] - body.shank_m[side] * R_shank[..., 1])
    below = 0.5 * (reach[0] + reach[1])
    return np.array([0.0, body.sole.ankle_height_m, 0.0]) - below
