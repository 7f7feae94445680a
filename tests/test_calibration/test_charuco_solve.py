"""Rigs with known truth are found, through whatever the corners suffer on the way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calibration.board.observations import collect_views
from calibration.calibrate import calibrate_corners, join_cameras
from calibration.lens_jacobian import pack_lenses, project_with_jacobian, rays_of_pixels
from calibration.rig.bundle import BundleState, LensPrior, solve_bundle
from calibration.rig.extrinsics import find_view_poses, start_state
from calibration.rig.report import hold_out, make_report
from calibration.rig.solve import SolveSettings, draw_folds, solve_rig
from labsys.core.cameras import Intrinsics, LensModel
from labsys.core.errors import GateRefusedError
from tests.test_calibration.board_scenes import BOARD, SIZE, compare_rigs, make_scene, see_corners, see_freely


@pytest.mark.parametrize("model", list(LensModel))
def test_lens_derivatives_are_those_of_differences(model: LensModel) -> None:
    k = (
        np.array([-0.2, 0.05, 0.001, -0.002, 0.01])
        if model is LensModel.PINHOLE
        else np.array([0.05, -0.02, 0.01, 0.002])
    )
    lens = pack_lenses([Intrinsics(np.array([[800.0, 0, 640], [0, 790, 360], [0, 0, 1]]), k, SIZE, model)])
    points = np.random.default_rng(0).uniform([-0.6, -0.4, 0.9], [0.6, 0.4, 2.0], (30, 3))
    image = project_with_jacobian(points, lens.values[0], lens.fisheye, by_lens=True)
    step = 1e-6
    for i in range(3):
        up = project_with_jacobian(points + step * np.eye(3)[i], lens.values[0], lens.fisheye).xy_px
        down = project_with_jacobian(points - step * np.eye(3)[i], lens.values[0], lens.fisheye).xy_px
        np.testing.assert_allclose(image.by_point[..., i], (up - down) / (2 * step), atol=1e-4)
    for i in range(4 + k.size):
        h = step * max(1.0, abs(lens.values[0, i]))
        up = project_with_jacobian(points, lens.values[0] + h * np.eye(9)[i], lens.fisheye).xy_px
        down = project_with_jacobian(points, lens.values[0] - h * np.eye(9)[i], lens.fisheye).xy_px
        np.testing.assert_allclose(image.by_lens[..., i], (up - down) / (2 * h), atol=1e-4)
    rays = rays_of_pixels(image.xy_px, lens.values[0], bool(lens.fisheye[0]))
    np.testing.assert_allclose(rays, points[:, :2] / points[:, 2:], atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_cameras", "fisheye", "arc_rad", "noise_px"),
    [(2, False, 1.0, 0.3), (4, False, np.pi, 0.2), (4, True, np.pi, 0.5), (6, False, 6.2, 1.0)],
)
def test_a_rig_is_found(n_cameras: int, fisheye: bool, arc_rad: float, noise_px: float) -> None:
    """One camera stands on end, one corner in a hundred is false; around the circle some never meet the first."""
    scene = make_scene(n_cameras, seed=n_cameras, fisheye=fisheye, arc_rad=arc_rad, turned=1)
    corners = see_corners(scene, noise_px=noise_px, outliers=0.01, seed=1)
    outcome = calibrate_corners(corners, lenses=scene.lenses)
    centre_m, turn_rad, scale = compare_rigs(outcome.rig, scene.rig)
    assert centre_m.max() < 0.001 + 0.002 * noise_px
    assert np.degrees(turn_rad.max()) < 0.03 + 0.05 * noise_px
    assert abs(scale) < 0.001
    assert outcome.report.quality.kept > 0.97
    assert outcome.report.heldout.rms_px < 1.15 * outcome.report.quality.rms_px


def test_an_instant_of_false_detections_alone_is_dropped() -> None:
    """With every corner of it taken out, nothing held its board, which went a kilometre away and took checks along."""
    scene = make_scene(3, seed=3, arc_rad=1.5, seconds=20.0)
    corners = see_corners(scene, noise_px=0.3, seed=1)
    wrong = int(np.argmax(corners.has_board.sum(axis=1)))
    xy = corners.xy_px.copy()
    xy[wrong] += np.random.default_rng(0).uniform(-300.0, 300.0, xy[wrong].shape)
    solved = solve_rig(replace(corners, xy_px=xy), tuple(scene.lenses.values()))
    assert wrong not in solved.instants
    assert np.linalg.norm(solved.bundle.state.t_rig_board_m, axis=1).max() < 6.0
    assert solved.gross[wrong][corners.seen[wrong]].mean() > 0.9
    assert compare_rigs(solved.rig, scene.rig)[0].max() < 0.003


@pytest.mark.slow
def test_cameras_that_never_meet_the_first_are_chained() -> None:
    scene = make_scene(6, seed=6, arc_rad=6.2)
    has = see_corners(scene).has_board
    assert not (has[:, 0] & has[:, 3]).any()
    solved = solve_rig(see_corners(scene, noise_px=0.3), tuple(scene.lenses.values()))
    assert compare_rigs(solved.rig, scene.rig)[0].max() < 0.002


@pytest.mark.slow
def test_a_late_camera_is_solved_from_what_it_saw() -> None:
    scene = make_scene(4, seed=9, arc_rad=2.0)
    corners = see_corners(scene, noise_px=0.3)
    xy = corners.xy_px.copy()
    xy[: len(xy) * 2 // 3, 3] = np.nan
    outcome = calibrate_corners(replace(corners, xy_px=xy), lenses=scene.lenses)
    assert compare_rigs(outcome.rig, scene.rig)[0].max() < 0.003


@pytest.mark.slow
def test_the_same_corners_give_the_same_rig_to_the_last_bit() -> None:
    scene = make_scene(4, seed=3, seconds=12.0)
    corners = see_corners(scene, noise_px=0.5)
    first, second = (calibrate_corners(corners, lenses=scene.lenses) for _ in range(2))
    for a, b in zip(first.rig.cameras, second.rig.cameras, strict=True):
        assert np.array_equal(a.T_cam_lab.rotation, b.T_cam_lab.rotation)
        assert np.array_equal(a.T_cam_lab.translation_m, b.T_cam_lab.translation_m)
    assert first.report.heldout == second.report.heldout


@pytest.mark.slow
def test_free_running_clocks_are_carried_to_common_instants() -> None:
    scene = make_scene(4, seed=5, arc_rad=2.0, seconds=15.0, rate_hz=600.0)
    seen = see_freely(scene, noise_px=0.2, rate_hz=20.0, seed=2)
    times = {c.camera: c.times_s for c in seen}
    retimed = calibrate_corners(join_cameras(seen, BOARD, rate_hz=20.0, times_s=times), lenses=scene.lenses)
    centre_m, turn_rad, scale = compare_rigs(retimed.rig, scene.rig)
    assert centre_m.max() < 0.002
    assert np.degrees(turn_rad.max()) < 0.05
    assert abs(scale) < 0.001
    assert all(abs(c.time_offset_s) < 0.001 for c in retimed.report.cameras)


@pytest.mark.slow
def test_a_camera_that_lags_a_frame_is_named() -> None:
    scene = make_scene(4, seed=5, arc_rad=2.0, rate_hz=15.0, seconds=16.0)
    corners = see_corners(scene, noise_px=0.2)
    xy = corners.xy_px.copy()
    xy[1:, 2] = xy[:-1, 2]
    with pytest.raises(GateRefusedError, match=r"cam2 runs \d+ ms behind the others.*--timestamps"):
        calibrate_corners(replace(corners, xy_px=xy), lenses=scene.lenses)


@pytest.mark.slow
def test_lenses_are_found_where_the_boards_can_tell_them() -> None:
    scene = make_scene(3, seed=21, arc_rad=0.9, radius_m=1.3, seconds=40.0, rate_hz=4.0)
    outcome = calibrate_corners(see_corners(scene, noise_px=0.2))
    for found, true in zip(outcome.rig.cameras, scene.rig.cameras, strict=True):
        assert found.intrinsics.matrix[0, 0] == pytest.approx(true.intrinsics.matrix[0, 0], rel=0.004)
    assert compare_rigs(outcome.rig, scene.rig)[0].max() < 0.005


@pytest.mark.slow
def test_freed_lenses_descend_on_the_true_ones() -> None:
    """From wrong lenses and no noise the bundle comes back to the truth: the derivatives fit the cost."""
    scene = make_scene(3, seed=21, arc_rad=0.9, radius_m=1.3, seconds=20.0, rate_hz=3.0)
    lenses = [c.intrinsics for c in scene.rig.cameras]
    views = collect_views(see_corners(scene))
    views, start = start_state(
        views, find_view_poses(views, lenses), tuple(c.T_cam_lab for c in scene.rig.cameras), lenses
    )
    values = start.lenses.values.copy()
    values[:, :2] *= 1.02
    free = np.ones(values.shape, dtype=bool)
    wrong = replace(start, lenses=replace(start.lenses, values=values))
    prior = LensPrior(values, np.zeros((3, 9, 9)), free)
    solved: BundleState = solve_bundle(views, wrong, prior=prior).state
    np.testing.assert_allclose(solved.lenses.values[:, :4], start.lenses.values[:, :4], rtol=1e-4)


@pytest.mark.slow
def test_no_instant_tests_a_rig_that_was_solved_with_it() -> None:
    scene = make_scene(4, seed=3, seconds=20.0)
    corners = see_corners(scene, noise_px=0.3)
    fold = draw_folds(corners)
    shared = corners.has_board.sum(axis=1) >= 2
    assert ((fold >= 0) == shared).all()
    assert np.bincount(fold[shared]).min() > 0.1 * shared.sum()
    # A lie told in one fold alone must show in the held-out figures of that fold's instants.
    lied = corners.xy_px.copy()
    lied[fold == 2, 0] += 3.0
    liar = replace(corners, xy_px=lied)
    solved = solve_rig(liar, tuple(scene.lenses.values()))
    heldout = hold_out(liar, solved, SolveSettings())
    report = make_report(liar, solved, heldout=heldout, engine="labsys", free_running=True, exam=None)
    assert report.heldout.rms_px > report.quality.rms_px
