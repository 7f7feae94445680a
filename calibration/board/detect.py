"""Board corners from videos: every frame of every camera, cameras in parallel, each video read once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calibration.board.detector import BoardFinder, Gray, Sighting
from calibration.processors import one_opencv_thread
from labsys.core.arrays import BoolArray, FloatArray, as_floats, check_unique
from labsys.core.board import Board
from labsys.core.errors import InputError
from labsys.core.progress import Progress, SilentProgress

FrameReader = Callable[[Path], Iterator[Gray]]

MIN_CORNERS = 4  # fewer do not fix the pose of a plane
_WITNESSES = 3
_WITNESS_MARKERS = 4


@dataclass(frozen=True, eq=False)
class CameraCorners:
    """Board corners that one camera saw.

    Attributes:
        size_px: (width, height) of its pictures.
        times_s: (T,) s on the clock that all cameras share, strictly increasing.
        xy_px: (T, N, 2) px in IMAGE, NaN where a corner was not seen.
        witnesses: a few sightings of all markers, also those that the board should not have.
    """

    camera: str
    size_px: tuple[int, int]
    times_s: FloatArray
    xy_px: FloatArray
    witnesses: tuple[Sighting, ...] = ()

    def __post_init__(self) -> None:
        times = as_floats(f"frame times of {self.camera}", self.times_s, (None,), finite=True)
        if times.size > 1 and not (np.diff(times) > 0).all():
            raise InputError(
                "frame times do not increase", where=f"camera {self.camera}", remedy="Check the timestamps file"
            )
        object.__setattr__(self, "times_s", times)
        object.__setattr__(self, "xy_px", as_floats(f"corners of {self.camera}", self.xy_px, (times.size, None, 2)))

    @property
    def seen(self) -> BoolArray:
        """(T, N) True where a corner was seen."""
        return np.asarray(np.isfinite(self.xy_px).all(axis=-1), dtype=np.bool_)

    @property
    def n_boards(self) -> int:
        """Frames in which the board's pose can be told."""
        return int((self.seen.sum(axis=1) >= MIN_CORNERS).sum())


@dataclass(frozen=True, eq=False)
class BoardCorners:
    """Board corners of all cameras at common instants.

    Attributes:
        cameras: C names; sizes_px: (width, height) of each.
        times_s: (T,) s.
        xy_px: (T, C, N, 2) px in IMAGE, NaN where a corner was not seen.
    """

    board: Board
    cameras: tuple[str, ...]
    sizes_px: tuple[tuple[int, int], ...]
    times_s: FloatArray
    xy_px: FloatArray

    def __post_init__(self) -> None:
        check_unique("camera names", self.cameras)
        times = as_floats("times", self.times_s, (None,), finite=True)
        shape = (times.size, len(self.cameras), self.board.n_corners, 2)
        object.__setattr__(self, "times_s", times)
        object.__setattr__(self, "xy_px", as_floats("board corners", self.xy_px, shape))

    @property
    def seen(self) -> BoolArray:
        """(T, C, N) True where a corner was seen."""
        return np.asarray(np.isfinite(self.xy_px).all(axis=-1), dtype=np.bool_)

    @property
    def has_board(self) -> BoolArray:
        """(T, C) True where a camera saw enough of the board to tell its pose."""
        return np.asarray(self.seen.sum(axis=-1) >= MIN_CORNERS, dtype=np.bool_)

    def at_frames(self, frames: BoolArray) -> BoardCorners:
        """The same corners at some of the instants, (T,) True where kept."""
        return BoardCorners(self.board, self.cameras, self.sizes_px, self.times_s[frames], self.xy_px[frames])

    def without(self, corners: BoolArray) -> BoardCorners:
        """The same corners less some of them, (T, C, N) True where left out."""
        xy = np.where(corners[..., None], np.nan, self.xy_px)
        return BoardCorners(self.board, self.cameras, self.sizes_px, self.times_s, xy)

    def of_cameras(self, cameras: tuple[str, ...]) -> BoardCorners:
        """The same corners of some of the cameras, in this order."""
        index = [self.cameras.index(c) for c in cameras]
        sizes = tuple(self.sizes_px[i] for i in index)
        return BoardCorners(self.board, cameras, sizes, self.times_s, self.xy_px[:, index])


@dataclass(frozen=True)
class Sampling:
    """Which frames are looked at: `burst` of them in a row, out of every `every`; (1, 1) is all of them.

    Bursts, as the board's motion in the image is read from neighbouring frames.
    """

    burst: int = 1
    every: int = 1

    @classmethod
    def at_most(cls, count: int, *, frames: int) -> Sampling:
        """Bursts of three, about `count` of a video's frames; all of them where there are no more."""
        return cls() if frames <= count else cls(3, 3 * -(-frames // count))

    def takes(self, frame: int) -> bool:
        """Whether a frame is looked at."""
        return frame % self.every < self.burst


def detect_camera(
    frames: Iterator[Gray], board: Board, *, camera: str, progress: Progress, sampling: Sampling | None = None
) -> CameraCorners:
    """Find the board in every picture of one camera.

    Args:
        frames: (H, W) uint8 pictures in the order of the video.
        sampling: leaves frames out; they have no corners then.

    Returns:
        Corners with the frame number as time, until the clock is known (`on_clock`).

    Raises:
        InputError: the video holds no picture, or pictures of different sizes.
    """
    finder, size = BoardFinder(board), (0, 0)
    rows: list[FloatArray] = []
    witnesses: list[Sighting] = []
    chosen, nothing = sampling or Sampling(), np.full((board.n_corners, 2), np.nan)
    for frame in frames:
        shape = (int(frame.shape[1]), int(frame.shape[0]))
        if rows and shape != size:
            raise InputError(f"frame {len(rows)} has another size than the first", where=f"camera {camera}")
        size = shape
        progress.advance()
        if not chosen.takes(len(rows)):
            rows.append(nothing)
            continue
        seen = finder.find(frame)
        rows.append(_corner_row(seen, board))
        if len(witnesses) < _WITNESSES and seen.marker_ids.size >= _WITNESS_MARKERS:
            witnesses.append(finder.witness(frame))
    if not rows:
        raise InputError("the video holds no picture", where=f"camera {camera}", remedy="Record the board again")
    return CameraCorners(camera, size, np.arange(len(rows), dtype=np.float64), np.stack(rows), tuple(witnesses))


def detect_videos(
    videos: Mapping[str, Path],
    board: Board,
    *,
    read: FrameReader,
    progress: Progress | Mapping[str, Progress] | None = None,
    sampling: Mapping[str, Sampling] | None = None,
) -> tuple[CameraCorners, ...]:
    """Find the board in every frame of every video, one thread per camera (OpenCV and the decoder release the GIL).

    Args:
        videos: camera name -> video.
        read: yields a video's pictures in packet order as (H, W) uint8.
        progress: of all cameras together, or camera name -> its own.
        sampling: camera name -> which frames are looked at; None looks at all.

    Raises:
        InputError: a video is unreadable, names camera, file and frame.
    """
    together = progress if isinstance(progress, Progress) else SilentProgress()
    own = progress if isinstance(progress, Mapping) else {}
    with ThreadPoolExecutor(max_workers=max(1, len(videos))) as pool, one_opencv_thread():
        jobs = [
            pool.submit(
                detect_camera,
                read(path),
                board,
                camera=camera,
                progress=own.get(camera, together),
                sampling=(sampling or {}).get(camera),
            )
            for camera, path in videos.items()
        ]
        return tuple(job.result() for job in jobs)


def _corner_row(seen: Sighting, board: Board) -> FloatArray:
    row = np.full((board.n_corners, 2), np.nan)
    if seen.ids.size >= MIN_CORNERS:
        row[seen.ids] = seen.xy_px
    return row
