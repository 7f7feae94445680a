"""The board in the videos of a take: probed, searched once, and remembered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calibration.board.detect import CameraCorners, FrameReader, Sampling, detect_videos
from calibration.board.detector import Gray
from labsys.core.board import Board
from labsys.core.errors import InputError
from labsys.core.progress import Progress, begin_cameras
from labsys.storage.video import VideoInfo, probe_video, read_gray_frames
from pipelines.calibrating.detection_cache import DetectionCache, detection_key

_RATE_TOLERANCE = 0.01


@dataclass(frozen=True, eq=False)
class FoundBoards:
    """What the cameras saw.

    Attributes:
        cameras: in the order of the videos. reused: names of those whose video was searched before.
        remarks: what was wrong with what had been remembered.
    """

    cameras: tuple[CameraCorners, ...]
    reused: tuple[str, ...]
    remarks: tuple[str, ...]


def find_boards(
    videos: Mapping[str, Path],
    infos: Mapping[str, VideoInfo],
    board: Board,
    *,
    cache: DetectionCache,
    progress: Progress,
    most_frames: int | None = None,
) -> FoundBoards:
    """Find the board in every frame of every video, or take what was found in the same video before.

    Args:
        most_frames: look at about so many frames of a video, in bursts; None looks at all.

    Raises:
        InputError: a video is unreadable; names camera, file and frame.
    """
    sampling = {c: Sampling() if most_frames is None else Sampling.at_most(most_frames, frames=infos[c].n_frames)
                for c in videos}  # fmt: skip
    keys = {c: detection_key(path, board, sampling[c]) for c, path in videos.items()} if cache.folder else {}
    known: dict[str, CameraCorners] = {}
    remarks: list[str] = []
    for camera, key in keys.items():
        found, remark = cache.load(key, camera)
        remarks += [remark] if remark else []
        if found is not None:
            known[camera] = found
    missing = {c: path for c, path in videos.items() if c not in known}
    if missing:
        shown = begin_cameras(progress, "find the board", {c: infos[c].n_frames for c in missing})
        searched = detect_videos(missing, board, read=_reader(missing), progress=shown, sampling=sampling)
        known |= {c.camera: c for c in searched}
        said = [cache.save(keys[c.camera], c) for c in searched if c.camera in keys]
        remarks += [remark for remark in said if remark]
    reused = tuple(c for c in videos if c not in missing)
    return FoundBoards(tuple(known[c] for c in videos), reused, tuple(remarks))


def _reader(videos: Mapping[str, Path]) -> FrameReader:
    cameras = {path: camera for camera, path in videos.items()}

    def read(path: Path) -> Iterator[Gray]:
        try:
            yield from read_gray_frames(path)
        except InputError as error:
            where = f"camera {cameras[path]}, {error.where}"
            raise InputError(error.what, where=where, remedy=error.remedy) from error

    return read


def probe_videos(videos: Mapping[str, Path], *, same_rate: bool) -> dict[str, VideoInfo]:
    """What every camera's video holds.

    Args:
        same_rate: frame i of all videos will be taken as one instant, so their rates must agree.

    Raises:
        InputError: an unreadable video, one file given to two cameras, or rates that differ; names the camera.
    """
    infos = {camera: _probe(camera, path) for camera, path in videos.items()}
    by_file: dict[Path, str] = {}
    for camera, path in videos.items():
        other = by_file.setdefault(path.resolve(), camera)
        if other != camera:
            raise InputError(f"{other} and {camera} have the same video", where=str(path), remedy="Give each its own")
    if same_rate:
        _check_rates(infos)
    return infos


def _probe(camera: str, path: Path) -> VideoInfo:
    try:
        return probe_video(path)
    except InputError as error:
        raise InputError(error.what, where=f"camera {camera}, {error.where}", remedy=error.remedy) from error


def _check_rates(infos: Mapping[str, VideoInfo]) -> None:
    (first, info), *others = infos.items()
    for camera, other in others:
        if abs(other.rate_hz - info.rate_hz) > _RATE_TOLERANCE * info.rate_hz:
            raise InputError(
                f"{first} has {info.rate_hz:.4g} frames per second, {camera} has {other.rate_hz:.4g}",
                where=f"camera {camera}",
                remedy="Give the times of the frames with --timestamps",
            )


def common_rate_hz(infos: Mapping[str, VideoInfo]) -> float:
    """Frames per second of videos whose rates agree (InputError: none says)."""
    rates = [i.rate_hz for i in infos.values() if np.isfinite(i.rate_hz)]
    if not rates:
        raise InputError("the videos do not say how fast they are", remedy="Give frame times with --timestamps")
    return float(np.median(rates))
