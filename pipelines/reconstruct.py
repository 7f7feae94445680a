"""2D landmarks and a calibration to 3D landmarks in LAB: the trial stage around triangulation."""

from __future__ import annotations

import numpy as np

from calibration.anipose import AniposeMethod, triangulate_with_anipose
from calibration.match import match_cameras
from calibration.triangulate import RobustSettings, Triangulation, triangulate_pose2sim, triangulate_robust
from labsys.core.cameras import Calibration, CameraRig
from labsys.core.errors import InputError
from labsys.core.landmarks import Landmarks2D, Landmarks3D
from labsys.core.skeleton import LANDMARK_SETS
from pipelines.config import Rule


def reconstruct(
    landmarks: Landmarks2D,
    calibration: Calibration,
    *,
    rule: Rule,
    min_likelihood: float,
    max_error_px: float,
    min_cameras: int,
) -> Landmarks3D:
    """Reconstruct every landmark in every frame; (T, K, 3) m in LAB, NaN where too few cameras agree.

    Raises:
        UnknownNameError: a camera that the calibration lacks. InputError: fewer than two cameras, or not one point.
    """
    rig = matching_rig(landmarks, calibration)
    # (T, C, K, …) to (T, K, C, …): triangulation takes cameras last.
    xy_px, confidence = np.moveaxis(landmarks.xy_px, 1, 2), np.moveaxis(landmarks.confidence, 1, 2)
    match rule:
        case Rule.ROBUST:
            settings = RobustSettings(min_confidence=min_likelihood, max_error_px=max_error_px, min_cameras=min_cameras)
            found = triangulate_robust(rig, xy_px, confidence, settings=settings)
        case Rule.POSE2SIM:
            found = triangulate_pose2sim(
                rig,
                xy_px,
                confidence,
                min_confidence=min_likelihood,
                max_error_px=max_error_px,
                min_cameras=min_cameras,
            )
        case Rule.TRIANGULATE | Rule.RANSAC | Rule.OPTIM | Rule.RANSAC_OPTIM:
            found = triangulate_with_anipose(
                rig,
                landmarks.xy_px,
                landmarks.confidence,
                method=AniposeMethod(rule.value),
                bones=bones_of(landmarks.landmarks),
                min_confidence=min_likelihood,
            )
    return _as_landmarks(landmarks, found, min_likelihood)


def matching_rig(landmarks: Landmarks2D, calibration: Calibration) -> CameraRig:
    """The calibrated cameras of these landmarks, in their order, under the landmarks' names (UnknownNameError)."""
    matched = match_cameras(calibration.rig.names, landmarks.cameras)
    return calibration.rig.select(tuple(matched[name] for name in landmarks.cameras))


def bones_of(landmarks: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    """Pairs of indices of landmarks that a bone joins, in any landmark set that labsys knows."""
    index = {name: i for i, name in enumerate(landmarks)}
    pairs = {(a, b) for s in LANDMARK_SETS.values() for a, b in s.bones if a in index and b in index}
    return tuple(sorted((index[a], index[b]) for a, b in pairs))


def _as_landmarks(landmarks: Landmarks2D, found: Triangulation, min_likelihood: float) -> Landmarks3D:
    if not np.isfinite(found.xyz_m).any():
        raise InputError(
            f"no landmark could be reconstructed in any of {landmarks.times_s.size} frames",
            where=f"cameras {', '.join(landmarks.cameras)}, likelihood at least {min_likelihood:g}",
            remedy="Check the calibration and the 2D landmarks, or lower reconstruct.min_likelihood",
        )
    shape = found.residual_px.shape
    return Landmarks3D(
        landmarks=landmarks.landmarks,
        times_s=landmarks.times_s,
        xyz_m=found.xyz_m,
        residual_px=found.residual_px,
        n_cameras=found.used.sum(axis=-1).astype(np.float64),
        covariance_m2=found.covariance_m2,
        interpolated=np.zeros(shape, dtype=np.bool_),
    )
