"""Frames that a camera lost within a recording, or gave twice, and nobody counted.

Every frame after a loss was taken later than its place says: one offset for the whole recording is wrong on both sides
of it. So the offsets are measured part by part, and a course that jumps is told from one that drifts evenly: pieces of
one common slope, as many as pay for themselves (dynamic programming; Jackson et al. 2003, arXiv:math/0309285).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from labsys.core.arrays import FloatArray, IntArray
from labsys.core.cameras import CameraRig
from labsys.core.frame_clock import CameraClocks
from labsys.storage.exchange.tracks import CameraTrack
from pipelines.retiming.offsets import CameraOffset, measure_course

_PART_S, _MOST_PARTS, _FEWEST_PARTS = 0.5, 40, 4
_FLOOR_FRAMES, _FLOOR_S = 0.05, 0.0005  # what the motion of a part leaves of an offset's error
_PRICE = 30.0  # of a jump, in squared standard deviations
_CAP = 16.0  # a part within which the jump lies belongs to neither side
_LEAST_FRAMES = 0.6
_FEWEST_AROUND = 2  # parts to either side of a jump
_TURNS = 4


@dataclass(frozen=True)
class LostFrames:
    """A camera's frames that are missing, or that it gave twice, from some moment on.

    Attributes:
        n_frames: how many are missing; negative: how many it has too many.
        at_s: about when, from the first common moment of the cameras.
        later_s: by how much later it looks from there on.
    """

    camera: str
    n_frames: int
    at_s: float
    later_s: float


def find_lost_frames(
    tracks: Mapping[str, CameraTrack],
    clocks: CameraClocks,
    rig: CameraRig,
    offsets: Mapping[str, CameraOffset],
    *,
    min_confidence: float = 0.1,
) -> tuple[LostFrames, ...]:
    """Jumps of at least half a frame in the course of every camera's offset against the others, in their order.

    Args:
        rig: the cameras of the tracks, in their order, calibrated.
        offsets: of the recording as a whole.
    """
    start_s, end_s = clocks.grid_s()[[0, -1]]
    n_parts = min(_MOST_PARTS, int((end_s - start_s) / _PART_S))
    if len(tracks) < 2 or n_parts < _FEWEST_PARTS:
        return ()
    edges_s = np.linspace(start_s, end_s, n_parts + 1)
    course_s, sd_s = measure_course(tracks, clocks, rig, offsets, edges_s, min_confidence=min_confidence)
    sd_s[0] = np.median(sd_s[1:], axis=0)  # the gauge's own error shows in all others
    noise_s = np.hypot(sd_s, max(_FLOOR_S, _FLOOR_FRAMES * clocks.period_s))
    part_s, period_s, names = (end_s - start_s) / n_parts, clocks.period_s, tuple(tracks)
    if len(names) == 2:  # whichever looks later from then on lost the frames
        jumps = [(names[int(step > 0)], at, abs(step)) for at, step in find_jumps(course_s[1], noise_s[1])]
    else:
        against_s = course_s - np.median(course_s, axis=0)
        jumps = [(n, *jump) for n, c, sd in zip(names, against_s, noise_s, strict=True) for jump in find_jumps(c, sd)]
    large = [(name, at, step) for name, at, step in jumps if abs(step) >= _LEAST_FRAMES * period_s]
    return tuple(LostFrames(n, round(step / period_s), float(at * part_s), step) for n, at, step in large)


def find_jumps(course: FloatArray, sd: FloatArray) -> list[tuple[float, float]]:
    """Where a course (P,) jumps, in parts from its begin, and by how much; [] where it is even or drifts evenly.

    sd: (P,) standard deviations, infinite where a part says nothing.
    """
    known = np.flatnonzero(np.isfinite(course) & np.isfinite(sd))
    if known.size < _FEWEST_PARTS:
        return []
    y, w, x = course[known], 1.0 / sd[known] ** 2, known.astype(np.float64)
    whole = np.zeros(known.size, dtype=np.int64)
    tried = []
    for slope in (0.0, _common_slope(x, y, w, whole)):
        for _ in range(_TURNS):
            label, cost = _partition(y - slope * x, w)
            tried.append((cost, slope, label))
            last, slope = slope, _common_slope(x, y, w, label)
            if slope == last:
                break
    _, slope, label = min(tried, key=lambda t: t[0])
    return _jumps_between(known, y - slope * x, w, label)


def _jumps_between(known: IntArray, y: FloatArray, w: FloatArray, label: IntArray) -> list[tuple[float, float]]:
    levels = [_level(y[label == i], w[label == i]) for i in range(label[-1] + 1)]
    jumps = []
    for i, step in enumerate(np.diff(levels)):
        before, after = np.flatnonzero(label == i)[-1], np.flatnonzero(label == i + 1)[0]
        # A part within which it jumps lies between the levels.
        passed = np.clip((y[[before, after]] - levels[i]) / step, 0.0, 1.0)
        jumps.append((float(known[before] + (known[after] - known[before]) + 1.0 - passed.sum()), float(step)))
    return jumps


def _common_slope(x: FloatArray, y: FloatArray, w: FloatArray, label: IntArray) -> float:
    """Slope that all pieces share, each with a level of its own (least squares)."""
    weights = np.bincount(label, w)
    dx = x - (np.bincount(label, w * x) / weights)[label]
    dy = y - (np.bincount(label, w * y) / weights)[label]
    spread = float((w * dx**2).sum())
    return float((w * dx * dy).sum()) / spread if spread > 0.0 else 0.0


def _partition(y: FloatArray, w: FloatArray) -> tuple[IntArray, float]:
    """(P,) piece of each part, ascending, for the least cost; and that cost."""
    n = y.size
    least, begins = np.full(n + 1, np.inf), np.zeros(n + 1, dtype=np.int64)
    least[0] = -_PRICE
    for end in range(_FEWEST_AROUND, n + 1):
        for begin in range(end - _FEWEST_AROUND + 1):
            piece, weight = y[begin:end], w[begin:end]
            misfit = np.minimum(weight * (piece - _level(piece, weight)) ** 2, _CAP).sum()
            cost = least[begin] + _PRICE + float(misfit)
            if cost < least[end]:
                least[end], begins[end] = cost, begin
    label, end = np.zeros(n, dtype=np.int64), n
    while end > 0:
        label[begins[end] : end] += 1
        label[end:] += 1
        end = int(begins[end])
    return label - 1, float(least[n])


def _level(y: FloatArray, w: FloatArray) -> float:
    """Weighted median."""
    order = np.argsort(y)
    return float(y[order[np.searchsorted(np.cumsum(w[order]), 0.5 * w.sum())]])
