"""Laws of the Cardan orders and of rigid fits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from labsys.biomechanics.cardan import (
    BakerAngles,
    JcsAngles,
    axis_angles,
    baker_angles,
    baker_matrix,
    drop_opposed,
    jcs_angles,
    jcs_matrix,
    unwrap_finite,
)
from labsys.biomechanics.cast import fit_rigid

FREE = st.floats(-3.1, 3.1)
MIDDLE = st.floats(-1.25, 1.25)


@given(FREE, MIDDLE, FREE)
def test_joint_order_round_trip(z: float, x: float, y: float) -> None:
    angles = JcsAngles(np.array(z), np.array(x), np.array(y))
    assert np.allclose(jcs_angles(jcs_matrix(angles)), angles, atol=1e-10)


@given(FREE, MIDDLE, FREE)
def test_pelvis_order_round_trip(rotation: float, obliquity: float, tilt: float) -> None:
    angles = BakerAngles(np.array(rotation), np.array(obliquity), np.array(tilt))
    assert np.allclose(baker_angles(baker_matrix(angles)), angles, atol=1e-10)


def test_orders_agree_with_scipy() -> None:
    R = Rotation.random(200, rng=np.random.default_rng(1))
    matrices = R.as_matrix()
    expected = R.as_euler("ZXY")
    free = np.abs(expected[:, 1]) < np.deg2rad(75)
    assert np.allclose(np.stack(jcs_angles(matrices), axis=1)[free], expected[free], atol=1e-9)
    expected = R.as_euler("YXZ")
    free = np.abs(expected[:, 1]) < np.deg2rad(75)
    assert np.allclose(np.stack(baker_angles(matrices), axis=1)[free], expected[free], atol=1e-9)


def test_gimbal_lock_is_missing_not_wrong() -> None:
    locked = jcs_matrix(JcsAngles(np.array(0.3), np.deg2rad(np.array(80.0)), np.array(0.2)))
    assert np.isnan(np.stack(jcs_angles(locked))).all()


@given(FREE, MIDDLE, FREE)
def test_right_axis_alone_gives_rotation_and_obliquity(rotation: float, obliquity: float, tilt: float) -> None:
    R = baker_matrix(BakerAngles(np.array(rotation), np.array(obliquity), np.array(tilt)))
    assert np.allclose(axis_angles(R[..., 2]), (rotation, obliquity), atol=1e-10)


def test_unwrap_keeps_gaps_and_goes_through_pi() -> None:
    series = np.array([3.0, np.nan, -3.0, -2.9])
    unwrapped = unwrap_finite(series, rate_hz=100.0)
    assert np.isnan(unwrapped[1])
    assert np.allclose(np.diff(unwrapped[[0, 2, 3]]), [2 * np.pi - 6.0, 0.1])


@given(st.floats(-720.0, 720.0), st.integers(0, 600))
@example(341.0, 365)  # the bad frames lead over the turn's end without a jump
def test_unwrap_follows_somebody_who_turns_whatever_a_bad_moment_says(degrees: float, bad: int) -> None:
    """Up to a turn in 3.5 s, and four bad frames that by themselves would go around the other way."""
    turning = np.deg2rad(np.linspace(0.0, degrees, 700))
    seen = turning.copy()
    seen[bad : bad + 4] += np.deg2rad([-120.0, -210.0, -280.0, -330.0])
    unwrapped = unwrap_finite(np.angle(np.exp(1j * seen)), rate_hz=100.0)
    sound = np.ones(700, dtype=np.bool_)
    sound[bad : bad + 4] = False
    turns = (unwrapped - turning)[sound] / (2 * np.pi)
    assert np.allclose(turns, np.round(turns[0]), atol=1e-9)


def test_a_joint_whose_axes_point_opposite_ways_has_no_angles() -> None:
    """Past a quarter turn of adduction the other solution has flexion half a turn off."""
    bent, past = (jcs_matrix(JcsAngles(np.array(1.6), np.deg2rad(np.array(x)), np.array(0.1))) for x in (70.0, 110.0))
    assert jcs_angles(drop_opposed(bent)).z_rad == pytest.approx(1.6)
    assert jcs_angles(past).z_rad == pytest.approx(1.6 - np.pi)
    assert np.isnan(np.stack(jcs_angles(drop_opposed(past)))).all()


@given(st.integers(0, 10_000))
def test_rigid_fit_recovers_the_motion(seed: int) -> None:
    rng = np.random.default_rng(seed)
    model = rng.normal(size=(5, 3))
    R = Rotation.random(rng=rng).as_matrix()
    shift = rng.normal(size=3)
    seen = (model @ R.T + shift)[None].copy()
    seen[0, 4] = np.nan
    found, moved, residual = fit_rigid(model, seen)
    assert np.allclose(found[0], R, atol=1e-9)
    assert np.allclose(moved[0], shift, atol=1e-9)
    assert residual[0] < 1e-9
    assert np.linalg.det(found[0]) == pytest.approx(1.0)


def test_rigid_fit_never_mirrors() -> None:
    model = np.random.default_rng(3).normal(size=(4, 3))
    found, _, residual = fit_rigid(model, (model * np.array([1.0, 1.0, -1.0]))[None])
    assert np.linalg.det(found[0]) == pytest.approx(1.0)
    assert residual[0] > 0.1


@pytest.mark.parametrize("points", [2, 3])
def test_rigid_fit_refuses_too_few_or_collinear_points(points: int) -> None:
    line = np.arange(3.0)[:, None] * np.array([1.0, 2.0, 3.0])
    seen = line[None].copy()
    seen[0, points:] = np.nan
    R, _, residual = fit_rigid(line, seen)
    assert np.isnan(R).all()
    assert np.isnan(residual).all()
