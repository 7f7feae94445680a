"""One camera's 2D tracks at other moments: along a cubic through four measurements, inside short gaps, never beyond.

A landmark that leaps away and back is no measurement either: carried along, one wild point would bend four moments by
amounts too small for triangulation to notice. The loops are compiled (numba): one pass over every landmark.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from calibration.lens import compiled, compiled_part, read_only_floats
from labsys.core.arrays import BoolArray, FloatArray, IntArray

_LEAP_SCALES = 8.0  # of the landmark's own median misfit
_LEAP_LEAST_PX = 8.0
_PASSES = 4  # wild points next to each other come off one after the other
_ON_THE_SPOT = 1e-3  # of a frame: nearer than this a measurement is taken as it is
_NEXT_FRAME = 1.5  # frames: a longer way to the next measurement has a lost one in it


class _Bench(NamedTuple):
    """Room to work on one landmark: rows of its measurements, their positions, and their misfits."""

    rows: IntArray
    t: FloatArray
    x: FloatArray
    y: FloatArray
    misfit: FloatArray


@compiled_part
def _cubic(ta, tb, tc, td, t):  # type: ignore[no-untyped-def]  # compiled
    """Weights of four measurements in the cubic through them (Lagrange)."""
    a, b, c, d = t - ta, t - tb, t - tc, t - td
    wa = b * c * d / ((ta - tb) * (ta - tc) * (ta - td))
    wb = a * c * d / ((tb - ta) * (tb - tc) * (tb - td))
    wc = a * b * d / ((tc - ta) * (tc - tb) * (tc - td))
    return wa, wb, wc, 1.0 - wa - wb - wc


@compiled_part
def _measure_misfit(bench, i, n, longest_s):  # type: ignore[no-untyped-def]  # compiled
    """Distance of measurement i from the cubic through its four neighbours, px; 0 where they are too far."""
    t, x, y = bench.t, bench.x, bench.y
    if i < 2 or i >= n - 2 or t[i + 2] - t[i - 2] > 2.0 * longest_s:
        return 0.0
    wa, wb, wc, wd = _cubic(t[i - 2], t[i - 1], t[i + 1], t[i + 2], t[i])
    dx = wa * x[i - 2] + wb * x[i - 1] + wc * x[i + 1] + wd * x[i + 2] - x[i]
    dy = wa * y[i - 2] + wb * y[i - 1] + wc * y[i + 1] + wd * y[i + 2] - y[i]
    return math.sqrt(dx * dx + dy * dy)


@compiled_part
def _drop_leaps(bench, n, longest_s):  # type: ignore[no-untyped-def]  # compiled
    """Take out measurements that leap away from their neighbours, the wildest of each five first."""
    rows, t, x, y, misfit = bench.rows, bench.t, bench.x, bench.y, bench.misfit
    bound = -1.0
    for _ in range(_PASSES):
        for i in range(n):
            misfit[i] = _measure_misfit(bench, i, n, longest_s)
        if bound < 0.0:
            bound = _LEAP_LEAST_PX + _LEAP_SCALES * np.median(misfit[:n])
        kept = 0
        for i in range(n):
            wildest = misfit[i] > bound
            for j in range(max(0, i - 2), min(n, i + 3)):
                wildest &= misfit[j] <= misfit[i]
            if not wildest:
                rows[kept], t[kept], x[kept], y[kept] = rows[i], t[i], x[i], y[i]
                kept += 1
        if kept == n:
            break
        n = kept
    return n


@compiled_part
def _between(bench, n, i, t, longest_s):  # type: ignore[no-untyped-def]  # compiled
    """Position at t between measurements i and i + 1: cubic, or as much of it as neighbours allow."""
    ts, x, y = bench.t, bench.x, bench.y
    left = i > 0 and ts[i] - ts[i - 1] <= longest_s
    right = i + 2 < n and ts[i + 2] - ts[i + 1] <= longest_s
    share = (t - ts[i]) / (ts[i + 1] - ts[i])
    u, v = x[i] + share * (x[i + 1] - x[i]), y[i] + share * (y[i + 1] - y[i])
    if left and right:
        wa, wb, wc, wd = _cubic(ts[i - 1], ts[i], ts[i + 1], ts[i + 2], t)
        u = wa * x[i - 1] + wb * x[i] + wc * x[i + 1] + wd * x[i + 2]
        v = wa * y[i - 1] + wb * y[i] + wc * y[i + 1] + wd * y[i + 2]
    elif left or right:
        j = i - 1 if left else i + 2
        bend = (t - ts[i]) * (t - ts[i + 1]) / ((ts[j] - ts[i]) * (ts[j] - ts[i + 1]))
        line = (ts[j] - ts[i]) / (ts[i + 1] - ts[i])
        u += bend * (x[j] - x[i] - line * (x[i + 1] - x[i]))
        v += bend * (y[j] - y[i] - line * (y[i + 1] - y[i]))
    return u, v


@compiled_part
def _gather(times_s, xy, confidence, measured, least, k, bench):  # type: ignore[no-untyped-def]  # compiled
    """Collect the measurements of landmark k; returns how many there are."""
    n = 0
    for i in range(len(times_s)):
        u, v = xy[i, k, 0], xy[i, k, 1]
        if measured[i] and confidence[i, k] >= least and confidence[i, k] > 0.0 and math.isfinite(u + v):
            bench.rows[n], bench.t[n], bench.x[n], bench.y[n] = i, times_s[i], u, v
            n += 1
    return n


@compiled
def _carry(track, measured, grid_s, limits, bench, out_xy, out_confidence):  # type: ignore[no-untyped-def]  # compiled
    times_s, xy, confidence = track
    period_s, longest_s, least = limits
    n_wild = 0
    for k in range(xy.shape[1]):
        found = _gather(times_s, xy, confidence, measured, least, k, bench)
        n = _drop_leaps(bench, found, longest_s)
        n_wild += found - n
        i = 0
        for g in range(len(grid_s)):
            t = grid_s[g]
            while i + 2 < n and bench.t[i + 1] <= t:
                i += 1
            for j in range(i, min(i + 2, n)):
                if abs(bench.t[j] - t) <= _ON_THE_SPOT * period_s:
                    row = bench.rows[j]
                    out_xy[g, k, 0], out_xy[g, k, 1] = bench.x[j], bench.y[j]
                    out_confidence[g, k] = confidence[row, k]
            if i + 1 >= n or out_confidence[g, k] > 0.0 or t < bench.t[i] or t > bench.t[i + 1]:
                continue
            gap_s = bench.t[i + 1] - bench.t[i]
            if gap_s > longest_s:
                continue
            out_xy[g, k, 0], out_xy[g, k, 1] = _between(bench, n, i, t, longest_s)
            least_sure = min(confidence[bench.rows[i], k], confidence[bench.rows[i + 1], k])
            out_confidence[g, k] = least_sure * min(1.0, _NEXT_FRAME * period_s / gap_s)
    return n_wild


def carry_track(
    times_s: FloatArray,
    xy_px: FloatArray,
    confidence: FloatArray,
    measured: BoolArray,
    grid_s: FloatArray,
    *,
    period_s: float,
    max_gap_frames: int,
    min_confidence: float,
) -> tuple[FloatArray, FloatArray, int]:
    """One camera's tracks at the moments of a grid, their confidence, and how many leaps were left out.

    A carried point is as sure as the less sure of the two measurements beside it, and less so in proportion where
    frames are missing between them.

    Args:
        times_s: (N,) s, increasing where measured. xy_px: (N, K, 2) px. confidence: (N, K). measured: (N,).
        grid_s: (T,) s, increasing.
        max_gap_frames: nothing is carried over more missing frames than this.
        min_confidence: observations below it are no measurements.

    Returns:
        (T, K, 2) px, NaN where missing; (T, K), 0 where missing; count.
    """
    n, n_landmarks = confidence.shape
    out_xy = np.full((grid_s.size, n_landmarks, 2), np.nan)
    out_confidence = np.zeros((grid_s.size, n_landmarks))
    bench = _Bench(np.zeros(n, dtype=np.int64), *(np.zeros(n) for _ in range(4)))
    limits = (period_s, (max_gap_frames + 1.25) * period_s, min_confidence)
    track = (read_only_floats(times_s), read_only_floats(xy_px), read_only_floats(confidence))
    n_wild = _carry(track, np.array(measured), read_only_floats(grid_s), limits, bench, out_xy, out_confidence)
    return out_xy, out_confidence, int(n_wild)
