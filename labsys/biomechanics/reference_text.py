"""A reference value in words, and how far a value lies from it."""

from __future__ import annotations

import math

from labsys.core.catalogue import find_metric
from labsys.core.references import ReferenceValue
from labsys.core.units import Unit, to_outside


def describe_reference(reference: ReferenceValue) -> str:
    """`13.0 ± 4.5 deg (SOURCE, n = 23, optical markers)`."""
    unit = find_metric(reference.metric).unit
    who = f"{reference.n} {reference.sex}" if reference.own and reference.sex else f"n = {reference.n}"
    of_sex = f", {reference.sex}" if reference.sex and not reference.own else ""
    chosen = ", read off a figure" if reference.provisional else ""
    return f"{range_text(reference)} {unit.value} ({reference.source}, {who}{of_sex}, {reference.method}{chosen})"


def distance_sds(value: float, reference: ReferenceValue) -> float:
    """How many of the reference's SDs a value lies from its mean; NaN where it gives no SD."""
    return (value - reference.mean) / reference.sd if reference.sd > 0.0 else math.nan


def range_text(reference: ReferenceValue) -> str:
    """`13.0 ± 4.5`, or `9.7 to 13.6`, without the unit."""
    unit = find_metric(reference.metric).unit
    if math.isfinite(reference.low):
        return f"{format_value(reference.low, unit)} to {format_value(reference.high, unit)}"
    spread = f" ± {format_value(reference.sd, unit)}" if math.isfinite(reference.sd) else ""
    return f"{format_value(reference.mean, unit)}{spread}"


def format_value(value: float, unit: Unit) -> str:
    """An inside value as people read it, without its unit."""
    digits = {Unit.MM: 0, Unit.S: 3, Unit.NONE: 2, Unit.M_PER_S: 2, Unit.STEPS_PER_MIN: 0}.get(unit, 1)
    return f"{to_outside(value, unit):.{digits}f}"
