"""aniposelib's own spatiotemporal objective (`CameraGroup.optim_points`), solved by labsys, so that both compare.

Objective and defaults: https://github.com/lambdaloop/aniposelib, Karashchuk et al. 2021,
doi:10.1016/j.celrep.2021.109730.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import median_filter

from calibration.processors import n_processors
from calibration.trajectory.pixels import ANIPOSE_LOSS
from calibration.trajectory.solve import Objective, minimise
from calibration.triangulation.blocks import PackedRig
from calibration.triangulation.triangulate import check_observations
from labsys.core.arrays import BoolArray, FloatArray
from labsys.core.cameras import CameraRig

_SMOOTH, _LENGTH, _THRESHOLD_PX, _MEDIAN_FRAMES = 4.0, 2.0, 15.0, 7


@dataclass(frozen=True, eq=False)
class AniposeSolution:
    """Points (T, K, 3) m, limb lengths (B,) m, and aniposelib's cost before and after, in as many steps."""

    xyz_m: FloatArray
    lengths_m: FloatArray
    cost_start: float
    cost: float
    iterations: int


def minimise_anipose_objective(
    rig: CameraRig,
    xy_px: FloatArray,
    start_m: FloatArray,
    *,
    bones: Sequence[tuple[int, int]] = (),
    begin_m: FloatArray | None = None,
    tolerance: float = 1e-5,
    n_threads: int | None = None,
) -> AniposeSolution:
    """Solve aniposelib's objective with its default weights for the whole trial.

    Args:
        xy_px: (T, C, K, 2) px in IMAGE; NaN where missing.
        start_m: (T, K, 3) m in LAB; NaN is interpolated, as aniposelib does; sets how much smoothness counts.
        begin_m: (T, K, 3) m, finite, where to begin instead; `cost_start` is the cost of these points.

    Raises:
        InputError: fewer than two cameras, or shapes that do not fit together.
    """
    objective, start = anipose_objective(rig, xy_px, start_m, bones)
    if begin_m is not None:
        start = np.ascontiguousarray(np.moveaxis(begin_m, 1, 2))
    found = minimise(objective, start, tolerance=tolerance, max_iterations=50, n_threads=n_threads or n_processors())
    best = found.best
    return AniposeSolution(
        np.moveaxis(best.points, 2, 1).copy(), best.lengths_m, found.cost_start, best.cost, found.iterations
    )


def anipose_objective(
    rig: CameraRig, xy_px: FloatArray, start_m: FloatArray, bones: Sequence[tuple[int, int]]
) -> tuple[Objective, FloatArray]:
    """aniposelib's objective with its default weights, and where it begins, (T, 3, K) m."""
    seen: BoolArray = np.asarray(np.isfinite(xy_px).all(axis=-1))
    check_observations(rig, np.moveaxis(xy_px, 1, 2), np.moveaxis(seen.astype(np.float64), 1, 2))
    pixels = np.where(seen[..., None], xy_px, 0.0)
    start = _interpolate(start_m)
    n_frames, n_landmarks, _ = start.shape
    motion = np.mean(np.abs(np.diff(median_filter(start, size=(_MEDIAN_FRAMES, 1, 1), mode="mirror"), axis=0)))
    limbs = np.array(bones, dtype=np.int64).reshape(-1, 2)
    objective = Objective(
        rig=PackedRig.pack(rig),
        pixels=np.ascontiguousarray(np.moveaxis(pixels, 3, 2)),
        weights=seen.astype(np.float64),
        there=np.ones((n_frames, n_landmarks), dtype=np.bool_),
        order=1,
        stiffness=np.full(n_landmarks, (_SMOOTH / motion) ** 2),
        limbs=limbs,
        gains=np.full(len(limbs), 100.0 * _LENGTH),
        lengths_m=np.median(np.linalg.norm(start[:, limbs[:, 0]] - start[:, limbs[:, 1]], axis=-1), axis=0),
        free_lengths=True,
        loss=ANIPOSE_LOSS,
        scale=_THRESHOLD_PX,
    )
    return objective, np.ascontiguousarray(np.moveaxis(start, 1, 2))


def _interpolate(points_m: FloatArray) -> FloatArray:
    """(T, K, 3) without NaN: straight lines over gaps, constant at the ends, 0 where a landmark was never seen."""
    columns = points_m.reshape(len(points_m), -1).copy()
    index = np.arange(len(columns))
    for column in columns.T:
        known = np.isfinite(column)
        if not known.all():
            column[:] = np.interp(index, index[known], column[known]) if known.any() else 0.0
    return columns.reshape(points_m.shape)
