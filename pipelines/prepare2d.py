"""From what cameras reported to 2D landmarks that triangulation may trust: one clock, left and right put right."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from labsys.core.camera_audit import CameraAudit, ReconstructionAudit
from labsys.core.cameras import CameraRig
from labsys.core.frame_clock import CameraClocks
from labsys.core.landmarks import Landmarks2D
from labsys.storage.exchange.tracks import CameraTrack
from pipelines.config import PipelineConfig
from pipelines.retime import read_clocks, retime
from pipelines.retiming.grade import OFFSET_SD_MAX_S, are_sure, describe_lost, grade_sync, warn_of_jitter
from pipelines.retiming.losses import LostFrames, find_lost_frames
from pipelines.retiming.offsets import CameraOffset, estimate_offsets, shift_clocks
from pipelines.retiming.stamps import read_stamps
from pipelines.sides import Exchange, RepairedSides, repair_sides

# Stamps and landmarks disagree where an offset is both surely there and worth correcting.
_DISAGREE_SDS, _DISAGREE_S = 4.0, 0.001


@dataclass(frozen=True, eq=False)
class Prepared2D:
    """2D landmarks on one clock, what was found on the way, and how long each step took."""

    landmarks: Landmarks2D
    audit: ReconstructionAudit
    seconds: Mapping[str, float]


def prepare_landmarks2d(
    tracks: Mapping[str, CameraTrack],
    rig_of: Callable[[Landmarks2D], CameraRig],
    *,
    rate_hz: float,
    stamps: Path | None,
    config: PipelineConfig,
) -> Prepared2D:
    """Retime the tracks, and repair left and right where the configuration says so.

    Args:
        rig_of: the calibrated cameras of landmarks, in their order.
        stamps: timestamps of free-running cameras; None for a synchronized recording.

    Raises:
        InputError: tracks or timestamps that do not fit together. UnknownNameError: a camera without calibration.
    """
    began = time.perf_counter()
    noted = None if stamps is None else read_stamps(stamps, tracks)
    clocks = read_clocks(tracks, rate_hz=rate_hz, stamps=noted)
    min_confidence, gap = config.reconstruct.min_likelihood, config.retime.max_gap_frames
    rough = retime(tracks, clocks, max_gap_frames=gap, min_confidence=min_confidence)
    rig = rig_of(rough)
    timing = _Timing({}, (), ())
    if config.retime.estimate_offsets:
        timing = _measure(tracks, clocks, rig, min_confidence)
    if not timing.is_used and (jitter := warn_of_jitter(clocks, rough, rig, asked=config.retime.estimate_offsets)):
        timing = replace(timing, warnings=(*timing.warnings, jitter))
    sync = grade_sync(clocks, timing.offsets, timing.lost)
    if timing.is_used:
        clocks = shift_clocks(clocks, timing.offsets)
        rough = retime(tracks, clocks, max_gap_frames=gap, min_confidence=min_confidence)
    retimed = time.perf_counter()
    sides = _repair(rough, rig, enabled=config.sides.repair)
    audit = replace(_audit(tracks, clocks, timing, sides), sync=sync)
    seconds = {"retime": retimed - began, "sides": time.perf_counter() - retimed}
    return Prepared2D(sides.landmarks, audit, {k: round(v, 3) for k, v in seconds.items()})


@dataclass(frozen=True, eq=False)
class _Timing:
    """Offsets by the landmarks, jumps in them, and what a person should know of both."""

    offsets: Mapping[str, CameraOffset]
    lost: tuple[LostFrames, ...]
    warnings: tuple[str, ...]

    @property
    def is_used(self) -> bool:
        """Whether the offsets are corrected."""
        return are_sure(self.offsets) and not self.lost


def _measure(tracks: Mapping[str, CameraTrack], clocks: CameraClocks, rig: CameraRig, min_confidence: float) -> _Timing:
    if len(tracks) < 2:
        return _Timing({}, (), ("offsets of the cameras were asked for, but there is one camera",))
    offsets = estimate_offsets(tracks, clocks, rig, min_confidence=min_confidence)
    lost: tuple[LostFrames, ...] = ()
    if all(np.isfinite(o.sd_s) for o in offsets.values()):
        lost = find_lost_frames(tracks, clocks, rig, offsets, min_confidence=min_confidence)
    if lost:
        return _Timing(offsets, lost, _say_lost(lost, tuple(tracks)))
    return _Timing(offsets, (), _say_corrected(offsets) if are_sure(offsets) else _say_unsure(offsets, clocks))


def _repair(landmarks: Landmarks2D, rig: CameraRig, *, enabled: bool) -> RepairedSides:
    if enabled:
        return repair_sides(landmarks, rig)
    return RepairedSides(landmarks, np.zeros(landmarks.confidence.shape[:2], dtype=np.int64))


def _audit(
    tracks: Mapping[str, CameraTrack],
    clocks: CameraClocks,
    timing: _Timing,
    sides: RepairedSides,
) -> ReconstructionAudit:
    counts = sides.counts()
    cameras = []
    for camera, track in tracks.items():
        clock, found = clocks.clocks[camera], counts[camera]
        audit = CameraAudit(
            camera,
            n_frames=track.n_frames,
            n_repeated=clocks.n_repeated[camera],
            n_bad=clocks.n_bad[camera],
            n_lost=clock.n_lost,
            rate_hz=1.0 / clock.period_s,
            stamp_jitter_s=clock.jitter_s if clocks.stamped else None,
            sides_all=found[Exchange.ALL],
            sides_legs=found[Exchange.LEGS],
            sides_part=found[Exchange.FEET] + found[Exchange.ARMS],
        )
        offset = timing.offsets.get(camera)
        cameras.append(audit if offset is None else _with_offset(audit, offset, timing.is_used))
    start_s = float(clocks.grid_s()[0]) if clocks.stamped else 0.0
    cut = clocks.describe_cut()
    return ReconstructionAudit(tuple(cameras), start_s, ((cut,) if cut else ()) + timing.warnings)


def _with_offset(audit: CameraAudit, offset: CameraOffset, used: bool) -> CameraAudit:
    if not np.isfinite(offset.sd_s):
        return audit
    drift_known = np.isfinite(offset.drift_sd)
    return replace(
        audit,
        offset_s=offset.offset_s,
        offset_sd_s=offset.sd_s,
        drift_ppm=1e6 * offset.drift if drift_known else None,
        drift_sd_ppm=1e6 * offset.drift_sd if drift_known else None,
        offset_used=used,
    )


def _say_lost(lost: tuple[LostFrames, ...], cameras: tuple[str, ...]) -> tuple[str, ...]:
    said = []
    for found in lost:
        other = "".join(c for c in cameras if c != found.camera) if len(cameras) == 2 else ""
        doubt = f" (or {other} gave as many twice: of two cameras it cannot be told)" if other else ""
        said.append(f"{describe_lost(found)}{doubt}; no offset is corrected: give timestamps, or the part before alone")
    return tuple(said)


def _say_unsure(offsets: Mapping[str, CameraOffset], clocks: CameraClocks) -> tuple[str, ...]:
    still = [camera for camera, o in offsets.items() if not np.isfinite(o.sd_s)]
    believed = "timestamps are" if clocks.stamped else "the frames' numbers are"
    if still:
        return (
            f"offsets of the cameras were asked for, but too little moves in {', '.join(still)} to tell them; "
            f"{believed} believed",
        )
    camera, worst = max(offsets.items(), key=lambda item: item[1].sd_s)
    return (
        f"offsets of the cameras are not corrected: that of {camera} is known to ± {1000 * worst.sd_s:.2f} ms, "
        f"{1000 * OFFSET_SD_MAX_S:g} ms is asked for; {believed} believed",
    )


def _say_corrected(offsets: Mapping[str, CameraOffset]) -> tuple[str, ...]:
    return tuple(
        f"{camera} looks {abs(1000 * o.offset_s):.1f} ms {'later' if o.offset_s > 0 else 'earlier'} than its clock "
        f"says (by the landmarks, standard error {1000 * o.sd_s:.2f} ms); corrected"
        for camera, o in offsets.items()
        if abs(o.offset_s) > max(_DISAGREE_S, _DISAGREE_SDS * o.sd_s)
    )
