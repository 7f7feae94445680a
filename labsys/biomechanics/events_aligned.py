"""Events made steadier by the stride's own regularity.

Noise of a few millimetres moves the cue of a single event by ten milliseconds and more, as each cue is one point of one
curve. The motion of the whole foot around the event says much better how much earlier or later it came than in the
runner's other strides. So every stride is laid over the median stride (least absolute difference of the velocities of
all foot landmarks), and all cues together say where in that median stride the event lies. A landmark that was filled
in at an event has no say in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from labsys.biomechanics.gait_signals import GaitSignals, LegSignals
from labsys.core.arrays import BoolArray, FloatArray
from labsys.core.motion import EventKind, GaitEvent, Quality
from labsys.core.skeleton import Side

_FEWEST_STRIDES = 6
_FEWEST_LANDMARKS = 3
_HALF_WINDOW_S = 0.060
_SEARCH_S = 0.040
_STEP_S = 0.0005
_ROUNDS = 3
# Cues that scatter more than this about the median stride do not agree on where the event is.
_CUE_AGREEMENT_S = 0.035
# A stride that differs this much more from the median stride than half of all strides do is not one of its kind.
_ODD_STRIDE = 2.5
_ODD_FROM_MPS = 0.3
# An event this share of a stride before the furthest reach still belongs to the reach.
_REACH_SLACK = 0.1
_MAD_TO_SD = 1.4826
# How well alignment follows what really differs between strides (synthetic runners, 2.5 to 7 ms as they vary more).
_ALIGNMENT_SD_S = 0.004


@dataclass(frozen=True, eq=False)
class _Excerpts:
    """Foot velocities around one event of every stride (N, C, W) m/s, and which of them were measured (N, C)."""

    velocity_mps: FloatArray
    measured: BoolArray


def align_events(events: Iterable[GaitEvent], signals: GaitSignals) -> list[GaitEvent]:
    """Events in time order, one per stride, side and kind, where a side has enough strides; else as they are."""
    given = list(events)

    def align(side: Side, kind: EventKind) -> list[GaitEvent]:
        own = [e for e in given if e.side is side and e.kind is kind]
        return _align_kind(own, signals, signals.legs[side], side, kind) if len(own) >= _FEWEST_STRIDES else own

    # Most of the work is long loops of numpy's, which leave the interpreter to other threads.
    tasks = tuple(product(signals.legs, EventKind))
    with ThreadPoolExecutor(max_workers=len(tasks)) as pool:
        aligned = [event for events_ in pool.map(align, *zip(*tasks, strict=True)) for event in events_]
    return sorted(aligned, key=lambda e: e.time_s)


def _align_kind(
    own: list[GaitEvent], signals: GaitSignals, leg: LegSignals, side: Side, kind: EventKind
) -> list[GaitEvent]:
    cue_s, expected_s = _one_per_stride(own, leg.furthest_s, signals.period_s)
    reach_s = _HALF_WINDOW_S + 2.0 * _SEARCH_S
    inside = (expected_s > signals.times_s[0] + reach_s) & (expected_s < signals.times_s[-1] - reach_s)
    if inside.sum() < _FEWEST_STRIDES:
        return own
    at_edges = [e for e in own if e.time_s in cue_s[~inside]]
    cue_s, expected_s = cue_s[inside], expected_s[inside]
    aligned_s, difference_mps, n_measured = _lay_over(signals, leg, expected_s)
    times_s, scatter_s = _reconcile(cue_s, aligned_s)
    good = (n_measured >= min(_FEWEST_LANDMARKS, len(leg.measured))) & (scatter_s <= _CUE_AGREEMENT_S)
    good &= difference_mps <= max(_ODD_FROM_MPS, _ODD_STRIDE * float(np.median(difference_mps)))
    return at_edges + [
        GaitEvent(kind, side, float(t), Quality.OK if ok else Quality.LOW) for t, ok in zip(times_s, good, strict=True)
    ]


def _one_per_stride(own: list[GaitEvent], furthest_s: FloatArray, period_s: float) -> tuple[FloatArray, FloatArray]:
    """Cue of each stride (N,) s, NaN where it has none, and where the event is to be expected (N,) s."""
    times_s = np.array([e.time_s for e in own])
    before = np.searchsorted(furthest_s - _REACH_SLACK * period_s, times_s, side="right") - 1
    delay_s = times_s[before >= 0] - furthest_s[before[before >= 0]]
    expected_s = furthest_s + np.median(delay_s)
    nearest = times_s[np.abs(times_s[:, None] - expected_s).argmin(axis=0)]
    cue_s = np.where(np.abs(nearest - expected_s) < 0.25 * period_s, nearest, np.nan)
    return cue_s, np.where(np.isfinite(cue_s), cue_s, expected_s)


def _reconcile(cue_s: FloatArray, aligned_s: FloatArray) -> tuple[FloatArray, float]:
    """Event of each stride (N,) s from cue and alignment, weighted by how steady each is; and the cues' scatter, s.

    Steady cues count alone; a cue that stands out is taken as twice the scatter away.
    """
    aligned_s = aligned_s + np.nanmedian(cue_s - aligned_s)
    ahead_s = np.nan_to_num(cue_s - aligned_s)
    scatter_s = _MAD_TO_SD * float(np.median(np.abs(ahead_s)))
    weight = min(1.0, (_ALIGNMENT_SD_S / scatter_s) ** 2) if scatter_s > 0 else 1.0
    return aligned_s + weight * np.clip(ahead_s, -2.0 * scatter_s, 2.0 * scatter_s), scatter_s


def _lay_over(
    signals: GaitSignals, leg: LegSignals, start_s: FloatArray
) -> tuple[FloatArray, FloatArray, NDArray[np.int64]]:
    """Times (N,) s at which all strides are alike, how much each still differs (N,) m/s, landmarks measured there."""
    times_s = start_s
    for _ in range(_ROUNDS):
        excerpts = _cut(signals, leg, times_s)
        shift_s, difference_mps = _best_shifts(excerpts)
        times_s = times_s + shift_s
    return times_s, difference_mps, excerpts.measured.sum(axis=1)


def _cut(signals: GaitSignals, leg: LegSignals, times_s: FloatArray) -> _Excerpts:
    reach_s = _HALF_WINDOW_S + _SEARCH_S
    at = times_s[:, None] + np.arange(-reach_s, reach_s + 0.5 * _STEP_S, _STEP_S)
    points = leg.landmarks
    rows = [v for p in points.values() for v in (p.velocity_mps, p.climb_mps)]
    velocity = np.stack([np.interp(at, signals.times_s, row) for row in rows], axis=1)
    around = [signals.window(t - _HALF_WINDOW_S, t + _HALF_WINDOW_S) for t in times_s]
    measured = np.array([[bool(leg.measured[role][w].all()) for role in points] for w in around])
    return _Excerpts(velocity, measured)


def _best_shifts(excerpts: _Excerpts) -> tuple[FloatArray, FloatArray]:
    """Shift (N,) s that lays each stride over the median one, and what is left of their difference (N,) m/s."""
    margin = round(_SEARCH_S / _STEP_S)
    velocity = excerpts.velocity_mps
    length = velocity.shape[2] - 2 * margin
    median = np.median(velocity[:, :, margin : margin + length], axis=0)
    heard = np.repeat(excerpts.measured | ~excerpts.measured.any(axis=1, keepdims=True), 2, axis=1)
    cost = np.empty((*velocity.shape[:2], 2 * margin + 1))
    difference = np.empty((2 * margin + 1, length))  # of one row of one stride: it stays in the fast memory
    for stride, own in zip(sliding_window_view(velocity, length, axis=2), cost, strict=True):
        for row, expected, total in zip(stride, median, own, strict=True):
            np.subtract(row, expected, out=difference)
            np.add.reduce(np.abs(difference, out=difference), axis=1, out=total)
    cost /= length
    per_shift = (cost * heard[:, :, None]).sum(axis=1) / heard.sum(axis=1, keepdims=True)
    best = per_shift.argmin(axis=1)
    return (best - margin) * _STEP_S, per_shift.min(axis=1)
