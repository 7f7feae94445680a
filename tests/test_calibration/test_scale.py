"""Known lengths: lengths that contradict each other, and marks that do not fit, are refused with what to do."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.projection import project
from calibration.rig.scale import KnownLength, ScaleCheck, check_scale, measure_length
from labsys.core.errors import GateRefusedError, InputError
from tests.test_calibration.board_scenes import make_scene

RIG = make_scene(4, seed=3).rig
ENDS = np.array([[0.1, -0.5, -0.2], [-0.1, 0.5, 0.3]])
TRUE_M = float(np.linalg.norm(ENDS[1] - ENDS[0]))


def marks(*, cameras: int = 3, noise_px: float = 0.0, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {c.name: project(c, ENDS) + rng.normal(0, noise_px, (2, 2)) for c in RIG.cameras[:cameras]}


def test_lengths_that_contradict_each_other_are_refused() -> None:
    pair = (ScaleCheck("belt", 1.0, 1.011), ScaleCheck("bar", 1.0, 0.989))
    with pytest.raises(GateRefusedError, match=r"belt and bar contradict each other: \+1\.1 % and -1\.1 %"):
        check_scale(pair, square_m=0.06)


def test_the_worst_length_is_the_scale_error() -> None:
    pair = (ScaleCheck("belt", 1.0, 1.004), ScaleCheck("bar", 1.0, 0.995))
    assert check_scale(pair, square_m=0.06) == pytest.approx(-0.005)


def test_marks_of_a_careful_hand_are_accepted() -> None:
    for seed in range(20):
        check = measure_length(RIG, KnownLength("bar", TRUE_M, marks(noise_px=2.0, seed=seed)))
        assert abs(check.error) < 0.02


@pytest.mark.parametrize("camera", ["cam0", "cam1", "cam2"])
def test_one_mark_far_off_in_one_of_three_cameras_is_named(camera: str) -> None:
    ends = marks(noise_px=1.0)
    ends[camera][1] += [85.0, 85.0]
    with pytest.raises(InputError, match=f"end 2 in {camera} does not fit the others"):
        measure_length(RIG, KnownLength("bar", TRUE_M, ends))


@pytest.mark.parametrize("camera", ["cam0", "cam1", "cam2"])
def test_ends_exchanged_in_one_camera_are_named_and_not_blamed_on_the_board(camera: str) -> None:
    ends = marks(noise_px=1.0)
    ends[camera] = ends[camera][::-1].copy()
    with pytest.raises(InputError, match=f"the ends in {camera} do not fit the others") as refused:
        measure_length(RIG, KnownLength("bar", TRUE_M, ends))
    assert "same order" in str(refused.value)


def test_of_two_cameras_both_are_named() -> None:
    ends = marks(cameras=2)
    ends["cam1"] = ends["cam1"][::-1].copy()
    with pytest.raises(InputError, match="the ends in cam0 or cam1 do not fit"):
        measure_length(RIG, KnownLength("bar", TRUE_M, ends))
