"""The trajectory solve: its mathematics against dense algebra and differences, and its promises on small scenes."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.scenes import Scene, moving_body, observe, ring_rig
from calibration.trajectory import correlation, sections, trajectory
from calibration.trajectory.anipose import anipose_objective, minimise_anipose_objective
from calibration.trajectory.band import factorise, invert_band, solve_factored
from calibration.trajectory.kernel import smoothness_band
from calibration.trajectory.pixels import FADING_LOSS
from calibration.trajectory.solve import Objective, evaluate, share_landmarks
from calibration.trajectory.trajectory import Trajectory, solve_trajectory
from calibration.triangulation.anipose import to_camera_group
from calibration.triangulation.triangulate import triangulate_robust
from labsys.core.arrays import FloatArray
from labsys.core.cameras import CameraRig
from labsys.core.errors import InputError
from labsys.core.rigid import RigidTransform

RATE_HZ = 100.0
CHAIN = tuple((i, i + 1) for i in range(5))


def _scene(n_frames: int = 200, *, outliers: float = 0.05, missing: float = 0.1, n_cameras: int = 4) -> Scene:
    truth = moving_body(n_frames, 6, rate_hz=RATE_HZ, seed=3)
    return observe(ring_rig(n_cameras), truth, sigma_px=1.0, outliers=outliers, missing=missing, seed=4)


def _solve(scene: Scene) -> Trajectory:
    start = triangulate_robust(scene.rig, scene.xy_px, scene.confidence)
    return solve_trajectory(scene.rig, scene.xy_px, scene.confidence, start, bones=CHAIN, rate_hz=RATE_HZ)


def _hide(scene: Scene, frames: slice, landmark: int, cameras: slice = slice(None)) -> Scene:
    xy, confidence = scene.xy_px.copy(), scene.confidence.copy()
    xy[frames, landmark, cameras], confidence[frames, landmark, cameras] = np.nan, 0.0
    return replace(scene, xy_px=xy, confidence=confidence)


def _objective(loss: int) -> tuple[Objective, FloatArray]:
    scene = _scene(12)
    start = triangulate_robust(scene.rig, scene.xy_px, scene.confidence).xyz_m
    objective, points = anipose_objective(scene.rig, np.moveaxis(scene.xy_px, 2, 1), start, CHAIN)
    if loss == FADING_LOSS:
        objective = replace(objective, loss=loss, scale=3.0, order=3, free_lengths=False)
    return objective, points


@pytest.mark.slow
@pytest.mark.parametrize("loss", [0, FADING_LOSS])
def test_slope_is_the_derivative_of_the_cost(loss: int) -> None:
    objective, points = _objective(loss)
    rng = np.random.default_rng(1)
    points = points + 0.01 * rng.standard_normal(points.shape)
    direction = rng.standard_normal(points.shape)
    step = 1e-6
    with share_landmarks(6, 1) as each:
        here = evaluate(objective, points, objective.lengths_m, each)
        ahead, behind = (evaluate(objective, points + s * direction, here.lengths_m, each).cost for s in (step, -step))
    assert (ahead - behind) / (2 * step) == pytest.approx(np.vdot(here.slope, direction), rel=1e-5)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_banded_factors_agree_with_dense_algebra(order: int) -> None:
    rng = np.random.default_rng(order)
    n_frames, n_landmarks = 14, 3
    stencil = np.diff(np.eye(order + 1), n=order, axis=0)[0]
    whole = (rng.random((n_frames, n_landmarks)) > 0.1).astype(np.float64)
    band = np.zeros((n_frames, order + 1, n_landmarks))
    smoothness_band(whole, np.array([1.0, 3.0, 9.0]), stencil, band)
    root = rng.normal(size=(n_frames, n_landmarks, 3, 3))
    blocks = root @ np.swapaxes(root, -1, -2) + 0.5 * np.eye(3)
    normal = np.ascontiguousarray(np.moveaxis(blocks[..., [0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]], 2, 1))
    width = 3 * order + 3
    factor, ring = np.zeros((3 * n_frames, width, n_landmarks)), np.zeros((width, width, n_landmarks))
    right, found = rng.normal(size=(3 * n_frames, n_landmarks)), np.zeros((3 * n_frames, n_landmarks))
    covariance, roughness = np.zeros((n_frames, 6, n_landmarks)), np.zeros((n_frames, n_landmarks))
    factorise(normal, band, 0.0, factor, 0, n_landmarks)
    solve_factored(factor, right, found, 0, n_landmarks)
    invert_band(factor, stencil, ring, covariance, roughness, 0, n_landmarks)
    for k, weight in enumerate((1.0, 3.0, 9.0)):
        dense = np.zeros((3 * n_frames, 3 * n_frames))
        for t in range(n_frames):
            dense[3 * t : 3 * t + 3, 3 * t : 3 * t + 3] += blocks[t, k]
        differences = np.kron(np.diff(np.eye(n_frames), n=order, axis=0), np.eye(3))
        on = np.repeat(whole[: n_frames - order, k], 3) * weight
        dense += differences.T @ (on[:, None] * differences)
        inverse = np.linalg.inv(dense)
        assert np.allclose(found[:, k], inverse @ right[:, k])
        t = 7
        block = inverse[3 * t : 3 * t + 3, 3 * t : 3 * t + 3]
        assert np.allclose(covariance[t, :, k], block[[0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]])
        own = differences[3 * t : 3 * t + 3] if t < n_frames - order else None
        assert own is None or roughness[t, k] == pytest.approx(np.trace(own @ inverse @ own.T))


@pytest.mark.slow
def test_cost_is_aniposelibs_own_and_no_higher_where_it_ends() -> None:
    from aniposelib.cameras import interpolate_data, medfilt_data

    scene = _scene(20)
    start = triangulate_robust(scene.rig, scene.xy_px, scene.confidence).xyz_m
    points = np.ascontiguousarray(np.moveaxis(scene.xy_px, 2, 0))
    ours = minimise_anipose_objective(scene.rig, np.moveaxis(points, 0, 1), start, bones=CHAIN)
    group = to_camera_group(scene.rig)
    filled = np.apply_along_axis(interpolate_data, 0, start)
    smooth = 4.0 / np.mean(np.abs(np.diff(np.apply_along_axis(medfilt_data, 0, filled, size=7), axis=0)))

    def their_cost(xyz_m: FloatArray) -> float:
        lengths = np.linalg.norm(np.diff(xyz_m, axis=1), axis=-1)
        best = (lengths**2).sum(axis=0) / lengths.sum(axis=0)
        parameters = np.concatenate([xyz_m.ravel(), best])
        residuals = _their_residuals(group, parameters, points, smooth)
        return 0.5 * float(np.sum(residuals**2))

    theirs = _their_optimum(group, points, start)
    assert ours.cost == pytest.approx(their_cost(ours.xyz_m), rel=1e-6)
    assert ours.cost <= their_cost(theirs) * (1.0 + 1e-9)


def _their_residuals(group: object, parameters: FloatArray, points: FloatArray, smooth: float) -> FloatArray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(
            group._error_fun_triangulation(  # type: ignore[attr-defined]  # aniposelib has no types
                parameters, points, np.array(CHAIN), np.zeros((0, 2)), None, smooth, 2, 0.5, 15, "soft_l1", 1
            )
        )


def _their_optimum(group: object, points: FloatArray, start: FloatArray) -> FloatArray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(group.optim_points(points, start, constraints=[list(b) for b in CHAIN]))  # type: ignore[attr-defined]


def test_errors_fall_well_below_those_of_triangulation_and_covariance_says_so() -> None:
    scene = _scene()
    start = triangulate_robust(scene.rig, scene.xy_px, scene.confidence)
    found = _solve(scene)
    error = found.xyz_m - scene.xyz_m
    assert np.isfinite(found.xyz_m).all()
    before = np.nanmedian(np.linalg.norm(start.xyz_m - scene.xyz_m, axis=-1))
    assert np.median(np.linalg.norm(error, axis=-1)) < 0.7 * before
    sd = np.sqrt(np.diagonal(found.covariance_m2, axis1=-2, axis2=-1))
    assert 0.93 < np.mean(np.abs(error) < 1.96 * sd) < 0.995
    assert np.linalg.eigvalsh(found.covariance_m2).min() > 0.0


@pytest.mark.slow
def test_sections_leave_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sections, "_TOLERANCE", 1e-12)  # both to the end, so that only seams could differ
    monkeypatch.setattr(sections, "_MAX_ITERATIONS", 100)
    scene = _scene(2400)
    whole = _solve(scene)
    monkeypatch.setattr(sections, "_SECTION_BYTES", 1.0)
    parts = _solve(scene)
    assert whole.report.sections == 1
    assert parts.report.sections == 3
    assert np.abs(parts.xyz_m - whole.xyz_m).max() < 1e-5
    assert np.allclose(parts.covariance_m2, whole.covariance_m2, rtol=1e-2, atol=0.0)


def test_short_gaps_are_bridged_marked_and_uncertain_and_long_ones_stay() -> None:
    scene = _hide(_hide(_scene(outliers=0.0, missing=0.0), slice(60, 68), 5), slice(120, 150), 5)
    found = _solve(scene)
    assert found.interpolated[60:68, 5].all()
    assert not found.interpolated[:60].any()
    assert (found.used[60:68, 5].sum(axis=-1) == 0).all()
    assert np.isnan(found.xyz_m[120:150, 5]).all()
    assert np.isnan(found.covariance_m2[120:150, 5]).all()
    size = np.sqrt(np.trace(found.covariance_m2[:, 5], axis1=-2, axis2=-1))
    assert size[64] > 2.0 * size[30]
    error = np.linalg.norm(found.xyz_m - scene.xyz_m, axis=-1)[60:68, 5]
    assert (error < 3.0 * size[60:68]).all()


def test_one_camera_helps_across_a_gap_and_the_point_is_marked() -> None:
    scene = _scene(outliers=0.0, missing=0.0)
    dark, dim = (_solve(_hide(scene, slice(60, 68), 5, cameras)) for cameras in (slice(None), slice(1, None)))
    spread = [np.trace(f.covariance_m2[64, 5]) for f in (dark, dim)]
    assert dim.interpolated[60:68, 5].all()
    assert spread[1] < spread[0]


def test_agreeing_wrong_cameras_are_not_taken_for_certainty() -> None:
    """For ten frames two of four cameras agree on a place 40 px off; whichever side wins, doubt must show."""
    scene = _scene(outliers=0.0, missing=0.0)
    xy = scene.xy_px.copy()
    xy[60:70, 5, :2] += 40.0
    found = _solve(replace(scene, xy_px=xy))
    size = np.sqrt(np.trace(found.covariance_m2[:, 5], axis1=-2, axis2=-1))
    assert size[65] > 1.2 * size[30]


def test_one_frame_is_no_trajectory() -> None:
    with pytest.raises(InputError, match=r"1 frame\(s\) are too few"):
        _solve(_scene(1, outliers=0.0, missing=0.0))


@pytest.mark.parametrize("n_frames", [2, 3, 5])
def test_a_few_frames_are_enough(n_frames: int) -> None:
    scene = _scene(n_frames, outliers=0.0, missing=0.0)
    found = _solve(scene)
    assert np.linalg.norm(found.xyz_m - scene.xyz_m, axis=-1).max() < 0.03
    assert np.isfinite(found.covariance_m2).all()


def test_a_landmark_never_seen_stays_missing_and_harms_no_other() -> None:
    scene = _scene(outliers=0.0, missing=0.0)
    found = _solve(_hide(scene, slice(None), 2))
    assert np.isnan(found.xyz_m[:, 2]).all()
    others = [0, 1, 3, 4, 5]
    assert np.linalg.norm(found.xyz_m - scene.xyz_m, axis=-1)[:, others].max() < 0.02


def test_a_landmark_never_seen_harms_nothing_where_a_camera_stands_in_the_origin() -> None:
    """Its empty place is the origin too, where that camera has no depth to divide by."""
    scene = _hide(_scene(80, outliers=0.0, missing=0.0), slice(None), 2)
    centre = scene.rig.cameras[0].centre_lab_m
    shifts = [c.T_cam_lab.translation_m + c.T_cam_lab.rotation @ centre for c in scene.rig.cameras]
    shifts[0] = np.zeros(3)
    moved = tuple(
        replace(c, T_cam_lab=RigidTransform(c.T_cam_lab.rotation, shift))
        for c, shift in zip(scene.rig.cameras, shifts, strict=True)
    )
    found, before = _solve(replace(scene, rig=CameraRig(moved))), _solve(scene)
    assert np.isfinite(found.report.cost)
    assert np.isnan(found.xyz_m[:, 2]).all()
    assert np.nanmax(np.abs(found.xyz_m + centre - before.xyz_m)) < 1e-4


@pytest.mark.slow
def test_threads_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = _scene(60)
    scene = replace(
        scene,
        xy_px=np.tile(scene.xy_px, (1, 2, 1, 1)),
        confidence=np.tile(scene.confidence, (1, 2, 1)),
    )
    found = []
    for n_threads in (1, 2, 3):
        for module in (trajectory, sections, correlation):
            monkeypatch.setattr(module, "n_processors", lambda n=n_threads: n)
        found.append(_solve(scene))
    for other in found[1:]:
        assert other.xyz_m.tobytes() == found[0].xyz_m.tobytes()
        assert other.covariance_m2.tobytes() == found[0].covariance_m2.tobytes()
        assert other.error_correlation.tobytes() == found[0].error_correlation.tobytes()
