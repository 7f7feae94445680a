"""Numbers as people outside see them: in outside units, null where there is none."""

from __future__ import annotations

import math

from labsys.core.units import Unit, to_outside


def number(value: float) -> float | None:
    """A finite number as it is; NaN and infinity are null in JSON."""
    return float(value) if math.isfinite(value) else None


def outside(value: float, unit: Unit) -> float | None:
    """An inside value in the unit that people see; null where not finite."""
    return number(to_outside(value, unit))


def interval(bounds: tuple[float, float], unit: Unit) -> list[float] | None:
    """An interval in the unit that people see; null where a bound is not finite."""
    low, high = outside(bounds[0], unit), outside(bounds[1], unit)
    return None if low is None or high is None else [low, high]
