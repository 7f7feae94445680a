"""Calibration files: what is read equals what was meant, and what is damaged is refused by name."""

from __future__ import annotations

import math
import tomllib
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.scenes import ring_rig, scattered_points
from calibration.align import WorldAxes
from calibration.formats import format_anipose, read_calibration, write_anipose
from calibration.projection import project_rig
from labsys.core.cameras import Calibration, Camera, CameraRig, Intrinsics, LensModel
from labsys.core.errors import InputError, NewerSchemaError

Z_UP = WorldAxes.parse("forward=+x,up=+z")
LAB_AXES = WorldAxes.parse("forward=+x,up=+y")
POINTS = scattered_points(20, 3, seed=1)


def difference_px(a: CameraRig, b: CameraRig) -> float:
    return float(np.abs(project_rig(a, POINTS) - project_rig(b, POINTS)).max())


def anipose_text(**changes: str) -> str:
    """A calibration as Anipose writes it, with single lines replaced."""
    lines = {
        "name": '"cam A"',
        "size": "[ 1280, 720,]",
        "matrix": "[ [ 900.0, 0.0, 640.0,], [ 0.0, 905.0, 360.0,], [ 0.0, 0.0, 1.0,],]",
        "distortions": "[ -0.2, 0.05, 0.001, -0.001, 0.0,]",
        "rotation": "[ 0.1, 0.2, 0.3,]",
        "translation": "[ 0.1, 0.2, 3.0,]",
        **changes,
    }
    return "[cam_0]\n" + "\n".join(f"{k} = {v}" for k, v in lines.items() if v) + "\n\n[metadata]\nadjusted = false\n"


def read_text(tmp_path: Path, text: str, axes: WorldAxes | None = Z_UP, name: str = "calibration.toml") -> Calibration:
    path = tmp_path / name
    path.write_text(text)
    return read_calibration(path, axes=axes)


@pytest.mark.parametrize("model", list(LensModel))
def test_own_file_gives_the_same_calibration_back(tmp_path: Path, model: LensModel) -> None:
    written = Calibration(
        rig=ring_rig(12, model=model), source="labsys", heading_known=False, grade="B",
        up_sd_rad=0.002, heading_sd_rad=math.nan, override_reason="board was bent",
    )  # fmt: skip
    write_anipose(tmp_path / "calibration.toml", written)
    found = read_calibration(tmp_path / "calibration.toml")
    assert found.rig.names == written.rig.names
    assert difference_px(found.rig, written.rig) < 1e-9
    assert [c.intrinsics.model for c in found.rig.cameras] == [model] * 12
    assert [c.intrinsics.size_px for c in found.rig.cameras] == [(1280, 720)] * 12
    assert (found.source, found.heading_known, found.grade) == ("labsys", False, "B")
    assert found.override_reason == "board was bent"
    assert found.up_sd_rad == 0.002
    assert math.isnan(found.heading_sd_rad)


def test_rewriting_does_not_drift(tmp_path: Path) -> None:
    rig = ring_rig(3)
    calibration = Calibration(rig=rig, source="labsys")
    assert format_anipose(calibration) == format_anipose(calibration)
    for _ in range(5):
        write_anipose(tmp_path / "c.toml", calibration)
        calibration = read_calibration(tmp_path / "c.toml")
    assert difference_px(calibration.rig, rig) < 1e-9


def test_ungraded_stays_ungraded(tmp_path: Path) -> None:
    write_anipose(tmp_path / "c.toml", Calibration(rig=ring_rig(2), source="anipose"))
    found = read_calibration(tmp_path / "c.toml")
    assert found.grade is None
    assert found.override_reason == ""
    assert found.heading_known


@pytest.mark.parametrize("model", list(LensModel))
def test_aniposelib_loads_what_labsys_writes(tmp_path: Path, model: LensModel) -> None:
    from aniposelib.cameras import CameraGroup

    rig = ring_rig(11, model=model)
    write_anipose(tmp_path / "calibration.toml", Calibration(rig=rig, source="labsys"))
    group = CameraGroup.load(tmp_path / "calibration.toml")
    assert tuple(group.get_names()) == rig.names
    theirs = np.moveaxis(group.project(POINTS.reshape(-1, 3)), 0, 1)
    assert np.abs(theirs - project_rig(rig, POINTS.reshape(-1, 3))).max() < 1e-6


def test_labsys_reads_what_aniposelib_writes(tmp_path: Path) -> None:
    from calibration.triangulation.anipose import to_camera_group

    rig = ring_rig(4)
    to_camera_group(rig).dump(tmp_path / "calibration.toml")
    found = read_calibration(tmp_path / "calibration.toml", axes=LAB_AXES)
    assert found.source == "anipose"
    assert found.grade is None
    assert difference_px(found.rig, rig) < 1e-6


def test_four_distortions_and_names_with_spaces(tmp_path: Path) -> None:
    found = read_text(tmp_path, anipose_text(distortions="[ -0.2, 0.05, 0.001, -0.001]", size="[ 1280.0, 720.0]"))
    assert found.rig.names == ("cam A",)
    assert found.rig.cameras[0].intrinsics.distortion.tolist() == [-0.2, 0.05, 0.001, -0.001, 0.0]


def test_extra_distortion_terms_are_accepted_only_where_they_are_zero(tmp_path: Path) -> None:
    read_text(tmp_path, anipose_text(distortions="[ -0.2, 0.05, 0.001, -0.001, 0.0, 0.0, 0.0, 0.0]"))
    with pytest.raises(InputError, match="'distortions' of camera cam A has 8 coefficients"):
        read_text(tmp_path, anipose_text(distortions="[ -0.2, 0.05, 0.001, -0.001, 0.0, 0.3, 0.0, 0.0]"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"matrix": ""}, r"key 'matrix' of camera cam A is missing"),
        ({"distortions": ""}, r"key 'distortions' of camera cam A is missing"),
        ({"size": ""}, r"key 'size' of camera cam A is missing"),
        ({"rotation": ""}, r"key 'rotation' of camera cam A is missing"),
        ({"translation": ""}, r"key 'translation' of camera cam A is missing"),
        ({"translation": "[ nan, 0.0, 1.0]"}, r"'translation' of camera cam A contains NaN"),
        ({"rotation": "[ inf, 0.0, 1.0]"}, r"'rotation' of camera cam A contains NaN or infinite"),
        ({"matrix": "[[nan, 0.0, 1.0], [0.0, 9.0, 1.0], [0.0, 0.0, 1.0]]"}, r"'matrix' of camera cam A contains NaN"),
        ({"matrix": "[[0.0, 0.0, 1.0], [0.0, 9.0, 1.0], [0.0, 0.0, 1.0]]"}, r"'matrix' .* focal lengths 0 and 9"),
        ({"matrix": "[[9.0, 0.0, 1.0], [0.0, -9.0, 1.0], [0.0, 0.0, 1.0]]"}, r"'matrix' .* focal lengths 9 and -9"),
        ({"matrix": "[[9.0, 1.0, 1.0], [0.0, 9.0, 1.0], [0.0, 0.0, 1.0]]"}, r"'matrix' of camera cam A is not fx 0 cx"),
        ({"matrix": "[[9.0, 0.0], [0.0, 9.0]]"}, r"'matrix' of camera cam A has shape \(2, 2\), expected \(3, 3\)"),
        ({"rotation": "[ 0.1, 0.2]"}, r"'rotation' of camera cam A has shape \(2,\)"),
        ({"rotation": "[[2.0,0.0,0.0],[0.0,2.0,0.0],[0.0,0.0,2.0]]"}, r"'rotation' of camera cam A is not a rotation"),
        ({"rotation": "[[-1.0,0.0,0.0],[0.0,1.0,0.0],[0.0,0.0,1.0]]"}, r"'rotation' of camera cam A mirrors the world"),
        ({"translation": '"left"'}, r"'translation' of camera cam A is not numeric"),
        ({"translation": "[ 100.0, 200.0, 3000.0]"}, r"'translation' of camera cam A puts it 3008 m from the origin"),
        ({"size": "[ 1280.5, 720]"}, r"'size' of camera cam A is \[1280.5, 720.0\]"),
        ({"size": "[ 0, 720]"}, r"'size' of camera cam A is \[0.0, 720.0\]"),
    ],
)
def test_damage_is_refused_by_camera_and_key(tmp_path: Path, changes: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        read_text(tmp_path, anipose_text(**changes))
    assert "calibration.toml" in refused.value.where
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[cam_0\n", "not valid TOML"),
        ("[metadata]\nadjusted = false\n", "has no camera"),
        ("", "has no camera"),
        ("<calibration><intrinsic", "not valid XML"),
        ("%YAML:1.0\n---\nnothing: [", "OpenCV cannot read"),
        (anipose_text() + anipose_text().split("[metadata]")[0].replace("cam_0", "cam_1"), "more than once: cam A"),
    ],
)
def test_unreadable_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_text(tmp_path, text)


def test_missing_and_binary_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_calibration(tmp_path / "none.toml", axes=Z_UP)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\x80" * 10)
    with pytest.raises(InputError, match="cannot be read"):
        read_calibration(tmp_path / "binary", axes=Z_UP)
    with pytest.raises(InputError, match="cannot be read"):
        read_calibration(tmp_path, axes=Z_UP)


def test_foreign_files_need_axes_and_own_files_refuse_them(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="how its world lies") as refused:
        read_text(tmp_path, anipose_text(), axes=None)
    assert "--world-axes" in refused.value.remedy
    own = format_anipose(Calibration(rig=ring_rig(2), source="labsys"))
    with pytest.raises(InputError, match="already in LAB"):
        read_text(tmp_path, own, axes=Z_UP)


def test_up_alone_leaves_the_heading_unknown(tmp_path: Path) -> None:
    assert not read_text(tmp_path, anipose_text(), axes=WorldAxes.parse("up=+z")).heading_known
    assert read_text(tmp_path, anipose_text(), axes=Z_UP).heading_known


def test_a_newer_schema_and_a_damaged_frame_are_refused(tmp_path: Path) -> None:
    text = format_anipose(Calibration(rig=ring_rig(2), source="labsys"))
    with pytest.raises(NewerSchemaError, match="schema 99"):
        read_text(tmp_path, text.replace("labsys_schema = 1", "labsys_schema = 99"), axes=None)
    with pytest.raises(InputError, match="expected 'LAB'"):
        read_text(tmp_path, text.replace('frame = "LAB"', 'frame = "WORLD"'), axes=None)


def test_skew_is_not_written_silently_away() -> None:
    camera = ring_rig(2).cameras[0]
    K = camera.intrinsics.matrix.copy()
    K[0, 1] = 3.0
    skewed = replace(camera, intrinsics=replace(camera.intrinsics, matrix=K))
    with pytest.raises(InputError, match="camera cam0 has skew"):
        format_anipose(Calibration(rig=CameraRig((skewed,)), source="labsys"))


def test_own_files_are_plain_toml_with_only_finite_numbers() -> None:
    document = tomllib.loads(format_anipose(Calibration(rig=ring_rig(2), source="labsys")))
    assert document["metadata"]["frame"] == "LAB"
    assert "up_sd_rad" not in document["metadata"]  # unknown, not zero


def write_opencv(path: Path, rig: CameraRig, *, numbered: bool = False) -> None:
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    for i, camera in enumerate(rig.cameras, start=1):
        values = {
            "camera_matrix": camera.intrinsics.matrix.copy(),
            "distortion_coefficients": camera.intrinsics.distortion.reshape(1, -1).copy(),
            "R": camera.T_cam_lab.rotation.copy(),
            "T": camera.T_cam_lab.translation_m.reshape(3, 1).copy(),
            "image_width": camera.intrinsics.size_px[0],
            "image_height": camera.intrinsics.size_px[1],
        }
        if not numbered:
            storage.startWriteStruct(camera.name, cv2.FileNode_MAP)
        for key, value in values.items():
            storage.write(f"{key}_{i}" if numbered else key, value)
        if not numbered:
            storage.endWriteStruct()
    storage.release()


@pytest.mark.parametrize("suffix", ["yml", "xml", "json"])
@pytest.mark.parametrize("numbered", [False, True])
def test_opencv_storage_is_read(tmp_path: Path, suffix: str, numbered: bool) -> None:
    rig = ring_rig(3)
    path = tmp_path / f"rig.{suffix}"
    write_opencv(path, rig, numbered=numbered)
    found = read_calibration(path, axes=LAB_AXES)
    assert found.source == "opencv"
    assert found.rig.names == (("1", "2", "3") if numbered else rig.names)
    assert difference_px(found.rig, rig) < 1e-6


def test_opencv_storage_of_one_camera_is_named_after_the_file(tmp_path: Path) -> None:
    rig = ring_rig(2)
    write_opencv(tmp_path / "both.yml", rig)
    text = (tmp_path / "both.yml").read_text()
    body = text.split("cam0:\n")[1].split("cam1:\n")[0]
    (tmp_path / "left.yml").write_text("%YAML 1.2\n---\n" + "\n".join(line[3:] for line in body.splitlines()) + "\n")
    found = read_calibration(tmp_path / "left.yml", axes=LAB_AXES)
    assert found.rig.names == ("left",)
    assert difference_px(found.rig, rig.select(("cam0",))) < 1e-6


def test_opencv_storage_without_pose_is_refused_by_camera_and_key(tmp_path: Path) -> None:
    write_opencv(tmp_path / "rig.yml", ring_rig(2))
    text = (tmp_path / "rig.yml").read_text().replace("   T: !!", "   elsewhere: !!", 1)
    (tmp_path / "rig.yml").write_text(text)
    with pytest.raises(InputError, match="key 'translation' of camera cam0 is missing"):
        read_calibration(tmp_path / "rig.yml", axes=LAB_AXES)


def qualisys_text(**changes: str) -> str:
    """One camera at (1, 2, 3) m that looks along +x of a world with z up."""
    values = {
        "r11": "0", "r12": "-1", "r13": "0", "r21": "0", "r22": "0", "r23": "1", "r31": "-1", "r32": "0", "r33": "0",
        "x": "1000", "y": "2000", "z": "3000", "focalLengthU": "64000", "viewrotation": "0", "active": "1", **changes,
    }  # fmt: skip
    rows = " ".join(f'{k}="{v}"' for k, v in values.items() if k[0] == "r" or k in "xyz")
    return (
        f'<?xml version="1.0"?><calibration><cameras><camera active="{values["active"]}" serial="12345" '
        f'viewrotation="{values["viewrotation"]}"><fov_video left="0" top="0" right="1087" bottom="1919"/>'
        f'<transform {rows}/><intrinsic focalLengthU="{values["focalLengthU"]}" focalLengthV="64640" '
        'centerPointU="34816" centerPointV="61440" skew="0" radialDistortion1="-0.05" radialDistortion2="0.14" '
        'radialDistortion3="0.01" tangentalDistortion1="0.001" tangentalDistortion2="0.002"/></camera></cameras>'
        "</calibration>"
    )


def test_qualisys_units_axes_and_distortion(tmp_path: Path) -> None:
    found = read_text(tmp_path, qualisys_text(), name="Calib.qca.txt")
    (camera,) = found.rig.cameras
    assert (found.source, camera.name) == ("qualisys", "12345")
    assert camera.intrinsics.matrix.tolist() == [[1000, 0, 544], [0, 1010, 960], [0, 0, 1]]
    assert camera.intrinsics.distortion.tolist() == [-0.05, 0.14, 0.001, 0.002, 0.01]
    assert camera.intrinsics.size_px == (1088, 1920)
    assert np.allclose(camera.centre_lab_m, [1.0, 3.0, -2.0])
    ahead = camera.T_cam_lab.apply([2.0, 3.0, -2.0])  # one metre along the file's +x
    assert np.allclose(ahead, [0.0, 0.0, 1.0], atol=1e-12)
    above = camera.T_cam_lab.apply([2.0, 3.1, -2.0])
    assert above[1] < 0  # up in the world is up in the picture


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"r12": "1"}, "mirrors the world"),
        ({"r12": "-3"}, "not a rotation"),
        ({"x": "none"}, "'x' of camera 12345 is not numeric"),
        ({"x": "nan"}, "'x' of camera 12345 contains NaN"),
        ({"focalLengthU": "0"}, "'focalLengthU', 'focalLengthV' of camera 12345 are 0 and 1010"),
        ({"viewrotation": "90"}, "camera 12345 has a rotated view"),
        ({"active": "0"}, "no active camera"),
    ],
)
def test_damaged_qualisys_files_are_refused(tmp_path: Path, changes: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_text(tmp_path, qualisys_text(**changes), name="Calib.qca.txt")


@pytest.mark.real_data
def test_qualisys_file_and_its_conversion_place_cameras_alike(public_data: Path) -> None:
    """Poses and camera matrices agree; distortion differs by the 64 that the conversion divided by."""
    folder = public_data / "pose2sim_balancing/calibration"
    qca = read_calibration(folder / "Calib.qca.txt", axes=Z_UP).rig
    converted = read_calibration(folder / "Calib_qualisys.toml", axes=Z_UP).rig
    assert qca.names == converted.names == ("cam_01", "cam_02", "cam_03", "cam_04")
    for a, b in zip(qca.cameras, converted.cameras, strict=True):
        assert np.abs(a.T_cam_lab.rotation - b.T_cam_lab.rotation).max() < 1e-9
        assert np.abs(a.centre_lab_m - b.centre_lab_m).max() < 1e-6
        assert np.abs(a.intrinsics.matrix - b.intrinsics.matrix).max() < 1e-5
        assert np.allclose(a.intrinsics.distortion, 64 * b.intrinsics.distortion, rtol=1e-4, atol=1e-9)
        assert a.intrinsics.size_px == b.intrinsics.size_px == (1088, 1920)
    assert all(c.centre_lab_m[1] > 1.5 for c in qca.cameras)  # above the floor


@pytest.mark.slow
@pytest.mark.real_data
def test_qualisys_distortion_is_not_in_64ths(public_data: Path) -> None:
    """The cameras' own checkerboard pictures fit better with the coefficients as they stand than divided by 64."""
    folder = public_data / "pose2sim_balancing"
    rig = read_calibration(folder / "calibration/Calib.qca.txt", axes=Z_UP).rig
    board = np.zeros((28, 3), np.float32)
    board[:, :2] = np.mgrid[0:4, 0:7].T.reshape(-1, 2) * 0.06
    fixed = cv2.CALIB_USE_INTRINSIC_GUESS | cv2.CALIB_FIX_FOCAL_LENGTH | cv2.CALIB_FIX_TANGENT_DIST
    fixed |= cv2.CALIB_FIX_K1 | cv2.CALIB_FIX_K2 | cv2.CALIB_FIX_K3
    for number, camera in enumerate(rig.cameras, start=1):
        pictures = sorted((folder / f"checkerboard_images/intrinsics/int_cam0{number}_img").glob("*.jpg"))
        found = [cv2.findChessboardCornersSB(cv2.imread(str(p), cv2.IMREAD_GRAYSCALE), (4, 7)) for p in pictures]
        corners = [c for ok, c in found if ok]
        lens = camera.intrinsics
        rms_px = [
            cv2.calibrateCamera([board] * len(corners), corners, lens.size_px, lens.matrix.copy(), d, flags=fixed)[0]
            for d in (lens.distortion.copy(), lens.distortion / 64)
        ]
        assert rms_px[0] < 0.85 * rms_px[1]


@pytest.mark.real_data
def test_caliscope_file_is_read(public_data: Path) -> None:
    path = public_data / "charuco_b/camera_array.toml"
    found = read_calibration(path, axes=WorldAxes.parse("up=+z"))
    assert found.rig.names == ("0", "1", "2", "3")
    assert not found.heading_known
    table = tomllib.loads(path.read_text())["cameras"]["2"]
    point = np.array([0.1, 0.2, 0.3])
    expected, _ = cv2.projectPoints(
        point.reshape(1, 1, 3), np.array(table["rotation"]), np.array(table["translation"]),
        np.array(table["matrix"]), np.array(table["distortions"]),
    )  # fmt: skip
    placed = WorldAxes.parse("up=+z").rotation @ point
    assert np.allclose(project_rig(found.rig, placed)[2], expected.ravel(), atol=1e-6)


def test_cameras_that_are_ignored_are_left_out(tmp_path: Path) -> None:
    text = (
        anipose_text()
        + anipose_text(name='"cam B"').split("[metadata]")[0].replace("cam_0", "cam_1")
        + "ignore = true\n"
    )
    assert read_text(tmp_path, text).rig.names == ("cam A",)


def test_lens_models_survive(tmp_path: Path) -> None:
    text = anipose_text(distortions="[ -0.02, 0.01, -0.005, 0.001]").replace(
        "[metadata]", "fisheye = true\n\n[metadata]"
    )
    (camera,) = read_text(tmp_path, text).rig.cameras
    assert isinstance(camera, Camera)
    assert isinstance(camera.intrinsics, Intrinsics)
    assert camera.intrinsics.model is LensModel.FISHEYE
    assert camera.intrinsics.distortion.shape == (4,)
