"""Every way into LAB through the terminal, on a rendered lab whose truth is known; and worlds that are refused."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml

from api.cli import main
from calibration.formats import format_anipose, read_calibration
from labsys.capture.tags import load_tags
from labsys.core.cameras import Calibration, CameraRig
from labsys.core.rigid import RigidTransform
from tests.test_api.cli_answer import Answer, Run, make_runner
from tests.test_api.rendered_lab import (
    BOARD_YAML,
    LYING,
    TAGS,
    TAGS_YAML,
    compare_in_lab,
    film,
    make_rig,
    mark,
    wave_board,
    write_lenses,
)

pytestmark = pytest.mark.slow
WAVED, LAID = 40, 6
LYING_FRAMES = f"{WAVED}-{WAVED + LAID - 1}"


@dataclass(frozen=True)
class Session:
    """Videos of one calibration take, and the rig behind them."""

    rig: CameraRig
    folder: Path
    videos: list[str]

    @property
    def words(self) -> list[object]:
        lenses = self.folder / "lenses.toml"
        return ["calibrate", "--videos", *self.videos, "--board", self.folder / "board.yaml", "--intrinsics", lenses]


def make_session(
    folder: Path, rig: CameraRig, *, waved: int = WAVED, laid: int = LAID, **moved: RigidTransform
) -> Session:
    videos = film(folder, rig, [*wave_board(waved), *[LYING] * laid], rate_hz=5.0, **moved)
    (folder / "board.yaml").write_text(BOARD_YAML)
    (folder / "tags.yaml").write_text(TAGS_YAML)
    write_lenses(folder / "lenses.toml", rig)
    return Session(rig, folder, videos)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    return make_session(tmp_path_factory.mktemp("session"), make_rig(0))


@pytest.fixture
def labsys(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    return make_runner(capsys)


def placed(answer: Answer) -> Calibration:
    assert answer.code == 0, answer.err
    return read_calibration(Path(answer.json["calibration"]))


def test_a_board_on_the_belt_with_gravity_gives_lab_and_its_uncertainty(labsys: Run, session: Session) -> None:
    words = (*session.words, "--belt-board", f"forward:{LYING_FRAMES}", "--level-board", LYING_FRAMES)
    answer = labsys(*words, "--out", "out", "--json")
    found = placed(answer)
    place_m, turn_rad = compare_in_lab(found.rig, session.rig)
    assert place_m < 0.006
    assert np.degrees(turn_rad) < 0.2
    assert answer.json["placed_by"] == "board on the belt, gravity from levelled board"
    assert answer.json["tilt_deg"] is None
    assert "neither checks the other" in answer.err
    one = labsys(*session.words, "--belt-board", "forward:20-20", "--level-board", "20-20", "--out", "held")
    assert one.code == 2
    assert "too short to show that the board lay still" in one.err
    assert not Path("held").exists()
    assert 0.1 <= answer.json["up_sd_deg"] < 0.4
    assert 0 < answer.json["heading_sd_deg"] < 0.4
    assert np.degrees(found.up_sd_rad) == pytest.approx(answer.json["up_sd_deg"])
    assert np.degrees(found.heading_sd_rad) == pytest.approx(answer.json["heading_sd_deg"])
    page = Path("out/report.html").read_text()
    assert f"{answer.json['up_sd_deg']:.2f}°" in page


def test_without_gravity_up_is_unknown_unless_the_belt_is_said_to_be_level(labsys: Run, session: Session) -> None:
    words = (*session.words, "--belt-board", f"forward:{LYING_FRAMES}", "--out", "out", "--json")
    answer = labsys(*words)
    assert answer.json["up_sd_deg"] is None
    assert "gravity was not measured" in answer.err
    said = labsys(*words, "--belt-level-sd", "0.3")
    assert said.json["up_sd_deg"] == pytest.approx(0.3, abs=0.1)
    both = labsys(*words, "--belt-level-sd", "0.3", "--level-board", LYING_FRAMES)
    assert both.code == 2
    assert "Leave --belt-level-sd out" in both.err


@pytest.fixture(scope="module")
def run_in_lab(session: Session, tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    """A synthetic runner seen by the rig's cameras, in a lab of its own; the words that name it."""
    folder = tmp_path_factory.mktemp("run")
    truth, lab = folder / "truth.toml", folder / "lab"
    truth.write_text(format_anipose(Calibration(session.rig, "truth")))
    synth = ("synth", "--out", folder / "synth", "--what", "landmarks2d", "--calibration", truth, "--seconds", "8")
    trial = ("--subject", "S01", "--session", "2026-11-22", "--trial", "run1", "--from-synth", folder / "synth")
    for words in (("init", lab), (*synth, "--noise-px", "1", "--speed-mps", "3"), ("import", *trial, "--lab", lab)):
        with pytest.raises(SystemExit) as left:
            main([str(w) for w in (*words, "--quiet")])
        assert left.value.code in (0, None)
    return ["--feet", "S01/2026-11-22/run1", "--lab", lab]


def test_a_board_laid_the_other_way_is_found_out_by_the_runners_feet(
    labsys: Run, session: Session, run_in_lab: list[object]
) -> None:
    words = (*session.words, "--level-board", LYING_FRAMES, *run_in_lab)
    right = labsys(*words, "--belt-board", f"forward:{LYING_FRAMES}", "--out", "right", "--json")
    assert compare_in_lab(placed(right).rig, session.rig)[0] < 0.006
    wrong = labsys(*words, "--belt-board", f"backward:{LYING_FRAMES}", "--out", "wrong", "--json")
    assert wrong.code == 3
    assert "X points backward" in wrong.err
    assert wrong.json["calibration"] is None
    sideways = labsys(*words, "--belt-board", f"left:{LYING_FRAMES}", "--out", "wrong", "--json")
    assert sideways.code == 3
    assert "degrees off -X" in sideways.err


def test_the_runners_feet_alone_give_lab(labsys: Run, session: Session, run_in_lab: list[object]) -> None:
    answer = labsys(*session.words, *run_in_lab, "--belt-level-sd", "0.5", "--out", "out", "--json")
    found = placed(answer)
    turns = [
        f.T_cam_lab.rotation.T @ t.T_cam_lab.rotation
        for f, t in zip(found.rig.cameras, session.rig.cameras, strict=True)
    ]
    up_deg = np.degrees(np.arccos(turns[0][1, 1]))
    heading_deg = np.degrees(np.arctan2(turns[0][0, 2], turns[0][0, 0]))
    assert up_deg < 2 * answer.json["up_sd_deg"] < 5.0
    assert abs(heading_deg) < 3 * answer.json["heading_sd_deg"] < 3.0
    height = [
        f.centre_lab_m[1] - t.centre_lab_m[1] for f, t in zip(found.rig.cameras, session.rig.cameras, strict=True)
    ]
    assert np.abs(np.mean(height)) < 0.06
    assert answer.json["placed_by"] == "forefoot in mid-stance"


def test_marked_points_give_lab_and_a_plumb_line_gives_gravity(labsys: Run, session: Session) -> None:
    rig, cameras = session.rig, ("cam0", "cam1", "cam2", "cam3")
    corners = {"fl": [0.7, 0, -0.25], "fr": [0.7, 0, 0.25], "rr": [-0.7, 0, 0.25], "rl": [-0.7, 0, -0.25]}
    points = {name: {"lab_m": at, "px": mark(rig, at, cameras)} for name, at in corners.items()}
    Path("points.yaml").write_text(yaml.safe_dump({"points": points}))
    plumb = {"top_px": mark(rig, [0, 1.2, 0.1], cameras[:3]), "bottom_px": mark(rig, [0, 0.2, 0.1], cameras[:3])}
    Path("plumb.yaml").write_text(yaml.safe_dump(plumb))
    words = (*session.words, "--lab-points", "points.yaml", "--out", "out", "--json")
    answer = labsys(*words, "--plumb-line", "plumb.yaml")
    place_m, turn_rad = compare_in_lab(placed(answer).rig, rig)
    assert place_m < 0.006
    assert np.degrees(turn_rad) < 0.2
    assert 0.05 < answer.json["up_sd_deg"] < 0.5

    points["fl"]["lab_m"] = [0.7, 0.3, -0.25]
    Path("points.yaml").write_text(yaml.safe_dump({"points": points}))
    moved = labsys(*words)
    assert moved.code == 2
    assert "mm from where it should" in moved.err
    points["fl"]["lab_m"] = corners["fl"]
    points["post"] = {"lab_m": [0.5, -0.8, 0.0], "px": mark(rig, [0.5, 0.8, 0.0], cameras)}
    Path("points.yaml").write_text(yaml.safe_dump({"points": points}))
    mirrored = labsys(*words)
    assert mirrored.code == 3
    assert "mirrored world" in mirrored.err


def test_a_world_upside_down_is_refused(labsys: Run, session: Session) -> None:
    cameras = ("cam0", "cam1", "cam2", "cam3")
    corners = {"a": [0.7, 0, -0.25], "b": [0.7, 0, 0.25], "c": [-0.7, 0, 0.25], "d": [-0.7, 0, -0.25]}
    turned = {
        n: {"lab_m": [x, 0.0, -z], "px": mark(session.rig, [x, y, z], cameras)} for n, (x, y, z) in corners.items()
    }
    Path("points.yaml").write_text(yaml.safe_dump({"points": turned}))
    answer = labsys(*session.words, "--lab-points", "points.yaml", "--out", "out", "--json")
    assert answer.code == 3
    assert "the world is upside down" in answer.err
    gravity = labsys(
        *session.words, "--lab-points", "points.yaml", "--level-board", LYING_FRAMES, "--out", "out", "--json"
    )
    assert gravity.code == 3
    assert "180 degrees away from against gravity" in gravity.err or "upside down" in gravity.err


def test_gravity_alone_leaves_the_heading_unknown(labsys: Run, session: Session) -> None:
    answer = labsys(*session.words, "--level-board", LYING_FRAMES, "--out", "out", "--json")
    found = placed(answer)
    assert not found.heading_known
    assert np.isnan(found.heading_sd_rad)
    up = [(f.T_cam_lab.rotation.T @ t.T_cam_lab.rotation)[1, 1]
          for f, t in zip(found.rig.cameras, session.rig.cameras, strict=True)]  # fmt: skip
    assert np.degrees(np.arccos(np.clip(up, -1, 1))).max() < 0.3


def test_a_known_length_finds_the_wrong_square(labsys: Run, session: Session, tmp_path: Path) -> None:
    a, b = [-0.7, 0.0, 0.0], [0.7, 0.0, 0.0]
    ends = {c: [mark(session.rig, a, [c])[c], mark(session.rig, b, [c])[c]] for c in ("cam0", "cam2", "cam3")}
    Path("belt.yaml").write_text(yaml.safe_dump({"name": "belt", "length_m": 1.4, "ends_px": ends}))
    right = labsys(*session.words, "--known-length", "belt.yaml", "--out", "out", "--json")
    assert right.code == 0, right.err
    assert abs(right.json["scale_error_pct"]) < 0.3
    larger = tmp_path / "board.yaml"
    larger.write_text(BOARD_YAML.replace("0.12", "0.1236").replace("0.09\n", "0.0927\n"))
    words = [larger if w == session.folder / "board.yaml" else w for w in session.words]
    wrong = labsys(*words, "--known-length", "belt.yaml", "--out", "wrong", "--json")
    assert wrong.code == 3
    assert "belt measures 144" in wrong.err
    assert "Measure the board's squares: 119." in wrong.err or "Measure the board's squares: 120." in wrong.err


def test_tags_surveyed_once_place_a_rig_that_stands_elsewhere(labsys: Run, session: Session, tmp_path: Path) -> None:
    tags = session.folder / "tags.yaml"
    survey = (
        *session.words,
        "--belt-board",
        f"forward:{LYING_FRAMES}",
        "--tags",
        tags,
        "--survey-tags",
        "treadmill.yaml",
    )
    unknown = labsys(*survey, "--out", "survey", "--json")
    assert unknown.code == 3
    assert "while up is unknown" in unknown.err
    assert not Path("treadmill.yaml").exists()
    surveyed = labsys(*survey, "--level-board", LYING_FRAMES, "--out", "survey", "--json")
    assert surveyed.code == 0, surveyed.err
    known = load_tags(Path("treadmill.yaml"))
    for tag in known.tags:
        assert tag.pose is not None
        found = RigidTransform.from_rotvec(tag.pose.rotvec_rad, tag.pose.translation_m)
        assert np.linalg.norm(found.translation_m - TAGS[tag.id].translation_m) < 0.004
        assert np.degrees(np.linalg.norm((found.inverse() @ TAGS[tag.id]).as_rotvec())) < 1.0

    elsewhere = make_session(tmp_path / "later", make_rig(5), laid=0)
    answer = labsys(*elsewhere.words, "--tags", "treadmill.yaml", "--out", "later", "--json")
    place_m, turn_rad = compare_in_lab(placed(answer).rig, elsewhere.rig)
    assert place_m < 0.008
    assert np.degrees(turn_rad) < 0.25
    assert answer.json["placed_by"] == "surveyed tags"
    assert answer.json["up_sd_deg"] >= surveyed.json["up_sd_deg"]
    unsurveyed = labsys(*elsewhere.words, "--tags", tags, "--out", "none", "--json")
    assert unsurveyed.code == 2
    assert "not surveyed" in unsurveyed.err

    check_the_treadmill(labsys, session, tmp_path)


def check_the_treadmill(labsys: Run, session: Session, tmp_path: Path) -> None:
    """The daily check with tags: nothing moved; the treadmill was inclined."""
    known = ("--calibration", "survey/calibration.toml", "--tags", "treadmill.yaml", "--json")
    same = make_session(tmp_path / "same", session.rig, waved=30, laid=0)
    check = ("calibrate", "--check", "--board", session.folder / "board.yaml", *known)
    answer = labsys(*check, "--videos", *same.videos)
    assert answer.code == 0, answer.err
    assert answer.json["verdict"] == "still_valid"
    assert abs(answer.json["treadmill"]["pitch_deg"]) < 0.2
    assert answer.json["seconds"]["total"] < 30

    pitched = RigidTransform.from_rotvec([0.0, 0.0, np.arctan(0.05)], np.zeros(3))
    inclined = make_session(tmp_path / "inclined", session.rig, waved=30, laid=0, treadmill=pitched)
    answer = labsys(*check, "--videos", *inclined.videos)
    assert answer.code == 3
    assert answer.json["treadmill"]["incline_change_pct"] == pytest.approx(5.0, abs=0.3)
    assert "the treadmill did" in answer.json["reason"]
