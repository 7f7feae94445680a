"""2D landmarks of an import: read per camera, then judged together and against calibration and videos."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from labsys.core.cameras import Calibration
from labsys.core.errors import InputError, UnknownNameError
from labsys.core.frame_clock import CameraClocks, require_plausible_rate
from labsys.core.progress import Progress
from labsys.core.skeleton import LANDMARK_SETS, tier_of
from labsys.storage.exchange.openpose import OpenPosePeople, read_openpose_folder
from labsys.storage.exchange.sniff import (
    Landmarks2DFormat,
    describe_people,
    read_landmarks2d,
    recognise_landmarks2d,
)
from labsys.storage.exchange.tracks import CameraTrack, combine_cameras
from pipelines.calibrating.fit import check_calibration_fits
from pipelines.importing.cameras import name_by_calibration
from pipelines.people import agree_on_subject
from pipelines.retime import read_clocks, retime
from pipelines.retiming.stamps import read_stamps

KNOWN_LANDMARKS = frozenset(name for s in LANDMARK_SETS.values() for name in s.landmarks)
# An unknown name this alike to a known landmark that is missing is taken for a misspelling.
_MISSPELT = 0.8
# Coordinates of this many image sizes or less are fractions of the image, not pixels.
_NORMALISED_MAX_PX = 2.0
_OUTSIDE_MARGIN = 0.25
_MAX_OUTSIDE_SHARE = 0.2


@dataclass(frozen=True, eq=False)
class IncomingLandmarks2D:
    """2D landmarks by the calibration's camera names, and what was found worth saying.

    Attributes:
        rate_hz: frame rate by the timestamps, None without.
        n_frames: on the clock that all cameras share; None where there are no tracks.
    """

    tracks: Mapping[str, CameraTrack] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    rate_hz: float | None = None
    n_frames: int | None = None


def read_incoming_landmarks2d(
    files: Mapping[str, Path],
    calibration: Calibration | None,
    *,
    format: Landmarks2DFormat | None,
    timestamps: Path | None = None,
    progress: Progress,
) -> IncomingLandmarks2D:
    """Read one camera after the other and refuse what does not belong together.

    timestamps: of free-running cameras; without it frame i of every camera is one moment.

    Raises:
        InputError: unreadable files, unequal lengths (names both), unknown landmark names, nobody in the picture,
            coordinates that are not pixels of these images, a calibration of other cameras, or timestamps at a rate
            that no camera has.
    """
    if not files or calibration is None:
        return IncomingLandmarks2D()
    paths = name_by_calibration(files, calibration)
    progress.stage("read 2D landmarks", len(paths))
    tracks, remarks = _read_cameras(paths, calibration, format, together=timestamps is None, progress=progress)
    for camera, path in paths.items():
        _check_pixels(camera, tracks[camera], calibration, path)
    if timestamps is None:
        combined, rate_hz = combine_cameras(tracks, rate_hz=1.0), None
    else:
        clocks = read_clocks(tracks, rate_hz=1.0, stamps=read_stamps(timestamps, tracks))
        for camera, clock in clocks.clocks.items():
            require_plausible_rate(clock, where=f"camera {camera}, {timestamps}")
        combined, rate_hz = retime(tracks, clocks), 1.0 / clocks.period_s
        remarks += describe_clocks(clocks)
    remarks += check_landmark_names(combined.landmarks)
    check_calibration_fits(combined, calibration)
    return IncomingLandmarks2D(tracks, tuple(remarks), rate_hz, combined.times_s.size)


def _read_cameras(
    paths: Mapping[str, Path],
    calibration: Calibration,
    format: Landmarks2DFormat | None,
    *,
    together: bool,
    progress: Progress,
) -> tuple[dict[str, CameraTrack], list[str]]:
    """Tracks of the subject and remarks; cameras that see several people at the same moments agree on one of them."""
    tracks: dict[str, CameraTrack] = {}
    people: dict[str, OpenPosePeople] = {}
    remarks: list[str] = []
    for camera, path in paths.items():
        if (format or recognise_landmarks2d(path)) is Landmarks2DFormat.OPENPOSE:
            people[camera] = read_openpose_folder(path)
            tracks[camera], said = people[camera].subject_track(), describe_people(people[camera])
        else:
            tracks[camera], said = read_landmarks2d(path, format=format)
        remarks += [f"{camera}: {remark}" for remark in said]
        progress.advance()
    if together and len(people) == len(paths):
        agreed = agree_on_subject(people, calibration.rig.select(tuple(people)))
        tracks = {camera: of_camera.subject_track() for camera, of_camera in agreed.people.items()}
        remarks += [agreed.remark] if agreed.remark else []
        remarks += [
            f"{camera}: in {n} frames the other cameras pointed out the subject"
            for camera, n in agreed.changed.items()
            if n
        ]
    return tracks, remarks


def describe_clocks(clocks: CameraClocks) -> list[str]:
    """A remark per camera that lost frames or repeats them, and one where a camera cuts the others short."""
    said = []
    for camera, clock in clocks.clocks.items():
        parts = {"lost": clock.n_lost, "repeated": clocks.n_repeated[camera], "bad": clocks.n_bad[camera]}
        if any(parts.values()):
            counted = ", ".join(f"{n} {what}" for what, n in parts.items() if n)
            said.append(f"{camera}: of {clock.times_s.size + clock.n_lost} frames {counted}")
    cut = clocks.describe_cut()
    return [*said, cut] if cut else said


def check_landmark_names(landmarks: Collection[str]) -> list[str]:
    """Refuse names that give no tier or look misspelt; returns remarks about names that only are carried along.

    Raises:
        UnknownNameError: a name that labsys does not know; names the nearest.
        InputError: known names that are too few for anything.
    """
    unknown = [n for n in landmarks if n not in KNOWN_LANDMARKS]
    for name in unknown:
        close = difflib.get_close_matches(name, KNOWN_LANDMARKS - set(landmarks), n=1, cutoff=_MISSPELT)
        if close or tier_of(landmarks) is None:
            raise UnknownNameError(
                "landmark", name, valid=KNOWN_LANDMARKS, where=f"{len(unknown)} of {len(landmarks)} names"
            )
    if tier_of(landmarks) is None:
        raise InputError(
            f"these landmarks give no measure: {', '.join(landmarks)}",
            remedy="Hips, knees, ankles and shoulders are the least; see 'labsys metrics'",
        )
    return [f"landmark {n} is not one that labsys knows; it is kept and used for nothing" for n in unknown]


def _check_pixels(camera: str, track: CameraTrack, calibration: Calibration, path: Path) -> None:
    width, height = calibration.rig.select((camera,)).cameras[0].intrinsics.size_px
    seen = track.xy_px[np.isfinite(track.xy_px).all(axis=-1) & (track.confidence > 0)]
    if not seen.size:
        raise InputError(f"camera {camera}: no landmark in any of {track.n_frames} frames", where=str(path))
    if np.abs(seen).max() <= _NORMALISED_MAX_PX:
        raise InputError(
            f"camera {camera}: coordinates of at most {np.abs(seen).max():.2g} are fractions of the image, not pixels",
            where=str(path),
            remedy="Export the 2D landmarks in pixels",
        )
    margin = _OUTSIDE_MARGIN * np.array([width, height])
    outside = ((seen < -margin) | (seen > np.array([width, height]) + margin)).any(axis=-1)
    if outside.mean() > _MAX_OUTSIDE_SHARE:
        raise InputError(
            f"camera {camera}: {outside.mean():.0%} of its 2D landmarks lie outside the calibrated {width}x{height}",
            where=str(path),
            remedy="Give the calibration of this camera and mode, in pixels of the same image size",
        )
