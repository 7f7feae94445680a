"""Marks in SVG: where a change lies against its error, and what a trailing thigh is made of. Positions only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WIDTH = 240.0
_MARGIN = 6.0
PARTS = (
    ("hip", "Hip", "hip_ext_rise_late_stance"),
    ("lumbar", "Low back", "lumbar_ext_rise_late_stance"),
    ("lean", "Forward lean", "lean_rise_late_stance"),
)
WHOLE = "thigh_ext_rise_late_stance"


@dataclass(frozen=True)
class ChangeMark:
    """A change on a scale symmetric about zero: the band in which it counts as error, its interval, itself."""

    zero: float
    band: tuple[float, float]
    interval: tuple[float, float]
    change: float


@dataclass(frozen=True)
class Block:
    """One part of a bar."""

    part: str
    x: float
    width: float


@dataclass(frozen=True)
class Bar:
    """What the thigh's motion behind the body is made of, on one side at one visit, in the metric's unit."""

    side: str
    visit: str
    values: tuple[tuple[str, float], ...]
    whole: float
    blocks: tuple[Block, ...]
    zero: float
    whole_at: float


def change_mark(row: Mapping[str, Any]) -> ChangeMark | None:
    """The mark of a row; None where a part of it is missing."""
    change, bounds, threshold = row["change"], row["ci95"], row["threshold"]
    if change is None or bounds is None or threshold is None:
        return None
    reach = max(threshold, abs(bounds[0]), abs(bounds[1])) or 1.0

    def at(value: float) -> float:
        return round(WIDTH / 2 + value / reach * (WIDTH / 2 - _MARGIN), 1)

    return ChangeMark(at(0.0), (at(-threshold), at(threshold)), (at(bounds[0]), at(bounds[1])), at(change))


def decomposition_bars(rows: Sequence[Mapping[str, Any]]) -> list[Bar]:
    """Bars before and after, per side, on one scale; those of which a part was not measured are left out."""
    by_key = {(r["id"], r["side"]): r for r in rows}
    found = [
        (side, visit, values, whole)
        for side in ("left", "right")
        for visit in ("pre", "post")
        if (values := _parts(by_key, side, visit)) and (whole := _value(by_key, WHOLE, side, visit)) is not None
    ]
    if not found:
        return []
    low = min(sum(v for _, v in values if v < 0) for _, _, values, _ in found)
    high = max(max(sum(v for _, v in values if v > 0), whole) for _, _, values, whole in found)
    scale = (WIDTH - 2 * _MARGIN) / ((high - low) or 1.0)
    return [_bar(side, visit, values, whole, low, scale) for side, visit, values, whole in found]


def _parts(by_key: Mapping[tuple[str, str], Any], side: str, visit: str) -> tuple[tuple[str, float], ...]:
    values = [(part, _value(by_key, metric, side, visit)) for part, _, metric in PARTS]
    return tuple((p, v) for p, v in values if v is not None) if all(v is not None for _, v in values) else ()


def _value(by_key: Mapping[tuple[str, str], Any], metric: str, side: str, visit: str) -> float | None:
    row = by_key.get((metric, side))
    return None if row is None else row[visit]


def _bar(side: str, visit: str, values: tuple[tuple[str, float], ...], whole: float, low: float, scale: float) -> Bar:
    """Positive parts one after the other to the right of zero, negative ones to its left."""
    zero = _MARGIN - low * scale
    right, left, blocks = zero, zero, []
    for part, value in values:
        width = abs(value) * scale
        if value >= 0:
            blocks.append(Block(part, round(right, 1), round(width, 1)))
            right += width
        else:
            left -= width
            blocks.append(Block(part, round(left, 1), round(width, 1)))
    return Bar(side, visit, values, whole, tuple(blocks), round(zero, 1), round(zero + whole * scale, 1))
