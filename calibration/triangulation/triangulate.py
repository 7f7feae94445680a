"""From pixels of several cameras to points in LAB, with residual, cameras used and covariance for every point."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike

from calibration.lens import read_only_floats
from calibration.processors import n_processors
from calibration.projection import projection_matrix
from calibration.triangulation.blocks import LANES, Limits, PackedRig, Results, triangulate_points
from labsys.core.arrays import BoolArray, FloatArray
from labsys.core.cameras import CameraRig
from labsys.core.errors import InputError

_CHUNK = 8192  # points per task; the answer does not depend on it
_PRIOR_DOF = 8.0  # how many observations' worth the pooled noise counts against a point's own residuals


@dataclass(frozen=True, eq=False)
class Triangulation:
    """Points in LAB and how well each is known; `...` are the axes of the input, such as (T, K).

    Attributes:
        xyz_m: (..., 3) m in LAB, NaN where the point could not be found.
        residual_px: (...,) mean distance, over the cameras used, between the pixel and the image of the point; NaN
            where missing.
        used: (..., C) which cameras the point rests on; all False where missing.
        covariance_m2: (..., 3, 3) m², first order, from pixel noise alone; NaN where missing or not estimated.
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

    def __post_init__(self) -> None:
        if not 0.0 <= self.min_confidence <= 1.0:
            raise InputError(f"min_confidence is {self.min_confidence:g}, expected 0 to 1")
        if not self.max_error_px > 0.0 or not self.sigma_floor_px > 0.0:
            raise InputError("max_error_px and sigma_floor_px must be positive")
        if self.min_cameras < 2:
            raise InputError(f"min_cameras is {self.min_cameras}", remedy="A point in space needs two cameras or more")
        if not 0.0 <= self.min_parallax_rad < 0.5 * math.pi:
            raise InputError(f"min_parallax_rad is {self.min_parallax_rad:g}, expected 0 to less than pi/2")


def triangulate_weighted(
    rig: CameraRig, xy_px: ArrayLike, weights: ArrayLike, *, sigma_floor_px: float = 0.5
) -> Triangulation:
    """Find the points with the least weighted squared pixel error; no camera is left out.

    The covariance takes one noise level per landmark from the residuals, pooled over the first axis (time), so the
    first axis must run over repeated observations of the same thing.

    Args:
        xy_px: (..., C, 2) px in IMAGE, cameras in the rig's order; NaN where missing.
        weights: (..., C) relative inverse variance of each pixel, such as its confidence; 0 leaves it out.
        sigma_floor_px: least pixel noise believed.

    Raises:
        InputError: fewer than two cameras, shapes that do not fit together, or a weight that is negative or NaN.
    """
    settings = RobustSettings(
        min_confidence=0.0, max_error_px=math.inf, min_parallax_rad=0.0, sigma_floor_px=sigma_floor_px
    )
    return _triangulate(rig, xy_px, weights, settings)


def triangulate_robust(
    rig: CameraRig, xy_px: ArrayLike, confidence: ArrayLike, *, settings: RobustSettings | None = None
) -> Triangulation:
    """Find points although some cameras are wrong: the largest, best agreeing set of cameras decides.

    Where all cameras agree within `max_error_px`, all are used. Elsewhere pairs of cameras propose points, the
    proposal that most confidence supports wins, and the cameras that agree with it are fitted together. At most 24
    pairs are tried, so the cost stays bounded at 16 cameras. Confidence acts as inverse variance. The answer for a
    point depends on that point alone; the noise level of the covariance is pooled as in `triangulate_weighted`.

    Args:
        xy_px: (..., C, 2) px in IMAGE, cameras in the rig's order; NaN where missing.
        confidence: (..., C) in 0..1.
        settings: when a camera is believed; the defaults if None.

    Raises:
        InputError: fewer than two cameras, shapes that do not fit together, or confidence that is negative or NaN.
    """
    return _triangulate(rig, xy_px, confidence, settings or RobustSettings())


def check_observations(rig: CameraRig, xy_px: ArrayLike, confidence: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Pixels (..., C, 2) and confidence (..., C) as contiguous arrays that fit the rig and each other.

    Raises:
        InputError: fewer than two cameras, shapes that do not fit, or confidence that is negative or NaN.
    """
    xy, weights = match_observations(rig, xy_px, confidence)
    return read_only_floats(xy), read_only_floats(weights)


def match_observations(rig: CameraRig, xy_px: ArrayLike, confidence: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """As `check_observations`, but as they lie in memory: a long trial is copied part by part where it is needed."""
    n_cameras = len(rig.cameras)
    if n_cameras < 2:
        raise InputError(
            f"triangulation needs at least two cameras, the rig has {n_cameras} ({', '.join(rig.names)})",
            remedy="Give a calibration and 2D landmarks of two cameras or more",
        )
    xy, weights = np.asarray(xy_px, dtype=np.float64), np.asarray(confidence, dtype=np.float64)
    if xy.ndim < 2 or xy.shape[-2:] != (n_cameras, 2) or weights.shape != xy.shape[:-1]:
        raise InputError(
            f"pixels of shape {xy.shape} with confidence of shape {weights.shape} do not fit a rig of {n_cameras} "
            f"cameras; expected (..., {n_cameras}, 2) and (..., {n_cameras})"
        )
    if not weights.min(initial=0.0) >= 0.0:
        raise InputError("confidence is negative or NaN", remedy="Missing observations have confidence 0")
    return xy, weights


def _triangulate(rig: CameraRig, xy_px: ArrayLike, confidence: ArrayLike, settings: RobustSettings) -> Triangulation:
    xy, weights = match_observations(rig, xy_px, confidence)
    n_cameras, batch = len(rig.cameras), weights.shape[:-1]
    n = math.prod(batch)
    out: Results = (
        np.full((n, 3), np.nan),
        np.full(n, np.nan),
        np.zeros((n, n_cameras), dtype=np.bool_),
        np.full((n, 3, 3), np.nan),
        np.full(n, np.nan),
    )
    frames = (batch[0] if batch else 1, math.prod(batch[1:]))
    _run_kernel(rig, xy.reshape(*frames, n_cameras, 2), weights.reshape(*frames, n_cameras), settings, out)
    xyz, residual, used, cofactor, squares = out
    variance = _pixel_variance(squares, used.sum(axis=1), batch, settings.sigma_floor_px)
    cofactor *= variance[:, None, None]
    return Triangulation(
        xyz_m=xyz.reshape(*batch, 3),
        residual_px=residual.reshape(batch),
        used=used.reshape(*batch, n_cameras),
        covariance_m2=cofactor.reshape(*batch, 3, 3),
    )


def _run_kernel(rig: CameraRig, xy: FloatArray, weights: FloatArray, settings: RobustSettings, out: Results) -> None:
    """Fill `out` (T K, ...) from pixels (T, K, C, 2) chunk by chunk, each laid out when its turn comes; the compiled
    code releases the interpreter, so threads share the work."""
    packed = PackedRig.pack(rig)
    limits = Limits(
        min_weight=settings.min_confidence,
        max_px=settings.max_error_px,
        min_cameras=settings.min_cameras,
        max_cosine=math.cos(settings.min_parallax_rad),
    )
    xyz, residual, used, cofactor, squares = out

    n_frames, n_points = weights.shape[:2]

    def run(frames: slice, points: slice) -> None:
        own = read_only_floats(weights[frames, points]).reshape(-1, weights.shape[2])
        pixels = read_only_floats(xy[frames, points]).reshape(-1, weights.shape[2], 2)
        first = frames.start * n_points + points.start
        part = slice(first, first + len(own))
        rows = (xyz[part], residual[part], used[part], cofactor[part], squares[part])
        triangulate_points(pixels, own, packed, limits, rows)

    chunks = tuple(_chunks(n_frames, n_points))
    if len(chunks) <= 1:
        for chunk in chunks:
            run(*chunk)
        return
    with ThreadPoolExecutor(max_workers=n_processors()) as pool:
        list(pool.map(run, *zip(*chunks, strict=True)))


def _chunks(n_frames: int, n_points: int) -> Iterator[tuple[slice, slice]]:
    """Frames and points of each chunk, whose points follow each other.

    Chunks are whole frames where these fit, as many as fill the kernel's blocks: a block that is not full rounds
    otherwise in the last digit.
    """
    full = LANES // math.gcd(max(1, n_points), LANES)
    step = full * max(1, _CHUNK // (full * max(1, n_points))) if n_points <= _CHUNK else 1
    for frame in range(0, n_frames, step):
        for point in range(0, n_points, _CHUNK):
            yield slice(frame, min(n_frames, frame + step)), slice(point, min(n_points, point + _CHUNK))


def _pixel_variance(squares: FloatArray, n_used: FloatArray, batch: tuple[int, ...], floor_px: float) -> FloatArray:
    """Noise variance of each point, (N,) px²: its own residuals, drawn towards the level of its landmark.

    A point seen by two cameras has one redundant measurement, which alone says next to nothing about noise. The
    landmark's level (over the first axis) therefore counts as `_PRIOR_DOF` measurements more.
    """
    found = np.isfinite(squares)
    dof = np.where(found, 2.0 * n_used - 3.0, 0.0)
    squares = np.where(found, squares, 0.0)
    groups = (batch[0] if batch else 1, math.prod(batch[1:]))
    total_dof = dof.reshape(groups).sum(axis=0)
    pooled = squares.reshape(groups).sum(axis=0) / np.maximum(total_dof, 1.0)
    pooled_of_point = np.broadcast_to(pooled, dof.reshape(groups).shape).ravel()
    variance: FloatArray = (_PRIOR_DOF * pooled_of_point + squares) / (_PRIOR_DOF + dof)
    return np.maximum(variance, floor_px**2)


def triangulate_pose2sim(
    rig: CameraRig,
    xy_px: ArrayLike,
    confidence: ArrayLike,
    *,
    min_confidence: float = 0.3,
    max_error_px: float = 15.0,
    min_cameras: int = 2,
) -> Triangulation:
    """Triangulate by Pose2Sim's rule, so that its published results can be reproduced.

    Likelihood-weighted homogeneous linear solution on pixels as they are (lens distortion is ignored, as in the
    published results); while the mean error exceeds `max_error_px`, one camera more is left out, always with the
    subset that has the least mean error. The covariance is not estimated.
    Source: Pagnon, Domalain & Reveret 2021, doi:10.3390/s21196530; behaviour as of its commit a948c20.

    Args and Raises as in `triangulate_robust`.
    """
    xy, weights = check_observations(rig, xy_px, confidence)
    n_cameras, batch = len(rig.cameras), weights.shape[:-1]
    xy, weights = xy.reshape(-1, n_cameras, 2), weights.reshape(-1, n_cameras)
    seen = (weights >= min_confidence) & np.isfinite(xy).all(axis=-1)
    xyz, residual = np.full((len(xy), 3), np.nan), np.full(len(xy), np.nan)
    used = np.zeros((len(xy), n_cameras), dtype=np.bool_)
    for size in range(n_cameras, max(min_cameras, 2) - 1, -1):
        rows = np.flatnonzero(np.isnan(residual))
        points, errors, cameras = _best_subset(rig, xy[rows], weights[rows], seen[rows], size)
        good = errors <= max_error_px
        xyz[rows[good]], residual[rows[good]], used[rows[good]] = points[good], errors[good], cameras[good]
    return Triangulation(
        xyz_m=xyz.reshape(*batch, 3),
        residual_px=residual.reshape(batch),
        used=used.reshape(*batch, n_cameras),
        covariance_m2=np.full((*batch, 3, 3), np.nan),
    )


def _best_subset(
    rig: CameraRig, xy: FloatArray, weights: FloatArray, seen: BoolArray, size: int
) -> tuple[FloatArray, FloatArray, BoolArray]:
    """Of all subsets of `size` cameras that saw a point, the one with the least mean error (infinite: no subset)."""
    matrices = np.stack([projection_matrix(c) for c in rig.cameras])
    best_points, best_errors = np.full((len(xy), 3), np.nan), np.full(len(xy), np.inf)
    best_cameras = np.zeros(seen.shape, dtype=np.bool_)
    for subset in combinations(range(len(matrices)), size):
        cameras = list(subset)
        rows = np.flatnonzero(seen[:, cameras].all(axis=1))
        points, errors = _solve_homogeneous(matrices[cameras], xy[rows][:, cameras], weights[rows][:, cameras])
        better = errors < best_errors[rows]
        rows = rows[better]
        best_points[rows], best_errors[rows] = points[better], errors[better]
        best_cameras[rows] = np.isin(np.arange(len(matrices)), cameras)
    return best_points, best_errors, best_cameras


def _solve_homogeneous(matrices: FloatArray, xy: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Weighted homogeneous linear points (N, 3) m and their mean errors (N,) px, lens distortion ignored."""
    rows = weights[..., None, None] * (matrices[:, :2] - xy[..., None] * matrices[:, 2:3])
    solution = np.linalg.svd(rows.reshape(len(xy), 2 * len(matrices), 4))[2][:, -1]
    points = solution[:, :3] / solution[:, 3:]
    image = points @ np.swapaxes(matrices[:, :, :3], 1, 2) + matrices[:, None, :, 3]
    errors = np.linalg.norm(image[..., :2] / image[..., 2:] - np.swapaxes(xy, 0, 1), axis=-1).mean(axis=0)
    return points, errors
