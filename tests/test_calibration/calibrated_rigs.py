"""True rigs calibrated from a waved board and placed in LAB with a known uncertainty."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from calibration.align import place_in_lab
from calibration.projection import project_rig
from calibration.rig.covariance import covariance_of
from calibration.rig.solve import solve_rig
from calibration.triangulation.triangulate import triangulate_weighted
from labsys.core.cameras import Calibration, CameraRig
from labsys.core.rigid import RigidTransform
from tests.test_calibration.board_scenes import BOARD, BoardScene, see_corners, wave_board

VOLUME_M = np.array([[x, y, z] for x in (-0.4, 0.0, 0.4) for y in (0.1, 0.5, 0.95, 1.4, 1.7) for z in (-0.3, 0.0, 0.3)])
_LAB_SCENE = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])  # scenes have z up


def calibrate_rig(
    truth: CameraRig,
    seed: int,
    *,
    noise_px: float = 0.4,
    up_sd_rad: float = np.radians(0.2),
    heading_sd_rad: float = np.radians(0.2),
    seconds: float = 30.0,
) -> Calibration:
    """Solve a true rig from a board waved in its middle, lay it on the truth over the volume, and tilt it as far as its
    stated uncertainty of up and heading says."""
    rng = np.random.default_rng([seed, 5])
    times = np.arange(int(4.0 * seconds)) / 4.0
    R, t = wave_board(times, arc_rad=2.0 * np.pi, rng=rng)
    scene = BoardScene(BOARD, truth, times, _LAB_SCENE @ R, t @ _LAB_SCENE.T + np.array([0.0, 0.95, 0.0]))
    corners = see_corners(scene, noise_px=noise_px, seed=seed + 1000)
    solved = solve_rig(corners, tuple(c.intrinsics for c in truth.cameras))
    tilt = rng.standard_normal(3) * np.array([up_sd_rad / np.sqrt(2.0), heading_sd_rad, up_sd_rad / np.sqrt(2.0)])
    placed = place_in_lab(solved.rig, _placement(solved.rig, truth, tilt))
    covariance = covariance_of(solved, lenses_solved=False).moved(solved.rig, placed)
    return Calibration(
        placed, "labsys", grade="A", up_sd_rad=up_sd_rad, heading_sd_rad=heading_sd_rad, covariance=covariance
    )


def _placement(solved: CameraRig, truth: CameraRig, tilt_rad: np.ndarray) -> RigidTransform:
    xy = project_rig(truth, VOLUME_M)
    seen = np.isfinite(xy).all(axis=-1)
    points = triangulate_weighted(solved, np.nan_to_num(xy), seen.astype(float)).xyz_m
    middle, target = points.mean(axis=0), VOLUME_M.mean(axis=0)
    U, _, Vt = np.linalg.svd((points - middle).T @ (VOLUME_M - target))
    turn = Vt.T @ np.diag([1.0, 1.0, np.linalg.det(Vt.T @ U.T)]) @ U.T
    turn = Rotation.from_rotvec(tilt_rad).as_matrix() @ turn
    return RigidTransform(turn, target - turn @ middle)
