"""Every way to fool a calibration has its own refusal, which names the camera and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from calibration.board.clock import read_timestamps
from calibration.board.detect import BoardCorners
from calibration.calibrate import CalibrateSettings, calibrate_corners, calibrate_videos
from calibration.projection import project
from calibration.rig.report import check_gate
from calibration.rig.scale import KnownLength
from labsys.core.cameras import Camera, CameraRig, Intrinsics
from labsys.core.errors import GateRefusedError, InputError
from labsys.core.rigid import RigidTransform
from labsys.storage.video import read_gray_frames
from tests.test_calibration.board_scenes import BOARD, make_scene, render_view, see_corners, without_distortion

SCENE = make_scene(4, seed=4, arc_rad=2.0, rate_hz=2.0)


def seen(**options: float) -> BoardCorners:
    return see_corners(SCENE, noise_px=0.3, seed=1, **options)


def moved_camera(index: int, *, turn_rad: float, shift_m: float) -> CameraRig:
    cameras = list(SCENE.rig.cameras)
    bump = RigidTransform.from_rotvec([0.0, turn_rad, 0.0], [shift_m, 0.0, 0.0])
    cameras[index] = replace(cameras[index], T_cam_lab=bump @ cameras[index].T_cam_lab)
    return CameraRig(tuple(cameras))


@pytest.mark.slow
def test_a_good_take_passes() -> None:
    outcome = calibrate_corners(seen(), lenses=SCENE.lenses)
    check_gate(outcome.report)
    assert outcome.report.grade in "ABC"


@pytest.mark.slow
def test_a_camera_that_moved_is_named() -> None:
    before, after = seen(), see_corners(SCENE, noise_px=0.3, seed=1, rig=moved_camera(2, turn_rad=0.01, shift_m=0.005))
    half = len(before.times_s) // 2
    bumped = replace(before, xy_px=np.concatenate([before.xy_px[:half], after.xy_px[half:]]))
    with pytest.raises(GateRefusedError, match=r"cam2 moved during the take.*about (19|20|21)\.\d s.*Fasten"):
        calibrate_corners(bumped, lenses=SCENE.lenses)


@pytest.mark.slow
def test_swapped_files_are_named() -> None:
    swapped = seen().of_cameras(("cam0", "cam1", "cam3", "cam2"))
    swapped = replace(swapped, cameras=("cam0", "cam1", "cam2", "cam3"))
    with pytest.raises(InputError, match=r"(swapped.*cam[23]|cam[23].*swapped)"):
        calibrate_corners(swapped, lenses=SCENE.lenses)


def test_another_resolution_is_refused() -> None:
    lenses = {n: Intrinsics(lens.matrix, lens.distortion, (1920, 1080)) for n, lens in SCENE.lenses.items()}
    with pytest.raises(InputError, match=r"1280x720.*1920x1080.*cam0"):
        calibrate_corners(seen(), lenses=lenses)


def test_disconnected_cameras_are_listed() -> None:
    corners = seen()
    xy = corners.xy_px.copy()
    odd = np.arange(len(xy)) % 2 == 1
    xy[np.ix_(odd, [0, 1])] = np.nan
    xy[np.ix_(~odd, [2, 3])] = np.nan
    with pytest.raises(GateRefusedError, match=r"not connected: cam0, cam1 \| cam2, cam3.*each group"):
        calibrate_corners(replace(corners, xy_px=xy), lenses=SCENE.lenses)


def test_too_few_poses_are_refused() -> None:
    corners = seen()
    some = np.arange(len(corners.times_s)) < 6
    with pytest.raises(GateRefusedError, match="too few poses: only"):
        calibrate_corners(corners.at_frames(some), lenses=SCENE.lenses)


@pytest.mark.slow
def test_a_board_that_is_held_still_is_refused() -> None:
    at = int(np.argmax(see_corners(SCENE).seen.sum(axis=(1, 2))))
    still = replace(
        SCENE,
        R_rig_board=np.repeat(SCENE.R_rig_board[at : at + 1], len(SCENE.times_s), axis=0),
        t_rig_board_m=np.repeat(SCENE.t_rig_board_m[at : at + 1], len(SCENE.times_s), axis=0),
    )
    with pytest.raises(GateRefusedError, match=r"too few poses: the board was held in \d different"):
        calibrate_corners(see_corners(still, noise_px=0.3), lenses=SCENE.lenses)


@pytest.mark.slow
def test_a_board_in_one_plane_is_refused() -> None:
    step = np.arange(len(SCENE.times_s))
    turns = Rotation.from_euler("x", (step / 19)[:, None]).as_matrix()
    R = turns @ np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    t = np.stack([np.zeros(len(step)), 0.4 * np.sin(step / 9), 0.1 + 0.3 * np.cos(step / 7)], axis=1)
    flat = replace(SCENE, R_rig_board=R, t_rig_board_m=t)
    with pytest.raises(GateRefusedError, match=r"all poses lie in one plane.*tilt the board"):
        calibrate_corners(see_corners(flat, noise_px=0.3), lenses=SCENE.lenses)


@pytest.mark.slow
def test_a_wrong_square_length_is_found_by_another_length() -> None:
    wrong = replace(BOARD, square_m=BOARD.square_m * 1.03, marker_m=BOARD.marker_m)
    ends = np.array([[0.0, -0.5, 0.1], [0.0, 0.5, 0.1]])
    bar = KnownLength("1 m bar", 1.0, {c.name: project(c, ends) for c in SCENE.rig.cameras[:3]})
    calibrate_corners(seen(), lenses=SCENE.lenses, known_lengths=(bar,))
    with pytest.raises(GateRefusedError, match=r"1 m bar measures 1030 mm instead of 1000 mm.*60\.00 mm would explain"):
        calibrate_corners(replace(seen(), board=wrong), lenses=SCENE.lenses, known_lengths=(bar,))


@pytest.mark.slow
def test_lenses_that_the_boards_cannot_tell_are_refused() -> None:
    far = replace(SCENE, t_rig_board_m=SCENE.t_rig_board_m * 0.1)
    with pytest.raises(GateRefusedError, match=r"cannot tell the lens of cam0.*Film the board.*--intrinsics"):
        calibrate_corners(see_corners(far, noise_px=0.3))


@pytest.mark.slow
def test_an_override_is_on_record_and_passes_the_gate() -> None:
    rough = see_corners(SCENE, noise_px=8.0, seed=1)
    settings = CalibrateSettings(override_reason="emergency, board was lost")
    refused = calibrate_corners(rough, lenses=SCENE.lenses).report
    with pytest.raises(GateRefusedError, match=r"refused: .*(board fit|held-out)"):
        check_gate(refused)
    overridden = calibrate_corners(rough, lenses=SCENE.lenses, settings=settings).report
    check_gate(overridden)
    assert overridden.grade == "refused"
    assert overridden.override_reason == "emergency, board was lost"


def test_a_timestamp_that_is_no_number_is_named(tmp_path: Path) -> None:
    file = tmp_path / "timestamps.csv"
    file.write_text("cam_id,frame_time\n0,1.0\n0,nan\n")
    with pytest.raises(InputError, match=r"'nan' is no frame time.*line 3, camera 0"):
        read_timestamps(file)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("0,1.0,254\n0,1.1,255\n0,1.2,0\n", r"frame 0 comes after frame 255.*line 4, camera 0"),
        ("0,1.0,1\n0,1.1,1\n", r"frame 1 comes after frame 1.*line 3"),
        ("0,1.5,1\n1,1.0,1\n0,1.4,2\n", r"1\.400000 s comes after 1\.500000 s.*line 4, camera 0"),
    ],
)
def test_timestamps_out_of_order_are_not_put_right_in_silence(tmp_path: Path, rows: str, said: str) -> None:
    file = tmp_path / "timestamps.csv"
    file.write_text("cam_id,frame_time,frame\n" + rows)
    with pytest.raises(InputError, match=said):
        read_timestamps(file)


def test_a_lens_with_nan_is_refused() -> None:
    with pytest.raises(InputError, match="not finite"):
        Intrinsics(np.full((3, 3), np.nan), np.zeros(5), (1280, 720))


def test_a_corrupt_video_names_the_file(tmp_path: Path) -> None:
    broken = tmp_path / "cam0.mp4"
    broken.write_bytes(b"no video at all" * 100)
    with pytest.raises(InputError, match=r"cam0\.mp4"):
        calibrate_videos({"cam0": broken}, BOARD, read=read_gray_frames, rate_hz=30.0)


IDEAL = without_distortion(make_scene(2, seed=11, arc_rad=0.7, radius_m=1.4, seconds=8.0, rate_hz=3.0))


@pytest.fixture(scope="module")
def pictures() -> dict[str, list[np.ndarray]]:
    frames = range(len(IDEAL.times_s))
    return {c.name: [render_view(IDEAL, c, f) for f in frames] for c in IDEAL.rig.cameras}


def calibrate_pictures(shown: dict[str, list[np.ndarray]], board: object = BOARD) -> None:
    def read(path: Path) -> Iterator[np.ndarray]:
        return iter(shown[path.name])

    calibrate_videos({n: Path(n) for n in shown}, board, read=read, rate_hz=3.0, lenses=IDEAL.lenses)  # type: ignore[arg-type]


@pytest.mark.slow
def test_rendered_pictures_calibrate(pictures: dict[str, list[np.ndarray]]) -> None:
    calibrate_pictures(pictures)


@pytest.mark.slow
def test_a_camera_that_never_saw_the_board(pictures: dict[str, list[np.ndarray]]) -> None:
    grey = [np.full_like(p, 120) for p in pictures["cam1"]]
    with pytest.raises(GateRefusedError, match=r"camera cam1 never saw the board"):
        calibrate_pictures({**pictures, "cam1": grey})


@pytest.mark.slow
def test_inversion_forgotten(pictures: dict[str, list[np.ndarray]]) -> None:
    negative = {n: [255 - p for p in shown] for n, shown in pictures.items()}
    with pytest.raises(InputError, match=r"printed white on black.*inverted: true"):
        calibrate_pictures(negative)


@pytest.mark.slow
def test_mirrored_view(pictures: dict[str, list[np.ndarray]]) -> None:
    with pytest.raises(InputError, match=r"mirrored.*cam1.*mirror mode"):
        calibrate_pictures({**pictures, "cam1": [p[:, ::-1] for p in pictures["cam1"]]})


@pytest.mark.slow
def test_wrong_dictionary(pictures: dict[str, list[np.ndarray]]) -> None:
    with pytest.raises(InputError, match=r"markers in the video are of DICT_4X4_50.*DICT_5X5_100"):
        calibrate_pictures(pictures, replace(BOARD, dictionary="DICT_5X5_100"))


@pytest.mark.slow
@pytest.mark.parametrize(("columns", "rows"), [(5, 7), (7, 4), (7, 6), (6, 5), (8, 5)])
def test_wrong_board_size(pictures: dict[str, list[np.ndarray]], columns: int, rows: int) -> None:
    with pytest.raises(
        InputError, match=r"(not \d x \d squares|ever saw corner|other pattern).*(board file|columns|count them)"
    ):
        calibrate_pictures(pictures, replace(BOARD, columns=columns, rows=rows))


def test_another_resolution_in_the_middle(pictures: dict[str, list[np.ndarray]]) -> None:
    cut = [p if i < 10 else p[:-2] for i, p in enumerate(pictures["cam0"])]
    with pytest.raises(InputError, match=r"another size.*cam0"):
        calibrate_pictures({**pictures, "cam0": cut})


@pytest.mark.slow
def test_two_equal_cameras_are_not_called_swapped() -> None:
    lens = SCENE.rig.cameras[0].intrinsics
    rig = CameraRig(tuple(Camera(c.name, lens, c.T_cam_lab) for c in SCENE.rig.cameras))
    calibrate_corners(see_corners(SCENE, noise_px=0.3, rig=rig), lenses={c.name: lens for c in rig.cameras})
