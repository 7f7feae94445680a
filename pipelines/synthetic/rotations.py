"""Rotations from Cardan angles and back, for stacks of matrices. Own code: the truth shares none with its judge.

Two orders occur. JCS: R = Rz(a) Rx(b) Ry(c), flexion, ab/adduction, rotation (Grood & Suntay 1983). BAKER:
R = Ry(c) Rx(b) Rz(a), rotation, obliquity, tilt of a segment in LAB (Baker 2001).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from labsys.core.arrays import FloatArray


def about_axis(axis: int, angle_rad: ArrayLike) -> FloatArray:
    """Rotation about one coordinate axis (0 x, 1 y, 2 z) by angles (...,) rad: (..., 3, 3)."""
    angle = np.asarray(angle_rad, dtype=np.float64)
    R = np.zeros((*angle.shape, 3, 3))
    i, j = (axis + 1) % 3, (axis + 2) % 3
    R[..., axis, axis] = 1.0
    R[..., i, i] = R[..., j, j] = np.cos(angle)
    R[..., j, i] = np.sin(angle)
    R[..., i, j] = -R[..., j, i]
    return R


def compose_jcs(angles_rad: FloatArray) -> FloatArray:
    """Rz(a) Rx(b) Ry(c) from angles (..., 3) rad in the order a, b, c."""
    a, b, c = np.moveaxis(angles_rad, -1, 0)
    return np.asarray(about_axis(2, a) @ about_axis(0, b) @ about_axis(1, c))


def extract_jcs(R: FloatArray) -> FloatArray:
    """Angles (..., 3) a, b, c rad of R = Rz(a) Rx(b) Ry(c), |b| < 90 degrees."""
    a = np.arctan2(-R[..., 0, 1], R[..., 1, 1])
    b = np.arcsin(np.clip(R[..., 2, 1], -1.0, 1.0))
    c = np.arctan2(-R[..., 2, 0], R[..., 2, 2])
    return np.stack([a, b, c], axis=-1)


def compose_baker(angles_rad: FloatArray) -> FloatArray:
    """Ry(c) Rx(b) Rz(a) from angles (..., 3) rad in the order a, b, c."""
    a, b, c = np.moveaxis(angles_rad, -1, 0)
    return np.asarray(about_axis(1, c) @ about_axis(0, b) @ about_axis(2, a))


def extract_baker(R: FloatArray) -> FloatArray:
    """Angles (..., 3) a, b, c rad of R = Ry(c) Rx(b) Rz(a), |b| < 90 degrees."""
    a = np.arctan2(R[..., 1, 0], R[..., 1, 1])
    b = np.arcsin(np.clip(-R[..., 1, 2], -1.0, 1.0))
    c = np.arctan2(R[..., 0, 2], R[..., 2, 2])
    return np.stack([a, b, c], axis=-1)


def unit(vectors: FloatArray) -> FloatArray:
    """Vectors (..., 3) at length one."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


def rotate(R: FloatArray, vectors: FloatArray) -> FloatArray:
    """R (..., 3, 3) times vectors (..., 3)."""
    return np.asarray((R @ vectors[..., None])[..., 0])
