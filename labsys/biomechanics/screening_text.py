"""Findings in words: what was measured, how surely, beside what; never a muscle, never a praise."""

from __future__ import annotations

from collections.abc import Sequence

from labsys.biomechanics.reference_text import format_value
from labsys.biomechanics.screening_measures import Assessed, Known
from labsys.core.catalogue import find_metric
from labsys.core.motion import FindingValue
from labsys.core.screening import Beyond, FindingStatus, Rule, RuleSet
from labsys.core.session import Surface
from labsys.core.skeleton import Side
from labsys.core.units import Unit

_STANDING_OUT = (FindingStatus.BORDERLINE, FindingStatus.FLAGGED)
_SAID = {
    FindingStatus.FLAGGED: "Flagged",
    FindingStatus.BORDERLINE: "Borderline",
    FindingStatus.NOT_FLAGGED: "Not flagged",
}


def describe_finding(rule: Rule, status: FindingStatus, given: Sequence[Assessed], rules: RuleSet, known: Known) -> str:
    """Every value with interval, speed and reference, what was concluded, and the closing sentences."""
    out = [a for a in given if a.value.status in _STANDING_OUT] or list(given)
    sentences = list(dict.fromkeys(_measured(a.value, rules, known) for a in out))
    sentences.append(_concluded(status, out, rule))
    return _closed(sentences, rules, rule if status in _STANDING_OUT else None)


def describe_unassessed(rule: Rule, reason: str, rules: RuleSet, *, assessed: bool = False) -> str:
    """Why there is no number. assessed: the rule does not apply, which is an answer."""
    said = "not flagged" if assessed else "not assessed"
    return _closed([f"{rule.title}: {said}, {reason}."], rules, None)


def _closed(sentences: list[str], rules: RuleSet, rule: Rule | None) -> str:
    first, *rest = rules.closing
    causes = [] if rule is None else [f"Things that can produce it: {'; '.join(rule.can_produce)}."]
    return " ".join([*sentences, first, *causes, *rest])


def _measured(value: FindingValue, rules: RuleSet, known: Known) -> str:
    unit = find_metric(value.metric).unit
    side = "" if value.side is Side.BOTH else f" ({value.side})"
    if value.ci95 is None:
        interval = "interval unknown"
    else:
        interval = f"95 % interval {' to '.join(format_value(v, unit) for v in value.ci95)}"
    where = "on the treadmill" if known.surface is Surface.TREADMILL else "overground; thresholds are from treadmills"
    references = known.reference_texts(value.metric)
    beside = f"; reference {' and '.join(references)}" if references else "; no reference at this speed and surface"
    amount = f"{format_value(value.mean, unit)}{_unit(unit)}"
    return (
        f"{rules.names[value.metric]}{side} was {amount} ({interval}, {value.n} strides) "
        f"at {known.speed_mps:.1f} m/s {where}{beside}."
    )


def _concluded(status: FindingStatus, out: Sequence[Assessed], rule: Rule) -> str:
    if rule.never_flag and any(a.value.status in _STANDING_OUT for a in out):
        return f"Described, never flagged: {_why(out)}."
    if status is FindingStatus.NOT_FLAGGED:
        return "Not flagged."
    return f"{_SAID[status]}: {_why(out)}."


def _why(out: Sequence[Assessed]) -> str:
    return "; ".join(_why_one(a) for a in out)


def _why_one(assessed: Assessed) -> str:
    value, beyond = assessed.value, assessed.measure.beyond
    unit = find_metric(value.metric).unit
    word = {Beyond.BELOW: "below", Beyond.ABOVE: "above", Beyond.FROM_ZERO: "further from zero than"}[beyond]
    flagged = "" if value.flagged is None else f"{format_value(value.flagged, unit)}{_unit(unit)}"
    if value.status is FindingStatus.FLAGGED:
        return f"the whole interval lies {word} {flagged}{_often(value)}"
    begins = value.flagged if value.borderline is None else value.borderline
    near = "" if begins is None else f"{format_value(begins, unit)}{_unit(unit)}"
    # Read as the same number, a value still lies beyond its threshold.
    just = "just " if begins is not None and _reads_alike(value.mean, begins, unit) else ""
    return f"{just}{word} {near}, but its whole interval is not {word} {flagged}{_often(value)}"


def _reads_alike(value: float, threshold: float, unit: Unit) -> bool:
    return format_value(value, unit) == format_value(threshold, unit)


def _often(value: FindingValue) -> str:
    return "" if value.strides_beyond is None else f" ({100 * value.strides_beyond:.0f} % of strides)"


def _unit(unit: Unit) -> str:
    return {Unit.DEG: "°", Unit.PERCENT: " %", Unit.NONE: ""}.get(unit, f" {unit.value}")
