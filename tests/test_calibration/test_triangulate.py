"""Triangulation: laws, robustness, covariance, and clear answers for what cannot be found."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.scenes import observe, ring_rig, scattered_points
from calibration import lens
from calibration.lens import source_digest
from calibration.projection import project_rig
from calibration.triangulation import blocks, kernel
from calibration.triangulation.triangulate import RobustSettings, triangulate_robust, triangulate_weighted
from labsys.core.cameras import Camera, CameraRig, LensModel
from labsys.core.errors import InputError
from labsys.core.rigid import look_at


def error_mm(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return 1000.0 * np.linalg.norm(found - truth, axis=-1)


@pytest.mark.parametrize("model", list(LensModel))
@pytest.mark.parametrize("n_cameras", [2, 4, 16])
def test_project_then_triangulate_gives_the_point_back(model: LensModel, n_cameras: int) -> None:
    rig = ring_rig(n_cameras, model=model, radius_m=3.0)
    # Two cameras of a ring face each other: points on the line between them cannot be found.
    truth = scattered_points(50, 8, seed=1) + (np.array([0.0, 2.2, 0.0]) if n_cameras == 2 else 0.0)
    xy = project_rig(rig, truth)
    assert np.isfinite(xy).all()
    for found in (
        triangulate_robust(rig, xy, np.ones(xy.shape[:-1])),
        triangulate_weighted(rig, xy, np.ones(xy.shape[:-1])),
    ):
        assert error_mm(found.xyz_m, truth).max() < 1e-4
        assert found.residual_px.max() < 1e-4
        assert found.used.all()


def test_every_set_of_two_or_more_cameras_gives_the_point_back() -> None:
    rig = ring_rig(5)
    truth = scattered_points(1, 1, seed=2)
    xy = project_rig(rig, truth)
    for bits in range(32):
        seen = np.array([bool(bits >> c & 1) for c in range(5)])
        found = triangulate_robust(rig, np.where(seen[:, None], xy, np.nan), np.broadcast_to(seen * 1.0, (1, 1, 5)))
        if seen.sum() < 2:
            assert np.isnan(found.xyz_m).all()
            assert np.isnan(found.residual_px).all()
            assert np.isnan(found.covariance_m2).all()
            assert not found.used.any()
        else:
            assert error_mm(found.xyz_m, truth).max() < 1e-4
            assert np.array_equal(found.used[0, 0], seen)


@pytest.mark.parametrize(("n_cameras", "n_wrong"), [(3, 1), (4, 1), (5, 2), (8, 3), (16, 5)])
def test_wrong_cameras_are_left_out(n_cameras: int, n_wrong: int) -> None:
    rig = ring_rig(n_cameras)
    truth = scattered_points(400, 1, seed=3)
    scene = observe(rig, truth, sigma_px=0.5, seed=4)
    rng = np.random.default_rng(5)
    wrong = np.argsort(rng.random((400, 1, n_cameras)), axis=-1) < n_wrong
    xy = scene.xy_px.copy()
    angle = rng.uniform(0, 2 * np.pi, wrong.sum())
    xy[wrong] += rng.uniform(40, 200, wrong.sum())[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    found = triangulate_robust(rig, xy, scene.confidence)
    right_cameras = (found.used == ~wrong).all(axis=-1)
    # With three cameras every pair has one redundant measurement: a wrong camera whose error lies along the epipolar
    # line agrees with another by chance, and nothing in one frame can tell.
    assert right_cameras.mean() > (0.85 if n_cameras == 3 else 0.97)
    assert np.nanpercentile(error_mm(found.xyz_m, truth)[right_cameras], 99) < 15
    plain = triangulate_weighted(rig, xy, scene.confidence)
    assert np.nanmedian(error_mm(found.xyz_m, truth)) < 0.2 * np.nanmedian(error_mm(plain.xyz_m, truth))


def test_robust_equals_weighted_where_nothing_is_wrong() -> None:
    scene = observe(ring_rig(4), scattered_points(100, 5, seed=6), sigma_px=1.0, missing=0.1, seed=7)
    robust = triangulate_robust(scene.rig, scene.xy_px, scene.confidence)
    weighted = triangulate_weighted(scene.rig, scene.xy_px, scene.confidence)
    assert np.array_equal(robust.xyz_m, weighted.xyz_m, equal_nan=True)
    assert np.array_equal(robust.used, weighted.used)


def test_the_answer_is_the_least_squares_minimum() -> None:
    """No point nearby has a smaller weighted squared pixel error, lens distortion included."""
    scene = observe(ring_rig(4), scattered_points(20, 1, seed=8), sigma_px=3.0, seed=9)
    found = triangulate_weighted(scene.rig, scene.xy_px, scene.confidence)

    def cost(points: np.ndarray) -> np.ndarray:
        errors = project_rig(scene.rig, points) - scene.xy_px
        return np.sum(scene.confidence * np.sum(errors**2, axis=-1), axis=-1)

    least = cost(found.xyz_m)
    for step in np.vstack([np.eye(3), -np.eye(3)]) * 1e-3:
        assert (cost(found.xyz_m + step) > least).all()


def test_residual_is_the_mean_distance_over_the_cameras_used() -> None:
    scene = observe(ring_rig(5), scattered_points(200, 2, seed=10), sigma_px=2.0, outliers=0.1, missing=0.1, seed=11)
    found = triangulate_robust(scene.rig, scene.xy_px, scene.confidence)
    distance = np.linalg.norm(project_rig(scene.rig, found.xyz_m) - scene.xy_px, axis=-1)
    n_used = found.used.sum(axis=-1)
    expected = np.where(found.used, distance, 0.0).sum(axis=-1) / np.maximum(n_used, 1)
    assert np.allclose(found.residual_px[n_used > 0], expected[n_used > 0], rtol=5e-3)


def test_weights_pull_towards_sure_cameras() -> None:
    scene = observe(ring_rig(4), scattered_points(500, 1, seed=12), sigma_px=0.5, seed=13)
    xy = scene.xy_px.copy()
    xy[..., 0, :] += 8.0
    equal = triangulate_weighted(scene.rig, xy, np.ones((500, 1, 4)))
    doubting = triangulate_weighted(scene.rig, xy, np.broadcast_to([0.05, 1.0, 1.0, 1.0], (500, 1, 4)))
    truth = scene.xyz_m
    assert np.median(error_mm(doubting.xyz_m, truth)) < 0.5 * np.median(error_mm(equal.xyz_m, truth))


def test_shapes_follow_the_input_and_frames_do_not_touch_each_other() -> None:
    scene = observe(ring_rig(4), scattered_points(60, 7, seed=14), sigma_px=1.0, outliers=0.05, missing=0.1, seed=15)
    whole = triangulate_robust(scene.rig, scene.xy_px, scene.confidence)
    assert whole.xyz_m.shape == (60, 7, 3)
    assert whole.residual_px.shape == (60, 7)
    assert whole.used.shape == (60, 7, 4)
    assert whole.covariance_m2.shape == (60, 7, 3, 3)
    part = triangulate_robust(scene.rig, scene.xy_px[30:40, 2], scene.confidence[30:40, 2])
    assert np.array_equal(part.xyz_m, whole.xyz_m[30:40, 2], equal_nan=True)
    one = triangulate_robust(scene.rig, scene.xy_px[31, 2], scene.confidence[31, 2])
    assert one.xyz_m.shape == (3,)


def test_camera_order_does_not_matter() -> None:
    scene = observe(ring_rig(4), scattered_points(300, 1, seed=16), sigma_px=1.0, seed=17)
    order = [2, 0, 3, 1]
    turned = CameraRig(tuple(scene.rig.cameras[i] for i in order))
    first = triangulate_robust(scene.rig, scene.xy_px, scene.confidence)
    second = triangulate_robust(turned, scene.xy_px[..., order, :], scene.confidence[..., order])
    assert np.abs(first.xyz_m - second.xyz_m).max() < 1e-8


@pytest.mark.parametrize("n_cameras", [2, 3, 4, 8])
@pytest.mark.parametrize("sigma_px", [1.0, 4.0])
def test_covariance_covers_the_truth(n_cameras: int, sigma_px: float) -> None:
    rig = (
        ring_rig(n_cameras if n_cameras > 2 else 5).select(("cam0", "cam1")) if n_cameras == 2 else ring_rig(n_cameras)
    )
    truth = scattered_points(600, 10, seed=18)
    scene = observe(rig, truth, sigma_px=sigma_px, seed=19)
    found = triangulate_robust(rig, scene.xy_px, scene.confidence, settings=RobustSettings(max_error_px=60.0))
    error = found.xyz_m - truth
    sd = np.sqrt(np.diagonal(found.covariance_m2, axis1=-2, axis2=-1))
    coverage = (np.abs(error) < 1.96 * sd).mean(axis=(0, 1))
    assert (coverage > 0.92).all()
    assert (coverage < 0.975).all()


def test_covariance_has_a_floor_and_grows_with_noise() -> None:
    rig, truth = ring_rig(4), scattered_points(50, 3, seed=20)
    perfect = triangulate_robust(rig, project_rig(rig, truth), np.ones((50, 3, 4)))
    noisy = observe(rig, truth, sigma_px=3.0, seed=21)
    loud = triangulate_robust(rig, noisy.xy_px, noisy.confidence)
    trace = np.trace(perfect.covariance_m2, axis1=-2, axis2=-1)
    assert (trace > 0).all()
    assert np.median(np.trace(loud.covariance_m2, axis1=-2, axis2=-1) / trace) > 9
    assert np.array_equal(perfect.covariance_m2, np.swapaxes(perfect.covariance_m2, -1, -2))


def test_low_confidence_is_not_looked_at() -> None:
    scene = observe(ring_rig(4), scattered_points(5, 1, seed=22), sigma_px=0.5, seed=23)
    confidence = scene.confidence.copy()
    confidence[..., 1] = 0.05
    found = triangulate_robust(scene.rig, scene.xy_px, confidence)
    assert not found.used[..., 1].any()
    assert found.used[..., [0, 2, 3]].all()


def test_a_point_in_line_with_both_cameras_is_not_found() -> None:
    towards = [look_at(np.array([x, 1.0, 0.0]), np.array([0.0, 1.0, 0.0])) for x in (-3.0, 3.0)]
    lens = ring_rig(2).cameras[0].intrinsics
    rig = CameraRig(tuple(Camera(f"c{i}", lens, T) for i, T in enumerate(towards)))
    point = np.array([[0.3, 1.0, 0.0]])
    for found in (
        triangulate_robust(rig, project_rig(rig, point), np.ones((1, 2))),
        triangulate_weighted(rig, project_rig(rig, point), np.ones((1, 2))),
    ):
        assert np.isnan(found.xyz_m).all()
        assert not found.used.any()


def test_too_little_parallax_is_not_believed() -> None:
    centres = (np.array([3.0, 1.0, 0.0]), np.array([3.0, 1.0, 0.1]))
    lens = ring_rig(2).cameras[0].intrinsics
    rig = CameraRig(tuple(Camera(f"c{i}", lens, look_at(c, np.array([0.0, 1.0, 0.0]))) for i, c in enumerate(centres)))
    point = np.array([[0.0, 1.0, 0.0]])
    xy = project_rig(rig, point)
    assert np.isnan(triangulate_robust(rig, xy, np.ones((1, 2))).xyz_m).all()
    lenient = RobustSettings(min_parallax_rad=math.radians(0.5))
    assert error_mm(triangulate_robust(rig, xy, np.ones((1, 2)), settings=lenient).xyz_m, point).max() < 1e-3


def test_degenerate_amounts() -> None:
    rig = ring_rig(3)
    empty = triangulate_robust(rig, np.zeros((0, 5, 3, 2)), np.zeros((0, 5, 3)))
    assert empty.xyz_m.shape == (0, 5, 3)
    nothing = triangulate_robust(rig, np.full((4, 2, 3, 2), np.nan), np.zeros((4, 2, 3)))
    assert np.isnan(nothing.xyz_m).all()
    assert np.isnan(nothing.covariance_m2).all()


def test_nan_pixels_with_confidence_are_missing() -> None:
    rig, truth = ring_rig(4), scattered_points(3, 1, seed=24)
    xy = project_rig(rig, truth)
    xy[1, 0, 2] = np.nan
    found = triangulate_robust(rig, xy, np.ones((3, 1, 4)))
    assert not found.used[1, 0, 2]
    assert error_mm(found.xyz_m, truth).max() < 1e-4


@pytest.mark.parametrize(
    ("xy_shape", "confidence_shape", "message"),
    [
        ((5, 3, 2), (5, 3), r"rig of 4 cameras; expected \(\.\.\., 4, 2\)"),
        ((5, 4, 3), (5, 4), "do not fit"),
        ((5, 4, 2), (5, 3), "do not fit"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(
    xy_shape: tuple[int, ...], confidence_shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        triangulate_robust(ring_rig(4), np.zeros(xy_shape), np.ones(confidence_shape))


def test_one_camera_is_refused_with_a_remedy() -> None:
    rig = ring_rig(3).select(("cam1",))
    with pytest.raises(InputError, match="at least two cameras, the rig has 1") as refused:
        triangulate_robust(rig, np.zeros((2, 1, 2)), np.ones((2, 1)))
    assert refused.value.remedy


@pytest.mark.parametrize("bad", [-0.1, math.nan])
def test_confidence_that_is_negative_or_nan_is_refused(bad: float) -> None:
    with pytest.raises(InputError, match="negative or NaN"):
        triangulate_robust(ring_rig(2), np.zeros((1, 2, 2)), np.array([[1.0, bad]]))


@pytest.mark.parametrize(
    "settings",
    [
        {"min_confidence": 1.5},
        {"max_error_px": 0.0},
        {"min_cameras": 1},
        {"min_parallax_rad": 2.0},
        {"sigma_floor_px": 0},
    ],
)
def test_settings_are_checked(settings: dict[str, float]) -> None:
    with pytest.raises(InputError):
        RobustSettings(**settings)  # type: ignore[arg-type]


def test_many_points_in_threads_equal_few() -> None:
    """Chunks and threads must not show in the answer, nor from run to run."""
    scene = observe(ring_rig(4), scattered_points(5000, 5, seed=25), sigma_px=1.0, outliers=0.05, missing=0.1, seed=26)
    first = triangulate_robust(scene.rig, scene.xy_px, scene.confidence)
    again = triangulate_robust(scene.rig, scene.xy_px, scene.confidence)
    tail = triangulate_robust(scene.rig, scene.xy_px[-100:], scene.confidence[-100:])
    assert np.array_equal(first.xyz_m, again.xyz_m, equal_nan=True)
    assert np.array_equal(first.covariance_m2, again.covariance_m2, equal_nan=True)
    assert np.array_equal(first.xyz_m[-100:], tail.xyz_m, equal_nan=True)


def test_kept_machine_code_follows_all_its_sources() -> None:
    """numba's cache watches one file; an old loop linked into a new caller would go unnoticed."""
    loop = blocks._triangulate_points
    digest = source_digest(lens.__file__, kernel.__file__)
    assert digest in [cell.cell_contents for cell in loop.py_func.__closure__]
    parts = [f for m in (kernel, blocks) for f in vars(m).values() if hasattr(f, "py_func")]
    kept = {f.py_func.__name__ for f in parts if f is not loop and type(f._cache).__name__ != "NullCache"}
    assert kept == set()
