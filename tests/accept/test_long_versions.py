"""What the suite does a part of, done in full.

Long: run by `make accept`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from calibration.board.detect import MIN_CORNERS, detect_videos
from calibration.board.detector import full_search
from labsys.storage.video import read_gray_frames
from tests.test_calibration.test_charuco_real import BOARD, NAMES
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


def test_no_board_is_lost_against_the_full_search(public_data: Path) -> None:
    for name in NAMES:
        video = public_data / "charuco_b" / "calibration" / "extrinsic" / f"{name}.mp4"
        (found,) = detect_videos({name: video}, BOARD, read=read_gray_frames)
        for frame, picture in enumerate(read_gray_frames(video)):
            if full_search(picture, BOARD).ids.size >= MIN_CORNERS:
                assert found.seen[frame].sum() >= MIN_CORNERS, f"{name}, frame {frame}"
