"""Each camera's 2D tracks onto one common clock.

Without timestamps the recording was synchronized by whoever made it: frame i of every camera is the same moment, and
tracks stay as they are. With timestamps every camera has a clock of its own; the tracks are carried along cubics to one
grid, from the latest first frame to the earliest last one. A frame that repeats another is never a measurement.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from labsys.core.arrays import BoolArray, FloatArray
from labsys.core.errors import InputError
from labsys.core.frame_clock import CameraClocks, FrameClock, FrameStamps, even_clock, fit_clock
from labsys.core.landmarks import Landmarks2D
from labsys.storage.exchange.tracks import CameraTrack, combine_cameras, require_same_landmarks
from pipelines.retiming.interpolate import carry_track

_FEWEST_ALIKE = 3  # landmarks that stay where they were, to the last digit, before a frame counts as a repetition


def read_clocks(
    tracks: Mapping[str, CameraTrack], *, rate_hz: float, stamps: Mapping[str, FrameStamps] | None = None
) -> CameraClocks:
    """Find out when each frame was taken, and which frames are measurements.

    Args:
        stamps: camera -> what the recorder noted, one row per row of its track; None for a synchronized recording.

    Raises:
        InputError: a rate that is not positive, no frames, other numbers of timestamps than frames, or timestamps that
            make no clock (names the camera).
    """
    if not (math.isfinite(rate_hz) and rate_hz > 0):
        raise InputError(f"frame rate {rate_hz:g} Hz is not positive")
    repeated = find_repeated(tracks)
    clocks, n_repeated, n_bad = {}, {}, {}
    for camera, track in tracks.items():
        if stamps is None:
            clocks[camera], n_bad[camera] = even_clock(track.n_frames, ~repeated[camera], rate_hz=rate_hz), 0
        else:
            noted = stamps[camera]
            if noted.times_s.size != track.n_frames:
                raise InputError(
                    f"{noted.times_s.size} timestamps for {track.n_frames} frames",
                    where=f"camera {camera}",
                    remedy="Give the timestamps that were written with these frames",
                )
            sound = FrameStamps(noted.times_s, noted.number, noted.measured & ~repeated[camera])
            clocks[camera] = fit_clock(sound, where=f"timestamps of camera {camera}")
            n_bad[camera] = int((~noted.measured & ~repeated[camera]).sum())
        n_repeated[camera] = int((~clocks[camera].measured).sum()) - n_bad[camera]
    return CameraClocks(clocks, stamps is not None, n_repeated, n_bad)


def find_repeated(tracks: Mapping[str, CameraTrack], *, longest_frames: int = 3) -> dict[str, BoolArray]:
    """Camera -> (N,) whether a frame repeats the one before, as exports of constant rate repeat frames.

    A repetition shows in 2D landmarks that are equal to the last digit. Where nothing moves in any camera for more
    than `longest_frames` the person stands still, and the frames count.
    """
    same = {camera: _equals_last(track) for camera, track in tracks.items()}
    if len({s.size for s in same.values()}) != 1:
        return same
    still = np.logical_and.reduce(list(same.values()))
    edges = np.flatnonzero(np.diff(np.concatenate([[0], still.astype(np.int8), [0]])))
    for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if end - begin <= longest_frames:
            still[begin:end] = False
    return {camera: s & ~still for camera, s in same.items()}


def _equals_last(track: CameraTrack) -> BoolArray:
    xy, repeated = track.xy_px, np.zeros(track.n_frames, dtype=np.bool_)
    equal = (xy[1:] == xy[:-1]).all(axis=-1)
    both_missing = np.isnan(xy[1:, :, 0]) & np.isnan(xy[:-1, :, 0])
    repeated[1:] = (equal | both_missing).all(axis=1) & (equal.sum(axis=1) >= min(_FEWEST_ALIKE, xy.shape[1]))
    return repeated


def retime(
    tracks: Mapping[str, CameraTrack], clocks: CameraClocks, *, max_gap_frames: int = 3, min_confidence: float = 0.0
) -> Landmarks2D:
    """Put all cameras on one clock that starts at 0 s; cameras in the order given.

    Tracks of a synchronized recording stay as they are; only repeated frames are filled from their neighbours.

    Args:
        max_gap_frames: nothing is carried over more missing frames than this.
        min_confidence: observations below it do not take part in what is carried.

    Raises:
        InputError: tracks that cannot share one clock (other landmarks; without timestamps other lengths or first
            frames; with them no common moment). Names the cameras.
    """
    if not clocks.stamped:
        return _fill_repeated(tracks, clocks, max_gap_frames, min_confidence)
    require_same_landmarks(tracks)
    grid_s = clocks.grid_s()
    carried = {
        camera: _carry(track, clocks.clocks[camera], grid_s, max_gap_frames, min_confidence)
        for camera, track in tracks.items()
    }
    return Landmarks2D(
        cameras=tuple(tracks),
        landmarks=next(iter(tracks.values())).landmarks,
        times_s=np.asarray(clocks.period_s * np.arange(grid_s.size), dtype=np.float64),
        xy_px=np.stack([xy for xy, _ in carried.values()], axis=1),
        confidence=np.stack([confidence for _, confidence in carried.values()], axis=1),
    )


def _fill_repeated(
    tracks: Mapping[str, CameraTrack], clocks: CameraClocks, max_gap_frames: int, min_confidence: float
) -> Landmarks2D:
    filled = dict(tracks)
    for camera, clock in clocks.clocks.items():
        if clock.measured.all():
            continue
        track = tracks[camera]
        xy, confidence = _carry(track, clock, clock.times_s, max_gap_frames, min_confidence)
        kept = clock.measured[:, None]
        xy = np.where(kept[..., None], track.xy_px, xy)
        confidence = np.where(kept, track.confidence, confidence)
        filled[camera] = CameraTrack(track.landmarks, xy, confidence, track.first_frame, track.source)
    return combine_cameras(filled, rate_hz=1.0 / clocks.period_s)


def _carry(
    track: CameraTrack, clock: FrameClock, grid_s: FloatArray, max_gap_frames: int, min_confidence: float
) -> tuple[FloatArray, FloatArray]:
    xy, confidence, _ = carry_track(
        clock.times_s,
        track.xy_px,
        track.confidence,
        clock.measured,
        grid_s,
        period_s=clock.period_s,
        max_gap_frames=max_gap_frames,
        min_confidence=min_confidence,
    )
    return xy, confidence
