"""What every camera sees of a moving body, and how it would change if a camera stood a little elsewhere.

Everything is taken to first order around the calibrated rig and the points that it gives, so that all hypotheses about
moved cameras are compared on the same observations.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from calibration.lens_jacobian import pack_lenses, project_with_jacobian
from calibration.triangulation.triangulate import RobustSettings, triangulate_robust
from labsys.core.arrays import BoolArray, FloatArray, IntArray
from labsys.core.cameras import CameraRig
from labsys.core.landmarks import Landmarks2D
from labsys.core.rigid import RigidTransform

# Unknowns of a camera: turn about its own centre (rad), shift of that centre (m), both in CAMERA, and its lag (s).
TURN, SHIFT, LAG = slice(0, 3), slice(3, 6), 6
UNKNOWNS = 7
_MOTION_M = 0.2  # a landmark that moves by this against the body turns enough for its bias to change by half
_FEWEST_VIEWS = 2


@dataclass(frozen=True, eq=False)
class BodyViews:
    """F frames of K landmarks seen by C cameras, linearised.

    Attributes:
        residual_px: (F, K, C, 2) seen minus expected, 0 where not seen.
        by_point: (F, K, C, 2, 3) px/m, by the landmark's position in LAB.
        by_camera: (F, K, C, 2, 7) px per unknown of the camera.
        confidence: (F, K, C). seen: (F, K, C) whether the observation counts.
        motion: (F, K, B) what a landmark's bias may follow: 1, and its two main motions against the body.
        times_s: (F,) s.
    """

    residual_px: FloatArray
    by_point: FloatArray
    by_camera: FloatArray
    confidence: FloatArray
    seen: BoolArray
    motion: FloatArray
    times_s: FloatArray


def choose_frames(times_s: FloatArray, *, most: int, spacing_s: float) -> IntArray:
    """Frames spread evenly over a trial, at least `spacing_s` apart; the first and last are left for velocities."""
    count = min(most, times_s.size - 2, int((times_s[-1] - times_s[0]) / spacing_s)) if times_s.size > 2 else 0
    return np.unique(np.linspace(1, times_s.size - 2, max(count, 0)).round()).astype(np.int64)


def linearise_views(rig: CameraRig, landmarks: Landmarks2D, frames: IntArray, *, min_confidence: float) -> BodyViews:
    """Place the landmarks, and say how each observation differs from its expectation and what would change it.

    Args:
        rig: cameras in the order of `landmarks.cameras`. frames: neither the first nor the last of the trial.
    """
    points, velocity = _points(rig, landmarks, frames, min_confidence)
    lenses = pack_lenses([c.intrinsics for c in rig.cameras])
    R = np.stack([c.T_cam_lab.rotation for c in rig.cameras])
    t = np.stack([c.T_cam_lab.translation_m for c in rig.cameras])
    in_camera = np.einsum("cij,fkj->fkci", R, points) + t
    image = project_with_jacobian(in_camera, lenses.values, lenses.fisheye)
    xy, confidence = (np.moveaxis(a[frames], 1, 2) for a in (landmarks.xy_px, landmarks.confidence))
    residual, by_point = xy - image.xy_px, image.by_point @ R
    by_camera = np.concatenate(
        [
            np.cross(in_camera[..., None, :], image.by_point),
            -image.by_point,
            -(by_point @ velocity[:, :, None, :, None]),
        ],
        axis=-1,
    )
    seen = (confidence >= min_confidence) & image.in_front & np.isfinite(residual).all(axis=-1)
    seen &= np.isfinite(by_camera).all(axis=(-1, -2))
    seen &= seen.sum(axis=-1, keepdims=True) >= _FEWEST_VIEWS
    return BodyViews(
        np.where(seen[..., None], residual, 0.0),
        np.where(seen[..., None, None], by_point, 0.0),
        np.where(seen[..., None, None], by_camera, 0.0),
        confidence,
        seen,
        _motions(points),
        landmarks.times_s[frames],
    )


def move_camera(rig: CameraRig, index: int, *, turn_rad: FloatArray, shift_m: FloatArray) -> CameraRig:
    """The rig with one camera's centre shifted and the camera then turned about it, both (3,) in its own frame."""
    cameras = list(rig.cameras)
    to_new = RigidTransform.from_rotvec(turn_rad, np.zeros(3)) @ RigidTransform(np.eye(3), -shift_m)
    cameras[index] = replace(cameras[index], T_cam_lab=to_new @ cameras[index].T_cam_lab)
    return CameraRig(tuple(cameras))


def _points(
    rig: CameraRig, landmarks: Landmarks2D, frames: IntArray, min_confidence: float
) -> tuple[FloatArray, FloatArray]:
    """Positions (F, K, 3) m and velocities (F, K, 3) m/s; velocity is 0 where a neighbouring frame has no point."""
    around = np.concatenate([frames - 1, frames, frames + 1])
    found = triangulate_robust(
        rig,
        np.moveaxis(landmarks.xy_px[around], 1, 2),
        np.moveaxis(landmarks.confidence[around], 1, 2),
        settings=RobustSettings(min_confidence=min_confidence),
    ).xyz_m.reshape(3, frames.size, -1, 3)
    elapsed = landmarks.times_s[frames + 1] - landmarks.times_s[frames - 1]
    velocity = (found[2] - found[0]) / elapsed[:, None, None]
    return found[1], np.where(np.isfinite(velocity), velocity, 0.0)


def _motions(points_m: FloatArray) -> FloatArray:
    """(F, K, 3): 1, and the two main motions of every landmark against the body, of unit size for large motions.

    A detector's bias depends on how a segment is turned against the camera. That turning is not known, but a landmark
    that moves against the body turns with its segment.
    """
    n_frames, n_landmarks = points_m.shape[:2]
    found: BoolArray = np.asarray(np.isfinite(points_m).all(axis=-1))
    count = found.sum(axis=1)[:, None]
    body = np.where(found[..., None], points_m, 0.0).sum(axis=1) / np.maximum(count, 1)
    motion = np.zeros((n_frames, n_landmarks, 3))
    motion[..., 0] = 1.0
    for k in range(n_landmarks):
        own = points_m[found[:, k], k] - body[found[:, k]]
        if len(own) < 3:
            continue
        own = own - own.mean(axis=0)
        travel = float(np.sqrt((own**2).sum(axis=1).mean()))
        left, sizes, _ = np.linalg.svd(own, full_matrices=False)
        share = np.minimum(1.0, sizes[:2] / max(0.3 * sizes[0], 1e-12))
        size = share * travel / np.hypot(travel, _MOTION_M)
        motion[found[:, k], k, 1:] = np.clip(left[:, :2] * np.sqrt(len(own)) * size, -3.0, 3.0)
    return motion
