"""The public ChArUco session: judged by the same definitions as the independent judge, and against the full search."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calibration.board.detect import MIN_CORNERS
from calibration.board.detector import full_search
from calibration.calibrate import CalibrateSettings, CalibrationOutcome, Engine, calibrate_corners, calibrate_videos
from calibration.pages.document import report_document
from calibration.rig.report import check_gate
from labsys.core.board import Board
from labsys.core.cameras import Intrinsics
from labsys.core.errors import GateRefusedError, InputError
from labsys.storage.video import read_gray_frames

pytestmark = [pytest.mark.real_data, pytest.mark.slow]

BOARD = Board(4, 5, 0.054, 0.0405, "DICT_4X4_1000", inverted=True)
NAMES = tuple(f"cam_{i}" for i in range(4))


@pytest.fixture(scope="module")
def videos(public_data: Path) -> dict[str, Path]:
    return {n: public_data / "charuco_b" / "calibration" / "extrinsic" / f"{n}.mp4" for n in NAMES}


@pytest.fixture(scope="module")
def lenses(public_data: Path) -> dict[str, Intrinsics]:
    tables = tomllib.loads((public_data / "charuco_b" / "camera_array.toml").read_text())["cameras"]
    return {
        f"cam_{i}": Intrinsics(np.array(t["matrix"]), np.array(t["distortions"]), tuple(t["size"]))
        for i, t in tables.items()
    }


@pytest.fixture(scope="module")
def outcome(videos: dict[str, Path], lenses: dict[str, Intrinsics]) -> CalibrationOutcome:
    return calibrate_videos(videos, BOARD, read=read_gray_frames, rate_hz=6.0, lenses=lenses)


def test_the_session_is_within_its_bounds(outcome: CalibrationOutcome) -> None:
    quality, heldout = outcome.report.quality, outcome.report.heldout
    assert quality.board_fit_m <= 0.00105
    assert quality.edge_mean_m == pytest.approx(0.054, abs=0.00025)
    assert quality.rms_px <= 1.53
    assert quality.kept >= 0.95
    assert heldout.board_fit_m <= 1.15 * quality.board_fit_m
    assert heldout.rms_px <= 1.15 * quality.rms_px
    check_gate(outcome.report)


def test_the_report_has_the_promised_keys(outcome: CalibrationOutcome) -> None:
    document = report_document(outcome.report, calibration="calibration.toml")
    promised = {
        "grade", "engine", "frames", "corners_used_pct", "board_fit_rms_mm", "edge_true_mm", "edge_mean_mm",
        "edge_sd_mm", "scale_error_pct", "rms_px", "median_px", "heldout_rms_px", "up_sd_deg", "heading_sd_deg",
        "seconds", "cameras", "calibration",
    }  # fmt: skip
    assert promised <= set(document)
    assert {"rms_px", "boards", "coverage_pct", "solved", "reason"} <= set(document["cameras"]["cam_0"])
    assert document["frames"] == 57
    assert document["cameras"]["cam_0"]["boards"] == 57


def test_lenses_from_this_clip_are_refused_with_what_to_film(outcome: CalibrationOutcome) -> None:
    with pytest.raises(GateRefusedError, match=r"cannot tell the lens of cam_0.*Film the board"):
        calibrate_corners(outcome.corners)


def test_swapped_videos_are_refused(outcome: CalibrationOutcome, lenses: dict[str, Intrinsics]) -> None:
    swapped = replace(outcome.corners.of_cameras(("cam_3", "cam_1", "cam_2", "cam_0")), cameras=NAMES)
    with pytest.raises(InputError, match="swapped"):
        calibrate_corners(swapped, lenses=lenses)


def test_no_frame_is_lost_against_the_full_search(outcome: CalibrationOutcome, videos: dict[str, Path]) -> None:
    """Every fifth frame, another one of each camera; `make accept` searches all."""
    for index, (name, path) in enumerate(videos.items()):
        for frame, picture in enumerate(read_gray_frames(path)):
            if frame % 5 == index and full_search(picture, BOARD).ids.size >= MIN_CORNERS:
                assert outcome.corners.has_board[frame, index], f"{name}, frame {frame}"


def test_the_anipose_engine_is_judged_by_the_same_report(
    outcome: CalibrationOutcome, lenses: dict[str, Intrinsics]
) -> None:
    corners = outcome.corners  # all 57 instants would take it twice as long
    half = replace(corners, times_s=corners.times_s[:30], xy_px=corners.xy_px[:30])
    theirs = calibrate_corners(half, lenses=lenses, settings=CalibrateSettings(engine=Engine.ANIPOSE))
    assert theirs.report.engine == "anipose"
    for name, lens in lenses.items():
        found = next(c.intrinsics for c in theirs.rig.cameras if c.name == name)
        np.testing.assert_allclose(found.matrix, lens.matrix)
    assert theirs.report.quality.board_fit_m > outcome.report.quality.board_fit_m
    # Nothing is transposed or in another unit: both place the cameras about as far from each other.
    spans = [np.linalg.norm(r.cameras[1].centre_lab_m - r.cameras[2].centre_lab_m) for r in (theirs.rig, outcome.rig)]
    assert spans[0] == pytest.approx(spans[1], rel=0.05)


@pytest.mark.parametrize(("camera", "frames"), [(0, -1), (2, 1), (3, 1)])
def test_a_video_one_frame_late_is_refused_with_the_right_figure(
    outcome: CalibrationOutcome, lenses: dict[str, Intrinsics], camera: int, frames: int
) -> None:
    xy = outcome.corners.xy_px.copy()
    xy[:, camera] = np.roll(xy[:, camera], frames, axis=0)
    xy[0 if frames > 0 else -1, camera] = np.nan
    word = "behind" if frames > 0 else "ahead of"
    with pytest.raises(GateRefusedError, match=rf"cam_{camera} runs 167 ms {word} the others, 1 frame\(s\)"):
        calibrate_corners(replace(outcome.corners, xy_px=xy), lenses=lenses)
