"""Recordings that pictures are taken from: their videos, when every frame was taken, and the calibration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from labsys.core.arrays import FloatArray, IntArray
from labsys.core.cameras import Calibration
from labsys.core.errors import InputError
from labsys.core.frame_clock import CameraClocks, even_clock, fit_clock
from labsys.core.session import Trial, TrialName
from labsys.storage.lab import Lab, take_folder
from labsys.storage.results import load_trial_result
from labsys.storage.runs import current_run
from labsys.storage.trials import load_trial
from labsys.storage.video import read_frames, read_gray_frames
from pipelines.modelling.picking import candidate_frames, pick_by_looks, pick_by_phase
from pipelines.pose2d import PoseVideo, take_videos
from pipelines.retiming.stamps import TIMESTAMPS, read_stamps
from pipelines.trial_inputs import calibrated_take, load_calibration

_SHIFTS = (-0.25, 0.25, -0.5, 0.5)  # of a frame
_LOOK_PX = (32, 18)  # size at which pictures are compared


@dataclass(frozen=True, eq=False)
class Recording:
    """A trial with videos.

    Attributes:
        videos: of the cameras that pictures are taken from. sizes_px: camera -> (width, height).
        left_out: cameras that the calibration lacks. grid_s: moments of the common clock.
    """

    trial: Trial
    videos: tuple[PoseVideo, ...]
    sizes_px: Mapping[str, tuple[int, int]]
    calibration: Calibration | None
    left_out: tuple[str, ...]
    clocks: CameraClocks
    grid_s: FloatArray

    @property
    def label(self) -> str:
        """The trial's name as part of file names."""
        name = self.trial.name
        return f"{name.subject}_{name.session}_{name.trial}"


@dataclass(frozen=True, eq=False)
class PickedFrames:
    """Frames of M moments. Attributes: frames: camera -> (M,) numbers. apart_s: (M,) between first and last frame."""

    frames: Mapping[str, IntArray]
    apart_s: FloatArray


def open_recording(lab: Lab, name: TrialName) -> Recording:
    """Read what there is of a trial.

    Raises:
        UnknownNameError: no such trial. InputError: no recording, no videos, a changed video, or timestamps that make
            no clock.
    """
    trial = load_trial(lab, name)
    take = calibrated_take(lab, trial)
    if not take.cameras:
        raise InputError(f"trial {name} has no videos to take pictures from", remedy="Name trials that have videos")
    calibration = load_calibration(lab, take)
    known = set(take.cameras) if calibration is None else set(calibration.rig.names) & set(take.cameras)
    if not known:
        raise InputError(f"the calibration of trial {name} has none of its cameras: {', '.join(take.cameras)}")
    videos = tuple(v for v in take_videos(lab, name, take) if v.camera in known)
    stamps = take.files.get(TIMESTAMPS)
    path = None if stamps is None else take_folder(lab, name) / stamps.path
    clocks = _clocks(videos, take.rate_hz, path)
    sizes_px = {v.camera: take.cameras[v.camera].size_px for v in videos}
    left_out = tuple(camera for camera in take.cameras if camera not in known)
    return Recording(trial, videos, sizes_px, calibration, left_out, clocks, clocks.grid_s())


def pick_moments(lab: Lab, recording: Recording, count: int, *, seed: int) -> FloatArray:
    """Times (at most count,) on the cameras' clock: by stride where the trial was processed, else by what shows."""
    start_s, end_s = float(recording.grid_s[0]), float(recording.grid_s[-1])
    if current_run(lab, recording.trial.name) is not None:
        strides = load_trial_result(lab, recording.trial.name).motion.strides
        picked = start_s + pick_by_phase(strides, count, seed=seed)
        if (inside := picked[(picked >= start_s) & (picked <= end_s)]).size:
            return np.asarray(inside)
    video = recording.videos[0]
    clock = recording.clocks.clocks[video.camera]
    usable = np.flatnonzero(clock.measured & (clock.times_s >= start_s - 1e-9) & (clock.times_s <= end_s + 1e-9))
    frames = usable[candidate_frames(len(usable), count)]
    chosen = frames[pick_by_looks(_look_at(video.path, frames), count)]
    return np.asarray(clock.times_s[chosen])


def find_frames(recording: Recording, times_s: FloatArray) -> PickedFrames:
    """The frames nearest to each moment and to each other; moments that are the same frames everywhere count once."""
    rows = {min(_around(recording, float(time_s)), key=lambda row: _apart_s(recording, row)) for time_s in times_s}
    numbers = np.array(sorted(rows), dtype=np.int64).reshape(-1, len(recording.videos))
    frames = {video.camera: numbers[:, c] for c, video in enumerate(recording.videos)}
    return PickedFrames(frames, np.array([_apart_s(recording, row) for row in sorted(rows)]))


def write_pictures(video: PoseVideo, frames: IntArray, paths: Mapping[int, Path]) -> None:
    """Decode a video and write some of its frames as they are, losing nothing.

    Args:
        paths: frame number -> file.

    Raises:
        InputError: the video cannot be read to its end, or a picture cannot be written.
    """
    last = int(frames.max())
    for number, frame in enumerate(read_frames(video.path)):
        if number in paths and not cv2.imwrite(str(paths[number]), frame[..., ::-1]):
            raise InputError("cannot be written", where=str(paths[number]))
        if number >= last:
            break


def _clocks(videos: tuple[PoseVideo, ...], rate_hz: float, stamps: Path | None) -> CameraClocks:
    cameras = [v.camera for v in videos]
    if stamps is None:
        clocks = {
            v.camera: even_clock(v.n_frames, np.ones(v.n_frames, dtype=np.bool_), rate_hz=rate_hz) for v in videos
        }
    else:
        noted = read_stamps(stamps, cameras)
        for video in videos:
            if noted[video.camera].times_s.size != video.n_frames:
                n = noted[video.camera].times_s.size
                raise InputError(f"{n} timestamps for {video.n_frames} frames of {video.camera}", where=str(stamps))
        clocks = {c: fit_clock(noted[c], where=f"timestamps of camera {c}") for c in cameras}
    return CameraClocks(clocks, stamps is not None, dict.fromkeys(cameras, 0), dict.fromkeys(cameras, 0))


def _around(recording: Recording, time_s: float) -> list[tuple[int, ...]]:
    """Sets of frames, one per camera, within half a frame of a moment: cameras that run free tick at other times."""
    period_s = recording.clocks.period_s
    return [
        tuple(_nearest(recording, video.camera, time_s + shift * period_s) for video in recording.videos)
        for shift in (0.0, *_SHIFTS)
    ]


def _apart_s(recording: Recording, row: tuple[int, ...]) -> float:
    times_s = [recording.clocks.clocks[v.camera].times_s[n] for v, n in zip(recording.videos, row, strict=True)]
    return float(np.ptp(times_s))


def _nearest(recording: Recording, camera: str, time_s: float) -> int:
    clock = recording.clocks.clocks[camera]
    distance = np.where(clock.measured, np.abs(clock.times_s - time_s), np.inf)
    return int(distance.argmin())


def _look_at(path: Path, frames: IntArray) -> FloatArray:
    """(N, D) small pictures of some frames."""
    wanted, looks = set(frames.tolist()), []
    for number, frame in enumerate(read_gray_frames(path)):
        if number in wanted:
            looks.append(cv2.resize(frame, _LOOK_PX, interpolation=cv2.INTER_AREA).astype(np.float64).ravel())
    return np.stack(looks)
