"""The only file that knows aniposelib's objects. It takes seconds to import (JAX), so it is imported when used.

aniposelib's arrays put the camera first, (C, N, 2), and its world is here LAB in metres.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from calibration.projection import project_rig
from calibration.triangulation.triangulate import Triangulation, check_observations
from labsys.core.arrays import BoolArray, FloatArray
from labsys.core.cameras import Camera, CameraRig, Intrinsics, LensModel
from labsys.core.errors import InputError
from labsys.core.rigid import RigidTransform

_OPTIM_NEEDS = 20  # aniposelib's own limit, below which it prints a warning and returns unoptimised points


class AniposeMethod(StrEnum):
    """aniposelib's ways from 2D to 3D, with its own defaults."""

    TRIANGULATE = "triangulate"
    RANSAC = "ransac"
    OPTIM = "optim"
    RANSAC_OPTIM = "ransac_optim"


def to_camera_group(rig: CameraRig) -> Any:
    """The rig as an aniposelib `CameraGroup` (world = LAB, metres).

    Raises:
        InputError: a camera with skew, which aniposelib would ignore.
    """
    from aniposelib.cameras import CameraGroup

    return CameraGroup([_to_camera(c) for c in rig.cameras], metadata={})


def from_camera_group(group: Any) -> CameraRig:
    """The rig of an aniposelib `CameraGroup` whose world is LAB in metres.

    Raises:
        InputError: a camera without size, with NaN, or with more distortion than labsys's lens models have.
    """
    return CameraRig(tuple(_from_camera(c) for c in group.cameras))


def triangulate_with_anipose(
    rig: CameraRig,
    xy_px: ArrayLike,
    confidence: ArrayLike,
    *,
    method: AniposeMethod,
    bones: Sequence[tuple[int, int]] = (),
    min_confidence: float = 0.3,
) -> Triangulation:
    """Run aniposelib's own engine on a trial.

    TRIANGULATE is its plain linear solution, RANSAC its search over camera subsets, OPTIM and RANSAC_OPTIM its
    spatiotemporal solution started from either. Its results come back as they are; residuals are recomputed over the
    cameras that it used, and the covariance is unknown to it (NaN).

    Args:
        xy_px: (T, C, K, 2) px in IMAGE; NaN where missing.
        confidence: (T, C, K) in 0..1; observations below `min_confidence` are left out.
        bones: pairs of landmark indices whose distance is constant (OPTIM and RANSAC_OPTIM only).

    Raises:
        InputError: fewer than two cameras, shapes that do not fit together, or too few points for the optimisation.
    """
    xy, weights = check_observations(
        rig, np.moveaxis(np.asarray(xy_px), 1, 2), np.moveaxis(np.asarray(confidence), 1, 2)
    )
    if xy.ndim != 4:
        raise InputError(f"pixels have {xy.ndim} axes, expected (T, C, K, 2)")
    seen = (weights >= min_confidence) & np.isfinite(xy).all(axis=-1)
    points = np.ascontiguousarray(np.moveaxis(np.where(seen[..., None], xy, np.nan), 2, 0))  # (C, T, K, 2)
    xyz, used = _run_engine(to_camera_group(rig), points, method, bones)
    used = used & np.isfinite(xyz[..., :1])
    return Triangulation(
        xyz_m=xyz,
        residual_px=_mean_error_px(rig, xyz, xy, used),
        used=used,
        covariance_m2=np.full((*xyz.shape, 3), np.nan),
    )


def _run_engine(
    group: Any, points: FloatArray, method: AniposeMethod, bones: Sequence[tuple[int, int]]
) -> tuple[FloatArray, BoolArray]:
    """Points (T, K, 3) m and the cameras used (T, K, C), of pixels (C, T, K, 2)."""
    n_cameras, n_frames, n_landmarks, _ = points.shape
    flat = points.reshape(n_cameras, -1, 2)
    if method in (AniposeMethod.RANSAC, AniposeMethod.RANSAC_OPTIM):
        start, flat = _run_ransac(group, flat)
    else:
        start = np.asarray(group.triangulate(flat), dtype=np.float64)
    xyz = start.reshape(n_frames, n_landmarks, 3)
    seen: BoolArray = np.isfinite(flat[..., 0]).reshape(n_cameras, n_frames, n_landmarks)
    if method in (AniposeMethod.OPTIM, AniposeMethod.RANSAC_OPTIM):
        if np.isfinite(xyz[..., 0]).sum() < _OPTIM_NEEDS:
            raise InputError(
                f"aniposelib's optimisation needs {_OPTIM_NEEDS} triangulated points or more",
                remedy="Use its method 'triangulate' or 'ransac'",
            )
        with _without_its_warnings():
            xyz = group.optim_points(flat.reshape(points.shape), xyz, constraints=[list(b) for b in bones])
    return np.asarray(xyz, dtype=np.float64), np.moveaxis(seen, 0, 2)


@contextmanager
def _without_its_warnings() -> Iterator[None]:
    """Silence what aniposelib always warns of: loops that numba cannot compile, and the median of no bones."""
    from numba.core.errors import NumbaWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=NumbaWarning)
        warnings.filterwarnings("ignore", category=RuntimeWarning, module="numpy")
        yield


def _run_ransac(group: Any, points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Points (N, 3) m and the pixels (C, N, 2) that aniposelib picked.

    Points seen by fewer than two cameras are kept from it: it fails on those that none saw, and answers for one ray.
    """
    xyz, picked_px = np.full((points.shape[1], 3), np.nan), np.full(points.shape, np.nan)
    rows = np.flatnonzero(np.isfinite(points[..., 0]).sum(axis=0) >= 2)
    if rows.size:
        found, _, pixels, _ = group.triangulate_ransac(np.ascontiguousarray(points[:, rows]))
        xyz[rows], picked_px[:, rows] = found, pixels
    return xyz, picked_px


def _mean_error_px(rig: CameraRig, xyz_m: FloatArray, xy_px: FloatArray, used: BoolArray) -> FloatArray:
    """Mean distance (T, K) px over the cameras used; NaN where none is."""
    errors = np.where(used, np.linalg.norm(project_rig(rig, xyz_m) - xy_px, axis=-1), 0.0)
    count = used.sum(axis=-1)
    return np.where(count > 0, errors.sum(axis=-1) / np.maximum(count, 1), np.nan)


def _to_camera(camera: Camera) -> Any:
    from aniposelib.cameras import Camera as AniposeCamera
    from aniposelib.cameras import FisheyeCamera

    lens = camera.intrinsics
    if lens.matrix[0, 1] != 0.0:
        raise InputError(f"camera {camera.name} has skew, which aniposelib ignores", remedy="Calibrate without skew")
    kind = FisheyeCamera if lens.model is LensModel.FISHEYE else AniposeCamera
    return kind(
        matrix=np.array(lens.matrix),
        dist=np.array(lens.distortion),
        size=tuple(lens.size_px),
        rvec=camera.T_cam_lab.as_rotvec(),
        tvec=np.array(camera.T_cam_lab.translation_m),
        name=camera.name,
    )


def _from_camera(camera: Any) -> Camera:
    from aniposelib.cameras import FisheyeCamera

    name = str(camera.get_name())
    size = camera.get_size()
    if size is None:
        raise InputError(f"aniposelib's camera {name} has no image size", remedy="Set the size of its video first")
    model = LensModel.FISHEYE if isinstance(camera, FisheyeCamera) else LensModel.PINHOLE
    width, height = (int(s) for s in size)
    try:
        lens = Intrinsics(camera.get_camera_matrix(), camera.get_distortions(), (width, height), model)
        pose = RigidTransform.from_rotvec(camera.get_rotation(), np.ravel(camera.get_translation()))
    except InputError as error:
        raise InputError(f"aniposelib's camera {name} is not usable: {error.what}", remedy=error.remedy) from None
    return Camera(name, lens, pose)
