"""Core values: shapes, read-only arrays, units, transforms, cameras, landmarks, nouns."""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from labsys.core.arrays import as_bools, as_floats, check_shape, check_unique
from labsys.core.board import DICTIONARIES, Board
from labsys.core.cameras import Camera, CameraRig, Intrinsics, LensModel
from labsys.core.clock import utc_now
from labsys.core.errors import (
    ConcurrencyError,
    GateRefusedError,
    InputError,
    LabsysError,
    MissingPartError,
    NewerSchemaError,
    UnknownNameError,
)
from labsys.core.landmarks import Landmarks2D, Landmarks3D
from labsys.core.rigid import RigidTransform
from labsys.core.session import Episode, Goal, GoalDirection, TrialName, check_code
from labsys.core.skeleton import Side
from labsys.core.units import INSIDE, Unit, degrees, radians, to_inside, to_outside, to_outside_array

VECTORS = arrays(np.float64, 3, elements=st.floats(-10, 10))
ROTVECS = arrays(np.float64, 3, elements=st.floats(-1.5, 1.5))


def _transform(rotvec: Any, translation: Any) -> RigidTransform:
    return RigidTransform.from_rotvec(rotvec, translation)


# ---- arrays


def test_a_shape_is_checked_with_a_message_that_shows_both() -> None:
    check_shape("points", np.zeros((5, 3)), (None, 3))
    with pytest.raises(InputError, match=r"points has shape \(5, 2\), expected \(any, 3\)"):
        check_shape("points", np.zeros((5, 2)), (None, 3))
    with pytest.raises(InputError):
        check_shape("points", np.zeros(3), (None, 3))


def test_held_arrays_cannot_be_written_and_do_not_follow_their_source() -> None:
    source = np.zeros(3)
    held = as_floats("x", source, (3,))
    source[0] = 9.0
    assert held[0] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        held[0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        as_bools("b", [True], (1,))[0] = False


def test_what_is_not_finite_is_counted() -> None:
    with pytest.raises(InputError, match="2 value"):
        as_floats("x", [1.0, math.nan, math.inf], (3,), finite=True)
    assert math.isnan(as_floats("x", [math.nan], (1,))[0])


def test_names_that_occur_twice_are_named() -> None:
    with pytest.raises(InputError, match="a, b"):
        check_unique("names", ("b", "a", "b", "a", "c"))


# ---- units


@given(st.sampled_from(list(Unit)), st.floats(-1e6, 1e6))
def test_units_go_out_and_come_back(unit: Unit, value: float) -> None:
    assert to_inside(to_outside(value, unit), unit) == pytest.approx(value, rel=1e-12, abs=1e-12)
    assert to_outside_array([value], unit)[0] == pytest.approx(to_outside(value, unit))
    assert unit in INSIDE


def test_units_by_hand() -> None:
    assert to_outside(math.pi, Unit.DEG) == pytest.approx(180.0)
    assert to_outside(0.0123, Unit.MM) == pytest.approx(12.3)
    assert to_outside(2.75, Unit.STEPS_PER_MIN) == pytest.approx(165.0)
    assert to_outside(0.31, Unit.PERCENT) == pytest.approx(31.0)
    assert degrees(radians(12.5)) == pytest.approx(12.5)


# ---- rigid transforms: the laws of a group


@pytest.mark.slow
@given(ROTVECS, VECTORS, VECTORS)
def test_a_transform_and_its_inverse_cancel(rotvec: Any, translation: Any, point: Any) -> None:
    T = _transform(rotvec, translation)
    np.testing.assert_allclose(T.inverse().apply(T.apply(point)), point, atol=1e-9)
    np.testing.assert_allclose((T @ T.inverse()).rotation, np.eye(3), atol=1e-12)
    np.testing.assert_allclose((T @ T.inverse()).translation_m, 0.0, atol=1e-9)


@pytest.mark.slow
@given(ROTVECS, VECTORS, ROTVECS, VECTORS, VECTORS)
def test_inner_letters_cancel(r1: Any, t1: Any, r2: Any, t2: Any, point: Any) -> None:
    T_a_b, T_b_c = _transform(r1, t1), _transform(r2, t2)
    np.testing.assert_allclose((T_a_b @ T_b_c).apply(point), T_a_b.apply(T_b_c.apply(point)), atol=1e-9)


@pytest.mark.slow
@given(ROTVECS, VECTORS, ROTVECS, VECTORS, ROTVECS, VECTORS)
def test_composition_is_associative(r1: Any, t1: Any, r2: Any, t2: Any, r3: Any, t3: Any) -> None:
    A, B, C = _transform(r1, t1), _transform(r2, t2), _transform(r3, t3)
    left, right = (A @ B) @ C, A @ (B @ C)
    np.testing.assert_allclose(left.rotation, right.rotation, atol=1e-12)
    np.testing.assert_allclose(left.translation_m, right.translation_m, atol=1e-9)


@given(ROTVECS, VECTORS, VECTORS, VECTORS)
def test_distances_are_kept_and_rotation_vectors_come_back(rotvec: Any, translation: Any, p: Any, q: Any) -> None:
    T = _transform(rotvec, translation)
    assert np.linalg.norm(T.apply(p) - T.apply(q)) == pytest.approx(np.linalg.norm(p - q), abs=1e-9)
    np.testing.assert_allclose(T.as_rotvec(), rotvec, atol=1e-9)


def test_the_identity_changes_nothing_and_missing_stays_missing() -> None:
    points = np.array([[1.0, 2.0, 3.0], [np.nan, 0.0, 0.0]])
    moved = RigidTransform.identity().apply(points)
    np.testing.assert_array_equal(moved[0], points[0])
    assert np.isnan(moved[1]).any()


@pytest.mark.parametrize("rotation", [np.diag([1.0, 1.0, -1.0]), 2 * np.eye(3), np.full((3, 3), np.nan), np.eye(2)])
def test_what_is_no_rotation_is_refused(rotation: Any) -> None:
    with pytest.raises(InputError):
        RigidTransform(rotation, np.zeros(3))


# ---- cameras


def _intrinsics(**changes: Any) -> Intrinsics:
    fields = {
        "matrix": [[900.0, 0, 640], [0, 900.0, 360], [0, 0, 1]],
        "distortion": np.zeros(5),
        "size_px": (1280, 720),
    }
    return Intrinsics(**{**fields, **changes})


def test_intrinsics_are_checked() -> None:
    assert _intrinsics(distortion=[0.1, 0.0, 0.0, 0.0]).distortion.shape == (5,)
    assert _intrinsics(distortion=np.zeros(4), model=LensModel.FISHEYE).distortion.shape == (4,)
    for changes in (
        {"matrix": np.zeros((3, 3))},
        {"matrix": np.full((3, 3), np.nan)},
        {"distortion": np.zeros(3)},
        {"distortion": [np.nan, 0, 0, 0, 0]},
        {"size_px": (0, 720)},
    ):
        with pytest.raises(InputError):
            _intrinsics(**changes)


def test_a_camera_stands_where_its_centre_projects_to_nothing() -> None:
    camera = Camera("a", _intrinsics(), _transform([0.1, 0.2, 0.3], [1.0, 2.0, 3.0]))
    np.testing.assert_allclose(camera.T_cam_lab.apply(camera.centre_lab_m), 0.0, atol=1e-12)


def test_a_rig_has_named_cameras_in_order() -> None:
    a, b = (Camera(n, _intrinsics(), RigidTransform.identity()) for n in "ab")
    rig = CameraRig((a, b))
    assert rig.select(("b", "a")).names == ("b", "a")
    with pytest.raises(UnknownNameError, match="camera 'c'"):
        rig.select(("c",))
    for cameras in ((), (a, a)):
        with pytest.raises(InputError):
            CameraRig(cameras)


# ---- landmarks


def test_landmarks_2d_are_checked() -> None:
    ok: dict[str, Any] = {
        "cameras": ("a", "b"),
        "landmarks": ("x",),
        "times_s": [0.0, 0.01],
        "xy_px": np.zeros((2, 2, 1, 2)),
    }
    tracks = Landmarks2D(**ok, confidence=np.ones((2, 2, 1)))
    assert tracks.rate_hz == pytest.approx(100.0)
    for broken in (
        {"times_s": [0.0, 0.0]},
        {"times_s": [0.01, 0.0]},
        {"xy_px": np.zeros((2, 1, 1, 2))},
        {"cameras": ("a", "a")},
        {"times_s": [0.0, math.nan]},
    ):
        with pytest.raises(InputError):
            Landmarks2D(**{**ok, **broken}, confidence=np.ones((2, 2, 1)))


def test_landmarks_3d_from_positions_know_nothing_else() -> None:
    track = Landmarks3D.from_positions(("a", "b"), np.arange(4) / 50.0, np.zeros((4, 2, 3)))
    assert track.rate_hz == pytest.approx(50.0)
    assert np.isnan(track.residual_px).all()
    assert not track.interpolated.any()
    assert track.point_m("b").shape == (4, 3)
    moved = track.with_positions(np.ones((4, 2, 3)))
    assert (moved.xyz_m == 1.0).all()
    assert (track.xyz_m == 0.0).all()
    with pytest.raises(UnknownNameError):
        track.point_m("c")
    one = Landmarks3D.from_positions(("a",), np.zeros(1), np.zeros((1, 1, 3)))
    assert math.isnan(one.rate_hz)


# ---- nouns


@pytest.mark.parametrize("code", ["S01", "2026-11-22", "a.b_c-d", "A" * 64])
def test_codes_that_name_a_folder_everywhere(code: str) -> None:
    assert check_code("subject", code) == code


@pytest.mark.parametrize("code", ["", ".", "..", "a/b", "a\\b", " a", "-a", "_a", "a.", "ü", "a b", "A" * 65, "a\n"])
def test_codes_that_do_not(code: str) -> None:
    with pytest.raises(InputError, match="cannot name a subject"):
        check_code("subject", code)


def test_a_trial_name_goes_out_and_comes_back() -> None:
    name = TrialName("S01", "2026-11-22", "run1")
    assert TrialName.parse(str(name)) == name
    for text in ("S01/run1", "S01/a/b/c", "S01//run1", "../a/b"):
        with pytest.raises(InputError):
            TrialName.parse(text)


def test_an_episode_has_at_most_three_goals() -> None:
    goal = Goal("cadence", Side.BOTH, GoalDirection.TOWARD_HIGHER, "2026-01-01")
    with pytest.raises(InputError, match="at most three"):
        Episode("u", "S01", "knee", "2026-01-01", goals=(goal,) * 4)


# ---- board


def test_board_corners_are_numbered_row_by_row() -> None:
    board = Board(4, 5, 0.054, 0.0405, "DICT_4X4_1000")
    assert board.corners_m.shape == (12, 3)
    np.testing.assert_allclose(board.corners_m[0], [0.054, 0.054, 0.0])
    np.testing.assert_allclose(board.corners_m[1] - board.corners_m[0], [0.054, 0.0, 0.0])
    np.testing.assert_allclose(board.corners_m[3] - board.corners_m[0], [0.0, 0.054, 0.0])


@pytest.mark.parametrize(
    "changes",
    [
        {"columns": 2},
        {"square_m": 0.0},
        {"square_m": math.nan},
        {"marker_m": 0.06},
        {"dictionary": "DICT_4X4"},
        {"columns": 12, "rows": 12, "dictionary": "DICT_4X4_50"},
    ],
)
def test_boards_that_cannot_be_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        dataclasses.replace(Board(4, 5, 0.054, 0.0405, "DICT_4X4_1000"), **changes)


def test_the_dictionaries_are_opencvs() -> None:
    for name, size in DICTIONARIES.items():
        opencv_name = name.replace("16H5", "16h5").replace("25H9", "25h9").replace("36H1", "36h1")
        number = getattr(cv2.aruco, name, None)
        number = getattr(cv2.aruco, opencv_name) if number is None else number
        assert cv2.aruco.getPredefinedDictionary(number).bytesList.shape[0] == size, name


# ---- errors and clock


def test_errors_say_what_where_and_what_to_do() -> None:
    error = InputError("the video ends early", where="camA.mkv", remedy="Record it again")
    assert str(error) == "the video ends early (camA.mkv). Record it again"
    assert (error.what, error.where, error.remedy) == ("the video ends early", "camA.mkv", "Record it again")


def test_exit_codes_are_the_documented_ones() -> None:
    assert LabsysError("x").exit_code == 1
    assert ConcurrencyError("x").exit_code == 1
    assert GateRefusedError("x").exit_code == 3
    for kind in (InputError, NewerSchemaError, MissingPartError):
        assert kind("x").exit_code == 2
    assert UnknownNameError("key", "x", valid=()).exit_code == 2


def test_there_are_at_most_eight_errors_below_the_root() -> None:
    def below(kind: type[LabsysError]) -> list[type[LabsysError]]:
        return [k for child in kind.__subclasses__() for k in (child, *below(child))]

    assert len([k for k in below(LabsysError) if k.__module__ == "labsys.core.errors"]) <= 8


def test_an_unknown_name_offers_the_nearest_or_the_list() -> None:
    near = UnknownNameError("metric", "cadance", valid=["cadence", "speed"])
    assert near.nearest == "cadence"
    assert "Did you mean 'cadence'?" in str(near)
    far = UnknownNameError("metric", "zzz", valid=["cadence", "speed"])
    assert far.nearest is None
    assert "Known: cadence, speed" in str(far)
    assert "Known: none" in str(UnknownNameError("metric", "zzz", valid=[]))


def test_times_are_utc_to_the_millisecond() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", utc_now())
