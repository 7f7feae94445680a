"""What `--world-axes` means, and what it refuses."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from benchmarks.scenes import ring_rig, scattered_points
from calibration.align import WorldAxes, place_in_lab
from calibration.projection import project_rig
from labsys.core.errors import InputError

AXES = [f"{sign}{axis}" for sign in "+-" for axis in "xyz"]


def vector(axis: str) -> np.ndarray:
    return np.eye(3)["xyz".index(axis[1])] * (-1 if axis[0] == "-" else 1)


@pytest.mark.parametrize(("forward", "up"), list(itertools.permutations(AXES, 2)))
def test_forward_becomes_x_and_up_becomes_y(forward: str, up: str) -> None:
    if forward[1] == up[1]:
        with pytest.raises(InputError, match="one axis twice"):
            WorldAxes.parse(f"forward={forward},up={up}")
        return
    axes = WorldAxes.parse(f"forward={forward},up={up}")
    assert np.allclose(axes.rotation @ vector(forward), [1, 0, 0])
    assert np.allclose(axes.rotation @ vector(up), [0, 1, 0])
    assert np.linalg.det(axes.rotation) == pytest.approx(1.0)
    assert axes.heading_known


@pytest.mark.parametrize("up", AXES)
def test_up_alone_leaves_the_heading_unknown(up: str) -> None:
    axes = WorldAxes.parse(f"up={up}")
    assert not axes.heading_known
    assert np.allclose(axes.rotation @ vector(up), [0, 1, 0])
    assert np.linalg.det(axes.rotation) == pytest.approx(1.0)


def test_right_may_stand_for_forward() -> None:
    assert np.allclose(WorldAxes.parse("up=+z, right=-y").rotation, WorldAxes.parse("forward=+x,up=+z").rotation)
    assert WorldAxes.parse("up=+z,right=-y").heading_known


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("forward=+x,up=+z,right=+y", "right-handed"),
        ("forward=+x,up=+z,right=+x", "right-handed"),
        ("forward=+x", "which way is up"),
        ("up=+z,up=+y", "up twice"),
        ("forward=+x,up=+x", "one axis twice"),
        ("up=+y,right=-y", "one axis twice"),
        ("up=+w", "not understood"),
        ("backward=+x,up=+z", "not understood"),
        ("", "not understood"),
    ],
)
def test_impossible_axes_are_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        WorldAxes.parse(text)
    assert refused.value.remedy


def test_placing_a_rig_moves_cameras_and_points_together() -> None:
    rig, points = ring_rig(4), scattered_points(10, 2, seed=1)
    axes = WorldAxes.parse("forward=-y,up=+x")
    moved = place_in_lab(rig, axes.T_lab_world)
    assert np.allclose(project_rig(moved, axes.T_lab_world.apply(points)), project_rig(rig, points))
