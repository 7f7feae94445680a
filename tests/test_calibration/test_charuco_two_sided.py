"""Boards printed on both sides, free-running clips with timestamps, and fisheye lenses from their own boards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calibration.board.clock import read_timestamps
from calibration.calibrate import CalibrateSettings, calibrate_corners, calibrate_videos
from labsys.core.cameras import CameraRig, LensModel
from labsys.core.errors import GateRefusedError, InputError
from tests.test_calibration.board_scenes import (
    BOARD,
    BoardScene,
    compare_rigs,
    look_at,
    make_scene,
    render_view,
    see_corners,
    without_distortion,
)


def as_pictures(
    scene: BoardScene, instants: Mapping[str, Sequence[int]]
) -> tuple[dict[str, Path], dict[str, list[np.ndarray]]]:
    """Videos (named only) and pictures of every camera at its own instants."""
    shown = {c.name: [render_view(scene, c, i) for i in instants[c.name]] for c in scene.rig.cameras}
    return {name: Path(name) for name in shown}, shown


@pytest.mark.slow
def test_a_camera_behind_a_two_sided_board_is_solved() -> None:
    """The back shows the front's corners mirrored; one camera never sees anything else."""
    scene = without_distortion(make_scene(2, seed=11, arc_rad=0.7, radius_m=1.4, seconds=9.0, rate_hz=3.0))
    last = scene.rig.cameras[-1]
    round_there = look_at(np.array([-1.3, 0.4, 0.3]), np.array([0.0, 0.0, 0.1]))
    rig = CameraRig((scene.rig.cameras[0], replace(last, T_cam_lab=round_there)))
    scene = replace(scene, rig=rig, board=replace(BOARD, mirrored_back=True))
    videos, shown = as_pictures(scene, dict.fromkeys(rig.names, range(len(scene.times_s))))

    def read(path: Path) -> Iterator[np.ndarray]:
        return iter(shown[path.name])

    outcome = calibrate_videos(videos, scene.board, read=read, rate_hz=3.0, lenses=scene.lenses)
    assert compare_rigs(outcome.rig, rig)[0].max() < 0.003
    with pytest.raises((InputError, GateRefusedError), match="cam1"):
        calibrate_videos(videos, BOARD, read=read, rate_hz=3.0, lenses=scene.lenses)


@pytest.mark.slow
def test_clips_of_free_running_cameras_are_joined_by_their_timestamps(tmp_path: Path) -> None:
    """The second camera begins later, looks between the first one's frames, and loses one of its own."""
    scene = without_distortion(make_scene(2, seed=11, arc_rad=0.7, radius_m=1.4, seconds=8.0, rate_hz=20.0))
    first, second = range(0, 160, 2), [k for k in range(5, 160, 2) if k != 61]
    videos, shown = as_pictures(scene, {"cam0": first, "cam1": second})
    file = tmp_path / "timestamps.csv"
    rows = [f"{name},{scene.times_s[k]}" for name, frames in (("cam0", first), ("cam1", second)) for k in frames]
    file.write_text("\n".join(["cam_id,frame_time", *rows]))

    def read(path: Path) -> Iterator[np.ndarray]:
        return iter(shown[path.name])

    outcome = calibrate_videos(
        videos, BOARD, read=read, rate_hz=10.0, lenses=scene.lenses, times_s=read_timestamps(file)
    )
    assert compare_rigs(outcome.rig, scene.rig)[0].max() < 0.003
    with pytest.raises(GateRefusedError, match=r"cam[01] runs \d+ ms (behind|ahead of) .*--timestamps"):
        calibrate_videos(videos, BOARD, read=read, rate_hz=10.0, lenses=scene.lenses)


@pytest.mark.slow
def test_fisheye_lenses_are_found_where_the_boards_can_tell_them() -> None:
    scene = make_scene(3, seed=21, fisheye=True, arc_rad=0.9, radius_m=1.0, seconds=30.0, rate_hz=4.0)
    settings = CalibrateSettings(lens_model=LensModel.FISHEYE)
    outcome = calibrate_corners(see_corners(scene, noise_px=0.2), settings=settings)
    for found, true in zip(outcome.rig.cameras, scene.rig.cameras, strict=True):
        assert found.intrinsics.model is LensModel.FISHEYE
        assert found.intrinsics.matrix[0, 0] == pytest.approx(true.intrinsics.matrix[0, 0], rel=0.004)
    assert compare_rigs(outcome.rig, scene.rig)[0].max() < 0.005
