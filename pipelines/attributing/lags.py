"""How much later than the others each camera looks in the landmarks that a run used, and those landmarks without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from calibration.projection import project_rig
from calibration.triangulation.triangulate import RobustSettings, triangulate_robust
from labsys.core.cameras import CameraRig
from labsys.core.frame_clock import CameraClocks, FrameClock
from labsys.core.landmarks import Landmarks2D
from labsys.storage.exchange.tracks import CameraTrack
from pipelines.attributing.views import spread_frames
from pipelines.retime import read_clocks, retime
from pipelines.retiming.losses import LostFrames, find_lost_frames
from pipelines.retiming.offsets import CameraOffset, estimate_offsets, shift_clocks

_FEWEST_FRAMES = 30
_MOST_FRAMES = 7200
_KNOWN_S = 0.005  # a lag known worse than this says nothing
_SURE_SDS = 4.0
_ALIKE_S = 0.0005
_MISFIT_FRAMES = 300


@dataclass(frozen=True)
class Lag:
    """How much later than the middle one of the cameras a camera looks, s, with its standard error."""

    lag_s: float
    sd_s: float

    def is_beyond(self, normal_s: float) -> bool:
        """Whether it is surely there, and larger than normal."""
        return abs(self.lag_s) > max(normal_s, _SURE_SDS * self.sd_s)

    def may_be_beyond(self, normal_s: float) -> bool:
        """Whether it is larger than normal, or too unsure to tell, as one that changes within the trial is."""
        return max(abs(self.lag_s), _SURE_SDS * self.sd_s) > normal_s


def measure_lags(landmarks: Landmarks2D, rig: CameraRig, *, min_confidence: float) -> dict[str, Lag]:
    """Every camera's lag; none where too little moves, or too few frames are there, to tell.

    Only the differences between cameras can be known: of two cameras each is said to have half.

    Args:
        rig: cameras in the order of `landmarks.cameras`.
    """
    middle = _middle(landmarks)
    if middle.times_s.size < _FEWEST_FRAMES:
        return {}
    offsets = _estimate(middle, rig, min_confidence)
    values = np.array([o.offset_s for o in offsets.values()])
    # The first camera is the estimate's gauge and has no error of its own there; against the others it has theirs.
    sd = np.array([o.sd_s for o in offsets.values()])
    sd[0] = np.median(sd[1:])
    if not np.isfinite(sd).all() or sd.max() > _KNOWN_S:
        return {}
    values = values - np.median(values)
    return {name: Lag(float(v), float(s)) for name, v, s in zip(offsets, values, sd, strict=True)}


def _estimate(landmarks: Landmarks2D, rig: CameraRig, min_confidence: float) -> dict[str, CameraOffset]:
    """Offsets from where the run has the cameras, or from a search over a third of a stride: the one that fits better.

    Among many outliers the estimate closes in on the truth slowly, and from a search's coarse start not at all.
    """
    tracks = _tracks(landmarks)
    clocks = read_clocks(tracks, rate_hz=landmarks.rate_hz)
    near, far = (
        estimate_offsets(tracks, clocks, rig, min_confidence=min_confidence, search=search) for search in (False, True)
    )
    if max(abs(near[name].offset_s - far[name].offset_s) for name in tracks) < _ALIKE_S:
        return near
    return min(near, far, key=lambda offsets: _misfit_px(landmarks, offsets, rig, min_confidence))


def _misfit_px(
    landmarks: Landmarks2D, offsets: Mapping[str, CameraOffset], rig: CameraRig, min_confidence: float
) -> float:
    """Mean truncated distance between views and points had the cameras these offsets, px."""
    tracks = _tracks(landmarks)
    clocks = shift_clocks(read_clocks(tracks, rate_hz=landmarks.rate_hz), offsets)
    moved = retime(tracks, clocks, min_confidence=min_confidence)
    rows = spread_frames(moved.times_s.size, most=_MISFIT_FRAMES)
    settings = RobustSettings(min_confidence=min_confidence)
    xy, confidence = (np.moveaxis(a[rows], 1, 2) for a in (moved.xy_px, moved.confidence))
    placed = project_rig(rig, triangulate_robust(rig, xy, confidence, settings=settings).xyz_m)
    distance = np.linalg.norm(xy - placed, axis=-1)[confidence >= min_confidence]
    bound = settings.max_error_px
    return float(np.minimum(np.nan_to_num(distance, nan=bound), bound).mean()) if distance.size else bound


def without_lags(landmarks: Landmarks2D, lags: Mapping[str, Lag], *, min_confidence: float) -> Landmarks2D:
    """The landmarks as they would be had all cameras looked at the same moments; s from the first common one."""
    tracks = _tracks(landmarks)
    clocks = read_clocks(tracks, rate_hz=landmarks.rate_hz)
    offsets = {name: CameraOffset(lag.lag_s, lag.sd_s, 0.0, 0.0) for name, lag in lags.items()}
    return retime(tracks, shift_clocks(clocks, offsets), min_confidence=min_confidence)


def find_losses(
    landmarks: Landmarks2D, rig: CameraRig, lags: Mapping[str, Lag], *, min_confidence: float
) -> tuple[LostFrames, ...]:
    """Frames that a camera lost within the trial, and that its lag as a whole hides; at times of the landmarks."""
    middle = _middle(landmarks)
    offsets = {name: CameraOffset(lag.lag_s, lag.sd_s, 0.0, 0.0) for name, lag in lags.items()}
    tracks = _tracks(middle)
    clocks = read_clocks(tracks, rate_hz=landmarks.rate_hz)
    lost = find_lost_frames(tracks, clocks, rig, offsets, min_confidence=min_confidence)
    begin_s = float(middle.times_s[0] - landmarks.times_s[0])
    return tuple(replace(found, at_s=found.at_s + begin_s) for found in lost)


def without_losses(landmarks: Landmarks2D, lost: Sequence[LostFrames], *, min_confidence: float) -> Landmarks2D:
    """The landmarks as they would be had every camera kept its frames; s from the first common moment."""
    tracks = _tracks(landmarks)
    clocks = read_clocks(tracks, rate_hz=landmarks.rate_hz)
    moved = {name: _after(clock, [found for found in lost if found.camera == name]) for name, clock in
             clocks.clocks.items()}  # fmt: skip
    return retime(tracks, CameraClocks(moved, True, clocks.n_repeated, clocks.n_bad), min_confidence=min_confidence)


def _after(clock: FrameClock, lost: Sequence[LostFrames]) -> FrameClock:
    late_s = sum((np.where(clock.times_s >= f.at_s, f.later_s, 0.0) for f in lost), np.zeros_like(clock.times_s))
    return replace(clock, times_s=clock.times_s + late_s)


def _middle(landmarks: Landmarks2D) -> Landmarks2D:
    begin = max(0, (landmarks.times_s.size - _MOST_FRAMES) // 2)
    part = slice(begin, begin + _MOST_FRAMES)
    return replace(
        landmarks,
        times_s=landmarks.times_s[part],
        xy_px=landmarks.xy_px[part],
        confidence=landmarks.confidence[part],
    )


def _tracks(landmarks: Landmarks2D) -> dict[str, CameraTrack]:
    return {
        camera: CameraTrack(landmarks.landmarks, landmarks.xy_px[:, c], landmarks.confidence[:, c])
        for c, camera in enumerate(landmarks.cameras)
    }
