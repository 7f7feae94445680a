"""How surely a solved rig is known: against the truth of many rigs, through placement, files and choice of cameras."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from calibration.align import place_in_lab
from calibration.formats import format_anipose, read_calibration
from calibration.projection import project_rig
from calibration.rig.covariance import turn_shapes, volume_errors
from calibration.triangulation.triangulate import triangulate_weighted
from labsys.core.cameras import CAMERA_PARAMETERS, Calibration, CameraRig, RigCovariance
from labsys.core.errors import InputError
from labsys.core.point_errors import PointErrors
from labsys.core.rigid import RigidTransform
from pipelines.synthetic.rigs import make_rig
from tests.test_calibration.calibrated_rigs import VOLUME_M, calibrate_rig


def perturbed(rig: CameraRig, change: np.ndarray) -> CameraRig:
    """The rig with R = exp(turn) R_true and t = t_true + shift; change (C, 15)."""
    cameras = []
    for camera, d in zip(rig.cameras, change, strict=True):
        T = camera.T_cam_lab
        R = Rotation.from_rotvec(d[:3]).as_matrix() @ T.rotation
        cameras.append(replace(camera, T_cam_lab=RigidTransform(R, T.translation_m + d[3:6])))
    return CameraRig(tuple(cameras))


def as_errors(rig: CameraRig, covariance: RigCovariance) -> PointErrors:
    found = volume_errors(rig, covariance, VOLUME_M)
    return PointErrors(
        np.zeros(1),
        np.zeros((1, 0)),
        np.zeros(1),
        float("nan"),
        found.centre_m,
        found.shapes_m,
        calibration_included=True,
    )


def without_rigid(points: np.ndarray, truth: np.ndarray) -> np.ndarray:
    centred, target = points - points.mean(axis=0), truth - truth.mean(axis=0)
    U, _, Vt = np.linalg.svd(centred.T @ target)
    return centred @ (Vt.T @ np.diag([1.0, 1.0, np.linalg.det(Vt.T @ U.T)]) @ U.T).T - target


def seen_by(rig: CameraRig, truth: CameraRig) -> np.ndarray:
    """Where another rig believes what the true one sees."""
    xy = project_rig(truth, VOLUME_M)
    seen = np.isfinite(xy).all(axis=-1)
    return triangulate_weighted(rig, np.nan_to_num(xy), seen.astype(float)).xyz_m


@pytest.mark.slow
def test_intervals_of_the_volume_hold_over_many_calibrations() -> None:
    z = []
    for seed in range(16):
        truth = make_rig((4, 5, 6, 8)[seed % 4])
        calibration = calibrate_rig(truth, seed, up_sd_rad=0.0, heading_sd_rad=0.0)
        assert calibration.covariance is not None
        sd = np.sqrt(
            np.diagonal(
                as_errors(calibration.rig, calibration.covariance).common_covariance_m2(VOLUME_M), axis1=1, axis2=2
            )
        )
        z.append((seen_by(calibration.rig, truth) - VOLUME_M) / sd)
    inside = np.mean(np.abs(z) < 1.96)
    # 16 rigs are few: the spread over rigs allows 4 % to either side. A covariance off by 1.5 (in variance) would give
    # 89 or 98.4 %.
    assert 0.91 <= inside <= 0.98
    assert 0.65 <= np.mean(np.square(z)) <= 1.4


def test_what_a_shape_predicts_is_what_a_moved_camera_does() -> None:
    rig = make_rig(4)
    change = np.zeros((4, CAMERA_PARAMETERS))
    change[2, :6] = [2e-4, -1e-4, 3e-4, 4e-4, -2e-4, 1e-4]
    errors = as_errors(rig, RigCovariance(np.outer(change.ravel(), change.ravel())))
    assert errors.shapes_m.shape[0] == 1
    predicted = errors.displacement_m(VOLUME_M, np.ones(1))
    found = without_rigid(seen_by(perturbed(rig, change), rig), VOLUME_M)
    sign = np.sign((predicted * found).sum())
    # A polynomial of degree two follows the displacement to a few percent.
    assert np.abs(sign * predicted - found).max() < 0.1 * np.abs(found).max()


def test_covariance_follows_the_rig_into_another_world() -> None:
    rig = make_rig(3)
    rng = np.random.default_rng(4)
    change = np.zeros((3, CAMERA_PARAMETERS))
    change[:, :6] = 1e-5 * rng.standard_normal((3, 6))
    T = RigidTransform(Rotation.from_rotvec([0.3, -0.8, 0.2]).as_matrix(), np.array([1.0, -2.0, 0.5]))
    before, after = rig, place_in_lab(rig, T)
    moved = RigCovariance(np.outer(change.ravel(), change.ravel())).moved(before, after).matrix
    expected = place_in_lab(perturbed(rig, change), T)
    own = np.zeros((3, CAMERA_PARAMETERS))
    for c, (a, b) in enumerate(zip(expected.cameras, after.cameras, strict=True)):
        own[c, :3] = Rotation.from_matrix(a.T_cam_lab.rotation @ b.T_cam_lab.rotation.T).as_rotvec()
        own[c, 3:6] = a.T_cam_lab.translation_m - b.T_cam_lab.translation_m
    np.testing.assert_allclose(moved, np.outer(own.ravel(), own.ravel()), atol=2e-14)


@pytest.mark.parametrize("lenses", [False, True])
def test_covariance_is_written_and_read_back(tmp_path: Path, lenses: bool) -> None:
    rig = make_rig(3)
    rng = np.random.default_rng(1)
    root = rng.standard_normal((45, 45)) * np.tile([1e-4] * 6 + [float(lenses)] * 9, 3)[:, None]
    covariance = RigCovariance(root @ root.T)
    path = tmp_path / "calibration.toml"
    path.write_text(format_anipose(Calibration(rig, "labsys", covariance=covariance)), encoding="utf-8")
    back = read_calibration(path)
    assert back.covariance is not None
    np.testing.assert_array_equal(back.covariance.matrix, (covariance.matrix + covariance.matrix.T) / 2)
    chosen = back.select(("cam2", "cam0"))
    assert chosen.covariance is not None
    np.testing.assert_array_equal(chosen.covariance.matrix[:15, 15:], back.covariance.matrix[30:, :15])


def test_unknown_stays_unknown_and_another_rig_is_refused(tmp_path: Path) -> None:
    rig = make_rig(3)
    path = tmp_path / "calibration.toml"
    path.write_text(format_anipose(Calibration(rig, "anipose")), encoding="utf-8")
    assert read_calibration(path).covariance is None
    with pytest.raises(InputError, match="other cameras"):
        Calibration(rig, "labsys", covariance=RigCovariance(np.zeros((30, 30))))
    text = format_anipose(Calibration(rig, "labsys", covariance=RigCovariance(np.eye(45))))
    path.write_text(text.replace("parameters_per_camera = 15", "parameters_per_camera = 6"), encoding="utf-8")
    with pytest.raises(InputError, match="covariance"):
        read_calibration(path)


def test_up_and_heading_turn_the_volume() -> None:
    shapes = turn_shapes(0.02, 0.03)
    errors = PointErrors(
        np.zeros(1), np.zeros((1, 0)), np.zeros(1), float("nan"), np.zeros(3), shapes, calibration_included=False
    )
    at = errors.common_covariance_m2(np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]))
    # A metre up moves forward and sideways with the tilt; a metre ahead moves up with it, and sideways with heading.
    np.testing.assert_allclose(np.diag(at[0]), [0.02**2 / 2, 0.0, 0.02**2 / 2], atol=1e-15)
    np.testing.assert_allclose(np.diag(at[1]), [0.0, 0.02**2 / 2, 0.03**2], atol=1e-15)
    assert turn_shapes(float("nan"), float("nan")).shape == (0, 10, 3)
