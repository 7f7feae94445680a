"""A check of a calibration names the camera that moved, and says so when it cannot tell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calibration.drift.check import CheckLimits, Verdict, check_rig
from calibration.rig.solve import solve_rig
from labsys.core.board import Board
from labsys.core.cameras import CameraRig
from labsys.core.errors import GateRefusedError
from labsys.core.rigid import RigidTransform
from tests.test_calibration.board_scenes import BoardScene, make_scene, see_corners

pytestmark = pytest.mark.slow


def move_camera(rig: CameraRig, index: int, *, turn_deg: float = 0.0, shift_m: float = 0.0, seed: int = 0) -> CameraRig:
    """One camera turned about its own centre and shifted, each in a random direction."""
    rng = np.random.default_rng(seed)
    axis, way = (v / np.linalg.norm(v) for v in rng.normal(size=(2, 3)))
    camera = rig.cameras[index]
    R = RigidTransform.from_rotvec(np.radians(turn_deg) * axis, np.zeros(3)).rotation @ camera.T_cam_lab.rotation
    centre = camera.centre_lab_m + shift_m * way
    cameras = list(rig.cameras)
    cameras[index] = replace(camera, T_cam_lab=RigidTransform(R, -R @ centre))
    return CameraRig(tuple(cameras))


def calibrated(n_cameras: int, *, seed: int, noise_px: float) -> tuple[BoardScene, CameraRig]:
    scene = make_scene(n_cameras, seed=seed, seconds=25.0)
    lenses = tuple(c.intrinsics for c in scene.rig.cameras)
    return scene, solve_rig(see_corners(scene, noise_px=noise_px, seed=seed), lenses).rig


def sweep_of(scene: BoardScene, *, seed: int) -> BoardScene:
    return replace(make_scene(len(scene.rig.cameras), seed=1000 + seed, seconds=16.0), rig=scene.rig)


@pytest.mark.parametrize("n_cameras", [4, 6])
def test_a_rig_that_nobody_touched_is_still_valid(n_cameras: int) -> None:
    scene, known = calibrated(n_cameras, seed=2, noise_px=0.4)
    check = check_rig(see_corners(sweep_of(scene, seed=2), noise_px=0.4, seed=7), known)
    assert check.verdict is Verdict.STILL_VALID, check.reason
    assert not any(c.moved for c in check.cameras)
    assert abs(check.scale_error) < 0.002


@pytest.mark.parametrize("index", range(4))
def test_the_camera_that_turned_is_named_with_how_far(index: int) -> None:
    scene, known = calibrated(4, seed=4, noise_px=0.4)
    truth = move_camera(scene.rig, index, turn_deg=0.3, seed=index)
    check = check_rig(see_corners(sweep_of(scene, seed=4), noise_px=0.4, seed=8, rig=truth), known)
    assert check.verdict is Verdict.MOVED
    assert [c.name for c in check.cameras if c.moved] == [f"cam{index}"]
    assert check.suspects == ()
    moved = check.cameras[index]
    assert abs(np.degrees(moved.turn_rad) - 0.3) < max(3 * np.degrees(moved.turn_sd_rad), 0.02)
    assert np.degrees(moved.turn_sd_rad) < 0.1


def test_two_cameras_that_moved_are_both_named() -> None:
    scene, known = calibrated(6, seed=2, noise_px=0.3)
    truth = move_camera(move_camera(scene.rig, 1, shift_m=0.02, seed=1), 4, turn_deg=0.8, seed=2)
    check = check_rig(see_corners(sweep_of(scene, seed=2), noise_px=0.3, seed=9, rig=truth), known)
    assert [c.name for c in check.cameras if c.moved] == ["cam1", "cam4"]
    shift = check.cameras[1]
    assert abs(shift.shift_m - 0.02) < max(3 * shift.shift_sd_m, 0.001)


def test_of_two_cameras_it_cannot_be_told_which() -> None:
    scene = make_scene(2, seed=3, arc_rad=1.0)
    lenses = tuple(c.intrinsics for c in scene.rig.cameras)
    known = solve_rig(see_corners(scene, noise_px=0.3, seed=3), lenses).rig
    sweep = replace(make_scene(2, seed=1003, seconds=20.0, arc_rad=1.0), rig=move_camera(scene.rig, 1, turn_deg=1.0))
    check = check_rig(see_corners(sweep, noise_px=0.3, seed=4), known)
    assert check.verdict is Verdict.MOVED
    assert check.suspects == ("cam0", "cam1")
    assert "cannot tell which" in check.reason


def test_a_camera_that_saw_no_board_is_not_called_valid() -> None:
    scene, known = calibrated(4, seed=2, noise_px=0.4)
    corners = see_corners(sweep_of(scene, seed=2), noise_px=0.4, seed=7)
    hidden = np.zeros(corners.seen.shape, dtype=bool)
    hidden[:, 3] = True
    check = check_rig(corners.without(hidden), known)
    assert check.verdict is Verdict.CANNOT_TELL
    assert "cam3 saw 0 boards" in check.reason
    assert not check.cameras[3].checked


def test_a_sweep_with_hardly_a_board_is_refused() -> None:
    scene, known = calibrated(3, seed=2, noise_px=0.4)
    corners = see_corners(sweep_of(scene, seed=2), noise_px=0.4, seed=7)
    first = np.arange(len(corners.times_s)) < 3
    with pytest.raises(GateRefusedError, match="shows two cameras at once only"):
        check_rig(corners.at_frames(first), known)


def test_another_board_is_not_taken_for_moved_cameras() -> None:
    scene, known = calibrated(4, seed=2, noise_px=0.3)
    corners = see_corners(sweep_of(scene, seed=2), noise_px=0.3, seed=7)
    b = corners.board
    larger = Board(b.columns, b.rows, b.square_m * 1.05, b.marker_m * 1.05, b.dictionary)
    check = check_rig(replace(corners, board=larger), known)
    assert check.verdict is Verdict.CANNOT_TELL
    assert "another board" in check.reason


def test_another_scale_is_not_valid_where_no_camera_counts_as_moved() -> None:
    scene, known = calibrated(4, seed=2, noise_px=0.3)
    corners = see_corners(sweep_of(scene, seed=2), noise_px=0.3, seed=7)
    b = corners.board
    larger = Board(b.columns, b.rows, b.square_m * 1.03, b.marker_m * 1.03, b.dictionary)
    blind = CheckLimits(shift_px=1e4, shift_sd_px=1e4)
    assert check_rig(corners, known, limits=blind).verdict is Verdict.STILL_VALID
    check = check_rig(replace(corners, board=larger), known, limits=blind)
    assert check.verdict is Verdict.CANNOT_TELL
    assert "another board" in check.reason


def test_a_camera_whose_picture_is_blurred_is_named_and_not_called_valid() -> None:
    scene, known = calibrated(4, seed=2, noise_px=0.4)
    corners = see_corners(sweep_of(scene, seed=2), noise_px=0.4, seed=7)
    xy = corners.xy_px.copy()
    xy[:, 2] += np.random.default_rng(4).normal(0.0, 1.6, xy[:, 2].shape)
    check = check_rig(replace(corners, xy_px=xy), known, limits=CheckLimits(shift_px=1e4, shift_sd_px=1e4))
    assert check.verdict is Verdict.CANNOT_TELL
    assert "the board fits cam2 to" in check.reason
    assert "blurred" in check.reason
