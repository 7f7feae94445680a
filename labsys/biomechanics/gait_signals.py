"""The signals that gait events are read from: dense in time, in the run direction, low-passed for events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.signal import find_peaks

from labsys.biomechanics.filtering import stretches
from labsys.biomechanics.points import BodyPoints, is_seen
from labsys.biomechanics.segments import SIDES, Body
from labsys.biomechanics.treadmill import MID_STANCE, ankle, bridge, forefoot, reach, reach_maxima
from labsys.core.arrays import BoolArray, FloatArray
from labsys.core.skeleton import Side

UPSAMPLING = 4
# A single frame without a landmark is bridged well even at a foot strike; a longer hole there may hide it.
_HARMLESS_FRAMES = 1
ANKLE_ROLE = "ANKLE"
_SHOE_ROLES = ("HEEL", "MT5", "MT1", "TOE")


@dataclass(frozen=True, eq=False)
class PointSignals:
    """One landmark on the dense clock, (D,): height and its derivatives, forward position and velocity."""

    height_m: FloatArray
    climb_mps: FloatArray
    acceleration_mps2: FloatArray
    forward_m: FloatArray
    velocity_mps: FloatArray


@dataclass(frozen=True, eq=False)
class LegSignals:
    """One leg on the dense clock.

    Attributes:
        shoe: role (HEEL, MT5, MT1, TOE) -> signals; empty without foot landmarks.
        foot: mean of heel and forefoot, or the ankle where there is no foot.
        knee_rad: 3D hip-knee-ankle angle (D,), π when straight.
        furthest_s: times of the ankle's furthest reach; rearmost_s: of its rearmost place.
        pitch_rate_rad_s: (D,) of the shoe from heel to toe, toe up positive; 0 where there is no shoe.
        measured: per role of `landmarks`, (D,) False where it was missing or filled in.
    """

    shoe: Mapping[str, PointSignals]
    foot: PointSignals
    ankle: PointSignals
    knee_rad: FloatArray
    furthest_s: FloatArray
    rearmost_s: FloatArray
    pitch_rate_rad_s: FloatArray
    measured: Mapping[str, BoolArray]

    @property
    def landmarks(self) -> Mapping[str, PointSignals]:
        """Landmarks of shoe and ankle, one by one."""
        return {**self.shoe, ANKLE_ROLE: self.ankle}


@dataclass(frozen=True, eq=False)
class GaitSignals:
    """Both legs on one dense clock times_s (D,), the sacrum's forward position and the mid-hip's height, (D,) m."""

    times_s: FloatArray
    legs: Mapping[Side, LegSignals]
    sacrum_m: FloatArray
    pelvis_height_m: FloatArray
    period_s: float
    has_feet: bool

    def pelvis_highest_in_mid_stance(self) -> bool:
        """Whether the pelvis is higher in mid-stance than on average: the mark of walking."""
        windows = [
            self.window(*(m + share * self.period_s for share in MID_STANCE))
            for leg in self.legs.values()
            for m in leg.furthest_s
        ]
        heights = [self.pelvis_height_m[w] for w in windows if w.stop > w.start]
        return bool(heights) and float(np.mean(np.concatenate(heights))) > float(np.mean(self.pelvis_height_m))

    def window(self, start_s: float, end_s: float) -> slice:
        """Samples of the dense clock between two times, both included."""
        step = self.times_s[1] - self.times_s[0]
        first = max(0, int(np.ceil((start_s - self.times_s[0]) / step - 1e-6)))
        last = min(self.times_s.size, int(np.floor((end_s - self.times_s[0]) / step + 1e-6)) + 1)
        return slice(first, max(first, last))


def make_signals(points: BodyPoints, body: Body, period_s: float) -> GaitSignals:
    """Signals of a trial that already lies in its run direction. points, body: low-passed for events."""
    clock = points.times_s
    dense = np.linspace(clock[0], clock[-1], UPSAMPLING * (clock.size - 1) + 1)
    pelvis = body.mid_hip_m
    sacrum = points["S3"] if points.has("S3") else _mid_psis_or(points, pelvis)
    legs = {side: _leg(points, body, side, dense, period_s) for side in SIDES}
    return GaitSignals(
        times_s=dense,
        legs=legs,
        sacrum_m=CubicSpline(clock, bridge(sacrum[:, 0]))(dense),
        pelvis_height_m=CubicSpline(clock, bridge(pelvis[:, 1]))(dense),
        period_s=period_s,
        has_feet=all(points.has(f"{s.letter}HEEL", f"{s.letter}TOE") for s in SIDES),
    )


def _mid_psis_or(points: BodyPoints, pelvis: FloatArray) -> FloatArray:
    return 0.5 * (points["RPSIS"] + points["LPSIS"]) if points.has("RPSIS", "LPSIS") else pelvis


def _leg(points: BodyPoints, body: Body, side: Side, dense: FloatArray, period_s: float) -> LegSignals:
    clock, s = points.times_s, side.letter
    roles = tuple(r for r in _SHOE_ROLES if points.has(f"{s}{r}"))
    shoe = {r: _point(clock, points[f"{s}{r}"], dense) for r in roles}
    standing = points[f"{s}HEEL"] if points.has(f"{s}HEEL") else forefoot(points, side)
    foot = 0.5 * (standing + forefoot(points, side))
    knee = knee_angle(body.hip[side].position_m, body.knee[side].position_m, ankle(points, side))
    maxima = reach_maxima(points, body.mid_hip_m, side, period_s)
    x = reach(points, body.mid_hip_m, side)
    return LegSignals(
        shoe=shoe,
        foot=_point(clock, foot, dense),
        ankle=_point(clock, ankle(points, side), dense),
        knee_rad=CubicSpline(clock, bridge(knee))(dense),
        furthest_s=np.interp(maxima, np.arange(clock.size), clock),
        rearmost_s=clock[find_peaks(-x, distance=max(1, int(0.7 * period_s * points.rate_hz)))[0]],
        pitch_rate_rad_s=_pitch_rate(shoe, dense),
        measured={r: _measured(points, (f"{s}{r}",), dense) for r in roles}
        | {ANKLE_ROLE: _measured(points, (f"{s}LM", f"{s}ANKLE"), dense)},
    )


def _pitch_rate(shoe: Mapping[str, PointSignals], dense: FloatArray) -> FloatArray:
    """Pitch rate of the line from heel to toe in the sagittal plane, toe up positive, (D,) rad/s."""
    if "HEEL" not in shoe or "TOE" not in shoe:
        return np.zeros(dense.size)
    heel, toe = shoe["HEEL"], shoe["TOE"]
    ahead, above = toe.forward_m - heel.forward_m, toe.height_m - heel.height_m
    ahead_mps, above_mps = toe.velocity_mps - heel.velocity_mps, toe.climb_mps - heel.climb_mps
    return (ahead * above_mps - above * ahead_mps) / (ahead**2 + above**2)


def _point(clock: FloatArray, track: FloatArray, dense: FloatArray) -> PointSignals:
    height = CubicSpline(clock, bridge(track[:, 1]))
    forward = CubicSpline(clock, bridge(track[:, 0]))
    return PointSignals(height(dense), height(dense, 1), height(dense, 2), forward(dense), forward(dense, 1))


def knee_angle(hip: FloatArray, knee: FloatArray, ankle_m: FloatArray) -> FloatArray:
    """3D hip-knee-ankle angle (T,) rad, π when straight."""
    a, b = hip - knee, ankle_m - knee
    cosine = np.sum(a * b, axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    return np.asarray(np.arccos(np.clip(cosine, -1.0, 1.0)))


def _measured(points: BodyPoints, roles: tuple[str, ...], dense: FloatArray) -> BoolArray:
    """Where all of these landmarks that exist were seen, on the dense clock; one filled-in frame alone does no harm."""
    seen = np.ones(points.times_s.size)
    for role in roles:
        if not points.has(role):
            continue
        seen *= is_seen(points[role])
        for first, last in stretches(points.filled[role] > 0):
            seen[first:last] *= last - first <= _HARMLESS_FRAMES
    return np.interp(dense, points.times_s, seen) > 1.0 - 1e-9
