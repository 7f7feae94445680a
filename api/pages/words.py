"""Numbers, units, sides and verdicts as people read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labsys.core.catalogue import find_angle, find_metric
from labsys.core.digits import digits_of
from labsys.longitudinal import Verdict, say_verdict

_SIGNS = {"deg": "°", "none": "", "%": " %"}
_GOALS = {"toward_higher": "toward higher values", "toward_lower": "toward lower values"}
_STATUSES = {"not_assessable": "not assessable", "not_flagged": "not flagged"}


def figure(value: float | None, unit: str, *, signed: bool = False) -> str:
    """A number with the digits of its unit; a change that rounds to nothing has no sign."""
    if value is None:
        return "–"
    digits = digits_of(unit)
    rounded = round(value, digits) + 0.0  # adding 0.0 turns -0.0 into 0.0
    text = f"{rounded:+.{digits}f}" if signed and rounded else f"{rounded:.{digits}f}"
    return text.replace("-", "−")


def quantity(value: float | None, unit: str, *, signed: bool = False) -> str:
    """A number with its unit."""
    text = figure(value, unit, signed=signed)
    return text if value is None else text + unit_sign(unit)


def interval(bounds: Sequence[float] | None, unit: str, *, signed: bool = False) -> str:
    """Both ends of an interval with their unit."""
    if bounds is None:
        return "–"
    low, high = (figure(b, unit, signed=signed) for b in bounds)
    return f"{low} to {high}{unit_sign(unit)}"


def unit_sign(unit: str) -> str:
    """What follows a number."""
    return _SIGNS.get(unit, f" {unit}")


def describe(metric_id: str) -> str:
    """A metric's name for people: its description in the catalogue, up to what the catalogue remarks on it."""
    return find_metric(metric_id).description.partition("; ")[0]


def remark(metric_id: str) -> str:
    """What the catalogue remarks on a metric after its name; "" where nothing."""
    return find_metric(metric_id).description.partition("; ")[2]


def describe_angle(angle_id: str) -> str:
    """An angle's name for people, from the catalogue."""
    return find_angle(angle_id).description


def verdict(row: Mapping[str, Any]) -> str:
    """A row's verdict in words; direction and goal only where the change is larger than the error."""
    said = say_verdict(Verdict(row["verdict"]), quantity(row["detectable_change"], row["unit"]))
    if row["verdict"] == Verdict.NO_DETECTABLE_CHANGE:
        return said
    parts = [said]
    if row["direction"]:
        parts.append(row["direction"])
    if row["goal_direction"]:
        parts.append("toward the goal" if row["goal_direction"] == "toward" else "away from the goal")
    text = ", ".join(parts)
    return f"{text}: {row['reason']}" if row["reason"] else text


def line_verdict(slope: Mapping[str, Any], unit: str) -> str:
    """The verdict on a trend's line over all its visits."""
    said = say_verdict(Verdict(slope["verdict"]), quantity(slope["detectable_change"], unit))
    return said if slope["family"] == "goal" else f"{said} (exploratory)"


def goal_direction(direction: str) -> str:
    """Where the clinician wants a metric to go."""
    return _GOALS[direction]


def status(value: str) -> str:
    """A finding's status."""
    return _STATUSES.get(value, value)


def condition(part: Mapping[str, Any]) -> str:
    """Kind, surface, speed and incline of what is compared."""
    surface = f" on the {part['surface']}" if part["surface"] == "treadmill" else f" {part['surface'] or ''}".rstrip()
    speed = "" if part["speed_mps"] is None else f" at {quantity(part['speed_mps'], 'm/s')}"
    return f"{part['kind']}{surface}{speed}, incline {quantity(part['incline_pct'] or 0.0, '%')}"


def minute(moment: str) -> str:
    """Date and time of an ISO-8601 time, UTC."""
    return moment[:16].replace("T", " ")


def day(moment: str) -> str:
    """The date of an ISO-8601 time."""
    return moment[:10]
