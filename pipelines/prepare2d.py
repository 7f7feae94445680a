"""From what cameras reported to 2D landmarks that triangulation may trust: one clock, left and right put right."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from labsys.core.camera_audit import CameraAudit, ReconstructionAudit
from labsys.core.cameras import CameraRig
from labsys.core.landmarks import Landmarks2D
from labsys.storage.exchange.tracks import CameraTrack
from pipelines.config import PipelineConfig
from pipelines.retime import read_clocks, retime
from pipelines.retiming.clock import CameraClocks
from pipelines.retiming.offsets import CameraOffset, estimate_offsets, shift_clocks
from pipelines.retiming.stamps import read_stamps
from pipelines.sides import Exchange, RepairedSides, repair_sides

# Offsets known worse than this are not applied: the correction would be noise.
_OFFSET_SD_MAX_S = 0.0005
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
    offsets = dict[str, CameraOffset]()
    if config.retime.estimate_offsets and len(tracks) > 1:
        offsets = estimate_offsets(tracks, clocks, rig, min_confidence=min_confidence)
    used = _is_sure(offsets)
    if used:
        clocks = shift_clocks(clocks, offsets)
        rough = retime(tracks, clocks, max_gap_frames=gap, min_confidence=min_confidence)
    retimed = time.perf_counter()
    sides = _repair(rough, rig, enabled=config.sides.repair)
    audit = _audit(tracks, clocks, offsets, sides, offsets_used=used, asked=config.retime.estimate_offsets)
    seconds = {"retime": retimed - began, "sides": time.perf_counter() - retimed}
    return Prepared2D(sides.landmarks, audit, {k: round(v, 3) for k, v in seconds.items()})


def _is_sure(offsets: Mapping[str, CameraOffset]) -> bool:
    return bool(offsets) and max(o.sd_s for o in offsets.values()) <= _OFFSET_SD_MAX_S


def _repair(landmarks: Landmarks2D, rig: CameraRig, *, enabled: bool) -> RepairedSides:
    if enabled:
        return repair_sides(landmarks, rig)
    return RepairedSides(landmarks, np.zeros(landmarks.confidence.shape[:2], dtype=np.int64))


def _audit(
    tracks: Mapping[str, CameraTrack],
    clocks: CameraClocks,
    offsets: Mapping[str, CameraOffset],
    sides: RepairedSides,
    *,
    offsets_used: bool,
    asked: bool,
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
        cameras.append(_with_offset(audit, offsets[camera], offsets_used) if camera in offsets else audit)
    start_s = float(clocks.grid_s()[0]) if clocks.stamped else 0.0
    cut = clocks.describe_cut()
    said = ((cut,) if cut else ()) + _warnings(offsets, used=offsets_used, asked=asked)
    return ReconstructionAudit(tuple(cameras), start_s, said)


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


def _warnings(offsets: Mapping[str, CameraOffset], *, used: bool, asked: bool) -> tuple[str, ...]:
    if not used:
        return ("offsets of the cameras were asked for, but too little moves to tell them",) if asked else ()
    return tuple(
        f"{camera} looks {abs(1000 * o.offset_s):.1f} ms {'later' if o.offset_s > 0 else 'earlier'} than its clock "
        f"says (by the landmarks, standard error {1000 * o.sd_s:.2f} ms); corrected"
        for camera, o in offsets.items()
        if abs(o.offset_s) > max(_DISAGREE_S, _DISAGREE_SDS * o.sd_s)
    )
