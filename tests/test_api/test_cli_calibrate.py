"""Boards and calibrations from the terminal, on the public recordings and on rendered boards."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import cv2
import numpy as np
import pytest

from calibration.align import WorldAxes
from calibration.formats import read_calibration, read_lenses
from labsys.core.errors import InputError
from tests.test_api.cli_answer import Run, make_runner

BOARD = """kind: charuco
columns: 4
rows: 5
square_m: 0.054
marker_m: 0.0405
dictionary: DICT_4X4_1000
inverted: true
"""


@pytest.fixture
def labsys(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    return make_runner(capsys)


@pytest.fixture
def board(tmp_path: Path) -> Path:
    path = tmp_path / "board.yaml"
    path.write_text(BOARD)
    return path


@pytest.fixture
def clips(public_data: Path) -> list[str]:
    folder = public_data / "charuco_b" / "calibration" / "extrinsic"
    return [f"cam{i}={folder / f'cam_{i}.mp4'}" for i in range(4)]


@pytest.fixture
def lenses(public_data: Path) -> Path:
    return public_data / "charuco_b" / "camera_array.toml"


def write_video(path: Path, *, frames: int, size: tuple[int, int] = (320, 240)) -> Path:
    """A grey room without a board."""
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10.0, size)
    rng = np.random.default_rng(1)
    for _ in range(frames):
        video.write(rng.integers(100, 140, (size[1], size[0], 3), dtype=np.uint8))
    video.release()
    return path


# ---- boards


def test_a_board_is_printed_in_its_true_size(labsys: Run, board: Path, tmp_path: Path) -> None:
    answer = labsys("board", "print", board, "--paper", "a3", "--out", "board.pdf")
    assert answer.code == 0, answer.err
    assert answer.out.strip() == "board.pdf"
    assert "both printed rulers must measure 100.0 mm" in answer.err
    assert "4 squares in a row 216.0 mm" in answer.err
    page = (tmp_path / "board.pdf").read_bytes()
    assert page.startswith(b"%PDF-")
    width, height = (float(v) for v in page.partition(b"/MediaBox [0 0 ")[2].partition(b"]")[0].split())
    assert sorted((width, height)) == pytest.approx([297 / 25.4 * 72, 420 / 25.4 * 72], abs=0.01)


@pytest.mark.slow
def test_a_board_of_the_lab_is_found_by_its_name(labsys: Run, tmp_path: Path) -> None:
    assert labsys("init", "lab", "--quiet").code == 0
    answer = labsys(
        "board", "print", "charuco_4x5", "--lab", "lab", "--out", "b.pdf", "--paper", "300x400 mm", "--json"
    )
    assert answer.code == 0, answer.err
    assert answer.json["square_mm"] == pytest.approx(54.0)
    misspelt = labsys("board", "print", "charuco_4x6", "--lab", "lab", "--out", "c.pdf")
    assert (misspelt.code, misspelt.out) == (2, "")
    assert "Did you mean 'charuco_4x5'?" in misspelt.err
    assert not (tmp_path / "c.pdf").exists()


@pytest.mark.parametrize(
    ("paper", "said"), [("a4", "Paper that fits: a3"), ("a33", "Did you mean 'a3'?"), ("100", "Unknown paper")]
)
def test_paper_that_does_not_do_is_refused(labsys: Run, board: Path, paper: str, said: str) -> None:
    board.write_text(BOARD.replace("0.054", "0.06"))
    answer = labsys("board", "print", board, "--paper", paper, "--out", "board.pdf")
    assert answer.code == 2
    assert said in answer.err


# ---- input that cannot be


def test_a_misspelt_key_names_the_nearest(labsys: Run, board: Path) -> None:
    board.write_text(BOARD.replace("square_m:", "sqare_m:"))
    answer = labsys("calibrate", "--videos", "cam0=a.mp4", "cam1=b.mp4", "--board", board, "--out", "out")
    assert (answer.code, answer.out) == (2, "")
    assert "Did you mean 'square_m'?" in answer.err
    assert str(board) in answer.err


def test_a_missing_video_names_its_camera(labsys: Run, board: Path, tmp_path: Path) -> None:
    there = write_video(tmp_path / "a.mp4", frames=3)
    answer = labsys("calibrate", "--videos", f"cam0={there}", "cam1=b.mp4", "--board", board, "--out", "out", "--json")
    assert (answer.code, answer.out) == (2, "")
    assert "camera cam1, b.mp4" in answer.err
    assert not (tmp_path / "out").exists()


def test_a_cut_video_names_its_camera(labsys: Run, board: Path, tmp_path: Path) -> None:
    whole = write_video(tmp_path / "a.mp4", frames=20)
    cut = tmp_path / "b.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    answer = labsys("calibrate", "--videos", f"cam0={whole}", f"cam1={cut}", "--board", board, "--out", "out")
    assert answer.code == 2
    assert "camera cam1" in answer.err
    assert "Copy the file again" in answer.err


def test_one_video_for_two_cameras_is_refused(labsys: Run, board: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", frames=3)
    answer = labsys("calibrate", "--videos", f"cam0={video}", f"cam1={video}", "--board", board, "--out", "out")
    assert answer.code == 2
    assert "cam0 and cam1 have the same video" in answer.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--world-axes", "up=-y", "--belt-board", "forward:0-9"), "both --world-axes and --belt-board"),
        (("--belt-board", "forwards:0-9"), "Did you mean 'forward'?"),
        (("--belt-board", "forward"), "Write forward:0-30"),
        (("--override", " "), "Say why"),
    ],
)
def test_options_that_contradict_are_refused(labsys: Run, board: Path, options: tuple[str, ...], said: str) -> None:
    answer = labsys("calibrate", "--videos", "cam0=a.mp4", "cam1=b.mp4", "--board", board, "--out", "out", *options)
    assert answer.code == 2
    assert said in answer.err


def test_a_known_length_needs_two_ends(labsys: Run, board: Path, tmp_path: Path) -> None:
    a, b = (write_video(tmp_path / f"{n}.mp4", frames=3) for n in "ab")
    length = tmp_path / "belt.yaml"
    length.write_text("name: belt\nlength_m: 1.5\nends_px:\n  cam0: [[1.0, 2.0]]\n  cam1: [[1.0, 2.0], [3.0, 4.0]]\n")
    words = ("calibrate", "--videos", f"cam0={a}", f"cam1={b}", "--board", board, "--out", "out")
    answer = labsys(*words, "--known-length", length)
    assert answer.code == 2
    assert "ends_px.cam0" in answer.err


@pytest.mark.slow
def test_a_board_never_seen_is_refused_and_the_refusal_is_kept(labsys: Run, board: Path, tmp_path: Path) -> None:
    a, b = (write_video(tmp_path / f"{n}.mp4", frames=12) for n in "ab")
    out = tmp_path / "out"
    out.mkdir()
    (out / "calibration.toml").write_text("from before")
    answer = labsys("calibrate", "--videos", f"cam0={a}", f"cam1={b}", "--board", board, "--out", out, "--json")
    assert answer.code == 3
    assert "camera cam0 never saw the board" in answer.err
    assert answer.json == json.loads((out / "report.json").read_text())
    assert answer.json["grade"] == "refused"
    assert answer.json["calibration"] is None
    cameras = answer.json["cameras"]
    assert isinstance(cameras, dict)
    assert cameras["cam0"]["solved"] is False
    assert "Show it the board closer" in cameras["cam0"]["reason"]
    assert cameras["cam1"]["reason"] is None
    assert [p.name for p in out.iterdir()] == ["report.json"], "no calibration beside a refusal"


# ---- lens files


def test_lenses_are_read_without_poses(tmp_path: Path) -> None:
    path = tmp_path / "lens.toml"
    path.write_text(
        '[cam_0]\nname = "left"\nsize = [640, 480]\ndistortions = [0.1, 0.0, 0.0, 0.0, 0.0]\n'
        "matrix = [[500.0, 0.0, 320.0], [0.0, 501.0, 240.0], [0.0, 0.0, 1.0]]\n"
    )
    assert read_lenses(path)["left"].matrix[1, 1] == 501.0
    with pytest.raises(InputError, match=r"rotation|translation"):
        read_calibration(path)
    storage = cv2.FileStorage(str(tmp_path / "right.yml"), cv2.FILE_STORAGE_WRITE)
    storage.write("camera_matrix", np.array([[500.0, 0, 320], [0, 502.0, 240], [0, 0, 1]]))
    storage.write("distortion_coefficients", np.array([0.1, 0, 0, 0, 0]))
    storage.write("image_width", 640)
    storage.write("image_height", 480)
    storage.release()
    assert read_lenses(tmp_path / "right.yml")["right"].matrix[1, 1] == 502.0
    with pytest.raises(InputError, match="does not exist"):
        read_lenses(tmp_path / "none.toml")


# ---- the public session


def triangulation_errors(toml: Path, corners: dict[str, np.ndarray]) -> tuple[float, float]:
    """RMS px and mean edge m of a calibration, through OpenCV alone; corners are (T, 12, 2) px, NaN where not seen."""
    tables = [t for t in tomllib.loads(toml.read_text()).values() if "matrix" in t]
    cameras = {
        t["name"]: (
            np.array(t["matrix"]),
            np.array(t["distortions"]),
            np.array(t["rotation"]),
            np.array(t["translation"]),
        )
        for t in tables
    }
    count = len(next(iter(corners.values())))
    errors, edges = [], []
    for frame in range(count):
        points = {}
        for corner in range(12):
            seen = [(n, xy[frame, corner]) for n, xy in corners.items() if np.isfinite(xy[frame, corner]).all()]
            if len(seen) < 2:
                continue
            rows = []
            for name, xy in seen:
                K, d, r, t = cameras[name]
                u, v = cv2.undistortPoints(xy.reshape(1, 1, 2), K, d).ravel()
                P = np.hstack([cv2.Rodrigues(r)[0], t.reshape(3, 1)])
                rows += [u * P[2] - P[0], v * P[2] - P[1]]
            h = np.linalg.svd(np.array(rows))[2][-1]
            points[corner] = h[:3] / h[3]
            for name, xy in seen:
                K, d, r, t = cameras[name]
                image = cv2.projectPoints(points[corner].reshape(1, 1, 3), r, t, K, d)[0].ravel()
                errors.append(float(np.linalg.norm(image - xy)))
        edges += [
            float(np.linalg.norm(points[i] - points[j]))
            for i in points for j in ((i + 1) if i % 3 < 2 else -1, i + 3) if j in points
        ]  # fmt: skip
    return float(np.sqrt(np.mean(np.square(errors)))), float(np.mean(edges))


def detect_with_opencv(path: Path) -> np.ndarray:
    """The board's corners in every frame, (T, 12, 2) px, by OpenCV's own decoder and detector."""
    dictionary = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_1000)
    detector = cv2.aruco.CharucoDetector(cv2.aruco.CharucoBoard((4, 5), 0.054, 0.0405, dictionary))
    video, rows = cv2.VideoCapture(str(path)), []
    while True:
        there, picture = video.read()
        if not there:
            return np.array(rows)
        found, ids, _, _ = detector.detectBoard(~cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY))
        row = np.full((12, 2), np.nan)
        if found is not None and len(found) >= 4:
            row[np.ravel(ids)] = np.reshape(found, (-1, 2))
        rows.append(row)


@pytest.mark.slow
@pytest.mark.real_data
def test_the_public_session_through_given_lenses(
    labsys: Run, board: Path, clips: list[str], lenses: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = ("calibrate", "--videos", *clips, "--board", board, "--intrinsics", lenses, "--out", out, "--json")
    answer = labsys(*words, "--override", "not needed")
    assert answer.code == 0, answer.err
    report = answer.json
    assert {
        "grade", "engine", "frames", "corners_used_pct", "board_fit_rms_mm", "edge_true_mm", "edge_mean_mm",
        "edge_sd_mm", "scale_error_pct", "rms_px", "median_px", "heldout_rms_px", "up_sd_deg", "heading_sd_deg",
        "seconds", "cameras", "calibration",
    } <= set(report)  # fmt: skip
    assert report == json.loads((out / "report.json").read_text())
    assert (report["grade"], report["engine"], report["frames"]) == ("C", "labsys", 57)
    assert report["calibration"] == str(out / "calibration.toml")
    assert report["override_reason"] is None, "nothing was refused, so nothing was overridden"
    assert float(str(report["board_fit_rms_mm"])) <= 1.05
    assert float(str(report["corners_used_pct"])) >= 95.0
    assert report["up_sd_deg"] is None
    assert "not placed in LAB" in answer.err

    corners = {name: detect_with_opencv(Path(path)) for name, _, path in (c.partition("=") for c in clips)}
    rms_px, edge_m = triangulation_errors(out / "calibration.toml", corners)
    assert rms_px <= 1.53
    assert edge_m == pytest.approx(0.054, abs=0.00025)
    assert float(str(report["rms_px"])) == pytest.approx(rms_px, rel=0.15), "false detections aside"

    page = (out / "report.html").read_text()
    assert page.count("<svg") >= 4 + 2
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")

    from aniposelib.cameras import CameraGroup

    group = CameraGroup.load(str(out / "calibration.toml"))
    assert group.get_names() == ["cam0", "cam1", "cam2", "cam3"]

    with pytest.raises(InputError, match="--world-axes"):
        read_calibration(out / "calibration.toml")
    placed = read_calibration(out / "calibration.toml", axes=WorldAxes.parse("up=-y"))
    assert (placed.grade, placed.source, placed.heading_known) == ("C", "labsys", False)
    refused = labsys("init", "lab", "--quiet")
    assert refused.code == 0
    trial = ("--subject", "S01", "--session", "2026-11-22", "--trial", "t1", "--kind", "other")
    answer = labsys("import", *trial, "--calibration", out / "calibration.toml", "--videos", *clips, "--lab", "lab")
    assert answer.code == 2
    assert "--world-axes" in answer.err


@pytest.mark.slow
@pytest.mark.real_data
def test_a_placed_calibration_is_in_lab_and_can_be_kept(
    labsys: Run, board: Path, clips: list[str], lenses: Path, tmp_path: Path
) -> None:
    assert labsys("init", "lab", "--quiet").code == 0
    words = ("calibrate", "--videos", *clips, "--board", board, "--intrinsics", lenses, "--out", "out", "--json")
    answer = labsys(*words, "--world-axes", "forward=+z,up=-y", "--save", "rig1", "--lab", "lab")
    assert answer.code == 0, answer.err
    stored = tmp_path / "lab" / "calibrations" / str(answer.json["saved"])
    assert sorted(p.name for p in stored.iterdir()) == [
        "calibration.toml", "report.html", "report.json", "source.json", "take",
    ]  # fmt: skip
    placed = read_calibration(stored / "calibration.toml")
    assert (placed.source, placed.grade, placed.heading_known, placed.override_reason) == ("labsys", "C", True, "")
    first = placed.rig.cameras[0].T_cam_lab.inverse().rotation
    np.testing.assert_allclose(first[:, 2], [1.0, 0.0, 0.0], atol=1e-12)  # looks forward
    np.testing.assert_allclose(first[:, 1], [0.0, -1.0, 0.0], atol=1e-12)  # its y points down

    again = labsys("calibrate", stored.name, "--out", "again", "--json", "--lab", "lab")
    assert again.code == 0, again.err
    assert again.json["detections_reused"] == ["cam0", "cam1", "cam2", "cam3"]
    for figure in ("rms_px", "board_fit_rms_mm", "heldout_rms_px", "corners_used_pct"):
        assert again.json[figure] == answer.json[figure]


@pytest.mark.slow
@pytest.mark.real_data
def test_videos_alone_are_refused_with_what_to_film_unless_overridden(
    labsys: Run, board: Path, clips: list[str], tmp_path: Path
) -> None:
    words = ("calibrate", "--videos", *clips, "--board", board, "--json")
    refused = labsys(*words, "--out", "refused")
    assert refused.code == 3
    assert "Film the board" in refused.err
    assert "cam3" in refused.err
    assert refused.json["grade"] == "refused"
    cameras = refused.json["cameras"]
    assert isinstance(cameras, dict)
    assert cameras["cam0"]["boards"] == 57
    assert cameras["cam0"]["coverage_pct"] < 60
    assert sorted(p.name for p in (tmp_path / "refused").iterdir()) == ["report.html", "report.json"]
    page = (tmp_path / "refused" / "report.html").read_text()
    assert "Film the board" in page
    assert page.count("Where cam") == 4, "a map of every camera says where to film next"

    forced = labsys(*words, "--out", "forced", "--override", "only these clips are left", "--world-axes", "up=-y")
    assert forced.code == 0, forced.err
    assert forced.json["override_reason"] == "only these clips are left"
    assert "cannot tell the lens" in str(forced.json["overridden"])
    kept = read_calibration(tmp_path / "forced" / "calibration.toml")
    assert kept.override_reason == "only these clips are left"
    assert not kept.heading_known
    assert "only these clips are left" in (tmp_path / "forced" / "report.html").read_text()


WRONG_BOARDS = (
    (("DICT_4X4_1000", "DICT_5X5_100"), "Set dictionary: DICT_4X4"),
    (("inverted: true", "inverted: false"), "inverted"),
)


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize(("wrong", "said"), WRONG_BOARDS)
def test_a_wrong_board_file_says_what_the_videos_show(
    labsys: Run, board: Path, clips: list[str], lenses: Path, wrong: tuple[str, str], said: str
) -> None:
    """Two cameras; `make accept` takes all four."""
    judge_wrong_board(labsys, board, clips[:2], lenses, wrong, said)


def judge_wrong_board(
    labsys: Run, board: Path, clips: list[str], lenses: Path, wrong: tuple[str, str], said: str
) -> None:
    """What is wrong with the board's file is found out from the clips."""
    board.write_text(BOARD.replace(*wrong))
    answer = labsys("calibrate", "--videos", *clips, "--board", board, "--intrinsics", lenses, "--out", "out")
    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err
    assert "cam0" in answer.err
