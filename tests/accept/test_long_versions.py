"""What the suite does a part of, done in full.

Long: run by `make accept`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from calibration.board.detect import MIN_CORNERS, detect_videos
from calibration.board.detector import full_search
from labsys.storage.video import read_gray_frames
from tests.test_api.cli_answer import make_runner
from tests.test_api.test_cli_calibrate import BOARD as BOARD_YAML
from tests.test_api.test_cli_calibrate import WRONG_BOARDS, judge_wrong_board
from tests.test_calibration.test_charuco_real import BOARD, NAMES
from tests.test_labsys.test_biomechanics_uncertainty import judge_angle_errors
from tests.test_pipelines.run_scene import kill_at_random_moments, make_template
from tests.test_readme import blocks


def test_killed_at_ten_random_moments_the_same_command_gives_the_same_result(tmp_path: Path) -> None:
    kill_at_random_moments(make_template(tmp_path), tmp_path, moments=10)


def test_the_readme_works_in_a_shell(tmp_path: Path) -> None:
    script = "set -eu\n" + "\n".join(blocks("A lab of your own"))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    outcome = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert "hip_ext_pelvis_peak" in outcome.stdout
    assert (tmp_path / "run1-csv/metrics.csv").is_file()


def test_angles_of_twelve_trials_err_as_much_as_they_say() -> None:
    judge_angle_errors(trials=12)


@pytest.mark.parametrize(("wrong", "said"), WRONG_BOARDS)
def test_a_wrong_board_file_says_what_all_videos_show(
    wrong: tuple[str, str],
    said: str,
    public_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "board.yaml").write_text(BOARD_YAML)
    folder = public_data / "charuco_b"
    clips = [f"cam{i}={folder / f'calibration/extrinsic/cam_{i}.mp4'}" for i in range(4)]
    lenses = folder / "camera_array.toml"
    judge_wrong_board(make_runner(capsys), tmp_path / "board.yaml", clips, lenses, wrong, said)


def test_no_board_is_lost_against_the_full_search(public_data: Path) -> None:
    for name in NAMES:
        video = public_data / "charuco_b" / "calibration" / "extrinsic" / f"{name}.mp4"
        (found,) = detect_videos({name: video}, BOARD, read=read_gray_frames)
        for frame, picture in enumerate(read_gray_frames(video)):
            if full_search(picture, BOARD).ids.size >= MIN_CORNERS:
                assert found.seen[frame].sum() >= MIN_CORNERS, f"{name}, frame {frame}"
