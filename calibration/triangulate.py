"""From pixels of several cameras to points in LAB, with residual, cameras used and covariance for every point."""

from __future__ import annotations

import math
from dataclasses import dataclass

from numpy.typing import ArrayLike

from labsys.core.arrays import BoolArray, FloatArray
from labsys.core.cameras import CameraRig


@dataclass(frozen=True, eq=False)
class Triangulation:
    """Points in LAB and how well each is known; `...` are the axes of the input, such as (T, K).

    Attributes:
        xyz_m: (..., 3) m in LAB, NaN where the point could not be found.
        residual_px: (...,) mean distance, over the cameras used, between the pixel and the image of the point; NaN
            where missing.
        used: (..., C) which cameras the point rests on; all False where missing.
        covariance_m2: (..., 3, 3) m², first order, from pixel noise alone; NaN where missing.
    """

    xyz_m: FloatArray
    residual_px: FloatArray
    used: BoolArray
    covariance_m2: FloatArray


@dataclass(frozen=True)
class RobustSettings:
    """When a camera is believed.

    Attributes:
        min_confidence: observations below it are not looked at.
        max_error_px: a camera further than this from the image of the point is left out.
        min_cameras: fewest cameras a point may rest on.
        min_parallax_rad: least angle between the two most different rays used; below it depth is a guess.
        sigma_floor_px: least pixel noise believed, so that a lucky fit is not taken for certainty.
    """

    min_confidence: float = 0.1
    max_error_px: float = 15.0
    min_cameras: int = 2
    min_parallax_rad: float = math.radians(3.0)
    sigma_floor_px: float = 0.5


def triangulate_weighted(
    rig: CameraRig, xy_px: ArrayLike, weights: ArrayLike, *, sigma_floor_px: float = 0.5
) -> Triangulation:
    """Find the points that lie nearest to all their weighted pixels; no camera is left out.

    Args:
        xy_px: (..., C, 2) px in IMAGE, cameras in the rig's order; NaN where missing.
        weights: (..., C) relative inverse variance of each pixel, such as its confidence; 0 leaves it out.

    Raises:
        InputError: fewer than two cameras, shapes that do not fit together, or a negative weight.
    """
    raise NotImplementedError


def triangulate_robust(
    rig: CameraRig, xy_px: ArrayLike, confidence: ArrayLike, *, settings: RobustSettings | None = None
) -> Triangulation:
    """Find points although some cameras are wrong: the largest, best agreeing set of cameras decides.

    Args:
        xy_px: (..., C, 2) px in IMAGE, cameras in the rig's order; NaN where missing.
        confidence: (..., C) in 0..1.

    Raises:
        InputError: fewer than two cameras, or shapes that do not fit together.
    """
    raise NotImplementedError


def triangulate_pose2sim(
    rig: CameraRig,
    xy_px: ArrayLike,
    confidence: ArrayLike,
    *,
    min_confidence: float = 0.3,
    max_error_px: float = 15.0,
    min_cameras: int = 2,
) -> Triangulation:
    """Triangulate by Pose2Sim's rule, for comparison with its results.

    Args and Raises as in `triangulate_robust`.
    """
    raise NotImplementedError
