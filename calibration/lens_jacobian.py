"""Projection through many lenses at once, with its derivatives, for the bundle adjustment.

A lens is a row of nine numbers: fx, fy, cx, cy and the distortion (k1 k2 p1 p2 k3, or k1..k4 and 0 for a fisheye).
Models: https://docs.opencv.org/4.x/d9/d0c/group__calib3d.html (pinhole) and .../d3/d0b (fisheye, Kannala-Brandt).
Derivatives are written out; a test compares them with differences.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from labsys.core.arrays import BoolArray, FloatArray
from labsys.core.cameras import Intrinsics, LensModel

_LensFunction = Callable[[FloatArray, FloatArray], tuple[FloatArray, ...]]

LENS_PARAMETERS = 9
_NEAREST_M = 1e-3
_NEWTON_STEPS = 20
_CONVERGED = 1e-10
_FOLD = 1e-6  # where the lens folds back, pixels have no ray


@dataclass(frozen=True, eq=False)
class LensRows:
    """Lenses of C cameras: values (C, 9), and which of them are fisheye lenses (C,)."""

    values: FloatArray
    fisheye: BoolArray


@dataclass(frozen=True, eq=False)
class Projected:
    """Images of points and how they change.

    Attributes:
        xy_px: (..., 2) px.
        by_point: (..., 2, 3) px/m, by the point in CAMERA.
        by_lens: (..., 2, 9) px per unit, by the lens; (..., 2, 0) where not asked for.
        in_front: (...,) False where the point is not in front of the camera and the rest means nothing.
    """

    xy_px: FloatArray
    by_point: FloatArray
    by_lens: FloatArray
    in_front: BoolArray


def pack_lenses(lenses: list[Intrinsics]) -> LensRows:
    """Lenses as rows."""
    values = np.zeros((len(lenses), LENS_PARAMETERS))
    for row, lens in zip(values, lenses, strict=True):
        K = lens.matrix
        row[:4] = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
        row[4 : 4 + lens.distortion.size] = lens.distortion
    return LensRows(values, np.array([lens.model is LensModel.FISHEYE for lens in lenses]))


def unpack_lens(row: FloatArray, like: Intrinsics) -> Intrinsics:
    """A row as a lens of the same model and size (a skewed matrix loses its skew)."""
    matrix = np.array([[row[0], 0.0, row[2]], [0.0, row[1], row[3]], [0.0, 0.0, 1.0]])
    return Intrinsics(matrix, row[4 : 4 + like.distortion.size].copy(), like.size_px, like.model)


def project_with_jacobian(
    points_cam_m: FloatArray, lens: FloatArray, fisheye: BoolArray, *, by_lens: bool = False
) -> Projected:
    """Project points, each through its own lens.

    Args:
        points_cam_m: (..., 3) m in CAMERA.
        lens: (..., 9) rows, broadcast against the points. fisheye: (...,) likewise.
        by_lens: whether the derivatives by the lens are wanted too.
    """
    z = points_cam_m[..., 2]
    in_front = z > _NEAREST_M
    safe_z = np.where(in_front, z, 1.0)
    xy = points_cam_m[..., :2] / safe_z[..., None]
    which = np.broadcast_to(fisheye, z.shape)
    bent, by_xy = _choose(_bend_fisheye, _bend_pinhole, which, xy, lens[..., 4:])
    focal = lens[..., :2]
    by_point = np.empty((*z.shape, 2, 3))
    by_point[..., :2] = by_xy * (focal / safe_z[..., None])[..., None]
    by_point[..., 2] = -(by_point[..., :2] @ xy[..., None])[..., 0]
    derivatives = _by_lens(xy, bent, lens, which) if by_lens else np.zeros((*z.shape, 2, 0))
    return Projected(bent * focal + lens[..., 2:4], by_point, derivatives, in_front)


def _by_lens(xy: FloatArray, bent: FloatArray, lens: FloatArray, fisheye: BoolArray) -> FloatArray:
    by_lens = np.zeros((*xy.shape, LENS_PARAMETERS))
    by_lens[..., 0, 0], by_lens[..., 1, 1] = bent[..., 0], bent[..., 1]
    by_lens[..., 0, 2] = by_lens[..., 1, 3] = 1.0
    (by_k,) = _choose(_fisheye_by_k, _pinhole_by_k, fisheye, xy, lens[..., 4:])
    by_lens[..., 4:] = by_k * lens[..., :2, None]
    return by_lens


def _choose(
    of_fisheye: _LensFunction, of_pinhole: _LensFunction, fisheye: BoolArray, xy: FloatArray, k: FloatArray
) -> tuple[FloatArray, ...]:
    """Each point through its own model; both are computed only where a rig mixes them."""
    if not fisheye.any():
        return of_pinhole(xy, k)
    if fisheye.all():
        return of_fisheye(xy, k)
    pairs = zip(of_fisheye(xy, k), of_pinhole(xy, k), strict=True)
    return tuple(np.where(fisheye.reshape(*fisheye.shape, *[1] * (a.ndim - fisheye.ndim)), a, b) for a, b in pairs)


def rays_of_pixels(xy_px: FloatArray, lens: FloatArray, fisheye: bool) -> FloatArray:
    """Normalised image points (x/z, y/z) of pixels of one camera, by Newton's method on all of them at once.

    Args:
        xy_px: (..., 2) px; NaN stays NaN. lens: (9,) one row.

    Returns:
        (..., 2), NaN where the lens has no ray for the pixel.
    """
    rays = np.full(xy_px.shape, np.nan)
    known = np.asarray(np.isfinite(xy_px).all(axis=-1))
    bent = (xy_px[known] - lens[2:4]) / lens[:2]
    rays[known] = _unbend_fisheye(bent, lens[4:]) if fisheye else _unbend_pinhole(bent, lens[4:])
    return rays


def _unbend_pinhole(bent: FloatArray, k: FloatArray) -> FloatArray:
    xy = bent
    for _ in range(_NEWTON_STEPS):
        image, by_xy = _bend_pinhole(xy, k)
        determinant = by_xy[:, 0, 0] * by_xy[:, 1, 1] - by_xy[:, 0, 1] * by_xy[:, 1, 0]
        regular = determinant > _FOLD
        off = image - bent
        adjugate = np.stack([by_xy[:, 1, 1], by_xy[:, 0, 0]], axis=-1)
        step = adjugate * off - by_xy[:, [0, 1], [1, 0]] * off[:, ::-1]
        xy = np.where(regular[:, None], xy - step / np.where(regular, determinant, 1.0)[:, None], np.nan)
        if not np.nanmax(np.abs(off), initial=0.0) > _CONVERGED:
            break
    left = np.abs(_bend_pinhole(xy, k)[0] - bent).max(axis=-1)
    return np.asarray(np.where((left < _CONVERGED)[:, None], xy, np.nan), dtype=np.float64)


def _unbend_fisheye(bent: FloatArray, k: FloatArray) -> FloatArray:
    angle = np.maximum(np.linalg.norm(bent, axis=-1), 1e-9)
    theta = np.minimum(angle, 1.5)
    for _ in range(_NEWTON_STEPS):
        t2 = theta * theta
        value = theta * (1.0 + t2 * (k[0] + t2 * (k[1] + t2 * (k[2] + t2 * k[3])))) - angle
        slope = 1.0 + t2 * (3.0 * k[0] + t2 * (5.0 * k[1] + t2 * (7.0 * k[2] + t2 * 9.0 * k[3])))
        theta = theta - value / np.where(slope > _FOLD, slope, np.nan)
    good = (np.abs(value) < _CONVERGED) & (theta > 0.0) & (theta < 0.5 * np.pi)
    return np.asarray(np.where(good, np.tan(theta) / angle, np.nan)[..., None] * bent, dtype=np.float64)


def _bend_pinhole(xy: FloatArray, k: FloatArray) -> tuple[FloatArray, ...]:
    """Distorted normalised points (..., 2), and by the point (..., 2, 2)."""
    x, y = xy[..., 0], xy[..., 1]
    k1, k2, p1, p2, k3 = (k[..., i] for i in range(5))
    xx, yy, xy_ = x * x, y * y, x * y
    r2 = xx + yy
    radial = 1.0 + r2 * (k1 + r2 * (k2 + r2 * k3))
    slope = 2.0 * (k1 + r2 * (2.0 * k2 + 3.0 * r2 * k3))
    bent = np.empty(xy.shape)
    bent[..., 0] = x * radial + 2.0 * p1 * xy_ + p2 * (r2 + 2.0 * xx)
    bent[..., 1] = y * radial + p1 * (r2 + 2.0 * yy) + 2.0 * p2 * xy_
    by_xy = np.empty((*xy.shape, 2))
    by_xy[..., 0, 0] = radial + xx * slope + 2.0 * p1 * y + 6.0 * p2 * x
    by_xy[..., 1, 1] = radial + yy * slope + 6.0 * p1 * y + 2.0 * p2 * x
    by_xy[..., 0, 1] = by_xy[..., 1, 0] = xy_ * slope + 2.0 * p1 * x + 2.0 * p2 * y
    return bent, by_xy


def _pinhole_by_k(xy: FloatArray, k: FloatArray) -> tuple[FloatArray, ...]:  # noqa: ARG001  # as _fisheye_by_k
    """Distorted normalised points by the coefficients, (..., 2, 5)."""
    x, y = xy[..., 0], xy[..., 1]
    r2 = x * x + y * y
    by_k = np.empty((*xy.shape, 5))
    by_k[..., 0], by_k[..., 1], by_k[..., 4] = (xy * r2[..., None] ** n for n in (1, 2, 3))
    by_k[..., 0, 2], by_k[..., 1, 2] = 2.0 * x * y, r2 + 2.0 * y * y
    by_k[..., 0, 3], by_k[..., 1, 3] = r2 + 2.0 * x * x, 2.0 * x * y
    return (by_k,)


def _bend_fisheye(xy: FloatArray, k: FloatArray) -> tuple[FloatArray, ...]:
    r = np.maximum(np.linalg.norm(xy, axis=-1), 1e-9)
    theta = np.arctan(r)
    t2 = theta * theta
    k1, k2, k3, k4 = (k[..., i] for i in range(4))
    bent_angle = theta * (1.0 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4))))
    angle_slope = 1.0 + t2 * (3.0 * k1 + t2 * (5.0 * k2 + t2 * (7.0 * k3 + t2 * 9.0 * k4)))
    scale = bent_angle / r
    radial = (angle_slope / (1.0 + r * r) - scale) / (r * r)
    by_xy = xy[..., :, None] * xy[..., None, :] * radial[..., None, None] + scale[..., None, None] * np.eye(2)
    return xy * scale[..., None], by_xy


def _fisheye_by_k(xy: FloatArray, k: FloatArray) -> tuple[FloatArray, ...]:  # noqa: ARG001  # as _pinhole_by_k
    r = np.maximum(np.linalg.norm(xy, axis=-1), 1e-9)
    theta = np.arctan(r)
    by_k = np.zeros((*xy.shape, 5))
    for power in range(4):
        by_k[..., power] = xy * (theta ** (3 + 2 * power) / r)[..., None]
    return (by_k,)
