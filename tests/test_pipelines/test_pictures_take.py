"""A take that the synthetic lab filmed, read by what reads recorded takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from calibration.board.board import make_cv_board
from labsys.capture.board_file import load_board_config
from labsys.core.board import Board
from labsys.core.cameras import CameraRig
from labsys.core.errors import InputError
from labsys.core.skeleton import LABSYS_RUN_37
from labsys.storage.atomic import hash_file
from labsys.storage.exchange.dlc import read_dlc
from labsys.storage.video import probe_video, read_frames, write_jpeg_video
from pipelines.calibrating.source import find_take
from pipelines.retiming.stamps import read_stamps
from pipelines.synthetic.pictures.board import WavedBoard
from pipelines.synthetic.pictures.sensor import read_counter
from pipelines.synthetic.pictures.take import HIDDEN, FilmedTake, Filming, render_take
from pipelines.synthetic.rigs import ClockModel
from tests.test_pipelines.picture_scenes import make_quiet_studio, make_runner, place_camera

pytestmark = pytest.mark.slow

BOARD = Board(5, 3, 0.165, 0.13, "DICT_4X4_50")
FREE = Filming(
    rate_hz=25.0, seconds=0.4, clock=ClockModel(drop_probability=0.15, stamp_jitter_s=0.001), counter=True, seed=4
)


@pytest.fixture(scope="module")
def rig() -> CameraRig:
    places = [(2.4, 1.2, 2.0), (-2.2, 1.7, 2.1)]
    return CameraRig(
        tuple(
            place_camera(f"cam{i}", p, (0.0, 0.85, 0.0), focal_px=210.0, size_px=(240, 180))
            for i, p in enumerate(places)
        )
    )


@pytest.fixture(scope="module")
def run(rig: CameraRig, tmp_path_factory: pytest.TempPathFactory) -> FilmedTake:
    studio = make_quiet_studio(rig)
    return render_take(tmp_path_factory.mktemp("run") / "take", studio, make_runner(studio), FREE)


def test_free_running_take_has_a_time_for_every_picture(run: FilmedTake) -> None:
    source = find_take(str(run.folder), None)
    assert source.timestamps is not None
    stamps = read_stamps(source.timestamps, source.videos)
    for camera, path in source.videos.items():
        info = probe_video(path)
        assert info.codec == "mjpeg"
        assert path.suffix == ".mkv"
        assert info.n_frames == stamps[camera].times_s.size == run.take.cameras[camera].n_frames
        late = stamps[camera].times_s - run.times_s[camera]
        assert (late > -1e-9).all()
        assert 0.0 < late.mean() < 0.005
        numbers = [read_counter(picture) for picture in read_frames(path)]
        assert numbers == list(range(info.n_frames))
    counts = [camera.n_frames for camera in run.take.cameras.values()]
    assert min(counts) < 10  # frames were lost


def test_truth_lies_beside_the_take(run: FilmedTake) -> None:
    for camera, track in run.tracks.items():
        kept = read_dlc(run.folder / "truth" / f"{camera}.h5")
        assert kept.landmarks == LABSYS_RUN_37.landmarks
        np.testing.assert_allclose(kept.xy_px, track.xy_px, atol=1e-3)
        shown = kept.confidence >= 0.5
        assert 0.2 < shown.mean() < 0.8
        assert kept.confidence.min() == HIDDEN


def test_the_same_take_has_the_same_bytes(run: FilmedTake, rig: CameraRig, tmp_path: Path) -> None:
    studio = make_quiet_studio(rig)
    again = render_take(tmp_path / "again", studio, make_runner(studio), FREE)
    for camera, video in run.take.cameras.items():
        assert again.take.cameras[camera].sha256 == video.sha256 == hash_file(run.folder / video.path)
    with pytest.raises(InputError, match="not an empty folder"):
        render_take(tmp_path / "again", studio, make_runner(studio), FREE)


def test_board_take_holds_its_board(rig: CameraRig, tmp_path: Path) -> None:
    studio = make_quiet_studio(rig)
    actor = WavedBoard(BOARD, studio.belt, seed=1, lying_s=0.1)
    film = render_take(tmp_path / "take", studio, actor, Filming(rate_hz=20.0, seconds=0.3))
    source = find_take(str(film.folder), None)
    assert source.board is not None
    assert load_board_config(source.board) == BOARD
    assert [t.tolist() for t in film.stamps_s.values()] == [(np.arange(6) / 20.0).tolist()] * 2
    assert film.tracks["cam0"].xy_px.shape == (6, BOARD.n_corners, 2)
    assert make_cv_board(BOARD).getChessboardCorners().shape[0] == BOARD.n_corners


def test_filming_refuses_what_no_camera_can_do() -> None:
    with pytest.raises(InputError, match="exposure"):
        Filming(rate_hz=60.0, seconds=1.0, exposure_s=0.02)
    with pytest.raises(InputError, match="no pictures"):
        Filming(rate_hz=60.0, seconds=0.0)


def test_video_of_jpegs_wants_a_time_for_each(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="as many pictures as times"):
        write_jpeg_video(tmp_path / "x.mkv", iter([b"\xff\xd8\xff\xd9"]), [0.0, 0.1], size_px=(8, 8), rate_hz=10.0)
    with pytest.raises(InputError, match="cannot be written"):
        write_jpeg_video(tmp_path / "none" / "x.mkv", iter([b"\xff\xd8\xff\xd9"]), [0.0], size_px=(8, 8), rate_hz=10.0)
    with pytest.raises(InputError, match="no pictures"):
        write_jpeg_video(tmp_path / "x.mkv", iter([]), [], size_px=(8, 8), rate_hz=10.0)
