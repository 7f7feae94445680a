"""How good the synchronization of a recording is, from what was measured of it and nothing else.

Grades: spec of the lab. A: one trigger, whose pulses and frames the recorder counted. B: at least 60 frames a second,
stamps within 1 ms of an even clock, offsets verified from the landmarks; C: any of these is missing; D: more than 1 %
of the frames lost, a loss that nobody counted, or stamps that cannot tell neighbouring frames apart. That the shutter
is global is taken for granted: no file says it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from calibration.triangulation.triangulate import RobustSettings, triangulate_robust
from labsys.core.camera_audit import SyncAudit
from labsys.core.cameras import CameraRig
from labsys.core.frame_clock import CameraClocks
from labsys.core.landmarks import Landmarks2D
from pipelines.retiming.losses import LostFrames
from pipelines.retiming.offsets import CameraOffset

OFFSET_SD_MAX_S = 0.0005  # offsets known worse than this verify nothing, and correcting them would be noise
_JITTER_MAX_S = 0.001
_SLOWEST_FOR_RUNNING_HZ = 60.0
_LOST_SHARE = 0.01
_MATTERS_M = 0.005
_FAST_QUANTILE = 0.95
_MOMENTS = 150
_SPEED_OVER_S = 0.03
_FEWEST_SPEEDS = 20


def are_sure(offsets: Mapping[str, CameraOffset]) -> bool:
    """Whether every camera's offset is known well enough to correct it."""
    return bool(offsets) and max(o.sd_s for o in offsets.values()) <= OFFSET_SD_MAX_S


def grade_sync(
    clocks: CameraClocks, offsets: Mapping[str, CameraOffset], lost: Sequence[LostFrames]
) -> SyncAudit | None:
    """The grade and what it rests on; None where neither timestamps nor landmarks were asked."""
    verified = are_sure(offsets) and not lost
    if not (clocks.stamped or verified or lost):
        return None
    preview, slow, good = [describe_lost(found) for found in lost], list[str](), list[str]()
    if clocks.stamped:
        _judge_stamps(clocks, preview, slow, good)
    if verified:
        good.append(f"offsets by the landmarks to ± {1000 * max(o.sd_s for o in offsets.values()):.2f} ms")
    elif not lost:
        slow.append("offsets of the cameras not verified")
    rate_hz = 1.0 / clocks.period_s
    if rate_hz < _SLOWEST_FOR_RUNNING_HZ * 0.99:
        slow.append(f"{rate_hz:.3g} frames a second")
    return SyncAudit("D" if preview else "C" if slow else "B", (*preview, *slow, *good))


def _judge_stamps(clocks: CameraClocks, preview: list[str], slow: list[str], good: list[str]) -> None:
    camera = max(clocks.clocks, key=lambda c: clocks.clocks[c].jitter_s)
    jitter_s = clocks.clocks[camera].jitter_s
    beyond = preview if jitter_s > clocks.period_s else slow if jitter_s >= _JITTER_MAX_S else good
    beyond.append(f"timestamps of {camera} up to {1000 * jitter_s:.2g} ms off its clock (99 %)")
    for name, clock in clocks.clocks.items():
        share = clock.n_lost / (clock.n_lost + clock.times_s.size)
        if share > _LOST_SHARE:
            preview.append(f"{name} lost {share:.1%} of its frames")


def believe_trigger(measured: SyncAudit | None, report: Mapping[str, Any]) -> SyncAudit | None:
    """A where the recorder counted as many frames of every camera as pulses of one trigger, and nothing measured here
    speaks against it. report: what the recorder said of the take.
    """
    if report.get("grade") != "A" or (measured is not None and measured.grade == "D"):
        return measured
    return SyncAudit("A", tuple(str(reason) for reason in report.get("grade_rests_on", ())))


def describe_lost(found: LostFrames) -> str:
    """Which camera, when, and what it means for its time."""
    count, late = abs(found.n_frames), found.later_s > 0
    what = f"{'lost' if late else 'gave'} {count} frame{'s' if count > 1 else ''}{'' if late else ' twice'}"
    return (
        f"{found.camera} {what} at about {found.at_s:.1f} s: from there on it looks "
        f"{1000 * abs(found.later_s):.1f} ms {'later' if late else 'earlier'} than before"
    )


def warn_of_jitter(clocks: CameraClocks, landmarks: Landmarks2D, rig: CameraRig, *, asked: bool) -> str:
    """What late timestamps may cost where nothing else tells when a camera looked; "" where that is little.

    asked: whether the landmarks were asked for offsets already.
    """
    if not clocks.stamped:
        return ""
    camera = max(clocks.clocks, key=lambda c: clocks.clocks[c].jitter_s)
    jitter_s = clocks.clocks[camera].jitter_s
    if jitter_s < _JITTER_MAX_S:
        return ""
    name, speed_mps = find_fastest(landmarks, rig)
    if speed_mps * jitter_s < _MATTERS_M:
        return ""
    return (
        f"timestamps of {camera} are up to {1000 * jitter_s:.1f} ms off its clock (99 %): were they as late on the "
        f"whole, {name} at {speed_mps:.1f} m/s would be {1000 * speed_mps * jitter_s:.0f} mm off"
        + ("" if asked else "; --set retime.estimate_offsets=true finds out")
    )


def find_fastest(landmarks: Landmarks2D, rig: CameraRig) -> tuple[str, float]:
    """The landmark that moves fastest, and how fast (95 % of its speeds), m/s; 0 where too little is seen."""
    rate_hz = landmarks.rate_hz
    apart = max(1, round(_SPEED_OVER_S * rate_hz))
    count = landmarks.times_s.size - apart
    if count < 1:
        return "", 0.0
    rows = np.unique(np.linspace(0, count - 1, min(_MOMENTS, count)).round().astype(np.int64))
    ends = []
    for at in (rows, rows + apart):
        xy, confidence = (np.moveaxis(a[at], 1, 2) for a in (landmarks.xy_px, landmarks.confidence))
        ends.append(triangulate_robust(rig, xy, confidence, settings=RobustSettings()).xyz_m)
    speed = np.linalg.norm(ends[1] - ends[0], axis=-1) * rate_hz / apart
    seen = np.isfinite(speed)
    fast = [float(np.quantile(s[k], _FAST_QUANTILE)) if k.sum() >= _FEWEST_SPEEDS else 0.0
            for s, k in zip(speed.T, seen.T, strict=True)]  # fmt: skip
    best = int(np.argmax(fast))
    return landmarks.landmarks[best], fast[best]
