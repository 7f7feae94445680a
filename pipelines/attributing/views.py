"""How far every view of a landmark lies from where the cameras that agree place it, and how much of that is its own.

A point follows its views, so a bad view pulls the point and shows in all cameras. Noise is therefore told apart by
variance components: every camera's squares against its share of what the point leaves open (Helmert's estimate,
Koch 1999, doi:10.1007/978-3-662-03976-2, section 3.6.1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.lens_jacobian import pack_lenses, project_with_jacobian
from calibration.projection import undistort
from calibration.triangulation.triangulate import RobustSettings, triangulate_robust
from labsys.core.arrays import BoolArray, FloatArray, IntArray
from labsys.core.cameras import CameraRig
from labsys.core.landmarks import Landmarks2D

_ROUNDS = 12
_FEWEST_REDUNDANT = 30.0  # a noise from less is a guess
_LEAST_PX2 = 0.01
_LEAST_SHARE = 0.02  # of the mean variance: two cameras alone cannot be told apart, and one would take all


@dataclass(frozen=True, eq=False)
class ViewErrors:
    """F frames of K landmarks in C cameras.

    Attributes:
        seen: (F, K, C) likely enough. used: (F, K, C) agrees with the point. found: (F, K) there is a point.
        xyz_m: (F, K, 3) the point, NaN without.
        residual_px: (F, K, C, 2) seen less the point's image; NaN where either is missing.
        px_per_m: (K, C) image scale at the body, NaN where unknown.
        noise_px: (K, C) of one axis, of views that agree; NaN from too few.
        constant_px: (K, C, 2) px, part of the residual that stays, of views that agree.
        offset_px: (K, C, 2) px, median residual of all views that have a point; NaN without. restless_px: (K, C) median
            distance from it.
        angle_rad: (F, K) between the two most different rays, 0 to pi/2, NaN below two.
    """

    seen: BoolArray
    used: BoolArray
    found: BoolArray
    xyz_m: FloatArray
    residual_px: FloatArray
    px_per_m: FloatArray
    noise_px: FloatArray
    constant_px: FloatArray
    offset_px: FloatArray
    restless_px: FloatArray
    angle_rad: FloatArray

    @property
    def wrong(self) -> BoolArray:
        """(F, K, C) seen, with a point, and in disagreement with it."""
        judged: BoolArray = self.seen & self.found[..., None] & ~self.used
        return judged

    @property
    def wrong_share(self) -> FloatArray:
        """(K, C) share of the views with a point that disagree with it; 0 without views."""
        judged = (self.seen & self.found[..., None]).sum(axis=0)
        return np.asarray(self.wrong.sum(axis=0) / np.maximum(judged, 1))

    @property
    def noise_m(self) -> FloatArray:
        """(K, C) noise at the body, m."""
        return np.asarray(self.noise_px / self.px_per_m)


def spread_frames(n_frames: int, *, most: int) -> IntArray:
    """At most so many frames, evenly over a trial."""
    return np.unique(np.linspace(0, n_frames - 1, min(most, n_frames)).round()).astype(np.int64)


def measure_views(rig: CameraRig, landmarks: Landmarks2D, frames: IntArray, *, settings: RobustSettings) -> ViewErrors:
    """Place the landmarks in these frames anew, every frame by itself, and compare every view with its point.

    Args:
        rig: cameras in the order of `landmarks.cameras`.
    """
    xy, confidence = (np.moveaxis(a[frames], 1, 2) for a in (landmarks.xy_px, landmarks.confidence))
    found = triangulate_robust(rig, xy, confidence, settings=settings)
    seen = (confidence >= settings.min_confidence) & np.isfinite(xy).all(axis=-1)
    residual, by_point = _residuals(rig, found.xyz_m, xy)
    residual = np.where(seen[..., None], residual, np.nan)
    offset = _median_over_frames(residual)
    noise, constant = np.full(seen.shape[1:], np.nan), np.full((*seen.shape[1:], 2), np.nan)
    for k in range(seen.shape[1]):
        noise[k], constant[k] = split_noise(residual[:, k], by_point[:, k], found.used[:, k])
    return ViewErrors(
        seen=seen,
        used=found.used,
        found=np.asarray(np.isfinite(found.xyz_m).all(axis=-1)),
        xyz_m=found.xyz_m,
        residual_px=residual,
        px_per_m=_scale(by_point, found.used),
        noise_px=noise,
        constant_px=constant,
        offset_px=offset,
        restless_px=_median_over_frames(np.linalg.norm(residual - offset, axis=-1)),
        angle_rad=_angles(rig, xy, np.where(found.used.any(axis=-1, keepdims=True), found.used, seen)),
    )


def _residuals(rig: CameraRig, points_m: FloatArray, xy_px: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Seen less expected (F, K, C, 2) px, and what moves the expected (F, K, C, 2, 3) px/m in LAB."""
    lenses = pack_lenses([c.intrinsics for c in rig.cameras])
    R = np.stack([c.T_cam_lab.rotation for c in rig.cameras])
    t = np.stack([c.T_cam_lab.translation_m for c in rig.cameras])
    image = project_with_jacobian(np.einsum("cij,fkj->fkci", R, points_m) + t, lenses.values, lenses.fisheye)
    residual = np.where(image.in_front[..., None], xy_px - image.xy_px, np.nan)
    return residual, np.asarray(image.by_point @ R)


def split_noise(residual_px: FloatArray, by_point: FloatArray, used: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Noise of one axis (C,) px, and constant part (C, 2) px, of one landmark in every camera.

    Args:
        residual_px: (F, C, 2). by_point: (F, C, 2, 3) px/m. used: (F, C).
    """
    n_cameras = used.shape[1]
    rows = (used & np.isfinite(residual_px).all(axis=-1)).sum(axis=1) >= min(3, n_cameras)
    use = (used[rows] & np.isfinite(residual_px[rows]).all(axis=-1)).astype(np.float64)
    left0 = np.where(use[..., None] > 0, residual_px[rows], 0.0)
    A = np.where(use[..., None, None] > 0, by_point[rows], 0.0)
    variance, constant = np.ones(n_cameras), np.zeros((n_cameras, 2))
    count = np.maximum(use.sum(axis=0), 1.0)
    redundancy = np.zeros(n_cameras)
    for _ in range(_ROUNDS if n_cameras > 2 else 1):
        left, redundancy = _adjust(left0 - use[..., None] * constant, A, use / variance)
        constant += left.sum(axis=0) / count[:, None]
        own = (left**2).sum(axis=(0, 2)) / np.maximum(redundancy, 1.0)
        variance = np.maximum(own, max(_LEAST_PX2, _LEAST_SHARE * float(own.mean())))
    few = redundancy < _FEWEST_REDUNDANT
    return np.where(few, np.nan, np.sqrt(variance)), np.where(few[:, None], np.nan, constant)


def _adjust(residual_px: FloatArray, A: FloatArray, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
    """What is left (F, C, 2) px after the points moved to where they fit best, and each camera's redundancy (C,)."""
    WA = A * weight[..., None, None]
    # The ridge, m^-2, is nothing to a point that two cameras see.
    inverse = np.linalg.inv(np.einsum("fcij,fcil->fjl", A, WA) + 1e-6 * np.eye(3))
    step = np.einsum("fjl,fl->fj", inverse, np.einsum("fcij,fci->fj", WA, residual_px))
    left = (residual_px - np.einsum("fcij,fj->fci", A, step)) * (weight > 0)[..., None]
    taken = np.einsum("fcij,fjl,fcil->fc", A, inverse, WA, optimize=True)
    return left, np.asarray(((2.0 - taken) * (weight > 0)).sum(axis=0))


def _scale(by_point: FloatArray, used: BoolArray) -> FloatArray:
    """(K, C) px per m across the line of sight, median over time."""
    # Two of three singular values of the image's Jacobian are the scale; their mean square is half its norm's.
    return _median_over_frames(np.where(used, np.sqrt((by_point**2).sum(axis=(-1, -2)) / 2.0), np.nan))


def _median_over_frames(values: FloatArray) -> FloatArray:
    """Median over the first axis, NaN where nothing is known."""
    known = np.isfinite(values).any(axis=0)
    return np.where(known, np.nanmedian(np.where(known, values, 0.0), axis=0), np.nan)


def _angles(rig: CameraRig, xy_px: FloatArray, believed: BoolArray) -> FloatArray:
    """(F, K) rad."""
    rays = np.empty((*xy_px.shape[:-1], 3))
    for c, camera in enumerate(rig.cameras):
        plain = undistort(camera.intrinsics, xy_px[:, :, c])
        ray = np.concatenate([plain, np.ones((*plain.shape[:-1], 1))], axis=-1) @ camera.T_cam_lab.rotation
        rays[:, :, c] = ray / np.linalg.norm(ray, axis=-1, keepdims=True)
    least = np.full(xy_px.shape[:2], np.nan)
    for a in range(len(rig.cameras)):
        for b in range(a):
            cosine = np.abs((rays[:, :, a] * rays[:, :, b]).sum(axis=-1))
            least = np.fmin(least, np.where(believed[:, :, a] & believed[:, :, b], cosine, np.nan))
    return np.asarray(np.arccos(np.clip(least, 0.0, 1.0)))
