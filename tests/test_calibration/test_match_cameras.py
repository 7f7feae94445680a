"""Names of cameras and sizes of videos against a calibration."""

from __future__ import annotations

import pytest

from benchmarks.scenes import ring_rig
from calibration.match import check_sizes, match_cameras
from labsys.core.errors import InputError, UnknownNameError


def test_names_match_without_case_hyphen_underscore_and_space() -> None:
    found = match_cameras(("cam_01", "cam_02", "Left Rear"), ("CAM-02", "cam01", "leftrear"))
    assert found == {"CAM-02": "cam_02", "cam01": "cam_01", "leftrear": "Left Rear"}
    assert list(found) == ["CAM-02", "cam01", "leftrear"]


def test_a_camera_of_another_calibration_is_named_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Unknown camera 'cam_05'") as refused:
        match_cameras(("cam_01", "cam_02"), ("cam_01", "cam_05"))
    assert refused.value.nearest in {"cam_01", "cam_02"}
    assert refused.value.exit_code == 2


def test_two_names_for_one_camera_are_refused() -> None:
    with pytest.raises(InputError, match="cam_01"):
        match_cameras(("cam_01", "cam_02"), ("cam01", "cam-01"))


def test_a_calibration_with_one_spelling_twice_is_refused() -> None:
    with pytest.raises(InputError, match="more than once: cam1"):
        match_cameras(("cam_1", "CAM1"), ("cam1",))


def test_equal_sizes_need_nothing() -> None:
    rig = ring_rig(2)
    assert check_sizes(rig, {"cam0": (1280, 720), "CAM-1": (1280, 720)}, {}) == {}


def test_another_size_names_camera_sizes_and_remedy() -> None:
    with pytest.raises(InputError) as refused:
        check_sizes(ring_rig(2), {"cam0": (1280, 720), "cam1": (1278, 720)}, {"cam0": (1278, 720)})
    message = str(refused.value)
    assert "video of camera cam1 is 1278x720, its calibration is for 1280x720" in message
    assert "--accept-size cam1=1278x720" in message


def test_an_accepted_size_is_returned_for_the_record() -> None:
    found = check_sizes(ring_rig(2), {"cam0": (1280, 720), "cam1": (1278, 720)}, {"CAM_1": (1278, 720)})
    assert found == {"cam1": (1278, 720)}


def test_accepting_one_size_does_not_accept_another() -> None:
    with pytest.raises(InputError, match="1279x720"):
        check_sizes(ring_rig(2), {"cam1": (1279, 720)}, {"cam1": (1278, 720)})


def test_a_video_of_an_unknown_camera_is_refused() -> None:
    with pytest.raises(UnknownNameError):
        check_sizes(ring_rig(2), {"cam7": (1280, 720)}, {})
