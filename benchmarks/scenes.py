"""Scenes with known truth: cameras on a ring, points or a moving body, and the pixels that cameras would report."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.projection import project_rig
from labsys.core.arrays import BoolArray, FloatArray
from labsys.core.cameras import Camera, CameraRig, Intrinsics, LensModel
from labsys.core.rigid import look_at

PINHOLE_DISTORTION = (-0.2, 0.05, 0.001, -0.001, 0.0)
FISHEYE_DISTORTION = (-0.02, 0.01, -0.005, 0.001)


@dataclass(frozen=True, eq=False)
class Scene:
    """Truth and what cameras saw of it.

    Attributes:
        xyz_m: (T, K, 3) m in LAB.
        xy_px: (T, K, C, 2) px, NaN where missing. confidence: (T, K, C) in 0..1.
        outlier: (T, K, C) whether the pixel is a gross error.
    """

    rig: CameraRig
    xyz_m: FloatArray
    xy_px: FloatArray
    confidence: FloatArray
    outlier: BoolArray


def ring_rig(n_cameras: int, *, model: LensModel = LensModel.PINHOLE, radius_m: float = 3.5) -> CameraRig:
    """Cameras of 1280x720 on a ring round the origin, at three heights, looking at (0, 1, 0)."""
    distortion = FISHEYE_DISTORTION if model is LensModel.FISHEYE else PINHOLE_DISTORTION
    matrix = np.array([[900.0, 0.0, 640.0], [0.0, 905.0, 360.0], [0.0, 0.0, 1.0]])
    lens = Intrinsics(matrix, np.array(distortion), (1280, 720), model)
    cameras = []
    for i in range(n_cameras):
        angle = 2 * np.pi * i / n_cameras + 0.3
        centre = np.array([radius_m * np.cos(angle), 1.2 + 0.3 * (i % 3), radius_m * np.sin(angle)])
        cameras.append(Camera(f"cam{i}", lens, look_at(centre, np.array([0.0, 1.0, 0.0]))))
    return CameraRig(tuple(cameras))


def scattered_points(n_frames: int, n_landmarks: int, seed: int) -> FloatArray:
    """Independent points in the volume of a runner, (T, K, 3) m in LAB."""
    rng = np.random.default_rng(seed)
    return rng.uniform([-0.5, 0.0, -0.4], [0.5, 1.8, 0.4], (n_frames, n_landmarks, 3))


def moving_body(n_frames: int, n_landmarks: int, *, rate_hz: float, seed: int) -> FloatArray:
    """A chain of rigid links that swings at running cadence, (T, K, 3) m in LAB; neighbours keep their distance.

    Link k joins landmarks k and k + 1; it swings in the sagittal plane with its own phase and amplitude, faster and
    wider towards the end of the chain, as a leg does.
    """
    rng = np.random.default_rng(seed)
    times_s = np.arange(n_frames)[:, None] / rate_hz
    links = n_landmarks - 1
    amplitude_rad = rng.uniform(0.2, 0.6, links)
    phase_rad = rng.uniform(0.0, 2 * np.pi, links)
    angle = amplitude_rad * np.sin(2 * np.pi * 1.4 * times_s + phase_rad)
    direction = np.stack([np.sin(angle), -np.cos(angle), 0.1 * np.ones_like(angle)], axis=-1)
    steps = direction / np.linalg.norm(direction, axis=-1, keepdims=True) * (1.6 / n_landmarks)
    top = np.concatenate([0 * times_s, 1.7 + 0.04 * np.sin(2 * np.pi * 2.8 * times_s), 0 * times_s], axis=-1)
    return np.concatenate([top[:, None], top[:, None] + np.cumsum(steps, axis=1)], axis=1)


def observe(
    rig: CameraRig, xyz_m: FloatArray, *, sigma_px: float, outliers: float = 0.0, missing: float = 0.0, seed: int = 0
) -> Scene:
    """White pixel noise, gross errors of 30 to 200 px that look as sure as the rest, and missing observations."""
    rng = np.random.default_rng(seed)
    xy = project_rig(rig, xyz_m)
    xy = xy + rng.normal(scale=sigma_px, size=xy.shape)
    outlier = rng.random(xy.shape[:-1]) < outliers
    angle, reach_px = rng.uniform(0, 2 * np.pi, outlier.sum()), rng.uniform(30, 200, outlier.sum())
    xy[outlier] += (reach_px * np.stack([np.cos(angle), np.sin(angle)])).T
    gone = (rng.random(xy.shape[:-1]) < missing) | np.isnan(xy).any(axis=-1)
    xy[gone] = np.nan
    confidence = np.where(gone, 0.0, rng.uniform(0.85, 1.0, gone.shape))
    return Scene(rig, xyz_m, xy, confidence, outlier & ~gone)
