"""Cardan angles of rotation matrices, in the two orders that labsys needs, and the way back.

Z-X-Y (flexion, adduction, rotation) is the joint coordinate system of Grood & Suntay 1983 and Wu 2002; applied to the
pelvis against LAB it gives OpenSim's tilt, list and rotation. Rotation-obliquity-tilt (Baker 2001,
10.1016/S0966-6362(00)00083-7) is R = Ry(rotation) Rx(obliquity) Rz(tilt); its first two angles depend on the right-left
axis alone. Near gimbal lock (middle angle beyond 75°) all three are NaN.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.ndimage import uniform_filter1d

from labsys.core.arrays import BoolArray, FloatArray

GIMBAL_LIMIT_RAD = np.deg2rad(75.0)
_TREND_S = 0.5  # longer than what a bad landmark lasts, shorter than a person takes to turn around


class JcsAngles(NamedTuple):
    """(...,) rad about z (flexion +), x (adduction + on the right), y (internal rotation + on the right)."""

    z_rad: FloatArray
    x_rad: FloatArray
    y_rad: FloatArray


class BakerAngles(NamedTuple):
    """(...,) rad: rotation about lab Y, obliquity about the rotated x, tilt about the segment's own z."""

    rotation_rad: FloatArray
    obliquity_rad: FloatArray
    tilt_rad: FloatArray


def jcs_angles(R: FloatArray) -> JcsAngles:
    """Angles of R = Rz Rx Ry, R (..., 3, 3)."""
    middle = np.arcsin(np.clip(R[..., 2, 1], -1.0, 1.0))
    z = np.arctan2(-R[..., 0, 1], R[..., 1, 1])
    y = np.arctan2(-R[..., 2, 0], R[..., 2, 2])
    locked = np.abs(middle) > GIMBAL_LIMIT_RAD
    return JcsAngles(*(np.where(locked, np.nan, angle) for angle in (z, middle, y)))


def jcs_angle(R: FloatArray, component: int) -> FloatArray:
    """One of `jcs_angles` (0 z, 1 x, 2 y) without the work for the others."""
    middle = np.arcsin(np.clip(R[..., 2, 1], -1.0, 1.0))
    if component == 0:
        angle = np.arctan2(-R[..., 0, 1], R[..., 1, 1])
    else:
        angle = middle if component == 1 else np.arctan2(-R[..., 2, 0], R[..., 2, 2])
    return np.where(np.abs(middle) > GIMBAL_LIMIT_RAD, np.nan, angle)


def baker_angles(R: FloatArray) -> BakerAngles:
    """Angles of R = Ry Rx Rz, R (..., 3, 3)."""
    middle = np.arcsin(np.clip(-R[..., 1, 2], -1.0, 1.0))
    rotation = np.arctan2(R[..., 0, 2], R[..., 2, 2])
    tilt = np.arctan2(R[..., 1, 0], R[..., 1, 1])
    locked = np.abs(middle) > GIMBAL_LIMIT_RAD
    return BakerAngles(*(np.where(locked, np.nan, angle) for angle in (rotation, middle, tilt)))


def axis_angles(z_axis: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Baker's rotation and obliquity of a right-left axis alone, z_axis (..., 3) of unit length: (...,) rad each."""
    rotation = np.arctan2(z_axis[..., 0], z_axis[..., 2])
    obliquity = np.arcsin(np.clip(-z_axis[..., 1], -1.0, 1.0))
    locked = np.abs(obliquity) > GIMBAL_LIMIT_RAD
    return np.where(locked, np.nan, rotation), np.where(locked, np.nan, obliquity)


def rotation_about(axis: str, angle_rad: FloatArray | float) -> FloatArray:
    """Right-handed rotation about 'x', 'y' or 'z', (..., 3, 3)."""
    angle = np.asarray(angle_rad, dtype=np.float64)
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    R = np.broadcast_to(np.eye(3), (*angle.shape, 3, 3)).copy()
    R[..., i, i] = R[..., j, j] = np.cos(angle)
    R[..., i, j], R[..., j, i] = -np.sin(angle), np.sin(angle)
    return R


def jcs_matrix(angles: JcsAngles) -> FloatArray:
    """R = Rz Rx Ry, (..., 3, 3)."""
    R: FloatArray = (
        rotation_about("z", angles.z_rad) @ rotation_about("x", angles.x_rad) @ rotation_about("y", angles.y_rad)
    )
    return R


def baker_matrix(angles: BakerAngles) -> FloatArray:
    """R = Ry Rx Rz, (..., 3, 3)."""
    R: FloatArray = (
        rotation_about("y", angles.rotation_rad)
        @ rotation_about("x", angles.obliquity_rad)
        @ rotation_about("z", angles.tilt_rad)
    )
    return R


def drop_opposed(R: FloatArray) -> FloatArray:
    """Distal against proximal segments (..., 3, 3), NaN where their right-left axes point opposite ways.

    No joint goes there, badly seen epicondyles do: then the middle angle is beyond a quarter turn, the three angles are
    those of the other solution, and flexion reads half a turn off.
    """
    return np.where(R[..., 2:, 2:] > 0.0, R, np.nan)


def unwrap_finite(angle_rad: FloatArray, *, rate_hz: float) -> FloatArray:
    """Unwrap a series (T,) rad over its finite samples, with the mean kept in (-π, π]; NaN stays NaN.

    Every sample takes the turn that is nearest to the mean direction over half a second around it: a few bad ones
    cannot carry all that follow around a turn, as they do where each is compared with the one before.
    """
    unwrapped = angle_rad.copy()
    finite = np.isfinite(angle_rad)
    if finite.any():
        known = angle_rad[finite]
        # Most series stay within half a turn, and finding that out costs little.
        series = known if np.ptp(known) < np.pi else _nearest_turn(known, rate_hz)
        unwrapped[finite] = series - 2.0 * np.pi * np.round(series.mean() / (2.0 * np.pi))
    return unwrapped


def _nearest_turn(known_rad: FloatArray, rate_hz: float) -> FloatArray:
    directions = uniform_filter1d(np.exp(1j * known_rad), max(1, round(_TREND_S * rate_hz)), mode="nearest")
    trend = np.unwrap(np.angle(directions))
    return np.asarray(known_rad + 2.0 * np.pi * np.round((trend - known_rad) / (2.0 * np.pi)))


def is_near_zero(angle_rad: FloatArray) -> BoolArray:
    """Whether series (..., T) rad never leave a half turn about zero, (...,): `unwrap_finite` leaves those alone."""
    return np.asarray(~(np.abs(angle_rad) >= 0.5 * np.pi).any(axis=-1))


def transpose(R: FloatArray) -> FloatArray:
    """Inverse of rotations (..., 3, 3)."""
    swapped: FloatArray = np.swapaxes(R, -1, -2)
    return swapped
