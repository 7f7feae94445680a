"""Cameras shared out among threads: as many answers as frames, and one camera's failure is the job's."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from labsys.core.arrays import FloatArray
from labsys.core.errors import InputError
from pipelines.pose.job import JobCamera, PoseJob
from pipelines.pose.network import DeviceMemoryError
from pipelines.pose.parts import PART_FRAMES, Parts
from pipelines.pose.shares import search, share_cameras

PARTS = ("a", "b")
FRAMES = {"cam0": PART_FRAMES + 3, "cam1": 30, "cam2": 41}


class _Network:
    """Answers with the grey of a picture and with who asked, and has room for so many at once."""

    device, versions = "stand-in", {"stand-in": "1"}

    def __init__(self, askers: int, memory: int = 1000) -> None:
        self.askers, self.memory = askers, memory
        self.asked_by: set[int] = set()

    def share(self, n: int) -> int:
        return min(n, self.askers)

    def prepare(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return picture

    def predict(self, prepared: Sequence[NDArray[np.uint8]]) -> list[FloatArray]:
        if len(prepared) > self.memory:
            raise DeviceMemoryError("out of memory")
        self.asked_by.add(threading.get_ident())
        return [np.full((len(PARTS), 3), float(picture[0, 0, 0])) for picture in prepared]

    def detect(self, frame: NDArray[np.uint8]) -> FloatArray:
        raise AssertionError("these jobs name no detector")


def _job(folder: Path, frames: dict[str, int] = FRAMES) -> PoseJob:
    cameras = []
    for camera, n_frames in FRAMES.items():
        video, parts = folder / f"{camera}.mkv", folder / f"{camera}.parts"
        parts.mkdir()
        with av.open(str(video), "w", format="matroska") as container:
            stream = container.add_stream("ffv1", rate=50)
            stream.width, stream.height, stream.pix_fmt = 32, 16, "bgr0"
            for i in range(n_frames):
                grey = np.full((16, 32, 3), i % 250, dtype=np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
            container.mux(stream.encode(None))
        cameras.append(JobCamera(camera, str(video), frames[camera], str(parts)))
    return PoseJob("", "", PARTS, tuple(cameras))


@pytest.mark.parametrize(("askers", "memory"), [(1, 1000), (2, 1000), (3, 5), (16, 1000)])
def test_every_frame_is_answered_whoever_asks(tmp_path: Path, askers: int, memory: int) -> None:
    network, told = _Network(askers, memory), dict.fromkeys(FRAMES, 0)
    job = _job(tmp_path)
    notes: list[str] = []

    def advance(camera: str, n: int) -> None:
        told[camera] += n  # one thread's camera each

    searched = search(job, network, say=notes.append, advance=advance)
    assert told == FRAMES
    for camera in job.cameras:
        found = Parts(Path(camera.parts), n_frames=camera.n_frames, n_landmarks=len(PARTS)).complete()
        np.testing.assert_array_equal(found[:, 0, 0], np.arange(camera.n_frames) % 250)
    assert len(network.asked_by) == min(askers, len(FRAMES))
    assert (searched.batch_size, bool(notes)) == ((16, False) if memory > 16 else (4, True))


def test_what_is_wrong_with_one_camera_is_told_and_stops_the_others(tmp_path: Path) -> None:
    told = dict.fromkeys(FRAMES, 0)
    wrong = _job(tmp_path, {**FRAMES, "cam1": 29})

    def advance(camera: str, n: int) -> None:
        told[camera] += n
        if camera == "cam0":
            time.sleep(0.1)  # the long search is in its middle when the short one fails

    with pytest.raises(InputError, match="camera cam1: 30 frames decode, the take has 29"):
        search(wrong, _Network(3), say=lambda _: None, advance=advance)
    assert told["cam0"] < FRAMES["cam0"]


def test_cameras_are_shared_out_by_their_frames() -> None:
    cameras = tuple(JobCamera(f"cam{i}", "", n, "") for i, n in enumerate((100, 10, 60, 50, 20)))
    parts = share_cameras(cameras, 2)
    assert sorted(sum(c.n_frames for c in part) for part in parts) == [120, 120]
    assert {c.camera for part in parts for c in part} == {c.camera for c in cameras}
    assert [len(part) for part in share_cameras(cameras, 9)] == [1] * 5
