"""aniposelib behind its adapter: the same rig, and its engines on the same trial."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.scenes import moving_body, observe, ring_rig, scattered_points
from calibration.projection import project_rig
from calibration.triangulation.anipose import (
    AniposeMethod,
    from_camera_group,
    to_camera_group,
    triangulate_with_anipose,
)
from calibration.triangulation.triangulate import triangulate_weighted
from labsys.core.cameras import Camera, CameraRig, Intrinsics, LensModel
from labsys.core.errors import InputError

POINTS = scattered_points(30, 1, seed=1)[:, 0]


def cameras_second(array: np.ndarray) -> np.ndarray:
    """(T, K, C, …) to (T, C, K, …)."""
    return np.moveaxis(array, 2, 1)


@pytest.mark.parametrize("model", list(LensModel))
def test_group_and_rig_project_alike_both_ways(model: LensModel) -> None:
    rig = ring_rig(3, model=model)
    group = to_camera_group(rig)
    assert np.abs(np.moveaxis(group.project(POINTS), 0, 1) - project_rig(rig, POINTS)).max() < 1e-6
    back = from_camera_group(group)
    assert back.names == rig.names
    assert [c.intrinsics.size_px for c in back.cameras] == [(1280, 720)] * 3
    assert [c.intrinsics.model for c in back.cameras] == [model] * 3
    assert np.abs(project_rig(back, POINTS) - project_rig(rig, POINTS)).max() < 1e-9


def test_the_group_does_not_share_memory_with_the_rig() -> None:
    rig = ring_rig(2)
    group = to_camera_group(rig)
    group.cameras[0].set_focal_length(1.0)
    assert rig.cameras[0].intrinsics.matrix[0, 0] == 900.0


def test_unusable_cameras_are_named() -> None:
    group = to_camera_group(ring_rig(2))
    group.cameras[1].set_translation([np.nan, 0.0, 0.0])
    with pytest.raises(InputError, match="aniposelib's camera cam1 is not usable"):
        from_camera_group(group)
    group.cameras[1].size = None
    with pytest.raises(InputError, match="cam1 has no image size"):
        from_camera_group(group)


def test_skew_is_refused() -> None:
    camera = ring_rig(2).cameras[0]
    K = camera.intrinsics.matrix.copy()
    K[0, 1] = 1.0
    skewed = Camera("s", Intrinsics(K, camera.intrinsics.distortion, (1280, 720)), camera.T_cam_lab)
    with pytest.raises(InputError, match="camera s has skew"):
        to_camera_group(CameraRig((skewed,)))


@pytest.mark.slow
def test_plain_triangulation_agrees_with_ours_on_clean_data() -> None:
    rig = ring_rig(4)
    truth = scattered_points(6, 5, seed=2)
    scene = observe(rig, truth, sigma_px=0.3, missing=0.1, seed=3)
    theirs = triangulate_with_anipose(
        rig, cameras_second(scene.xy_px), cameras_second(scene.confidence), method=AniposeMethod.TRIANGULATE
    )
    ours = triangulate_weighted(rig, scene.xy_px, scene.confidence)
    assert theirs.xyz_m.shape == (6, 5, 3)
    assert np.array_equal(np.isnan(theirs.xyz_m), np.isnan(ours.xyz_m))
    assert np.nanmax(np.linalg.norm(theirs.xyz_m - ours.xyz_m, axis=-1)) < 2e-3
    assert np.array_equal(theirs.used, ours.used)
    assert np.allclose(theirs.residual_px, ours.residual_px, atol=0.3, equal_nan=True)
    assert np.isnan(theirs.covariance_m2).all()


@pytest.mark.slow
def test_low_confidence_is_left_out() -> None:
    rig = ring_rig(4)
    scene = observe(rig, scattered_points(2, 2, seed=4), sigma_px=0.1, seed=5)
    confidence = cameras_second(scene.confidence).copy()
    confidence[:, 1] = 0.2
    found = triangulate_with_anipose(
        rig, cameras_second(scene.xy_px), confidence, method=AniposeMethod.TRIANGULATE, min_confidence=0.3
    )
    assert not found.used[..., 1].any()


@pytest.mark.slow
def test_ransac_survives_points_that_nobody_saw() -> None:
    rig = ring_rig(3)
    truth = scattered_points(2, 3, seed=6)
    xy = cameras_second(project_rig(rig, truth)).copy()
    xy[0, :, 1] = np.nan  # nobody
    xy[1, 1:, 2] = np.nan  # one camera alone
    found = triangulate_with_anipose(rig, xy, np.ones(xy.shape[:-1]), method=AniposeMethod.RANSAC)
    missing = np.isnan(found.xyz_m).any(axis=-1)
    assert np.argwhere(missing).tolist() == [[0, 1], [1, 2]]
    assert not found.used[missing].any()
    assert np.nanmax(np.linalg.norm(found.xyz_m - truth, axis=-1)) < 1e-3


@pytest.mark.slow
def test_optimisation_smooths_a_noisy_trial() -> None:
    rig = ring_rig(4)
    truth = moving_body(60, 5, rate_hz=100.0, seed=7)
    scene = observe(rig, truth, sigma_px=4.0, seed=8)
    bones = [(i, i + 1) for i in range(4)]
    xy, confidence = cameras_second(scene.xy_px), cameras_second(scene.confidence)
    plain = triangulate_with_anipose(rig, xy, confidence, method=AniposeMethod.TRIANGULATE)
    smooth = triangulate_with_anipose(rig, xy, confidence, method=AniposeMethod.OPTIM, bones=bones)
    error_plain, error_smooth = (np.median(np.linalg.norm(f.xyz_m - truth, axis=-1)) for f in (plain, smooth))
    assert error_smooth < error_plain


@pytest.mark.slow
def test_too_few_points_for_the_optimisation_are_refused() -> None:
    rig = ring_rig(2)
    xy = cameras_second(project_rig(rig, scattered_points(3, 2, seed=9)))
    with pytest.raises(InputError, match="20 triangulated points"):
        triangulate_with_anipose(rig, xy, np.ones(xy.shape[:-1]), method=AniposeMethod.OPTIM)


def test_one_camera_and_wrong_shapes_are_refused() -> None:
    rig = ring_rig(3)
    with pytest.raises(InputError, match="at least two cameras"):
        triangulate_with_anipose(
            rig.select(("cam0",)), np.zeros((2, 1, 3, 2)), np.ones((2, 1, 3)), method=AniposeMethod.TRIANGULATE
        )
    with pytest.raises(InputError, match="do not fit a rig of 3 cameras"):
        triangulate_with_anipose(rig, np.zeros((2, 4, 3, 2)), np.ones((2, 4, 3)), method=AniposeMethod.RANSAC)
