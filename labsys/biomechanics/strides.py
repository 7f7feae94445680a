"""Strides: cut from events, judged, and angles laid over them on 101 points."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise

import numpy as np

from labsys.biomechanics.points import BodyPoints
from labsys.biomechanics.sampling import SeriesReader
from labsys.biomechanics.settings import AnalysisSettings
from labsys.core.arrays import BoolArray, FloatArray
from labsys.core.motion import (
    AngleSeries,
    EventKind,
    GaitEvents,
    JointAngles,
    Quality,
    Stride,
    StrideCurves,
)
from labsys.core.session import TrialKind
from labsys.core.skeleton import Side

CURVE_POINTS = 101
_RUN_CONTACT_S = (0.10, 0.45)
# Landmarks that a metric rests on, by segment; names without a side stand for the stride's own side. L1 to L5 make an
# angle but no metric.
_SEGMENT_ROLES: dict[str, tuple[str, ...]] = {
    "pelvis": ("RASIS", "LASIS", "RPSIS", "LPSIS"),
    "hip": ("HIP",),
    "trunk": ("C7", "NECK", "RAC", "LAC", "T10", "T8", "IJ", "XP"),
    "knee": ("KNEE", "LFE", "MFE"),
    "ankle": ("ANKLE", "LM", "MM"),
    "foot": ("HEEL", "TOE", "MT5", "MT1"),
}
_MAD_TO_SD = 1.4826
_MADS = 3.0
# Strides that agree within this never count as outliers: a metronome would otherwise lose half of them.
_DURATION_FLOOR_S = 0.015


def cut_strides(
    events: GaitEvents, points: BodyPoints, *, kind: TrialKind, settings: AnalysisSettings
) -> tuple[Stride, ...]:
    """Strides of both sides, foot strike to next foot strike, in time order; those that do not count say why."""
    strides = [
        stride
        for side in (Side.LEFT, Side.RIGHT)
        for stride in _judge_side(list(_cut_side(events, side)), events, points, kind, settings)
    ]
    return tuple(sorted(strides, key=lambda s: (s.foot_strike_s, s.side.value)))


def _cut_side(events: GaitEvents, side: Side) -> Iterator[Stride]:
    strikes = events.times_s(EventKind.FOOT_STRIKE, side)
    offs = np.array(events.times_s(EventKind.TOE_OFF, side))
    contra = np.array(events.times_s(EventKind.FOOT_STRIKE, side.opposite))
    for index, (start, end) in enumerate(pairwise(strikes)):
        yield Stride(index, side, start, _within(offs, start, end), end, _within(contra, start, end))


def _within(times_s: FloatArray, start_s: float, end_s: float) -> float:
    """The one time inside a stride, NaN where there is none or more than one."""
    inside = times_s[(times_s > start_s) & (times_s < end_s)]
    return float(inside[0]) if inside.size == 1 else float("nan")


def _judge_side(
    strides: list[Stride], events: GaitEvents, points: BodyPoints, kind: TrialKind, settings: AnalysisSettings
) -> list[Stride]:
    durations = np.array([s.next_foot_strike_s - s.foot_strike_s for s in strides])
    low = {(e.side, e.time_s) for e in events.events if e.quality is Quality.LOW}
    judged = []
    for i, stride in enumerate(strides):
        reason = (
            _end_reason(i, len(strides), settings)
            or _event_reason(stride, low, kind)
            or _duration_reason(float(durations[i]), durations)
            or _interpolation_reason(stride, points, settings)
        )
        judged.append(replace(stride, reason=reason))
    return judged


def _end_reason(i: int, n: int, settings: AnalysisSettings) -> str | None:
    if i < settings.discard_first_strides:
        return f"one of the first {settings.discard_first_strides} strides"
    if i >= n - settings.discard_last_strides:
        return f"one of the last {settings.discard_last_strides} strides"
    return None


def _event_reason(stride: Stride, low: set[tuple[Side, float]], kind: TrialKind) -> str | None:
    if not np.isfinite(stride.toe_off_s):
        return "no single toe-off"
    if not np.isfinite(stride.contra_foot_strike_s):
        return "left and right foot strikes do not alternate"
    own = {(stride.side, t) for t in (stride.foot_strike_s, stride.toe_off_s, stride.next_foot_strike_s)}
    if low & (own | {(stride.side.opposite, stride.contra_foot_strike_s)}):
        return "an event of low quality"
    contact = stride.toe_off_s - stride.foot_strike_s
    if kind is TrialKind.RUN and not _RUN_CONTACT_S[0] <= contact <= _RUN_CONTACT_S[1]:
        return f"contact of {contact * 1e3:.0f} ms is outside 100 to 450 ms"
    if kind is TrialKind.RUN and contact >= 0.5 * (stride.next_foot_strike_s - stride.foot_strike_s):
        return "contact longer than half the stride"
    return None


def _duration_reason(duration_s: float, all_s: FloatArray) -> str | None:
    median = float(np.median(all_s))
    spread = _MADS * _MAD_TO_SD * float(np.median(np.abs(all_s - median)))
    if abs(duration_s - median) > max(spread, _DURATION_FLOOR_S):
        return f"duration of {duration_s:.3f} s stands out from {median:.3f} s"
    return None


def _interpolation_reason(stride: Stride, points: BodyPoints, settings: AnalysisSettings) -> str | None:
    inside = frames_of((stride,), points.times_s)
    for segment, names in _SEGMENT_ROLES.items():
        # Segment by segment: over the whole body one invented landmark would hide among many measured ones.
        share = points.interpolated_share({r for n in names for r in (n, f"{stride.side.letter}{n}")}, inside)
        if share > settings.max_interpolated_share:
            return f"{100 * share:.0f} % of the {segment}'s landmark samples were filled in"
    return None


def frames_of(strides: tuple[Stride, ...], times_s: FloatArray) -> BoolArray:
    """Frames from foot strike to next foot strike of any of these strides, both included, (T,)."""
    inside = np.zeros(times_s.size, dtype=np.bool_)
    begins = np.searchsorted(times_s, [s.foot_strike_s for s in strides], side="left")
    ends = np.searchsorted(times_s, [s.next_foot_strike_s for s in strides], side="right")
    for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
        inside[begin:end] = True
    return inside


def strides_of(strides: tuple[Stride, ...], side: Side) -> tuple[Stride, ...]:
    """Strides of a side that count; midline quantities are read over right strides, or left ones without any right."""
    valid = tuple(s for s in strides if s.valid)
    if side is not Side.BOTH:
        return tuple(s for s in valid if s.side is side)
    right = tuple(s for s in valid if s.side is Side.RIGHT)
    return right or valid


def stride_curves(
    angles: JointAngles, readers: Mapping[tuple[str, Side], SeriesReader], strides: tuple[Stride, ...]
) -> tuple[StrideCurves, ...]:
    """Every angle that exists, over its side's strides, 0-100 % on 101 points (cubic spline of the filtered series)."""
    curves = (
        _curves(series, readers[series.id, series.side], strides_of(strides, series.side)) for series in angles.series
    )
    return tuple(c for c in curves if c is not None)


def _curves(series: AngleSeries, reader: SeriesReader, strides: tuple[Stride, ...]) -> StrideCurves | None:
    if series.reason is not None or not strides:
        return None
    share = np.linspace(0.0, 1.0, CURVE_POINTS)
    at = np.array([s.foot_strike_s + share * (s.next_foot_strike_s - s.foot_strike_s) for s in strides])
    return StrideCurves(series.id, series.side, tuple(s.index for s in strides), reader.read(at))
