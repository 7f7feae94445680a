"""A row in words. It says what was measured and how surely; whether a change is good is the clinician's to say."""

from __future__ import annotations

from labsys.core.catalogue import find_metric
from labsys.core.units import Unit, to_outside
from labsys.longitudinal.values import ComparisonRow, Verdict


def explain_row(row: ComparisonRow) -> str:
    """One sentence on a row, in the unit that people read."""
    definition = find_metric(row.id)
    unit = definition.unit
    match row.verdict:
        case Verdict.NO_DETECTABLE_CHANGE:
            return f"no change larger than {_amount(row.detectable_change, unit)} could be seen"
        case Verdict.POSSIBLE_CHANGE:
            return f"{_signed(row.change, unit)}: not distinguishable from measurement error"
        case Verdict.LARGER_THAN_ERROR:
            goal = f", {row.goal_direction} the goal" if row.goal_direction else ""
            meaning = f" ({definition.positive})" if row.change > 0 else f" (opposite of: {definition.positive})"
            return f"{_signed(row.change, unit)}, {row.direction}{meaning}: larger than measurement error{goal}"
        case Verdict.INDICATIVE_ONLY:
            return f"{_signed(row.change, unit)}, indicative only: {row.reason}"
        case Verdict.NOT_COMPARABLE:
            return f"not comparable: {row.reason}"
        case Verdict.NOT_MEASURED:
            return f"not measured: {row.reason}"


def _amount(value: float, unit: Unit) -> str:
    digits = 3 if unit in (Unit.S, Unit.M_PER_S) else 1
    name = "" if unit is Unit.NONE else f" {unit}"
    return f"{to_outside(value, unit):.{digits}f}{name}"


def _signed(value: float, unit: Unit) -> str:
    return ("+" if value >= 0 else "") + _amount(value, unit)
