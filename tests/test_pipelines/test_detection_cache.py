"""What was found in a video is found again without looking, and never believed when it is damaged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calibration.board.detect import CameraCorners, Sampling
from calibration.board.detector import Sighting
from labsys.core.board import Board
from labsys.core.progress import SilentProgress
from labsys.storage.video import probe_video
from pipelines.calibrating import detect as calibration_detect
from pipelines.calibrating.detect import find_boards
from pipelines.calibrating.detection_cache import DetectionCache, detection_key
from tests.test_api.rendered_lab import BOARD, film, make_rig, wave_board


def found_corners() -> CameraCorners:
    rng = np.random.default_rng(0)
    xy = np.where(rng.random((7, 12, 1)) < 0.3, np.nan, rng.uniform(0, 900, (7, 12, 2)))
    witness = Sighting(np.arange(3), rng.random((3, 2)), np.arange(2), rng.random((2, 4, 2)))
    return CameraCorners("cam0", (900, 676), np.arange(7.0), xy, (witness,))


def test_an_entry_comes_back_as_it_was_for_whichever_camera(tmp_path: Path) -> None:
    cache, found = DetectionCache(tmp_path), found_corners()
    assert cache.save("key", found) == ""
    again, remark = cache.load("key", "left")
    assert remark == ""
    assert again is not None
    assert (again.camera, again.size_px) == ("left", found.size_px)
    np.testing.assert_array_equal(again.xy_px, found.xy_px)
    np.testing.assert_array_equal(again.witnesses[0].markers_px, found.witnesses[0].markers_px)
    assert cache.load("other", "left") == (None, "")


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied", "other key"])
def test_a_damaged_entry_is_said_and_not_believed(tmp_path: Path, damage: str) -> None:
    cache = DetectionCache(tmp_path)
    cache.save("key", found_corners())
    path = tmp_path / "key.npz"
    content = path.read_bytes()
    match damage:
        case "cut":
            path.write_bytes(content[: len(content) // 2])
        case "flipped":
            middle = len(content) // 2
            path.write_bytes(content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :])
        case "emptied":
            path.write_bytes(b"")
        case _:
            path.rename(tmp_path / "wanted.npz")
    again, remark = cache.load("wanted" if damage == "other key" else "key", "cam0")
    assert again is None
    assert "cannot be used" in remark
    assert "cam0" in remark


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert "could not be kept" in DetectionCache(blocked / "cache").save("key", found_corners())
    assert DetectionCache(None).save("key", found_corners()) == ""
    assert DetectionCache(None).load("key", "cam0") == (None, "")


def test_the_key_follows_video_board_and_choice_of_frames(tmp_path: Path) -> None:
    video, copy, other = (tmp_path / n for n in ("a.avi", "b.avi", "c.avi"))
    for path, content in ((video, b"one"), (copy, b"one"), (other, b"two")):
        path.write_bytes(content)
    key = detection_key(video, BOARD, Sampling())
    assert detection_key(copy, BOARD, Sampling()) == key
    boards = (replace(BOARD, inverted=True), replace(BOARD, square_m=0.121), Board(6, 4, 0.12, 0.09, "DICT_4X4_50"))
    others = [detection_key(other, BOARD, Sampling()), detection_key(video, BOARD, Sampling(3, 9))]
    others += [detection_key(video, board, Sampling()) for board in boards]
    assert len({key, *others}) == 1 + len(others)


def test_a_video_is_searched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = film(tmp_path, make_rig(), wave_board(4))
    videos = {c: Path(p) for c, _, p in (v.partition("=") for v in given[:2])}
    infos = {c: probe_video(p) for c, p in videos.items()}
    cache = DetectionCache(tmp_path / "cache")
    first = find_boards(videos, infos, BOARD, cache=cache, progress=SilentProgress())
    assert first.reused == ()
    assert sum(c.n_boards for c in first.cameras) >= 4
    (tmp_path / "cache" / f"{detection_key(videos['cam1'], BOARD, Sampling())}.npz").write_bytes(b"no archive")
    searched: list[str] = []
    real = calibration_detect.detect_videos

    def watched(missing: dict[str, Path], *rest: object, **named: object) -> tuple[CameraCorners, ...]:
        searched.extend(missing)
        return real(missing, *rest, **named)  # type: ignore[arg-type]  # handed on as they came

    monkeypatch.setattr(calibration_detect, "detect_videos", watched)
    second = find_boards(videos, infos, BOARD, cache=cache, progress=SilentProgress())
    assert searched == ["cam1"]
    assert second.reused == ("cam0",)
    assert "video of cam1 cannot be used" in second.remarks[0]
    for a, b in zip(first.cameras, second.cameras, strict=True):
        np.testing.assert_array_equal(a.xy_px, b.xy_px)


def test_bursts_leave_frames_out_and_look_at_neighbours() -> None:
    sampling = Sampling.at_most(100, frames=1000)
    taken = [f for f in range(1000) if sampling.takes(f)]
    assert 80 <= len(taken) <= 120
    assert np.diff(taken)[:2].tolist() == [1, 1]
    assert Sampling.at_most(100, frames=100) == Sampling()
