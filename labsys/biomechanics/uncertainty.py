"""What the landmarks' errors do to angles and metrics: the same analysis, repeated on draws of these errors.

All draws are analysed at once, one after the other in time. Strides stay as found, their events are moved as far as
detection errs in all strides alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy.ndimage import uniform_filter1d

from labsys.biomechanics.derived import asymmetry
from labsys.biomechanics.kinematics import joint_angles, reported
from labsys.biomechanics.metric_source import Circumstances, StrideTimes, make_source, stride_times
from labsys.biomechanics.metrics import RULES, values_or_reasons
from labsys.biomechanics.preparation import Prepared
from labsys.biomechanics.stacking import split_stretches, stack_stretches, stretch_starts_s
from labsys.biomechanics.strides import strides_of
from labsys.biomechanics.treadmill import Travel
from labsys.biomechanics.uncertainty_source import ErrorSource, cut_stretch, draw_common, low_passed, passed_by
from labsys.core.arrays import BoolArray, FloatArray, IntArray
from labsys.core.catalogue import find_metric
from labsys.core.derived_metrics import ASYMMETRY
from labsys.core.motion import AngleSeries, EventKind, JointAngles, Stride
from labsys.core.skeleton import Side

_METRIC_DRAWS, _ANGLE_DRAWS = 28, 48
_SEED = 2031
_WINDOW_S = 3.0  # of strides that stand for all
_MARGIN_S = 0.5  # for the low-pass
_MOST_FRAMES = 150  # at which the angles' errors are found
_ALIKE_FRAMES = 5  # neighbours among these, whose draws count together
# By how much the events of one side and kind come out early or late in all strides alike: what detection costs on
# landmarks from video, however little noise there is (running, all strikes; docs/adr/0011).
_EVENT_SD_S = {EventKind.FOOT_STRIKE: 0.0045, EventKind.TOE_OFF: 0.003}
_EVENTS = tuple((kind, side) for kind in _EVENT_SD_S for side in (Side.LEFT, Side.RIGHT))

_READ_BY_METRICS = frozenset(angle for rule in RULES.values() for angle in rule.angles)

Key = tuple[str, Side]


def with_angle_errors(source: ErrorSource, angles: JointAngles) -> JointAngles:
    """The angles with the standard error of every sample, rad, as reported (against the static where there is one)."""
    n_frames = angles.times_s.size
    frames = np.unique(np.linspace(0, n_frames - 1, min(n_frames, _MOST_FRAMES)).round().astype(np.int64))
    stretch = cut_stretch(source, frames, source.cutoffs_of_angles_hz)
    passed = {c: passed_by(source, c) for c in source.cutoffs_of_angles_hz}
    rng = np.random.default_rng(_SEED)
    draws = []
    for _ in range(_ANGLE_DRAWS):
        factors, still = draw_common(rng, source)
        noise = rng.standard_normal(stretch.model.xyz_m.shape)
        # One draw, less or more of it left by each low-pass.
        moved = {c: stretch.model.move_frames(noise, factors, p) for c, p in passed.items()}
        draws.append(stretch.perturbed(moved, still))
    drawn = joint_angles(stack_stretches(draws))
    series = []
    for a in angles.series:
        found = split_stretches(reported(drawn.find(a.id, a.side))[0], _ANGLE_DRAWS)
        variance = np.square(_wrapped(found - reported(a)[0][frames])).mean(axis=0)
        series.append(_with_error(a, frames, variance))
    return JointAngles(angles.times_s, tuple(series))


def _with_error(series: AngleSeries, frames: IntArray, variance: FloatArray) -> AngleSeries:
    """Variances at some frames as a standard error at every sample; NaN where there is no angle."""
    values = reported(series)[0]
    known = np.isfinite(variance)
    if not known.any():
        return series
    weight = uniform_filter1d(known.astype(np.float64), _ALIKE_FRAMES, mode="nearest")
    total = uniform_filter1d(np.where(known, variance, 0.0), _ALIKE_FRAMES, mode="nearest")
    some = weight > 1e-9
    at = np.interp(np.arange(values.size), frames[some], total[some] / weight[some])
    return replace(series, se_rad=np.where(np.isfinite(values), np.sqrt(at), np.nan))


def _wrapped(angle_rad: FloatArray) -> FloatArray:
    return np.asarray((angle_rad + np.pi) % (2.0 * np.pi) - np.pi)


def metric_errors(
    source: ErrorSource, travel: Travel, strides: tuple[Stride, ...], known: Circumstances
) -> Mapping[Key, float]:
    """Standard error of every metric's mean by reconstruction, inside units; metrics that it does not hold are absent.

    It is the part that the scatter over strides does not show: what stays, what repeats with the stride, calibration
    and static, events that come early or late alike, and what noise does to extremes. Noise that differs from stride to
    stride is in `ci95_strides`.
    """
    window, frames = _window(strides, source.prepared.points.times_s)
    if not frames.size:
        return {}
    stretch = cut_stretch(source, frames, source.cutoffs_hz)
    rng = np.random.default_rng(_SEED)
    # First as measured, then the draws.
    draws, shifts_s = [stretch.perturbed(None, None)], [dict.fromkeys(_EVENTS, 0.0)]
    for _ in range(_METRIC_DRAWS):
        factors, still = draw_common(rng, source)
        moved = low_passed(source, stretch.model.draw_stretch(rng, factors))
        draws.append(stretch.perturbed(moved, still))
        shifts_s.append({(kind, side): _EVENT_SD_S[kind] * float(rng.standard_normal()) for kind, side in _EVENTS})
    times_of = _drawn_times(window, shifts_s, stretch_starts_s(stretch.model.times_s, len(draws)))
    base, changes = _changes(_values(stack_stretches(draws), travel, times_of, known))
    single = {key: _lasting_error(c[_counted(c)]) for key, c in changes.items() if _counted(c).sum() > 1}
    return single | _asymmetry_errors(base, changes)


def _changes(values: Mapping[Key, FloatArray]) -> tuple[dict[Key, FloatArray], dict[Key, FloatArray]]:
    """Of metrics (1 + D, S) their values as measured (S',), of strides that have one, and by how much each draw changes
    them (D, S'), NaN where a draw has values of other strides. A metric that no stride gives has no error either."""
    base, changes = {}, {}
    for key, (measured, *drawn) in values.items():
        there = np.isfinite(measured)
        if there.any():
            alike = (np.isfinite(drawn) == there).all(axis=1, keepdims=True)
            base[key] = measured[there]
            changes[key] = np.where(alike, drawn - measured, np.nan)[:, there]
    return base, changes


def _counted(*changes: FloatArray) -> BoolArray:
    """Which draws count in all of some changes (D, S), (D,)."""
    return np.asarray(np.logical_and.reduce([np.isfinite(c).all(axis=1) for c in changes]))


def _asymmetry_errors(base: Mapping[Key, FloatArray], changes: Mapping[Key, FloatArray]) -> dict[Key, float]:
    """Standard errors of right against left: what errs alike on both sides cancels."""
    errors: dict[Key, float] = {}
    for metric_id in {k[0] for k in base if (k[0], Side.LEFT) in base and (k[0], Side.RIGHT) in base}:
        right, left = (metric_id, Side.RIGHT), (metric_id, Side.LEFT)
        both = _counted(changes[right], changes[left])
        if both.sum() < 2:
            continue
        unit = find_metric(metric_id).unit
        _, of_right, of_left = asymmetry(float(base[right].mean()), float(base[left].mean()), unit)
        errors[metric_id + ASYMMETRY, Side.BOTH] = _lasting_error(
            *(weight * changes[key][both] for key, weight in ((right, of_right), (left, of_left)))
        )
    return errors


def _drawn_times(
    strides: tuple[Stride, ...], shifts_s: Sequence[Mapping[tuple[EventKind, Side], float]], starts_s: FloatArray
) -> dict[Side, StrideTimes]:
    """Event times (D, S) of every side's strides, on the clock of stacked draws, those of one side and kind early or
    late alike in each draw."""
    late = {event: starts_s[:, None] + np.array([[s[event]] for s in shifts_s]) for event in _EVENTS}
    out = {}
    for side in Side:
        if not (counted := strides_of(strides, side)):
            continue
        times = stride_times(counted)
        on, off = (late[kind, times.side] for kind in (EventKind.FOOT_STRIKE, EventKind.TOE_OFF))
        out[side] = StrideTimes(
            side=times.side,
            strike_s=times.strike_s + on,
            toe_off_s=times.toe_off_s + off,
            next_strike_s=times.next_strike_s + on,
            contra_strike_s=times.contra_strike_s + late[EventKind.FOOT_STRIKE, times.side.opposite],
        )
    return out


def _lasting_error(*changes: FloatArray) -> float:
    """Root mean square, over draws, of the mean change over strides, less what independent strides would show.

    changes: (draws, strides), of one side, or of both sides with their weights, whose means add up.
    """
    means = sum(c.mean(axis=1) for c in changes)
    by_stride = sum(float(c.var(axis=1, ddof=1).mean()) / c.shape[1] for c in changes if c.shape[1] > 1)
    return float(np.sqrt(np.mean(means) ** 2 + max(float(np.var(means, ddof=1)) - by_stride, 0.0)))


def _window(strides: tuple[Stride, ...], times_s: FloatArray) -> tuple[tuple[Stride, ...], IntArray]:
    """Valid strides of a few seconds around the middle of all valid ones, and the frames that they need."""
    valid = [s for s in strides if s.valid]
    if not valid:
        return (), np.empty(0, dtype=np.int64)
    middle = float(np.median([s.foot_strike_s for s in valid]))
    near = [s for s in valid if abs(s.foot_strike_s - middle) < 0.5 * _WINDOW_S]
    start, end = (f(t for s in near for t in (s.foot_strike_s, s.next_foot_strike_s)) for f in (min, max))
    inside = (times_s >= start - _MARGIN_S) & (times_s <= end + _MARGIN_S)
    return tuple(near), np.flatnonzero(inside)


def _values(
    prepared: Prepared, travel: Travel, times_of: Mapping[Side, StrideTimes], known: Circumstances
) -> dict[Key, FloatArray]:
    angles = joint_angles(prepared, only=_READ_BY_METRICS)
    source = make_source(replace(travel, prepared=prepared), angles, known)
    given = values_or_reasons(source, times_of)
    return {(metric_id, side): values for metric_id, side, values in given if not isinstance(values, str)}
