"""Projection and undistortion against OpenCV, and the laws that bind them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from benchmarks.scenes import ring_rig
from calibration.projection import essential_matrix, project, project_rig, projection_matrix, undistort
from labsys.core.cameras import Camera, CameraRig, Intrinsics, LensModel
from labsys.core.errors import InputError
from labsys.core.rigid import look_at

LENSES = [
    (LensModel.PINHOLE, (0.0, 0.0, 0.0, 0.0, 0.0)),
    (LensModel.PINHOLE, (-0.332, 0.046, -0.0043, 0.0041, 0.0666)),
    (LensModel.PINHOLE, (0.180, -0.256, 0.0032, 0.0022, 0.124)),
    (LensModel.FISHEYE, (0.0, 0.0, 0.0, 0.0)),
    (LensModel.FISHEYE, (-0.02, 0.01, -0.005, 0.001)),
    (LensModel.FISHEYE, (0.08, -0.03, 0.01, -0.002)),
]


def make_camera(model: LensModel, distortion: tuple[float, ...]) -> Camera:
    K = np.array([[780.0, 0.0, 650.0], [0.0, 775.0, 350.0], [0.0, 0.0, 1.0]])
    lens = Intrinsics(K, np.array(distortion), (1280, 720), model)
    return Camera("cam", lens, look_at(np.array([3.0, 1.4, 1.0]), np.array([0.0, 1.0, 0.0])))


def points_lab_m(n: int = 2000) -> np.ndarray:
    return np.random.default_rng(1).uniform([-0.8, 0.0, -0.8], [0.8, 2.0, 0.8], (n, 3))


@pytest.mark.parametrize(("model", "distortion"), LENSES)
def test_projection_equals_opencv(model: LensModel, distortion: tuple[float, ...]) -> None:
    camera, points = make_camera(model, distortion), points_lab_m()
    opencv = cv2.fisheye.projectPoints if model is LensModel.FISHEYE else cv2.projectPoints
    T, lens = camera.T_cam_lab, camera.intrinsics
    expected, _ = opencv(
        points.reshape(-1, 1, 3), T.as_rotvec(), T.translation_m.copy(), lens.matrix.copy(), lens.distortion.copy()
    )
    assert np.abs(project(camera, points) - expected.reshape(-1, 2)).max() < 1e-8


@pytest.mark.parametrize(("model", "distortion"), LENSES)
def test_undistortion_inverts_projection(model: LensModel, distortion: tuple[float, ...]) -> None:
    camera, points = make_camera(model, distortion), points_lab_m()
    xy = project(camera, points)
    rays = undistort(camera.intrinsics, xy)
    points_cam = camera.T_cam_lab.apply(points)
    assert np.abs(rays - points_cam[:, :2] / points_cam[:, 2:]).max() < 1e-11
    back = project(Camera("c", camera.intrinsics, look_at(np.zeros(3), np.array([0.0, 0.0, 1.0]))), np.zeros((1, 3)))
    assert np.isnan(back).all()  # a point at the camera's own centre has no image


@pytest.mark.parametrize(("model", "distortion"), LENSES)
def test_round_trip_over_the_whole_image_is_below_a_millionth_of_a_pixel(
    model: LensModel, distortion: tuple[float, ...]
) -> None:
    camera = make_camera(model, distortion)
    u, v = np.meshgrid(np.linspace(0, 1279, 81), np.linspace(0, 719, 47))
    xy = np.stack([u, v], axis=-1)
    rays = undistort(camera.intrinsics, xy)
    assert np.isfinite(rays).all()
    points_cam = np.concatenate([rays, np.ones((*rays.shape[:-1], 1))], axis=-1)
    points_lab = camera.T_cam_lab.inverse().apply(points_cam)
    assert np.abs(project(camera, points_lab) - xy).max() < 1e-6


def test_points_behind_a_camera_have_no_image() -> None:
    camera = make_camera(*LENSES[1])
    behind = 2 * camera.centre_lab_m - np.array([0.0, 1.0, 0.0])
    assert np.isnan(project(camera, behind)).all()


def test_points_beyond_the_fold_of_the_lens_have_no_image() -> None:
    """k1 = -0.3 folds the image back at r = 1.05: what lies outside must not appear inside the picture."""
    K = np.array([[800.0, 0.0, 640.0], [0.0, 800.0, 360.0], [0.0, 0.0, 1.0]])
    camera = Camera(
        "cam", Intrinsics(K, np.array([-0.3, 0, 0, 0, 0]), (1280, 720)), look_at(np.zeros(3), np.array([1.0, 0, 0]))
    )
    assert np.isfinite(project(camera, np.array([1.0, 0.0, 1.0]))).all()
    assert np.isnan(project(camera, np.array([1.0, 0.0, 1.2]))).all()
    assert np.isnan(undistort(camera.intrinsics, np.array([5000.0, 360.0]))).all()


def test_fisheye_has_no_ray_at_ninety_degrees_and_beyond() -> None:
    lens = make_camera(*LENSES[3]).intrinsics
    at_80 = undistort(lens, np.array([650.0 + 780.0 * np.deg2rad(80), 350.0]))
    assert np.allclose(at_80, [np.tan(np.deg2rad(80)), 0.0])
    assert np.isnan(undistort(lens, np.array([650.0 + 780.0 * np.deg2rad(91), 350.0]))).all()


def test_nan_stays_nan_and_shapes_are_kept() -> None:
    rig = ring_rig(3)
    points = points_lab_m(20).reshape(4, 5, 3)
    points[1, 2] = np.nan
    xy = project_rig(rig, points)
    assert xy.shape == (4, 5, 3, 2)
    assert np.isnan(xy[1, 2]).all()
    assert np.isfinite(np.delete(xy.reshape(20, 3, 2), 7, axis=0)).all()
    assert np.isnan(undistort(rig.cameras[0].intrinsics, xy[1, 2, 0])).all()
    assert np.array_equal(xy[..., 1, :], project(rig.cameras[1], points), equal_nan=True)


def test_skew_is_part_of_the_camera_matrix() -> None:
    lens = make_camera(*LENSES[0]).intrinsics
    K = lens.matrix.copy()
    K[0, 1] = 12.0
    camera = Camera("c", Intrinsics(K, lens.distortion, (1280, 720)), look_at(np.zeros(3), np.array([1.0, 0, 0])))
    point_cam = camera.T_cam_lab.apply([2.0, 0.3, 0.4])
    image = K @ point_cam
    xy = project(camera, [2.0, 0.3, 0.4])
    assert np.allclose(xy, image[:2] / image[2])
    assert np.allclose(undistort(camera.intrinsics, xy), point_cam[:2] / point_cam[2])


def test_projection_matrix_is_projection_without_distortion() -> None:
    camera = make_camera(*LENSES[0])
    points = points_lab_m(10)
    h = np.column_stack([points, np.ones(10)]) @ projection_matrix(camera).T
    assert np.allclose(h[:, :2] / h[:, 2:], project(camera, points))


def test_wrong_shapes_are_refused() -> None:
    rig: CameraRig = ring_rig(2)
    with pytest.raises(InputError, match=r"points have shape \(4, 2\)"):
        project(rig.cameras[0], np.zeros((4, 2)))
    with pytest.raises(InputError, match=r"pixels have shape \(3,\)"):
        undistort(rig.cameras[0].intrinsics, np.zeros(3))


def test_rays_of_two_cameras_to_one_point_meet_on_the_epipolar_line() -> None:
    first, second = ring_rig(4).cameras[:2]
    points = np.random.default_rng(2).uniform(-0.5, 0.5, (20, 3)) + np.array([0.0, 1.0, 0.0])
    x1, x2 = (np.column_stack([undistort(c.intrinsics, project(c, points)), np.ones(20)]) for c in (first, second))
    E = essential_matrix(first, second)
    lines = x2 @ E.T
    off = np.abs((x1 * lines).sum(axis=1)) / np.linalg.norm(lines[:, :2], axis=1)
    assert off.max() < 1e-9
    assert np.median(np.abs((np.roll(x1, 1, axis=0) * lines).sum(axis=1)) / np.linalg.norm(lines[:, :2], axis=1)) > 1e-3
    np.testing.assert_allclose(essential_matrix(second, first), E.T, atol=1e-12)
