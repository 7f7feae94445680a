"""What a rule for a metric is, and rules that many metrics share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from labsys.biomechanics.metric_source import MetricSource, StrideTimes
from labsys.core.arrays import FloatArray
from labsys.core.skeleton import Side

Rule = Callable[[MetricSource, StrideTimes, Side], FloatArray]
Grid = Callable[[StrideTimes], FloatArray]
Reduce = Callable[[FloatArray], FloatArray]
UNSEEN = "its landmarks are missing in every stride"


@dataclass(frozen=True)
class MetricRule:
    """How a metric is computed.

    Attributes:
        angles: that it reads. needs: points and measures of `MetricSource` that it reads; a leg's without R or L.
        nowhere: what it means that not one stride has a value.
    """

    compute: Rule
    angles: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    nowhere: str = UNSEEN


def at_toe_off(angle_id: str, sign: float = 1.0) -> MetricRule:
    """An angle at toe-off."""

    def compute(source: MetricSource, times: StrideTimes, side: Side) -> FloatArray:
        return sign * source.read(angle_id, side, times.toe_off_s)

    return MetricRule(compute, (angle_id,))


def at_strike(angle_id: str) -> MetricRule:
    """An angle at foot strike."""

    def compute(source: MetricSource, times: StrideTimes, side: Side) -> FloatArray:
        return source.read_strike(angle_id, side, times)

    return MetricRule(compute, (angle_id,))


def over(grid: Grid, angle_id: str, reduce: Reduce) -> MetricRule:
    """An angle over part of the stride, made one number."""

    def compute(source: MetricSource, times: StrideTimes, side: Side) -> FloatArray:
        return reduce(source.read(angle_id, side, grid(times)))

    return MetricRule(compute, (angle_id,))


def whole(times: StrideTimes) -> FloatArray:
    """A grid over every stride, (S, 201) s."""
    return times.whole


def mean(curves: FloatArray) -> FloatArray:
    """Mean of each curve (..., S, G) by trapezoids, (..., S): both ends of a stride are the same instant."""
    return np.asarray(0.5 * (curves[..., 1:] + curves[..., :-1]).mean(axis=-1))


def toward_side(values: FloatArray, side: Side) -> FloatArray:
    """A turn or drop of the midline as seen from a side: reversed on the right."""
    return -values if side is Side.RIGHT else values
