"""The finely sampled truth that true metrics are read off."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from labsys.core.arrays import FloatArray
from labsys.core.catalogue import find_angle
from labsys.core.motion import Stride
from labsys.core.skeleton import Side
from pipelines.synthetic.true_angles import Key


@dataclass(frozen=True, eq=False)
class TrueCurves:
    """Finely sampled truth.

    Attributes:
        angles: (angle id, side) -> reported angle, (T,) rad.
        points_m: name -> (T, 3) m: "com", "hips" (their middle), "C7", and with R or L before them HJC, AJC, HEEL, TOE.
        leg_length_m: hip centre to lateral malleolus in standing. standing_thigh_rad: side -> against vertical.
    """

    times_s: FloatArray
    angles: Mapping[Key, FloatArray]
    points_m: Mapping[str, FloatArray]
    leg_length_m: float
    height_m: float
    standing_thigh_rad: Mapping[Side, float]
    speed_mps: float
    walking: bool

    def angle(self, angle_id: str, side: Side, at_s: FloatArray) -> FloatArray:
        """An angle at any times; midline angles may be asked for with a side."""
        both = not find_angle(angle_id).sided.sides[0].letter
        return np.interp(at_s, self.times_s, self.angles[angle_id, Side.BOTH if both else side])

    def point(self, name: str, time_s: float) -> FloatArray:
        """A point at one time, (3,) m."""
        points_m, times_s = self.points_m[name], self.times_s
        # Between two rows: `np.interp` would copy the whole capture's column for every number.
        before = int(np.clip(np.searchsorted(times_s, time_s, side="right") - 1, 0, times_s.size - 2))
        slope = (points_m[before + 1] - points_m[before]) / (times_s[before + 1] - times_s[before])
        since_s = np.clip(time_s, times_s[0], times_s[-1]) - times_s[before]
        return np.asarray(points_m[before] + slope * since_s)

    def ground_m(self, start_s: float, end_s: float) -> float:
        """Way of the belt between two times, m."""
        return self.speed_mps * (end_s - start_s)


Rule = Callable[[TrueCurves, Stride], float]
