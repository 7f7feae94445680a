"""What metrics are read from: angles, heights and velocities that can be read at any instant of a stride."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field

import numpy as np

from labsys.biomechanics.axes import Track, no_track
from labsys.biomechanics.com import centre_of_mass
from labsys.biomechanics.kinematics import reported, standing_leg_m, standing_thigh_rad, strike_angles
from labsys.biomechanics.points import BodyPoints
from labsys.biomechanics.preparation import Prepared
from labsys.biomechanics.sampling import SeriesReader, make_readers
from labsys.biomechanics.segments import SIDES
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
    """Event times of the strides of one side, (S,) s; (D, S) of D stretches of a trial, on their clock."""

    side: Side
    strike_s: FloatArray
    toe_off_s: FloatArray
    next_strike_s: FloatArray
    contra_strike_s: FloatArray
    _kept: dict[Hashable, FloatArray] = field(default_factory=dict, init=False, repr=False)

    def kept(self, name: Hashable, make: Callable[[], FloatArray]) -> FloatArray:
        """What is made once under a name, for many metrics read the same grid and the same instant."""
        if name not in self._kept:
            made = self._kept[name] = make()
            made.setflags(write=False)
        return self._kept[name]

    @property
    def duration_s(self) -> FloatArray:
        """Stride times, (S,) s."""
        return self.next_strike_s - self.strike_s

    @property
    def whole(self) -> FloatArray:
        """A grid over every stride, (S, 201) s."""
        return self.kept("whole", lambda: self.between(self.strike_s, self.next_strike_s))

    def between(self, start_s: FloatArray, end_s: FloatArray) -> FloatArray:
        """A grid from start to end of every stride's window, (..., S, 201) s."""
        return np.asarray(start_s[..., None] + np.linspace(0.0, 1.0, _GRID) * (end_s - start_s)[..., None])


def stride_times(strides: tuple[Stride, ...]) -> StrideTimes:
    """Times of strides of one side as arrays."""
    return StrideTimes(
        side=strides[0].side,
        strike_s=np.array([s.foot_strike_s for s in strides]),
        toe_off_s=np.array([s.toe_off_s for s in strides]),
        next_strike_s=np.array([s.next_foot_strike_s for s in strides]),
        contra_strike_s=np.array([s.contra_foot_strike_s for s in strides]),
    )


@dataclass(frozen=True)
class Circumstances:
    """What metrics must know that landmarks do not show. height_m: of the body, NaN where unknown."""

    kind: TrialKind
    static_reason: str
    height_m: float = math.nan


@dataclass(frozen=True, eq=False)
class MetricSource:
    """Everything metrics read.

    Attributes:
        readers: (angle id, side) -> the angle as reported, rad. reasons: why an angle is missing.
        at_strike: the same for angles that are read at foot strike.
        referenced: angles that are change from the static; static_reason: why others are not.
        places: (name, axis) -> position of a point, m; axes 0 forward, 1 up, 2 to the right. Names: "com", "pelvis"
            (mid-hip), "top" (of the trunk), and with R or L before them HIP, ANKLE, HEEL, TOE, FOOT (its middle).
        lacking: name of a point or measure -> why there is none.
        leg_length_m, height_m: hip centre to lateral malleolus in standing, body height; NaN where unknown.
        standing_thigh_rad: side -> thigh against vertical in standing; NaN where unknown. Like the leg length one
            number, or (D, 1) of D stretches with statics of their own, whose strides are read as (D, S).
        forefoot_mps: side -> forward velocity, m/s.
        ground_mps: speed of the ground against the subject; drift_mps: what was subtracted from it overground.
    """

    tier: Tier
    kind: TrialKind
    surface: Surface
    readers: Mapping[tuple[str, Side], SeriesReader]
    at_strike: Mapping[tuple[str, Side], SeriesReader]
    reasons: Mapping[tuple[str, Side], str]
    referenced: frozenset[tuple[str, Side]]
    static_reason: str
    places: Mapping[tuple[str, int], SeriesReader]
    lacking: Mapping[str, str]
    leg_length_m: float | FloatArray
    height_m: float
    standing_thigh_rad: Mapping[Side, float | FloatArray]
    forefoot_mps: Mapping[Side, SeriesReader]
    ground_mps: float
    drift_mps: float
    _over_grids: dict[tuple[tuple[str, Side], int], tuple[FloatArray, FloatArray]] = field(
        default_factory=dict, init=False, repr=False
    )

    def read(self, angle_id: str, side: Side, at_s: FloatArray) -> FloatArray:
        """An angle at any times, rad; midline angles may be asked for with a side."""
        key = (angle_id, side) if (angle_id, side) in self.readers else (angle_id, Side.BOTH)
        if at_s.ndim < 2 or at_s.flags.writeable:
            return self.readers[key].read(at_s)
        # Over a grid that many metrics share it is read once; the grid is kept too, so that its id stays its own.
        if (key, id(at_s)) not in self._over_grids:
            values = self.readers[key].read(at_s)
            values.setflags(write=False)
            self._over_grids[key, id(at_s)] = at_s, values
        return self._over_grids[key, id(at_s)][1]

    def read_strike(self, angle_id: str, side: Side, times: StrideTimes) -> FloatArray:
        """An angle at every foot strike, (S,) rad."""
        return self.at_strike[angle_id, side].read(times.strike_s)

    def place(self, name: str, axis: int, at_s: FloatArray) -> FloatArray:
        """A point's position along one axis at any times, m."""
        return self.places[name, axis].read(at_s)


def make_source(travel: Travel, angles: JointAngles, known: Circumstances) -> MetricSource:
    """Prepare a gait trial for its metrics."""
    prepared, clock = travel.prepared, angles.times_s
    feet = prepared.smoothed(prepared.settings.event_cutoff_hz)
    points, lacking = _find_places(prepared, feet)
    measures, why_not = _measures(prepared, known)
    velocity = {("velocity", s): np.gradient(forefoot(feet, s)[:, 0], clock) for s in SIDES}
    series: dict[tuple[str, int | Side], FloatArray] = {(a.id, a.side): reported(a)[0] for a in angles.series}
    series |= {(name, axis): track[:, axis] for name, track in points.items() for axis in range(3)}
    readers = make_readers(clock, series | velocity)
    return MetricSource(
        tier=prepared.tier,
        kind=known.kind,
        surface=travel.surface,
        readers={(a.id, a.side): readers[a.id, a.side] for a in angles.series},
        at_strike=make_readers(clock, {(a.id, a.side): reported(a)[0] for a in strike_angles(prepared).series}),
        reasons={(a.id, a.side): a.reason for a in angles.series if a.reason is not None},
        referenced=frozenset((a.id, a.side) for a in angles.series if reported(a)[1]),
        static_reason=known.static_reason,
        places={(name, axis): readers[name, axis] for name in points for axis in range(3)},
        lacking=lacking | why_not,
        leg_length_m=measures.leg_length_m,
        height_m=known.height_m,
        standing_thigh_rad=measures.thigh_rad,
        forefoot_mps={s: readers["velocity", s] for s in SIDES},
        ground_mps=travel.speed_mps,
        drift_mps=travel.drift_mps,
    )


def _find_places(prepared: Prepared, feet: BodyPoints) -> tuple[dict[str, FloatArray], dict[str, str]]:
    """Tracks (T, 3) m by name, and why others are missing."""
    settings = prepared.settings
    points = prepared.smoothed(settings.proximal_cutoff_hz)
    proximal, distal = prepared.body(settings.proximal_cutoff_hz), prepared.body(settings.distal_cutoff_hz)
    com_m, com_reason = centre_of_mass(points, proximal)
    tracks = {
        "com": Track(com_m, com_reason),
        "pelvis": Track(proximal.mid_hip_m, proximal.hip[Side.RIGHT].reason),
        "top": proximal.trunk_top,
    }
    for side in SIDES:
        s = side.letter
        tracks |= {f"{s}HIP": distal.hip[side], f"{s}ANKLE": distal.ankle[side]}
        tracks |= {f"{s}{role}": _landmark(feet, f"{s}{role}") for role in ("HEEL", "TOE")}
        tracks[f"{s}FOOT"] = _middle(tracks[f"{s}HEEL"], tracks[f"{s}TOE"])
    found = {name: track.position_m for name, track in tracks.items() if track.reason is None}
    return found, {name: track.reason for name, track in tracks.items() if track.reason is not None}


def _landmark(points: BodyPoints, role: str) -> Track:
    return Track(points[role]) if points.has(role) else no_track(points, points.missing(role))


def _middle(a: Track, b: Track) -> Track:
    return Track(0.5 * (a.position_m + b.position_m), a.reason or b.reason)


@dataclass(frozen=True)
class _Measures:
    """Of the standing subject: hip centre to lateral malleolus (mean of both legs, m), thigh against vertical (rad)."""

    leg_length_m: float | FloatArray
    thigh_rad: Mapping[Side, float | FloatArray]


def _measures(prepared: Prepared, known: Circumstances) -> tuple[_Measures, dict[str, str]]:
    leg_m = _per_stretch(prepared, standing_leg_m(prepared))
    thigh_rad = {side: _per_stretch(prepared, own) for side, own in standing_thigh_rad(prepared).items()}
    unseen = (
        "the static trial does not show hips, knees and ankles" if prepared.static is not None else known.static_reason
    )
    lacking = {} if np.isfinite(leg_m).all() else {"leg_length": unseen}
    if not all(np.isfinite(v).all() for v in thigh_rad.values()):
        lacking["standing_thigh"] = unseen
    if not math.isfinite(known.height_m):
        lacking["height"] = "body height is not on file for this visit"
    return _Measures(leg_m, thigh_rad), lacking


def _per_stretch(prepared: Prepared, of_frames: FloatArray) -> float | FloatArray:
    """One number of a static's frames, or (D, 1) of those that repeat in every stretch."""
    if prepared.stretches == 1 or of_frames.size == 1:
        return float(of_frames[0])
    return of_frames.reshape(prepared.stretches, -1)[:, :1]
