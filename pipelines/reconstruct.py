"""2D landmarks and a calibration to 3D landmarks in LAB: the trial stage around triangulation and trajectory solve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from calibration.match import match_cameras
from calibration.trajectory.trajectory import Trajectory
from calibration.triangulation.anipose import AniposeMethod, triangulate_with_anipose
from calibration.triangulation.triangulate import (
    RobustSettings,
    Triangulation,
    triangulate_pose2sim,
    triangulate_robust,
)
from labsys.core.arrays import BoolArray, FloatArray
from labsys.core.cameras import Calibration, CameraRig
from labsys.core.errors import InputError
from labsys.core.landmarks import Landmarks2D, Landmarks3D
from pipelines.config import ReconstructConfig, Rule
from pipelines.trajectory import bones_of, describe_solve, solve_landmarks
from pipelines.uncertainty import with_uncertainty

LONGEST_GAP_S = 0.1


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """A trial in space, and how it was found.

    Attributes:
        landmarks: (T, K) positions with covariance.
        error_correlation: (K, L) autocorrelation of each landmark's error at lag 0 to L - 1 frames; (K, 1) of ones
            where the rule does not say (every frame by itself).
        solve: what a run keeps of the trajectory solve; empty for the other rules. solve_s: wall time of the solve, s.
    """

    landmarks: Landmarks3D
    error_correlation: FloatArray
    solve: Mapping[str, Any] = field(default_factory=dict)
    solve_s: float = 0.0


def marked(landmarks: Landmarks3D) -> Reconstruction:
    """3D markers of another system as a reconstruction: nothing was solved."""
    return Reconstruction(landmarks, np.ones((len(landmarks.landmarks), 1)))


def reconstruct(
    landmarks: Landmarks2D,
    calibration: Calibration,
    *,
    rule: Rule,
    min_likelihood: float,
    max_error_px: float,
    min_cameras: int,
    max_gap_s: float = LONGEST_GAP_S,
) -> Landmarks3D:
    """As `reconstruct_trial`, the landmarks alone."""
    return reconstruct_trial(
        landmarks,
        calibration,
        rule=rule,
        min_likelihood=min_likelihood,
        max_error_px=max_error_px,
        min_cameras=min_cameras,
        max_gap_s=max_gap_s,
    ).landmarks


def reconstruct_trial(
    landmarks: Landmarks2D,
    calibration: Calibration,
    *,
    rule: Rule,
    min_likelihood: float,
    max_error_px: float,
    min_cameras: int,
    max_gap_s: float = LONGEST_GAP_S,
) -> Reconstruction:
    """Reconstruct every landmark in every frame; (T, K, 3) m in LAB, NaN where too few cameras agree.

    max_gap_s: longest time without such a frame that the trajectory solve bridges; its frames are marked interpolated.

    Raises:
        UnknownNameError: a camera that the calibration lacks. InputError: fewer than two cameras, or not one point.
    """
    rig = matching_rig(landmarks, calibration)
    settings = RobustSettings(min_confidence=min_likelihood, max_error_px=max_error_px, min_cameras=min_cameras)
    found = _triangulate(landmarks, rig, rule, settings)
    _check_found(landmarks, found, min_likelihood)
    if rule is Rule.TRAJECTORY:
        solved = solve_landmarks(landmarks, rig, found, min_likelihood=min_likelihood, max_gap_s=max_gap_s)
        smooth = _as_landmarks(landmarks, solved, solved.interpolated)
        lasting = solved.error_correlation
        known = with_uncertainty(smooth, landmarks, found, calibration, error_correlation=lasting)
        return Reconstruction(known, lasting, describe_solve(solved, landmarks), solved.report.seconds)
    nothing = np.zeros(found.residual_px.shape, dtype=np.bool_)
    points = with_uncertainty(_as_landmarks(landmarks, found, nothing), landmarks, found, calibration)
    return Reconstruction(points, np.ones((len(landmarks.landmarks), 1)))


def reconstruct_configured(
    landmarks: Landmarks2D, calibration: Calibration, settings: ReconstructConfig
) -> Reconstruction:
    """As `reconstruct_trial`, by a configuration's section."""
    return reconstruct_trial(
        landmarks,
        calibration,
        rule=settings.rule,
        min_likelihood=settings.min_likelihood,
        max_error_px=settings.max_error_px,
        min_cameras=settings.min_cameras,
        max_gap_s=settings.max_gap_s,
    )


def _triangulate(landmarks: Landmarks2D, rig: CameraRig, rule: Rule, settings: RobustSettings) -> Triangulation:
    # (T, C, K, …) to (T, K, C, …): triangulation takes cameras last.
    xy_px, confidence = np.moveaxis(landmarks.xy_px, 1, 2), np.moveaxis(landmarks.confidence, 1, 2)
    match rule:
        case Rule.TRAJECTORY | Rule.ROBUST:
            return triangulate_robust(rig, xy_px, confidence, settings=settings)
        case Rule.POSE2SIM:
            return triangulate_pose2sim(
                rig,
                xy_px,
                confidence,
                min_confidence=settings.min_confidence,
                max_error_px=settings.max_error_px,
                min_cameras=settings.min_cameras,
            )
        case Rule.TRIANGULATE | Rule.RANSAC | Rule.OPTIM | Rule.RANSAC_OPTIM:
            return triangulate_with_anipose(
                rig,
                landmarks.xy_px,
                landmarks.confidence,
                method=AniposeMethod(rule.value),
                bones=bones_of(landmarks.landmarks),
                min_confidence=settings.min_confidence,
            )


def matching_rig(landmarks: Landmarks2D, calibration: Calibration) -> CameraRig:
    """The calibrated cameras of these landmarks, in their order, under the landmarks' names (UnknownNameError)."""
    matched = match_cameras(calibration.rig.names, landmarks.cameras)
    return calibration.rig.select(tuple(matched[name] for name in landmarks.cameras))


def _check_found(landmarks: Landmarks2D, found: Triangulation, min_likelihood: float) -> None:
    if not np.isfinite(found.xyz_m).any():
        raise InputError(
            f"no landmark could be reconstructed in any of {landmarks.times_s.size} frames",
            where=f"cameras {', '.join(landmarks.cameras)}, likelihood at least {min_likelihood:g}",
            remedy="Check the calibration and the 2D landmarks, or lower reconstruct.min_likelihood",
        )


def _as_landmarks(landmarks: Landmarks2D, found: Triangulation | Trajectory, interpolated: BoolArray) -> Landmarks3D:
    return Landmarks3D(
        landmarks=landmarks.landmarks,
        times_s=landmarks.times_s,
        xyz_m=found.xyz_m,
        residual_px=found.residual_px,
        n_cameras=found.used.sum(axis=-1).astype(np.float64),
        covariance_m2=found.covariance_m2,
        interpolated=interpolated,
    )
