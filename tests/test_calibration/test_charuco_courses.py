"""A camera that was knocked and came back, one that sags, and a video that is late by one frame, are each refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from calibration.board.detect import BoardCorners
from calibration.calibrate import calibrate_corners
from calibration.rig.moved import Course, find_moved_camera, measure_drifts_px
from calibration.rig.solve import solve_rig
from calibration.rig.sync import FEWEST_SHARED, check_synchronous, check_whole_frames, lags_in_frames
from labsys.core.cameras import CameraRig
from labsys.core.errors import GateRefusedError
from labsys.core.rigid import RigidTransform
from tests.test_calibration.board_scenes import make_scene, see_corners

SCENE = make_scene(4, seed=3)
LENSES = tuple(SCENE.lenses.values())


def turning(turn_deg: Callable[[float], float]) -> BoardCorners:
    """The take with cam1 turned by so much at every share of the take."""
    whole = see_corners(SCENE, noise_px=0.3, seed=1)
    xy, count = whole.xy_px.copy(), len(SCENE.times_s)
    camera = SCENE.rig.cameras[1]
    for t in range(count):
        turn = RigidTransform.from_rotvec(np.array([0.0, np.radians(turn_deg(t / count)), 0.0]), np.zeros(3))
        at = slice(t, t + 1)
        moment = replace(
            SCENE,
            rig=CameraRig((replace(camera, T_cam_lab=turn @ camera.T_cam_lab),)),
            times_s=SCENE.times_s[at],
            R_rig_board=SCENE.R_rig_board[at],
            t_rig_board_m=SCENE.t_rig_board_m[at],
        )
        xy[t, 1] = see_corners(moment, noise_px=0.3, seed=t).xy_px[0, 0]
    return replace(whole, xy_px=xy)


@pytest.mark.slow
@pytest.mark.parametrize("turn_deg", [1.0, 0.3])
def test_a_camera_that_was_knocked_and_came_back_is_named(turn_deg: float) -> None:
    knocked = turning(lambda share: turn_deg * (0.4 < share < 0.6))
    with pytest.raises(GateRefusedError, match=r"cam1 moved .* came back.*from about 1\d\.\d s to (19|2\d)\.\d s"):
        calibrate_corners(knocked, lenses=SCENE.lenses)


@pytest.mark.slow
@pytest.mark.parametrize("turn_deg", [0.6, 0.3])
def test_a_camera_that_sags_is_named_with_its_turn(turn_deg: float) -> None:
    corners = turning(lambda share: turn_deg * share)
    move = find_moved_camera(solve_rig(corners, LENSES), corners.times_s)
    assert move is not None
    assert (move.camera, move.course) == ("cam1", Course.DRIFT)
    assert np.degrees(move.turn_rad) == pytest.approx(turn_deg, rel=0.15)
    with pytest.raises(GateRefusedError, match=r"cam1 moved slowly during the take.*from beginning to end.*Fasten"):
        calibrate_corners(corners, lenses=SCENE.lenses)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_cameras_that_stood_still_are_believed(seed: int) -> None:
    scene = make_scene(3, seed=seed, rate_hz=3.0)
    corners = see_corners(scene, noise_px=0.5, outliers=0.02, seed=seed)
    solved = solve_rig(corners, tuple(scene.lenses.values()))
    assert find_moved_camera(solved, corners.times_s) is None
    assert np.nanmax(measure_drifts_px(solved, corners.times_s)) < 0.3


def lags(lag_s: list[float], sd_s: list[float]) -> np.ndarray:
    still = solve_rig(see_corners(SCENE).at_frames(np.arange(len(SCENE.times_s)) % 4 == 0), LENSES)
    return lags_in_frames(replace(still, lag_s=np.array(lag_s), lag_sd_s=np.array(sd_s)), np.arange(9) / 6.0)


def test_a_lag_is_measured_against_the_median_of_the_others() -> None:
    found = lags([0.0, -0.068, -0.128, 0.022], [0.0, 0.002, 0.002, 0.003])
    assert found[2] == pytest.approx(-0.128 * 6.0)
    assert int(np.argmax(np.abs(found))) == 2


def test_a_camera_whose_lag_is_unknown_does_not_hide_another() -> None:
    found = lags([0.0, -0.128, 0.01, 0.3], [0.0, 0.002, 0.002, 0.5])
    assert found[1] == pytest.approx(-0.138 * 6.0)
    assert found[3] == 0.0


@pytest.mark.slow
@pytest.mark.parametrize(("late", "word"), [(1, "behind"), (-1, "ahead of")])
def test_a_video_one_frame_off_is_told_in_frames(late: int, word: str) -> None:
    scene = make_scene(3, seed=3, seconds=16.0)
    corners = see_corners(scene, noise_px=0.3, seed=1)
    xy = corners.xy_px.copy()
    xy[:, 2] = np.roll(xy[:, 2], late, axis=0)
    xy[0 if late > 0 else -1, 2] = np.nan
    shifted = replace(corners, xy_px=xy)
    with pytest.raises(GateRefusedError, match=rf"cam2 runs 200 ms {word} the others, 1 frame\(s\)"):
        check_synchronous(shifted, solve_rig(shifted, tuple(scene.lenses.values())))


@pytest.mark.slow
def test_of_few_shared_views_no_lag_is_told() -> None:
    scene = make_scene(3, seed=3, seconds=16.0)
    corners = see_corners(scene, noise_px=0.3, seed=1)
    solved = solve_rig(corners, tuple(scene.lenses.values()))
    late = replace(solved, lag_s=np.array([0.0, 0.0, 0.2]), lag_sd_s=np.array([0.0, 0.001, 0.001]))
    xy = corners.xy_px.copy()
    shared = np.flatnonzero(corners.has_board[:, 2] & corners.has_board[:, :2].any(axis=1))
    xy[shared[FEWEST_SHARED - 1 :], 2] = np.nan
    few = replace(corners, xy_px=xy)
    with pytest.raises(GateRefusedError, match="cam2 shares 14 views of the board with the others") as refused:
        check_synchronous(few, late)
    assert "runs" not in str(refused.value).replace("runs late", "")
    check_whole_frames(few, late)
