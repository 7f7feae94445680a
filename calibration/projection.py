"""From LAB to pixels and from pixels to rays."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from calibration.lens import pack_lens, project_points, read_only_floats, undistort_points
from labsys.core.arrays import FloatArray
from labsys.core.cameras import Camera, CameraRig, Intrinsics
from labsys.core.errors import InputError


def project(camera: Camera, points_lab_m: ArrayLike) -> FloatArray:
    """Project points in LAB to pixels of one camera.

    Points behind the camera, and points so far off axis that the lens model folds back, have no image: NaN.

    Args:
        points_lab_m: (..., 3) m in LAB; NaN stays NaN.

    Returns:
        (..., 2) px in IMAGE.

    Raises:
        InputError: the last axis is not of length 3.
    """
    points = _as_points("points", points_lab_m, 3)
    points_cam = read_only_floats(camera.T_cam_lab.apply(points).reshape(-1, 3))
    out = np.empty((len(points_cam), 2))
    project_points(points_cam, pack_lens(camera.intrinsics), out)
    return out.reshape(*points.shape[:-1], 2)


def project_rig(rig: CameraRig, points_lab_m: ArrayLike) -> FloatArray:
    """Project points in LAB to every camera of a rig.

    Args:
        points_lab_m: (..., 3) m in LAB; NaN stays NaN.

    Returns:
        (..., C, 2) px in IMAGE, cameras in the rig's order; NaN where a camera has no image of the point.

    Raises:
        InputError: the last axis is not of length 3.
    """
    return np.stack([project(c, points_lab_m) for c in rig.cameras], axis=-2)


def undistort(intrinsics: Intrinsics, xy_px: ArrayLike) -> FloatArray:
    """Undistort pixels to normalised image points (x/z, y/z in CAMERA), iterated to convergence.

    Args:
        xy_px: (..., 2) px in IMAGE; NaN stays NaN.

    Returns:
        (..., 2), NaN also where the lens model has no ray for the pixel.

    Raises:
        InputError: the last axis is not of length 2.
    """
    xy = _as_points("pixels", xy_px, 2)
    out = np.empty((xy.size // 2, 2))
    undistort_points(xy.reshape(-1, 2), pack_lens(intrinsics), out)
    return out.reshape(xy.shape)


def projection_matrix(camera: Camera) -> FloatArray:
    """(3, 4) matrix K [R | t] of the camera without its distortion: homogeneous LAB (m) to pixels."""
    T = camera.T_cam_lab
    return np.asarray(camera.intrinsics.matrix @ np.column_stack([T.rotation, T.translation_m]), dtype=np.float64)


def essential_matrix(first: Camera, second: Camera) -> FloatArray:
    """(3, 3): the normalised image point (x, y, 1) of the second camera to its epipolar line in the first.

    Two such points x_1, x_2 of one point in LAB satisfy x_1ᵀ E x_2 = 0; E has the baseline in m as its scale.
    Source: Longuet-Higgins 1981, doi:10.1038/293133a0.
    """
    T = first.T_cam_lab @ second.T_cam_lab.inverse()
    x, y, z = T.translation_m
    return np.asarray(np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]]) @ T.rotation, dtype=np.float64)


def _as_points(name: str, values: ArrayLike, length: int) -> FloatArray:
    array = read_only_floats(values)
    if array.ndim < 1 or array.shape[-1] != length:
        raise InputError(f"{name} have shape {array.shape}, expected (..., {length})")
    return array
