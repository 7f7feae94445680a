"""A row in words. It says what was measured and how surely; whether a change is good is the clinician's to say.

The words of a verdict stand here alone: terminal, pages and reports take them from here.
"""

from __future__ import annotations

from collections.abc import Mapping

from labsys.core.catalogue import find_metric
from labsys.core.digits import digits_of
from labsys.core.units import Unit, to_outside
from labsys.longitudinal.values import ComparisonRow, Verdict

VERDICT_WORDS: Mapping[Verdict, str] = {
    Verdict.POSSIBLE_CHANGE: "not distinguishable from measurement error",
    Verdict.LARGER_THAN_ERROR: "larger than measurement error",
    Verdict.INDICATIVE_ONLY: "indicative only",
    Verdict.NOT_COMPARABLE: "not comparable",
    Verdict.NOT_MEASURED: "not measured",
}


def say_verdict(verdict: Verdict, detectable: str) -> str:
    """A verdict in words. detectable: the smallest change that could have been seen, with its unit."""
    if verdict is Verdict.NO_DETECTABLE_CHANGE:
        return f"no change larger than {detectable} could be seen"
    return VERDICT_WORDS[verdict]


def explain_row(row: ComparisonRow) -> str:
    """One sentence on a row, in the unit that people read."""
    definition = find_metric(row.id)
    unit = definition.unit
    said = say_verdict(row.verdict, _amount(row.detectable_change, unit))
    match row.verdict:
        case Verdict.NO_DETECTABLE_CHANGE:
            return said
        case Verdict.POSSIBLE_CHANGE:
            return f"{_signed(row.change, unit)}: {said}"
        case Verdict.LARGER_THAN_ERROR:
            goal = f", {row.goal_direction} the goal" if row.goal_direction else ""
            meaning = f" ({definition.positive})" if row.change > 0 else f" (opposite of: {definition.positive})"
            return f"{_signed(row.change, unit)}, {row.direction}{meaning}: {said}{goal}"
        case Verdict.INDICATIVE_ONLY:
            return f"{_signed(row.change, unit)}, {said}: {row.reason}"
        case Verdict.NOT_COMPARABLE | Verdict.NOT_MEASURED:
            return f"{said}: {row.reason}"


def _amount(value: float, unit: Unit) -> str:
    name = "" if unit is Unit.NONE else f" {unit}"
    return f"{to_outside(value, unit):.{digits_of(unit)}f}{name}"


def _signed(value: float, unit: Unit) -> str:
    return ("+" if value >= 0 else "") + _amount(value, unit)
