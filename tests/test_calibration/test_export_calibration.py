"""What labsys writes for other programs is what they would read, and comes back as it was."""

from __future__ import annotations

import json
import math
import tomllib
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from api.cli import main
from benchmarks.scenes import ring_rig, scattered_points
from calibration.align import WorldAxes
from calibration.calibrate import calibrate_corners
from calibration.formats import (
    CalibrationFormat,
    format_anipose,
    format_calibration,
    not_carried,
    read_as_written,
    read_calibration,
    write_anipose,
)
from calibration.projection import project_rig
from labsys.core.cameras import Calibration, Camera, CameraRig, LensModel
from labsys.core.errors import InputError
from labsys.storage.calibrations import save_calibration_folder
from labsys.storage.lab import find_lab
from tests.test_calibration.board_scenes import make_scene, see_corners

POINTS = scattered_points(40, 3, seed=2)
LAB_AXES = WorldAxes.parse("forward=+x,up=+y")
FILES = (
    (CalibrationFormat.ANIPOSE, "c.toml"),
    (CalibrationFormat.CALISCOPE, "c.toml"),
    (CalibrationFormat.OPENCV, "c.yml"),
    (CalibrationFormat.OPENCV, "c.xml"),
    (CalibrationFormat.OPENCV, "c.json"),
    (CalibrationFormat.QUALISYS, "c.qca.txt"),
)
_PINHOLE_ONLY = CalibrationFormat.QUALISYS  # refuses a fisheye by name


def difference_px(a: CameraRig, b: CameraRig) -> float:
    return float(np.abs(project_rig(a, POINTS) - project_rig(b, POINTS)).max())


def renamed(rig: CameraRig, names: tuple[str, ...]) -> CameraRig:
    return CameraRig(tuple(replace(c, name=n) for c, n in zip(rig.cameras, names, strict=True)))


def write(path: Path, rig: CameraRig, wanted: CalibrationFormat, *, in_lab: bool = False) -> Path:
    path.write_text(format_calibration(Calibration(rig, "labsys"), wanted, name=path.name, in_lab=in_lab))
    return path


# ---- round trips


@pytest.mark.parametrize(
    ("wanted", "name", "model"),
    [(*f, m) for f in FILES for m in LensModel if m is LensModel.PINHOLE or f[0] != _PINHOLE_ONLY],
)
def test_every_format_comes_back_as_it_was(
    tmp_path: Path, wanted: CalibrationFormat, name: str, model: LensModel
) -> None:
    rig = renamed(ring_rig(4, model=model), ("left", "cam A", "12345", "cam-7.b"))
    path = write(tmp_path / name, rig, wanted)
    for _ in range(3):
        found, in_lab = read_as_written(path)
        assert found.rig.names == rig.names
        assert not in_lab
        assert difference_px(found.rig, rig) < 1e-9
        assert [c.intrinsics.model for c in found.rig.cameras] == [model] * 4
        assert [c.intrinsics.size_px for c in found.rig.cameras] == [(1280, 720)] * 4
        path = write(tmp_path / name, found.rig, wanted)


@pytest.mark.real_data
@pytest.mark.parametrize("original", ["charuco_b/camera_array.toml", "charuco_b/config.toml"])
def test_caliscopes_own_files_go_through_every_format(public_data: Path, tmp_path: Path, original: str) -> None:
    caliscope, _ = read_as_written(public_data / original)
    assert caliscope.source == "caliscope"
    assert len(caliscope.rig.cameras) == 4, "board and session in config.toml are no cameras"
    for wanted, name in FILES:
        again, _ = read_as_written(write(tmp_path / name, caliscope.rig, wanted))
        assert again.rig.names[0] in caliscope.rig.names[0]
        for a, b in zip(again.rig.cameras, caliscope.rig.cameras, strict=True):
            np.testing.assert_allclose(a.T_cam_lab.rotation, b.T_cam_lab.rotation, atol=1e-12)
            np.testing.assert_allclose(a.T_cam_lab.translation_m, b.T_cam_lab.translation_m, atol=1e-12)
            np.testing.assert_allclose(a.intrinsics.matrix, b.intrinsics.matrix, rtol=1e-14)
            np.testing.assert_allclose(a.intrinsics.distortion, b.intrinsics.distortion, rtol=1e-14)


@pytest.mark.real_data
def test_a_qualisys_file_is_written_with_the_numbers_it_was_read_with(public_data: Path, tmp_path: Path) -> None:
    original = public_data / "pose2sim_balancing" / "calibration" / "Calib.qca.txt"
    found, _ = read_as_written(original)
    again = write(tmp_path / "c.qca.txt", found.rig, CalibrationFormat.QUALISYS)
    before, after = ({e.get("serial"): e for e in ET.parse(p).getroot().iter("camera")} for p in (original, again))
    assert list(before) == list(after)
    for serial, element in before.items():
        for tag in ("fov_video", "transform", "intrinsic"):
            theirs, ours = element.find(tag), after[serial].find(tag)
            assert theirs is not None
            assert ours is not None
            for key in set(theirs.attrib) & set(ours.attrib) - {"sensorMaxU", "sensorMaxV"}:
                assert float(ours.attrib[key]) == pytest.approx(float(theirs.attrib[key]), abs=1e-6), f"{tag} {key}"


# ---- read as the other program reads it


def opencv_image(points: np.ndarray, camera: tuple[np.ndarray, ...], *, fisheye: bool) -> np.ndarray:
    K, k, rotation, t = camera
    R = cv2.Rodrigues(rotation)[0] if rotation.size == 3 else rotation
    rvec = cv2.Rodrigues(R)[0]
    if fisheye:
        return np.asarray(cv2.fisheye.projectPoints(points[:, None], rvec, t.reshape(3, 1), K, k)[0][:, 0])
    return np.asarray(cv2.projectPoints(points, rvec, t, K, k)[0][:, 0])


@pytest.mark.parametrize("model", list(LensModel))
def test_opencv_reads_and_projects_what_is_written(tmp_path: Path, model: LensModel) -> None:
    rig, points = ring_rig(3, model=model), POINTS.reshape(-1, 3)
    storage = cv2.FileStorage(str(write(tmp_path / "c.yml", rig, CalibrationFormat.OPENCV)), cv2.FILE_STORAGE_READ)
    for camera, expected in zip(rig.cameras, np.moveaxis(project_rig(rig, points), 1, 0), strict=True):
        node = storage.getNode(camera.name)
        values = tuple(node.getNode(k).mat() for k in ("camera_matrix", "distortion_coefficients", "R", "T"))
        assert bool(node.getNode("fisheye").real()) == (model is LensModel.FISHEYE)
        assert np.abs(opencv_image(points, values, fisheye=model is LensModel.FISHEYE) - expected).max() < 1e-6


@pytest.mark.parametrize("model", list(LensModel))
def test_caliscope_finds_whole_numbers_vectors_and_the_lens(tmp_path: Path, model: LensModel) -> None:
    """As its loader does: table keys are numbers, rotation a Rodrigues vector, fisheye a flag."""
    rig, points = ring_rig(3, model=model), POINTS.reshape(-1, 3)
    tables = tomllib.loads(write(tmp_path / "c.toml", rig, CalibrationFormat.CALISCOPE).read_text())["cameras"]
    assert [int(key) for key in tables] == [0, 1, 2]
    for (number, table), expected in zip(tables.items(), np.moveaxis(project_rig(rig, points), 1, 0), strict=True):
        assert table["cam_id"] == int(number)
        assert table["fisheye"] == (model is LensModel.FISHEYE)
        values = tuple(np.array(table[k]) for k in ("matrix", "distortions", "rotation", "translation"))
        assert np.abs(opencv_image(points, values, fisheye=table["fisheye"]) - expected).max() < 1e-6


def test_qualisys_finds_millimetres_and_its_own_axes(tmp_path: Path) -> None:
    """Its camera looks along -z with y up; image quantities in 1/64 px from the corner of the field of view."""
    rig, points = ring_rig(3), POINTS.reshape(-1, 3)
    root = ET.parse(write(tmp_path / "c.qca.txt", rig, CalibrationFormat.QUALISYS)).getroot()
    for element, expected in zip(root.iter("camera"), np.moveaxis(project_rig(rig, points), 1, 0), strict=True):
        place, lens = ({k: float(v) for k, v in element.find(t).attrib.items()} for t in ("transform", "intrinsic"))  # type: ignore[union-attr]
        R = np.array([[place[f"r{i}{j}"] for j in (1, 2, 3)] for i in (1, 2, 3)])
        seen = (1000 * points - [place[a] for a in "xyz"]) @ R.T
        assert (seen[:, 2] < 0).all()
        fx, fy, cx, cy = (lens[k] / 64 for k in ("focalLengthU", "focalLengthV", "centerPointU", "centerPointV"))
        K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
        order = ("radialDistortion1", "radialDistortion2", "tangentalDistortion1", "tangentalDistortion2")
        k = np.array([lens[word] for word in (*order, "radialDistortion3")])
        image = cv2.projectPoints(seen * [1, -1, -1], np.zeros(3), np.zeros(3), K, k)[0][:, 0]
        assert np.abs(image - expected).max() < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("fisheye", [False, True])
def test_aniposelib_projects_a_solved_rig_to_the_same_pixels(tmp_path: Path, fisheye: bool) -> None:
    from aniposelib.cameras import CameraGroup, FisheyeCamera

    scene = make_scene(3, seed=8, fisheye=fisheye, arc_rad=1.5, seconds=20.0, rate_hz=4.0)
    solved = calibrate_corners(see_corners(scene, noise_px=0.3, seed=1), lenses=scene.lenses).rig
    path = tmp_path / "calibration.toml"
    path.write_text(format_anipose(Calibration(solved, "labsys"), in_lab=False))
    group = CameraGroup.load(str(path))
    assert all(isinstance(c, FisheyeCamera) == fisheye for c in group.cameras)
    boards = (np.einsum("tij,nj->tni", scene.R_rig_board, scene.board.corners_m) + scene.t_rig_board_m[:, None])[::5]
    in_first = scene.rig.cameras[0].T_cam_lab.apply(boards.reshape(-1, 3))  # the solved rig's world
    ours = project_rig(solved, in_first)
    theirs = np.moveaxis(group.project(in_first), 0, 1)
    seen = np.isfinite(ours).all(axis=-1)
    assert seen.sum() > 500
    assert np.abs(theirs - ours)[seen].max() < 1e-6


# ---- what a format cannot hold


@pytest.mark.parametrize(("wanted", "name"), FILES)
def test_skew_is_refused_by_every_format(wanted: CalibrationFormat, name: str) -> None:
    first, second = ring_rig(2).cameras
    K = first.intrinsics.matrix.copy()
    K[0, 1] = 2.0
    rig = CameraRig((second, Camera("tilted", replace(first.intrinsics, matrix=K), first.T_cam_lab)))
    with pytest.raises(InputError, match="camera tilted has skew"):
        format_calibration(Calibration(rig, "labsys"), wanted, name=name)


def test_qualisys_refuses_a_fisheye_by_name() -> None:
    rig = CameraRig((*ring_rig(2).cameras, replace(ring_rig(1, model=LensModel.FISHEYE).cameras[0], name="wide")))
    with pytest.raises(InputError, match=r"camera wide has a fisheye lens.*anipose, caliscope or opencv"):
        format_calibration(Calibration(rig, "labsys"), CalibrationFormat.QUALISYS, name="c.qca.txt")


def test_what_is_only_known_about_a_calibration_is_said_not_dropped() -> None:
    known = Calibration(
        ring_rig(2), "labsys", heading_known=False, grade="B", up_sd_rad=0.002, override_reason="board was bent"
    )
    assert not_carried(known, CalibrationFormat.ANIPOSE) == ()
    for wanted in (CalibrationFormat.CALISCOPE, CalibrationFormat.OPENCV, CalibrationFormat.QUALISYS):
        said = "; ".join(not_carried(known, wanted))
        for text in (
            "--world-axes up=+y",
            "graded B",
            "overridden (board was bent)",
            "not for comparison",
            "uncertain",
        ):
            assert text in said
    assert not_carried(Calibration(ring_rig(2), "opencv"), CalibrationFormat.OPENCV, in_lab=False) == ()
    named = Calibration(renamed(ring_rig(2), ("left", "right")), "opencv")
    assert "left is 0, right is 1" in not_carried(named, CalibrationFormat.CALISCOPE, in_lab=False)[0]


def test_two_cameras_of_one_name_are_refused(tmp_path: Path) -> None:
    text = format_calibration(Calibration(ring_rig(2), "labsys"), CalibrationFormat.OPENCV, name="c.yml")
    (tmp_path / "c.yml").write_text(text.replace("name: cam1", "name: cam0").replace('name: "cam1"', 'name: "cam0"'))
    with pytest.raises(InputError, match="two cameras are called cam0"):
        read_as_written(tmp_path / "c.yml")


# ---- the command


def labsys(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main([str(w) for w in words])
    said = capsys.readouterr()
    return int(left.value.code or 0), said.out, said.err


def test_a_calibration_of_the_lab_is_written_for_others(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert labsys(capsys, "init", "lab", "--quiet")[0] == 0
    rig = ring_rig(3)
    text = format_anipose(Calibration(rig, "labsys", grade="A"))
    name = save_calibration_folder(
        find_lab(tmp_path / "lab"), label="rig1", date="2026-11-22", calibration_toml=text, original=None, report={}
    )
    words = ("calibration", "export", name, "--lab", "lab", "--format", "qualisys", "--out", "rig1.qca.txt", "--json")
    code, out, err = labsys(capsys, *words)
    assert code == 0, err
    document = json.loads(out)
    assert document["file"] == "rig1.qca.txt"
    assert "rig1.qca.txt does not say: it is graded A" in err
    assert any("--world-axes forward=+x,up=+y" in sentence for sentence in document["not_carried"])
    back = read_calibration(tmp_path / "rig1.qca.txt", axes=LAB_AXES)
    assert difference_px(back.rig, rig) < 1e-9

    code, out, err = labsys(capsys, *words)
    assert (code, out) == (2, "")
    assert "exists already" in err


def test_a_foreign_calibration_becomes_anipose_in_lab_or_out_of_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = write(tmp_path / "c.yml", ring_rig(2), CalibrationFormat.OPENCV)
    export = ("calibration", "export", path, "--format", "anipose", "--out")
    assert labsys(capsys, *export, tmp_path / "as_it_is.toml")[0] == 0
    with pytest.raises(InputError, match="how its world lies"):
        read_calibration(tmp_path / "as_it_is.toml")
    assert labsys(capsys, *export, tmp_path / "placed.toml", "--world-axes", "up=+z")[0] == 0
    placed = read_calibration(tmp_path / "placed.toml")
    assert (placed.source, placed.heading_known, math.isnan(placed.up_sd_rad)) == ("opencv", False, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--format", "opencv", "--out", "c.toml"), "a file for opencv is not called '*.toml'"),
        (("--format", "qualisys", "--out", "c.qca.txt"), "camera cam0 has a fisheye lens"),
        (("--format", "anipose", "--out", "c.toml", "--world-axes", "up=+q"), "+q"),
    ],
)
def test_a_refusal_writes_nothing(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_anipose(tmp_path / "in.toml", Calibration(ring_rig(2, model=LensModel.FISHEYE), "labsys"))
    code, out, err = labsys(capsys, "calibration", "export", "in.toml", *words)
    assert (code, out) == (2, "")
    assert said in err
    assert [p.name for p in tmp_path.iterdir()] == ["in.toml"]
