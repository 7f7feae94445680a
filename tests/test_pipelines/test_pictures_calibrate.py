"""A board that the synthetic lab filmed calibrates its cameras: from pictures, through detection, to the true rig."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from calibration.formats import read_calibration
from calibration.placing.lab_frame import BoardDirection
from labsys.core.board import Board
from labsys.core.cameras import CameraRig
from labsys.core.progress import SilentProgress
from pipelines.calibrating.inputs import CalibrationRequest
from pipelines.calibrating.placement import BeltBoard, LabRequest
from pipelines.calibrating.source import find_take
from pipelines.calibrating.take import calibrate_take
from pipelines.synthetic.pictures.board import WavedBoard
from pipelines.synthetic.pictures.take import Filming, render_take
from tests.test_calibration.board_scenes import compare_rigs
from tests.test_pipelines.picture_scenes import make_quiet_studio, place_camera

pytestmark = pytest.mark.slow

BOARD = Board(5, 3, 0.18, 0.14, "DICT_4X4_50")


def test_filmed_board_finds_the_true_rig(tmp_path: Path) -> None:
    places = [(2.0, 2.3, 0.7), (1.2, 2.5, 1.9), (-0.7, 2.4, 2.0)]
    rig = CameraRig(tuple(place_camera(f"cam{i}", p, (0.0, 0.6, 0.0), focal_px=480.0) for i, p in enumerate(places)))
    studio = make_quiet_studio(rig)
    studio = replace(studio, sensors=tuple(replace(s, focus_px=0.5, read_noise=0.003) for s in studio.sensors))
    actor = WavedBoard(BOARD, studio.belt, seed=3, lying_s=1.2, height_m=0.8)
    film = render_take(tmp_path / "take", studio, actor, Filming(rate_hz=8.0, seconds=10.0, exposure_s=0.001, seed=2))
    source = find_take(str(film.folder), None)
    request = CalibrationRequest(
        videos=source.videos,
        board=BOARD,
        timestamps=source.timestamps,
        lenses=film.folder / "truth" / "calibration.toml",
        placing=LabRequest(source=BeltBoard(BoardDirection.FORWARD, 0, 8)),
    )
    files = calibrate_take(request, tmp_path / "found", progress=SilentProgress())
    assert files.toml is not None, files.refusal
    found = read_calibration(tmp_path / "found" / "calibration.toml")
    centres_m, turns_rad, scale = compare_rigs(found.rig, rig)
    assert centres_m.max() < 0.006
    assert np.degrees(turns_rad.max()) < 0.1
    assert abs(scale) < 0.002
    # Where the whole rig stands rests on a small board seen flat; the calibration says how surely.
    for ours, true in zip(found.rig.cameras, rig.cameras, strict=True):
        turn_rad = Rotation.from_matrix(ours.T_cam_lab.rotation @ true.T_cam_lab.rotation.T).magnitude()
        assert turn_rad < 5.0 * found.heading_sd_rad
        assert np.linalg.norm(ours.centre_lab_m + actor.lying_m - true.centre_lab_m) < 0.03
