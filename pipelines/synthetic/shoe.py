"""A shoe that rolls on the belt without slipping, and the pitch of the foot during stance.

The sole is convex (`anatomy.Sole`): pitched toes-up it rolls on the heel arc, level it lies flat, pitched toes-down it
rolls on the toe arc. A rolling arc's centre stays one radius above the belt and moves by minus radius times pitch, so
the material point that touches the belt always moves exactly with the belt.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labsys.core.arrays import FloatArray
from pipelines.synthetic.anatomy import Sole


def roll_ankle(sole: Sole, pitch_rad: FloatArray) -> FloatArray:
    """Ankle relative to the belt point under it when the foot lies flat: forward and up, (..., 2) m.

    Args:
        pitch_rad: (...,) rad, toes up positive.
    """
    pitch = np.asarray(pitch_rad, dtype=np.float64)
    on_heel = pitch >= 0
    radius = np.where(on_heel, sole.heel_radius_m, sole.toe_radius_m)
    centre_x = np.where(on_heel, sole.heel_x_m, sole.ball_x_m)
    centre_y = radius - sole.ankle_height_m
    cos, sin = np.cos(pitch), np.sin(pitch)
    forward = centre_x - radius * pitch - (centre_x * cos - centre_y * sin)
    up = radius - (centre_x * sin + centre_y * cos)
    return np.stack([forward, up], axis=-1)


def contact_from_ankle(sole: Sole, pitch_rad: FloatArray) -> FloatArray:
    """Lowest point of the sole relative to the ankle: forward and up, (..., 2) m (of the heel's end when flat)."""
    pitch = np.asarray(pitch_rad, dtype=np.float64)
    on_heel = pitch >= 0
    radius = np.where(on_heel, sole.heel_radius_m, sole.toe_radius_m)
    centre_x = np.where(on_heel, sole.heel_x_m, sole.ball_x_m)
    centre_y = radius - sole.ankle_height_m
    cos, sin = np.cos(pitch), np.sin(pitch)
    return np.stack([centre_x * cos - centre_y * sin, centre_x * sin + centre_y * cos - radius], axis=-1)


def roll_rates(sole: Sole, pitch_rad: FloatArray) -> tuple[FloatArray, FloatArray]:
    """First and second derivative of `roll_ankle` with respect to pitch, (..., 2) m/rad and m/rad²."""
    pitch = np.asarray(pitch_rad, dtype=np.float64)
    on_heel = pitch >= 0
    radius = np.where(on_heel, sole.heel_radius_m, sole.toe_radius_m)
    centre_x = np.where(on_heel, sole.heel_x_m, sole.ball_x_m)
    centre_y = radius - sole.ankle_height_m
    cos, sin = np.cos(pitch), np.sin(pitch)
    first = np.stack([-radius + centre_x * sin + centre_y * cos, -centre_x * cos + centre_y * sin], axis=-1)
    second = np.stack([centre_x * cos - centre_y * sin, centre_x * sin + centre_y * cos], axis=-1)
    return first, second


@dataclass(frozen=True)
class PitchProfile:
    """Pitch of the foot in one stance: from strike to flat, flat, and off over the toes.

    Attributes:
        strike_rad, strike_rate_rad_s: pitch and its rate just after strike.
        flat_from_s, flat_to_s, off_s: times after strike.
        off_rad, off_rate_rad_s, off_acceleration_rad_s2: at toe-off.
    """

    strike_rad: float
    strike_rate_rad_s: float
    flat_from_s: float
    flat_to_s: float
    off_s: float
    off_rad: float
    off_rate_rad_s: float
    off_acceleration_rad_s2: float

    def at(self, since_strike_s: FloatArray) -> FloatArray:
        """Pitch (...,) rad at times since strike."""
        s = np.asarray(since_strike_s, dtype=np.float64)
        landing = _quintic(s, self.flat_from_s, (self.strike_rad, self.strike_rate_rad_s, 0.0), (0.0, 0.0, 0.0))
        leaving = _quintic(
            s - self.flat_to_s,
            self.off_s - self.flat_to_s,
            (0.0, 0.0, 0.0),
            (self.off_rad, self.off_rate_rad_s, self.off_acceleration_rad_s2),
        )
        return np.where(s < self.flat_from_s, landing, np.where(s > self.flat_to_s, leaving, 0.0))


def _quintic(
    t: FloatArray, duration: float, start: tuple[float, float, float], end: tuple[float, float, float]
) -> FloatArray:
    """The polynomial of degree five with given value, rate and acceleration at 0 and at `duration`."""
    d = duration
    p0, v0, a0 = start[0], start[1] * d, start[2] * d * d
    p1, v1, a1 = end[0], end[1] * d, end[2] * d * d
    gap, rate, bend = p1 - p0 - v0 - a0 / 2, v1 - v0 - a0, a1 - a0
    c3 = 10 * gap - 4 * rate + bend / 2
    c4 = -15 * gap + 7 * rate - bend
    c5 = 6 * gap - 3 * rate + bend / 2
    s = t / d
    return np.asarray(p0 + s * (v0 + s * (a0 / 2 + s * (c3 + s * (c4 + s * c5)))))
