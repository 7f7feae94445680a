"""LAB is found, and worlds that cannot be are refused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from calibration.align import place_in_lab
from calibration.placing.checks import check_lab
from calibration.placing.feet import lab_from_feet
from calibration.placing.lab_frame import (
    BoardDirection,
    Gravity,
    lab_from_board,
    lab_from_gravity,
    lab_from_points,
    up_from_level_board,
    up_from_plumb_line,
    with_gravity,
)
from labsys.core.board import Board
from labsys.core.cameras import CameraRig
from labsys.core.errors import GateRefusedError, InputError
from labsys.core.rigid import RigidTransform
from tests.test_calibration.board_scenes import make_scene

BOARD = Board(7, 5, 0.06, 0.045, "DICT_4X4_50")
# A rig's world at random: what LAB looks like in it.
T_RIG_LAB = RigidTransform.from_rotvec([0.7, -1.1, 0.4], [0.3, -0.2, 1.5])


def lying_board(along: BoardDirection) -> np.ndarray:
    """Corners in LAB of a board that lies face up: as one looks down on it, x runs `along` and y to the right of x."""
    x = {"forward": [1, 0, 0], "backward": [-1, 0, 0], "left": [0, 0, -1], "right": [0, 0, 1]}[along]
    right = {"forward": [0, 0, 1], "backward": [0, 0, -1], "left": [1, 0, 0], "right": [-1, 0, 0]}[along]
    c = BOARD.corners_m
    return c[:, :1] * np.array(x, float) + c[:, 1:2] * np.array(right, float)


@pytest.mark.parametrize("along", list(BoardDirection))
def test_lab_from_a_board_on_the_belt(along: BoardDirection) -> None:
    rng = np.random.default_rng(0)
    seen = T_RIG_LAB.apply(lying_board(along)) + rng.normal(0, 5e-4, (20, BOARD.n_corners, 3))
    placement = lab_from_board(seen, BOARD.corners_m, along=along)
    both = placement.T_lab_rig @ T_RIG_LAB
    assert np.degrees(np.linalg.norm(both.as_rotvec())) < 0.3
    assert np.linalg.norm(both.translation_m) < 0.001
    assert placement.heading_known


def test_surveyed_points_give_lab_and_its_uncertainty() -> None:
    rng = np.random.default_rng(1)
    lab = np.array([[0.0, 0, 0], [1.6, 0, 0], [1.6, 0, 0.6], [0, 0, 0.6]])
    angles = []
    for _ in range(50):
        found = lab_from_points(T_RIG_LAB.apply(lab) + rng.normal(0, 0.001, lab.shape), lab)
        angles.append((found.T_lab_rig @ T_RIG_LAB).as_rotvec())
        stated = found.heading_sd_rad
    assert 0.3 < np.std(np.array(angles)[:, 1]) / stated < 3.0


def test_exchanged_points_are_a_mirrored_world() -> None:
    lab = np.array([[0.0, 0, 0], [1.6, 0, 0], [1.6, 0, 0.6], [0, 0.3, 0.6]])
    mirrored = lab * [1, 1, -1]
    with pytest.raises(GateRefusedError, match="only a mirrored world"):
        lab_from_points(T_RIG_LAB.apply(mirrored), lab)


def test_a_misplaced_point_is_named() -> None:
    lab = np.array([[0.0, 0, 0], [1.6, 0, 0], [1.6, 0, 0.6], [0, 0, 0.6], [0.8, 0, 0.3]])
    found = T_RIG_LAB.apply(lab)
    found[2] += [0.1, 0.1, 0.0]
    with pytest.raises(InputError, match="point 2 of surveyed points"):
        lab_from_points(found, lab)


def run_feet(speed_mps: float = 3.0, seconds: float = 12.0, rate_hz: float = 100.0) -> tuple[np.ndarray, np.ndarray]:
    """Two forefeet: on the belt for a third of the stride, swinging through the rest."""
    times = np.arange(int(seconds * rate_hz)) / rate_hz
    tracks = []
    for side, phase in ((-1, 0.0), (1, 0.35)):
        s = ((times + phase) % 0.7) / 0.7
        stance = s < 0.35
        reach = speed_mps * 0.7 * 0.35
        swing = (s - 0.35) / 0.65
        x = np.where(stance, reach / 2 - speed_mps * 0.7 * s, -reach / 2 + reach * (0.5 - 0.5 * np.cos(np.pi * swing)))
        y = np.where(stance, 0.0, 0.25 * np.sin(np.pi * swing) ** 2)
        tracks.append(np.stack([x, y, np.full_like(x, 0.08 * side)], axis=1))
    return np.stack(tracks, axis=1), times


def test_lab_from_the_runners_feet() -> None:
    feet, times = run_feet()
    rng = np.random.default_rng(2)
    seen = T_RIG_LAB.apply(feet) + rng.normal(0, 0.001, feet.shape)
    placement = lab_from_feet(seen, times, up_hint_rig=T_RIG_LAB.rotation @ [0.2, 1.0, 0.1])
    both = placement.T_lab_rig @ T_RIG_LAB
    assert np.degrees(np.arccos(both.rotation[1, 1])) < 1.0
    assert np.degrees(np.arccos(both.rotation[0, 0])) < 1.5
    assert abs(both.translation_m[1]) < 0.01


def test_gravity_overrules_the_belt() -> None:
    lab = np.array([[0.0, 0, 0], [1.6, 0, 0], [1.6, 0, 0.6], [0, 0, 0.6]])
    tilted = RigidTransform.from_rotvec([0.0, 0.0, np.radians(3.0)], [0, 0, 0])
    placement = lab_from_points(T_RIG_LAB.apply(tilted.apply(lab)), lab)
    level = with_gravity(placement, Gravity(T_RIG_LAB.rotation @ [0.0, 1.0, 0.0], 0.002, "plumb line"))
    assert (level.T_lab_rig @ T_RIG_LAB).rotation[1, 1] == pytest.approx(1.0, abs=1e-9)
    assert level.up_sd_rad == 0.002


def test_up_from_a_levelled_board_and_its_uncertainty() -> None:
    rng = np.random.default_rng(3)
    angles, stated = [], 0.0
    for _ in range(40):
        seen = T_RIG_LAB.apply(lying_board(BoardDirection.LEFT)) + rng.normal(0, 1e-3, (5, BOARD.n_corners, 3))
        gravity = up_from_level_board(seen, BOARD.corners_m, level_sd_rad=0.0)
        angles.append(np.arccos(np.clip(gravity.up_rig @ T_RIG_LAB.rotation[:, 1], -1, 1)))
        stated = gravity.sd_rad
    assert 0.5 < np.sqrt(np.mean(np.square(angles))) / stated < 2.0
    assert up_from_level_board(seen, BOARD.corners_m, level_sd_rad=0.01).sd_rad > 0.01


def test_up_from_a_plumb_line_alone_leaves_the_heading_unknown() -> None:
    top, bottom = T_RIG_LAB.apply([[0.2, 1.4, 0.1], [0.2, 0.4, 0.1]])
    gravity = up_from_plumb_line(top, bottom, end_sd_m=0.001)
    placed = lab_from_gravity(gravity)
    np.testing.assert_allclose((placed.T_lab_rig @ T_RIG_LAB).rotation[1], [0, 1, 0], atol=1e-9)
    assert not placed.heading_known
    assert np.isnan(placed.heading_sd_rad)
    assert placed.up_sd_rad == pytest.approx(np.sqrt(2) * 0.001)
    with pytest.raises(InputError, match="100 mm long"):
        up_from_plumb_line(top, top - 0.1 * (top - bottom), end_sd_m=0.001)


def rig_in_lab() -> CameraRig:
    up = RigidTransform(Rotation.from_euler("x", -90, degrees=True).as_matrix(), np.array([0.0, 1.0, 0.0]))
    scene = make_scene(3, seed=1)
    return place_in_lab(scene.rig, up)


def test_worlds_that_cannot_be_are_refused() -> None:
    rig = rig_in_lab()
    check_lab(rig, up_lab=np.array([0.05, 1, 0]), feet_m=np.zeros((5, 3)), belt_velocity_mps=np.array([-3.0, 0, 0.1]))
    turned = place_in_lab(rig, RigidTransform.from_rotvec([np.pi, 0, 0], [0, 0, 0]))
    with pytest.raises(GateRefusedError, match=r"upside down: cam0.*below the belt"):
        check_lab(turned)
    with pytest.raises(GateRefusedError, match="30 degrees away from against gravity"):
        check_lab(rig, up_lab=np.array([0.5, np.sqrt(0.75), 0.0]))
    with pytest.raises(GateRefusedError, match=r"\+120 mm above the belt"):
        check_lab(rig, feet_m=np.full((4, 3), 0.12))
    with pytest.raises(GateRefusedError, match="X points backward"):
        check_lab(rig, belt_velocity_mps=np.array([3.0, 0.0, 0.0]))
    with pytest.raises(GateRefusedError, match="90 degrees off -X"):
        check_lab(rig, belt_velocity_mps=np.array([0.0, 0.0, 3.0]))


@pytest.mark.parametrize("frames", [1, 4])
def test_a_board_that_nobody_can_say_lay_still_is_refused(frames: int) -> None:
    seen = np.repeat(T_RIG_LAB.apply(lying_board(BoardDirection.FORWARD)).reshape(1, -1, 3), frames, axis=0)
    with pytest.raises(InputError, match=f"seen in {frames} frame.*nothing shows that it lay still"):
        lab_from_board(seen, BOARD.corners_m, along=BoardDirection.FORWARD)
    with pytest.raises(InputError, match="nothing shows that it lay still"):
        up_from_level_board(seen, BOARD.corners_m, level_sd_rad=0.0)


def test_a_board_that_a_hand_moves_slowly_is_refused() -> None:
    still = T_RIG_LAB.apply(lying_board(BoardDirection.FORWARD)).reshape(1, -1, 3)
    carried = still + np.linspace(0.0, 0.04, 10)[:, None, None] * [1.0, 0.0, 0.0]
    with pytest.raises(InputError, match=r"moved by 1[0-9] mm"):
        lab_from_board(carried, BOARD.corners_m, along=BoardDirection.FORWARD)
