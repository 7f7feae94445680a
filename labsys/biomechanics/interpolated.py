"""How much of what each metric rests on was filled in, not measured: by the formula that also excludes strides."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field, replace

from labsys.biomechanics.contributions import Contributions
from labsys.biomechanics.points import BodyPoints
from labsys.biomechanics.strides import frames_of, strides_of
from labsys.core.catalogue import find_metric
from labsys.core.derived_metrics import ASYMMETRY, CURVE_SD
from labsys.core.motion import Metric, Stride, StrideCurves, StrideValues
from labsys.core.skeleton import Side


@dataclass(frozen=True, eq=False)
class GivenStrides:
    """A trial's strides, and which of them gave each metric and each curve."""

    strides: tuple[Stride, ...]
    values: tuple[StrideValues, ...]
    curves: tuple[StrideCurves, ...]

    def of_metric(self, metric_id: str, side: Side) -> tuple[Stride, ...]:
        """Strides that gave a metric."""
        given = (i for v in self.values if (v.id, v.side) == (metric_id, side) for i in v.stride_index)
        return self._numbered(side, frozenset(given))

    def of_curve(self, angle_id: str, side: Side) -> tuple[Stride, ...]:
        """Strides that an angle was laid over."""
        given = (i for c in self.curves if (c.id, c.side) == (angle_id, side) for i in c.stride_index)
        return self._numbered(side, frozenset(given))

    def _numbered(self, side: Side, index: Collection[int]) -> tuple[Stride, ...]:
        return tuple(s for s in strides_of(self.strides, side) if s.index in index)


def with_interpolated_shares(
    metrics: tuple[Metric, ...], given: GivenStrides, points: BodyPoints, contributions: Contributions
) -> tuple[Metric, ...]:
    """State of every metric what share of the samples it rests on was filled in, over the strides that give it."""
    shares = _Shares(given, points, contributions)
    return tuple(replace(m, interpolated_share=shares.of(m.id, m.side)) if m.n else m for m in metrics)


@dataclass(frozen=True, eq=False)
class _Shares:
    given: GivenStrides
    points: BodyPoints
    contributions: Contributions
    _kept: dict[tuple[frozenset[str], tuple[Stride, ...]], float] = field(default_factory=dict, init=False, repr=False)

    def of(self, metric_id: str, side: Side) -> float:
        """Of a difference between the sides the mean of both, of other values of the trial that of their source."""
        source = find_metric(metric_id).derived_from
        if metric_id.endswith(CURVE_SD):
            return self._share(self.contributions.angle_roles(source, side), self.given.of_curve(source, side))
        if metric_id.endswith(ASYMMETRY):
            return 0.5 * (self.of(source, Side.RIGHT) + self.of(source, Side.LEFT))
        if source:
            return self.of(source, side)
        strides = self.given.of_metric(metric_id, side)
        if not strides:
            return math.nan
        return self._share(self.contributions.metric_roles(metric_id, side, strides[0].side), strides)

    def _share(self, roles: frozenset[str], strides: tuple[Stride, ...]) -> float:
        # Many metrics rest on the same landmarks over the same strides.
        key = roles, strides
        if key not in self._kept:
            self._kept[key] = self.points.interpolated_share(roles, frames_of(strides, self.points.times_s))
        return self._kept[key]
