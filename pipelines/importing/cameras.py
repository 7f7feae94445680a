"""Calibration and videos of an import: read, matched by camera, and judged before anything is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from calibration.align import WorldAxes
from calibration.formats import format_anipose, read_calibration
from calibration.match import check_sizes, match_cameras
from labsys.core.cameras import Calibration
from labsys.core.errors import InputError
from labsys.core.frame_clock import fit_clock, require_plausible_rate
from labsys.core.progress import Progress
from labsys.storage.video import VideoInfo, check_video, probe_video
from pipelines.retiming.stamps import read_stamps

# Camera centres of one rig: nearer than this gives no parallax, further apart is another unit of length.
_MIN_BASELINE_M = 0.05
_MAX_BASELINE_M = 60.0
_RATE_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class IncomingCalibration:
    """A calibration in LAB with its own text and the file that it came from."""

    calibration: Calibration
    original: Path
    axes_text: str

    @property
    def text(self) -> str:
        """The calibration in Anipose's format."""
        return format_anipose(self.calibration)


@dataclass(frozen=True, eq=False)
class IncomingVideos:
    """Videos by the calibration's camera names, what they hold, and the sizes accepted by hand."""

    paths: Mapping[str, Path] = field(default_factory=dict)
    infos: Mapping[str, VideoInfo] = field(default_factory=dict)
    accepted_sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def n_frames(self) -> int | None:
        """Number of frames, None where there are no videos; of free-running cameras that of the longest."""
        return max((i.n_frames for i in self.infos.values()), default=None)

    @property
    def rate_hz(self) -> float | None:
        """Common frame rate, None where there are no videos."""
        return next((i.rate_hz for i in self.infos.values()), None)


def read_incoming_calibration(path: Path, axes: WorldAxes | None) -> IncomingCalibration:
    """Read a calibration and refuse one whose cameras stand at impossible distances.

    Raises:
        InputError: unreadable, not finite, or in another unit of length than metres.
    """
    calibration = read_calibration(path, axes=axes)
    centres = np.stack([c.centre_lab_m for c in calibration.rig.cameras])
    spread = float(np.linalg.norm(centres[:, None] - centres[None], axis=-1).max())
    if len(centres) > 1 and spread > _MAX_BASELINE_M:
        raise InputError(
            f"cameras of the calibration stand up to {spread:,.0f} m apart",
            where=str(path),
            remedy="Translations must be in metres; these look like millimetres",
        )
    if len(centres) > 1 and spread < _MIN_BASELINE_M:
        raise InputError(
            f"all cameras of the calibration stand within {spread * 1000:.1f} mm",
            where=str(path),
            remedy="Translations must be in metres; check the unit, or calibrate again",
        )
    return IncomingCalibration(calibration, path, axes.text if axes else "")


def name_by_calibration(names: Mapping[str, Path], calibration: Calibration | None) -> dict[str, Path]:
    """Files by the calibration's own camera names (UnknownNameError: a camera that it lacks)."""
    if calibration is None:
        return dict(names)
    matched = match_cameras(calibration.rig.names, names)
    return {matched[name]: path for name, path in names.items()}


def read_incoming_videos(
    videos: Mapping[str, Path],
    accepted_sizes: Mapping[str, tuple[int, int]],
    calibration: Calibration | None,
    *,
    timestamps: Path | None = None,
    progress: Progress,
) -> IncomingVideos:
    """Probe and decode every video, and compare sizes, lengths and rates.

    timestamps: of free-running cameras, whose videos may differ in length; one row per frame.

    Raises:
        InputError: a truncated or unreadable video, a size that differs from the calibration's and was not accepted,
            lengths or rates that differ between cameras (names both), or timestamps that make no camera's clock.
    """
    paths = name_by_calibration(videos, calibration)
    if not paths:
        _refuse_idle_sizes(accepted_sizes, ())
        return IncomingVideos()
    progress.stage("check videos", len(paths))
    infos = {camera: probe_video(path) for camera, path in paths.items()}
    accepted = _check_video_sizes(infos, accepted_sizes, calibration)
    if timestamps is None:
        _check_alike(infos)
    else:
        _check_stamped(infos, timestamps)
    with ThreadPoolExecutor(max_workers=4) as pool:
        for _ in pool.map(check_video, paths.values()):
            progress.advance()
    return IncomingVideos(paths, infos, accepted)


def _check_video_sizes(
    infos: Mapping[str, VideoInfo], accepted: Mapping[str, tuple[int, int]], calibration: Calibration | None
) -> dict[str, tuple[int, int]]:
    if calibration is None:
        _refuse_idle_sizes(accepted, ())
        return {}
    _refuse_idle_sizes(match_cameras(calibration.rig.names, accepted).values(), infos)
    return check_sizes(calibration.rig, {c: i.size_px for c, i in infos.items()}, accepted)


def _refuse_idle_sizes(accepted: Iterable[str], cameras: Iterable[str]) -> None:
    idle = sorted(set(accepted) - set(cameras))
    if idle:
        raise InputError(f"--accept-size for {', '.join(idle)}, which has no video here", remedy="Leave it out")


def _check_stamped(infos: Mapping[str, VideoInfo], timestamps: Path) -> None:
    for camera, stamps in read_stamps(timestamps, infos).items():
        if stamps.times_s.size != infos[camera].n_frames:
            raise InputError(
                f"{stamps.times_s.size} timestamps for a video of {infos[camera].n_frames} frames",
                where=f"camera {camera}, {timestamps}",
                remedy="Give the timestamps that were written with this video",
            )
        where = f"camera {camera}, {timestamps}"
        require_plausible_rate(fit_clock(stamps, where=where), where=where)


def _check_alike(infos: Mapping[str, VideoInfo]) -> None:
    first, *others = infos.items()
    for camera, info in others:
        if info.n_frames != first[1].n_frames:
            raise InputError(
                f"videos differ in length: {first[0]} has {first[1].n_frames} frames, {camera} has {info.n_frames}",
                remedy="Give videos of one synchronized recording, cut to the same frames",
            )
        if abs(info.rate_hz - first[1].rate_hz) > _RATE_TOLERANCE * first[1].rate_hz:
            raise InputError(
                f"videos differ in frame rate: {first[0]} {first[1].rate_hz:g} Hz, {camera} {info.rate_hz:g} Hz",
                remedy="Give videos of one synchronized recording",
            )
