"""Whether a camera was moved, told by two pictures of what stands around."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from calibration.board.detector import Gray
from calibration.drift.surroundings import compare_views
from labsys.storage.video import sample_gray_frames


def draw_room(seed: int, *, size_px: tuple[int, int] = (640, 360)) -> Gray:
    """A room: boxes of many sizes and shades in front of a wall whose brightness changes slowly."""
    rng = np.random.default_rng(seed)
    width, height = size_px
    wall = cv2.resize(rng.uniform(80, 160, (4, 6)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(140):
        x, y = (int(v) for v in rng.uniform((0, 0), (width, height)))
        w, h = (int(v) for v in rng.uniform(6, 60, 2))
        cv2.rectangle(wall, (x, y), (x + w, y + h), float(rng.uniform(20, 230)), -1)
    return np.asarray(np.clip(cv2.GaussianBlur(wall, (0, 0), 0.8), 0, 255), np.uint8)


def _seen(room: Gray, seed: int, *, matrix: Any = None, gain: float = 1.0, runner: bool = True) -> Gray:
    """The room seen again: moved, in another light, with noise, and somebody before a sixth of it."""
    rng = np.random.default_rng(seed)
    moved = room if matrix is None else cv2.warpAffine(room, np.asarray(matrix, np.float64), room.shape[::-1])
    noisy = gain * moved + rng.normal(0, 3, room.shape)
    if runner:
        noisy[60:340, 260:400] = np.kron(rng.uniform(0, 255, (28, 14)), np.ones((10, 10)))
    return np.asarray(np.clip(noisy, 0, 255), np.uint8)


@pytest.mark.parametrize("seed", range(4))
def test_a_camera_that_stands_still_is_seen_to_stand_still(seed: int) -> None:
    """Another runner and another light are no other place; what is warned of is 1 px of these half pictures."""
    room = draw_room(seed)
    found = compare_views(_seen(room, 1), _seen(room, 2, gain=0.7))
    assert found.is_same_place
    assert found.moved_px < 0.2


@pytest.mark.parametrize(("shift_px", "turn_deg"), [((1.5, 0.0), 0.0), ((-3.0, 2.0), 0.0), ((0.0, 0.0), 0.5)])
def test_how_far_a_camera_moved_is_measured(shift_px: tuple[float, float], turn_deg: float) -> None:
    room = draw_room(5)
    matrix = cv2.getRotationMatrix2D((320.0, 180.0), turn_deg, 1.0)
    matrix[:, 2] += np.asarray(shift_px)
    ends = np.array([[0, 0, 1], [640, 0, 1], [0, 360, 1], [640, 360, 1]], dtype=np.float64)
    true_px = np.linalg.norm(ends @ matrix.T - ends[:, :2], axis=1).max()
    found = compare_views(_seen(room, 1), _seen(room, 2, matrix=matrix))
    assert found.moved_px == pytest.approx(true_px, abs=0.3)


@pytest.mark.parametrize("turn_deg", [6.0, 10.0])
def test_a_camera_that_was_turned_a_lot_was_moved_and_is_no_other_place(turn_deg: float) -> None:
    """What was far off in the middle of the picture is farther off at its ends: no shift fits both closely."""
    focal_px, c, s = 500.0, np.cos(np.deg2rad(turn_deg)), np.sin(np.deg2rad(turn_deg))
    camera = np.array([[focal_px, 0, 640], [0, focal_px, 360], [0, 0, 1]])
    turned = camera @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]) @ np.linalg.inv(camera)
    wide = draw_room(6, size_px=(1280, 720))
    now = np.asarray(cv2.warpPerspective(wide, turned, (1280, 720), borderMode=cv2.BORDER_REFLECT_101), np.uint8)
    found = compare_views(*(_seen(room[180:540, 320:960], i, runner=False) for i, room in enumerate((wide, now))))
    assert found.is_same_place
    assert found.moved_px == pytest.approx(focal_px * s / c, rel=0.25)


def test_another_room_and_a_bare_wall_are_not_the_same_place() -> None:
    found = compare_views(_seen(draw_room(0), 1), _seen(draw_room(1), 2))
    assert (found.is_same_place, found.is_plain) == (False, False)
    wall = np.full((360, 640), 128, np.uint8)
    plain = compare_views(wall, wall)
    assert (plain.is_same_place, plain.is_plain) == (False, True)
    with pytest.raises(ValueError, match="pictures of"):
        compare_views(wall, wall[:100])


def test_cameras_of_a_public_recording_stand_still_and_are_told_apart(public_data: Path) -> None:
    """A board is waved before four cameras: what is seen in one half of the pictures is held against the other."""
    folder = public_data / "charuco_b" / "calibration" / "extrinsic"
    pictures = {i: [picture[::2, ::2] for picture in sample_gray_frames(folder / f"cam_{i}.mp4", 18)] for i in range(4)}
    then = {i: np.asarray(np.median(p[:9], axis=0), np.uint8) for i, p in pictures.items()}
    now = {i: np.asarray(np.median(p[9:], axis=0), np.uint8) for i, p in pictures.items()}
    for i in range(4):
        own = compare_views(then[i], now[i])
        assert own.is_same_place
        assert own.moved_px < 0.3
        assert not any(compare_views(then[i], now[j]).is_same_place for j in range(4) if j != i)
