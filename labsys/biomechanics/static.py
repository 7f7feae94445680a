"""Static referencing: angles as change from the runner's own standing posture, by rotations, not by scalars."""

from __future__ import annotations

from labsys.biomechanics.cardan import BakerAngles, baker_angles, baker_matrix, transpose
from labsys.core.arrays import FloatArray


def relative_change(R_relative: FloatArray, R_neutral: FloatArray) -> FloatArray:
    """R_neutralᵀ R: pose of distal against proximal (..., 3, 3) as change from the neutral one (..., 3, 3)."""
    R: FloatArray = transpose(R_neutral) @ R_relative
    return R


def pelvis_tilt_change(R_pelvis: FloatArray, R_pelvis_still: FloatArray) -> FloatArray:
    """Anterior tilt (T,) rad against the standing pelvis, whose heading does not count.

    The standing pelvis's tilt and obliquity are taken as an offset of the stickers on the bone (R = R_bone · offset),
    so that the change is exact whatever way the pelvis turns.
    """
    standing = baker_angles(R_pelvis_still)
    offset = baker_matrix(BakerAngles(standing.rotation_rad * 0.0, standing.obliquity_rad, standing.tilt_rad))
    return -baker_angles(R_pelvis @ transpose(offset)).tilt_rad
