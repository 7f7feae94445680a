"""The unit rule and the only conversion functions.

Inside the core every number is SI: s, m, rad, Hz, m/s, and ratios as plain fractions. Degrees, millimetres, percent and
steps per minute exist only in file writers, API schemas, pages and reports, and they get there through this module.
A `Unit` names what people outside see; `Unit.factor` is outside value per inside value.
"""

from __future__ import annotations

import math
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike

from labsys.core.arrays import FloatArray


class Unit(StrEnum):
    """A unit as shown outside the core; the inside unit is in `INSIDE`."""

    DEG = "deg"
    MM = "mm"
    S = "s"
    PERCENT = "%"
    STEPS_PER_MIN = "steps/min"
    M_PER_S = "m/s"
    NONE = "none"
    DEG_PER_MIN = "deg/min"
    MM_PER_MIN = "mm/min"
    S_PER_MIN = "s/min"
    PERCENT_PER_MIN = "%/min"
    STEPS_PER_MIN_PER_MIN = "steps/min per min"
    M_PER_S_PER_MIN = "m/s per min"
    PER_MIN = "1/min"

    @property
    def factor(self) -> float:
        """Outside value per inside value (deg per rad, mm per m, …)."""
        return _FACTOR[self]


INSIDE: dict[Unit, str] = {
    Unit.DEG: "rad",
    Unit.MM: "m",
    Unit.S: "s",
    Unit.PERCENT: "1",
    Unit.STEPS_PER_MIN: "Hz",
    Unit.M_PER_S: "m/s",
    Unit.NONE: "1",
    Unit.DEG_PER_MIN: "rad/s",
    Unit.MM_PER_MIN: "m/s",
    Unit.S_PER_MIN: "s/s",
    Unit.PERCENT_PER_MIN: "1/s",
    Unit.STEPS_PER_MIN_PER_MIN: "Hz/s",
    Unit.M_PER_S_PER_MIN: "m/s2",
    Unit.PER_MIN: "1/s",
}

_FACTOR: dict[Unit, float] = {
    Unit.DEG: 180.0 / math.pi,
    Unit.MM: 1000.0,
    Unit.S: 1.0,
    Unit.PERCENT: 100.0,
    Unit.STEPS_PER_MIN: 60.0,
    Unit.M_PER_S: 1.0,
    Unit.NONE: 1.0,
    Unit.DEG_PER_MIN: 60.0 * 180.0 / math.pi,
    Unit.MM_PER_MIN: 60.0 * 1000.0,
    Unit.S_PER_MIN: 60.0,
    Unit.PERCENT_PER_MIN: 60.0 * 100.0,
    Unit.STEPS_PER_MIN_PER_MIN: 60.0 * 60.0,
    Unit.M_PER_S_PER_MIN: 60.0,
    Unit.PER_MIN: 60.0,
}


def to_outside(value: float, unit: Unit) -> float:
    """Convert one SI value to the unit that people see."""
    return float(value) * unit.factor


def to_outside_array(values: ArrayLike, unit: Unit) -> FloatArray:
    """Convert SI values of any shape to the unit that people see."""
    return np.asarray(values, dtype=np.float64) * unit.factor


def to_inside(value: float, unit: Unit) -> float:
    """Convert one value as people write it to SI."""
    return float(value) / unit.factor


def degrees(value_rad: float) -> float:
    """Radians to degrees."""
    return math.degrees(value_rad)


def radians(value_deg: float) -> float:
    """Degrees to radians."""
    return math.radians(value_deg)


def millimetres(value_m: float) -> float:
    """Metres to millimetres."""
    return value_m * 1000.0
