"""Instants of a stride that metrics are read at, and extremes that noise does not push outward.

The extreme of one noisy curve lies outside its true one, always in the same direction, however many strides are
averaged afterwards. So the place of an extreme in the cycle is taken from the mean of the other strides, whose noise
has nothing to do with that of the curve that is read there.
"""

from __future__ import annotations

import numpy as np

from labsys.biomechanics.metric_source import MetricSource, StrideTimes
from labsys.core.arrays import FloatArray, IntArray
from labsys.core.session import TrialKind
from labsys.core.skeleton import Side

# Peak hip and thigh extension are searched from half of contact to toe-off plus this share of the stride.
_PEAK_FROM, _PEAK_UNTIL = 0.5, 0.15


def late_stance(times: StrideTimes) -> FloatArray:
    """A grid over the window in which hip and thigh extension peak, (S, 201) s."""
    start = times.strike_s + _PEAK_FROM * (times.toe_off_s - times.strike_s)
    return times.kept("late", lambda: times.between(start, times.toe_off_s + _PEAK_UNTIL * times.duration_s))


def stance(times: StrideTimes) -> FloatArray:
    """A grid over every contact, (S, 201) s."""
    return times.kept("stance", lambda: times.between(times.strike_s, times.toe_off_s))


def expected_peak(curves: FloatArray) -> IntArray:
    """Per stride, where on the grid the mean of all other strides is highest, (..., S); curves (..., S, G).

    A stride that is alone has only itself to go by.
    """
    known = np.isfinite(curves).all(axis=-1, keepdims=True)
    seen = np.where(known, curves, 0.0)
    several = known.sum(axis=-2, keepdims=True) > 1
    others = seen.sum(axis=-2, keepdims=True) - np.where(several, seen, 0.0)
    return np.asarray(np.argmax(others, axis=-1), dtype=np.int64)


def at_places(curves: FloatArray, places: IntArray) -> FloatArray:
    """What each curve (..., S, G) reads at its place (..., S), (..., S)."""
    return np.asarray(np.take_along_axis(curves, places[..., None], axis=-1)[..., 0])


def highest(curves: FloatArray) -> FloatArray:
    """The height of each curve's peak, (S,); NaN where a curve is not seen throughout."""
    return _where_seen(curves, at_places(curves, expected_peak(curves)))


def spread(curves: FloatArray) -> FloatArray:
    """Peak minus trough of each curve, (S,); NaN where a curve is not seen throughout."""
    return highest(curves) + highest(-curves)


def thigh_peak_s(source: MetricSource, times: StrideTimes, side: Side) -> FloatArray:
    """When the thigh is furthest behind vertical, (S,) s; NaN where it is not seen throughout the window."""
    grid = late_stance(times)
    return times.kept((source, "thigh", side), lambda: _peak_s(grid, source.read("thigh_vertical", side, grid)))


def hip_peak_s(source: MetricSource, times: StrideTimes, side: Side) -> FloatArray:
    """When the hip is most extended, (S,) s; NaN where it is not seen throughout the window."""
    grid = late_stance(times)
    return times.kept((source, "hip", side), lambda: _peak_s(grid, -source.read("hip_flexion", side, grid)))


def mid_stance_s(source: MetricSource, times: StrideTimes) -> FloatArray:
    """When the mid-hip passes over the foot, (S,) s: lowest in a run (a spring), highest in a walk (a pendulum).

    Every stride's own: other quantities are read here, on a slope, where an error of the time has no direction. A
    place that all strides share would move all their values when one stride more or less counts, and hide the scatter.
    """
    return times.kept((source, "middle"), lambda: _mid_stance_s(source, times))


def _mid_stance_s(source: MetricSource, times: StrideTimes) -> FloatArray:
    grid = stance(times)
    height = source.place("pelvis", 1, grid)
    curves = height if source.kind is TrialKind.WALK else -height
    step_s = (times.toe_off_s - times.strike_s) / (grid.shape[-1] - 1)
    return _where_seen(curves, times.strike_s + step_s * _tops(curves))


def _peak_s(grid_s: FloatArray, curves: FloatArray) -> FloatArray:
    return _where_seen(curves, at_places(grid_s, expected_peak(curves)))


def _tops(curves: FloatArray) -> FloatArray:
    """The top of the parabola through each curve's highest point and its neighbours, (S,) steps; an end stays one.

    In one step of a contact the thigh turns by half a degree.
    """
    last = curves.shape[-1] - 1
    highest_at = np.argmax(curves, axis=-1)
    before, at, after = (at_places(curves, np.clip(highest_at + k, 0, last)) for k in (-1, 0, 1))
    bend = before - 2.0 * at + after
    inside = (highest_at > 0) & (highest_at < last) & (bend < 0.0)
    shift = np.divide(0.5 * (before - after), bend, out=np.zeros(bend.shape), where=inside)
    return np.asarray(highest_at + shift, dtype=np.float64)


def _where_seen(curves: FloatArray, found: FloatArray) -> FloatArray:
    """A curve with a gap has no extreme: what lies in the gap may be higher, and no other stride may speak for it."""
    return np.where(np.isfinite(curves).all(axis=-1), found, np.nan)
