"""Which frames of a take a first look is at, and these frames as videos of their own, copied without decoding."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labsys.core.arrays import FloatArray
from labsys.core.errors import InputError
from labsys.core.session import TrialName
from labsys.storage.atomic import hash_file
from labsys.storage.jpeg_video import JpegVideo
from labsys.storage.lab import Lab, take_folder
from labsys.storage.takes import CameraFile, Take, load_landmarks2d, require_videos
from labsys.storage.video import read_packets
from pipelines.pose2d import PoseVideo
from pipelines.retiming.stamps import TIMESTAMPS, read_stamps

# Five strides of a slow runner at the beginning and two at the end: the belt is not steady, the runner not settled.
_BEFORE_S, _AFTER_S = 4.0, 1.6
_LEAST_S = 2.5  # three strides


@dataclass(frozen=True)
class FrameSpan:
    """A piece of a take. frames: camera -> its rows. begin_s, end_s: from the take's first frame."""

    frames: Mapping[str, slice]
    begin_s: float
    end_s: float


def span_frames(lab: Lab, name: TrialName, take: Take, *, seconds: float, gait: bool) -> FrameSpan:
    """The middle of a take, clear of its first and last strides where it is gait.

    Raises:
        InputError: too short for that, or of neither videos nor 2D landmarks.
    """
    times_s = _frame_times(lab, name, take)
    if not times_s:
        raise InputError(
            f"trial {name} has neither videos nor 2D landmarks to look at",
            remedy=f"Process it whole: labsys process {name}",
        )
    first_s = min(float(np.nanmin(t)) for t in times_s.values())
    last_s = max(float(np.nanmax(t)) for t in times_s.values())
    low_s, high_s = (first_s + _BEFORE_S, last_s - _AFTER_S) if gait else (first_s, last_s)
    if gait and high_s - low_s < _LEAST_S:
        least_s = _BEFORE_S + _AFTER_S + _LEAST_S
        raise InputError(
            f"trial {name} lasts {last_s - first_s:.1f} s, too short for a quick result",
            remedy=f"Record {least_s:.0f} s or more, or process it whole: labsys process {name}",
        )
    middle_s = (low_s + high_s) / 2
    begin_s, end_s = max(low_s, middle_s - seconds / 2), min(high_s, middle_s + seconds / 2)
    frames = {camera: _rows_within(t, begin_s, end_s) for camera, t in times_s.items()}
    return FrameSpan(frames, begin_s - first_s, end_s - first_s)


def cut_videos(lab: Lab, name: TrialName, take: Take, span: FrameSpan, room: Path) -> tuple[PoseVideo, ...]:
    """The frames of the piece as one new video per camera in `room`, picture by picture as they were recorded.

    Raises:
        InputError: a video that is not of single JPEG pictures.
    """
    require_videos(lab, name)
    folder = take_folder(lab, name)
    return tuple(_cut(folder / f.path, camera, f, span.frames[camera], room) for camera, f in take.cameras.items())


def _cut(source: Path, camera: str, file: CameraFile, rows: slice, room: Path) -> PoseVideo:
    path, count = room / f"{camera}.mkv", 0
    video = JpegVideo(path, size_px=file.size_px, rate_hz=file.rate_hz)
    try:
        for picture in itertools.islice(read_packets(source), rows.start, rows.stop):
            if not picture.startswith(b"\xff\xd8"):
                raise InputError(
                    f"the video of {camera} is no Motion JPEG and cannot be cut",
                    where=str(source),
                    remedy="Process the trial whole",
                )
            video.write(picture, count / file.rate_hz)
            count += 1
    finally:
        video.close()
    return PoseVideo(camera, path, hash_file(path), count)


def _frame_times(lab: Lab, name: TrialName, take: Take) -> dict[str, FloatArray]:
    cameras = tuple(take.cameras or take.landmarks2d)
    file = take.files.get(TIMESTAMPS)
    if file is not None:
        stamps = read_stamps(take_folder(lab, name) / file.path, cameras)
        return {camera: stamps[camera].times_s for camera in cameras}
    return {c: np.arange(_n_frames(lab, name, take, c)) / take.rate_hz for c in cameras}


def _n_frames(lab: Lab, name: TrialName, take: Take, camera: str) -> int:
    if camera in take.cameras:
        return take.cameras[camera].n_frames
    return load_landmarks2d(lab, name, camera).n_frames


def _rows_within(times_s: FloatArray, begin_s: float, end_s: float) -> slice:
    inside = np.flatnonzero((times_s >= begin_s) & (times_s <= end_s))
    if not inside.size:
        raise InputError(f"no frame between {begin_s:.2f} and {end_s:.2f} s")
    return slice(int(inside[0]), int(inside[-1]) + 1)
