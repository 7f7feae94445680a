"""What `labsys calibrate` refuses before it does any work, and checks against calibrations that nobody placed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from calibration.formats import format_anipose
from labsys.core.cameras import Calibration
from tests.test_api.cli_answer import Run, make_runner
from tests.test_api.rendered_lab import BOARD_YAML, SIZE, make_rig

pytestmark = pytest.mark.slow

VIDEOS = ("--videos", "cam0=a.mp4", "cam1=b.mp4", "--board", "board.yaml")


@pytest.fixture
def labsys(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Two videos without a board, a board file and a lab."""
    monkeypatch.chdir(tmp_path)
    Path("board.yaml").write_text(BOARD_YAML)
    for name in "ab":
        video = cv2.VideoWriter(f"{name}.mp4", cv2.VideoWriter.fourcc(*"mp4v"), 10.0, SIZE)
        rng = np.random.default_rng(ord(name))
        for _ in range(12):
            video.write(rng.integers(100, 140, (SIZE[1], SIZE[0], 3), dtype=np.uint8))
        video.release()
    run = make_runner(capsys)
    assert run("init", "lab", "--quiet").code == 0
    return run


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--save", "a/b", "--world-axes", "up=-y"), "'a/b' cannot name a calibration"),
        (("--save", "", "--world-axes", "up=-y"), "'' cannot name a calibration"),
        (("--save", "rig1"), "not placed in LAB cannot be kept"),
    ],
)
def test_what_cannot_be_kept_is_refused_before_the_work(labsys: Run, options: tuple[str, ...], said: str) -> None:
    answer = labsys("calibrate", *VIDEOS, "--out", "out", "--lab", "lab", *options)
    assert answer.code == 2
    assert said in answer.err
    assert not Path("out").exists()


@pytest.mark.parametrize("out", ["there", "there/below"])
def test_a_file_in_the_place_of_the_folder_is_refused_before_the_work(labsys: Run, out: str) -> None:
    Path("there").write_text("mine")
    answer = labsys("calibrate", *VIDEOS, "--out", out)
    assert answer.code == 2
    assert "is a file, not a folder" in answer.err
    assert Path("there").read_text() == "mine"


def test_a_board_is_not_printed_into_a_folder_that_is_not_there(labsys: Run) -> None:
    answer = labsys("board", "print", "board.yaml", "--paper", "800x900", "--out", "nodir/b.pdf")
    assert answer.code == 2
    assert "there is no such folder" in answer.err
    assert not Path("nodir").exists()


WITHOUT_MEANING = (
    ("--out", "x"),
    ("--save", "x"),
    ("--override", "x"),
    ("--intrinsics", "x"),
    ("--engine", "anipose"),
    ("--lens-model", "fisheye"),
    ("--known-length", "x"),
    ("--world-axes", "up=-y"),
    ("--belt-board", "forward:0-9"),
    ("--lab-points", "x"),
    ("--survey-tags", "x"),
    ("--feet", "x"),
    ("--level-board", "0-9"),
    ("--plumb-line", "x"),
    ("--belt-level-sd", "0.1"),
    ("--rig", "x"),
)


def test_a_check_takes_no_option_that_means_nothing_to_it(labsys: Run) -> None:
    for option in WITHOUT_MEANING:
        answer = labsys("calibrate", "--check", *VIDEOS, *option)
        assert answer.code == 2
        assert f"--check changes nothing and takes no {option[0]}." in answer.err


def test_a_calibration_that_nobody_placed_can_be_checked(labsys: Run) -> None:
    rig = make_rig(0).select(("cam0", "cam1"))
    Path("c.toml").write_text(format_anipose(replace(Calibration(rig, "labsys"), heading_known=False), in_lab=False))
    answer = labsys("calibrate", "--check", *VIDEOS, "--calibration", "c.toml", "--json")
    assert "--world-axes" not in answer.err
    assert answer.code == 3
    assert answer.json["verdict"] == "cannot_tell"
    Path("tags.yaml").write_text(
        "schema: labsys.tags/1\nname: t\ndictionary: DICT_5X5_100\ntags:\n  - {id: 3, size_m: 0.2}\n"
    )
    answer = labsys("calibrate", "--check", *VIDEOS, "--calibration", "c.toml", "--tags", "tags.yaml")
    assert answer.code == 2
    assert "not placed there" in answer.err
