"""What metrics are read from: angles, heights and velocities that can be read at any instant of a stride."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from labsys.biomechanics.com import centre_of_mass
from labsys.biomechanics.kinematics import reported
from labsys.biomechanics.sampling import SeriesReader, make_reader, make_readers
from labsys.biomechanics.segments import SIDES, Body
from labsys.biomechanics.treadmill import Travel, forefoot
from labsys.core.arrays import FloatArray
from labsys.core.motion import JointAngles, Stride
from labsys.core.session import Surface, TrialKind
from labsys.core.skeleton import Side, Tier

# Samples over a stride or part of one when its extremes are searched: 4 ms of a stride, so that an extreme of a curve
# low-passed at 10 Hz is met to 0.01°.
_GRID = 201


@dataclass(frozen=True, eq=False)
class StrideTimes:
    """Event times of the strides of one side, (S,) s."""

    side: Side
    strike_s: FloatArray
    toe_off_s: FloatArray
    next_strike_s: FloatArray
    contra_strike_s: FloatArray

    @property
    def duration_s(self) -> FloatArray:
        """Stride times, (S,) s."""
        return self.next_strike_s - self.strike_s

    @property
    def whole(self) -> FloatArray:
        """A grid over every stride, (S, 201) s."""
        return self.between(self.strike_s, self.next_strike_s)

    def between(self, start_s: FloatArray, end_s: FloatArray) -> FloatArray:
        """A grid from start to end of every stride's window, (S, 201) s."""
        return np.asarray(start_s[:, None] + np.linspace(0.0, 1.0, _GRID) * (end_s - start_s)[:, None])


def stride_times(strides: tuple[Stride, ...]) -> StrideTimes:
    """Times of strides of one side as arrays."""
    return StrideTimes(
        side=strides[0].side,
        strike_s=np.array([s.foot_strike_s for s in strides]),
        toe_off_s=np.array([s.toe_off_s for s in strides]),
        next_strike_s=np.array([s.next_foot_strike_s for s in strides]),
        contra_strike_s=np.array([s.contra_foot_strike_s for s in strides]),
    )


@dataclass(frozen=True, eq=False)
class MetricSource:
    """Everything metrics read.

    Attributes:
        readers: (angle id, side) -> the angle as reported, rad. reasons: why an angle is missing.
        referenced: angles that are change from the static; static_reason: why others are not.
        heights: "com", "pelvis" -> height, m. com_reason: why there is no centre of mass, or None.
        limb: side -> ankle minus hip, forward and up, m. forefoot_mps: side -> forward velocity, m/s.
        pelvis_forward: mid-hip's forward position, m; drift_mps: what was subtracted from it overground.
    """

    tier: Tier
    kind: TrialKind
    surface: Surface
    readers: Mapping[tuple[str, Side], SeriesReader]
    reasons: Mapping[tuple[str, Side], str]
    referenced: frozenset[tuple[str, Side]]
    static_reason: str
    heights: Mapping[str, SeriesReader]
    com_reason: str | None
    limb: Mapping[Side, tuple[SeriesReader, SeriesReader]]
    forefoot_mps: Mapping[Side, SeriesReader]
    pelvis_forward: SeriesReader
    drift_mps: float

    def read(self, angle_id: str, side: Side, at_s: FloatArray) -> FloatArray:
        """An angle at any times, rad; midline angles may be asked for with a side."""
        key = (angle_id, side) if (angle_id, side) in self.readers else (angle_id, Side.BOTH)
        return self.readers[key].read(at_s)


def make_source(travel: Travel, angles: JointAngles, *, kind: TrialKind, static_reason: str) -> MetricSource:
    """Prepare a gait trial for its metrics."""
    prepared, settings = travel.prepared, travel.prepared.settings
    clock = angles.times_s
    points = prepared.smoothed(settings.proximal_cutoff_hz)
    proximal, distal = prepared.body(settings.proximal_cutoff_hz), prepared.body(settings.distal_cutoff_hz)
    feet = prepared.smoothed(settings.event_cutoff_hz)
    com_m, com_reason = centre_of_mass(points, proximal)
    return MetricSource(
        tier=prepared.tier,
        kind=kind,
        surface=travel.surface,
        readers=make_readers(clock, {(a.id, a.side): reported(a)[0] for a in angles.series}),
        reasons={(a.id, a.side): a.reason for a in angles.series if a.reason is not None},
        referenced=frozenset((a.id, a.side) for a in angles.series if reported(a)[1]),
        static_reason=static_reason,
        heights={"com": make_reader(clock, com_m[:, 1]), "pelvis": make_reader(clock, proximal.mid_hip_m[:, 1])},
        com_reason=com_reason,
        limb={s: _limb(clock, distal, s) for s in SIDES},
        forefoot_mps={s: make_reader(clock, np.gradient(forefoot(feet, s)[:, 0], clock)) for s in SIDES},
        pelvis_forward=make_reader(clock, proximal.mid_hip_m[:, 0]),
        drift_mps=travel.drift_mps,
    )


def _limb(clock: FloatArray, body: Body, side: Side) -> tuple[SeriesReader, SeriesReader]:
    line = body.ankle[side].position_m - body.hip[side].position_m
    return make_reader(clock, line[:, 0]), make_reader(clock, line[:, 1])
