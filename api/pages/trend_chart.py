"""One trend as a picture: a point with its interval per visit, along the calendar. Positions only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from api.pages.words import figure

WIDTH, HEIGHT = 360.0, 200.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 20.0, 22.0, 34.0
_LABEL_WIDTH = 68.0
_STEPS = 4


@dataclass(frozen=True)
class TrendPoint:
    """One visit. `label`, `phase`: "" where there is no room for words."""

    x: float
    y: float
    low: float
    high: float
    label: str
    phase: str


@dataclass(frozen=True)
class TrendChart:
    """Points in the order of the calendar, and the lines of the scale with their text."""

    points: tuple[TrendPoint, ...]
    ticks: tuple[tuple[float, str], ...]


def trend_chart(series: Mapping[str, Any], unit: str) -> TrendChart | None:
    """The picture of one series of a trend's document; None where no visit has a value."""
    points = [p for p in series["points"] if p["value"] is not None]
    if not points:
        return None
    bounds = [p["ci95"] or (p["value"], p["value"]) for p in points]
    ticks = _ticks(min(b[0] for b in bounds), max(b[1] for b in bounds))
    low, high = ticks[0], ticks[-1]
    days = [datetime.fromisoformat(p["date"]).timestamp() for p in points]

    def at(value: float) -> float:
        return round(HEIGHT - _BOTTOM - (value - low) / (high - low) * (HEIGHT - _TOP - _BOTTOM), 1)

    places = _places(days)
    said = _with_room(places)
    return TrendChart(
        points=tuple(
            TrendPoint(
                x,
                at(p["value"]),
                at(b[0]),
                at(b[1]),
                p["date"][:10] if room else "",
                (p["phase"] or "") if room else "",
            )
            for p, b, x, room in zip(points, bounds, places, said, strict=True)
        ),
        ticks=tuple((at(t), figure(t, unit)) for t in ticks),
    )


def _places(days: Sequence[float]) -> list[float]:
    """Where visits stand along the calendar; a single one in the middle."""
    inner = (_LEFT + _LABEL_WIDTH / 2, WIDTH - _RIGHT - _LABEL_WIDTH / 4)
    span = days[-1] - days[0]
    if not span:
        return [round((inner[0] + inner[1]) / 2, 1)] * len(days)
    return [round(inner[0] + (day - days[0]) / span * (inner[1] - inner[0]), 1) for day in days]


def _with_room(places: Sequence[float]) -> list[bool]:
    """Which visits are named: the last, and from the first on those that stand clear of each other and of it."""
    said, before = [], -math.inf
    for place in places[:-1]:
        room = place - before >= _LABEL_WIDTH and places[-1] - place >= _LABEL_WIDTH
        said.append(room)
        before = place if room else before
    return [*said, True]


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers from below the lowest to above the highest value."""
    span = (high - low) or abs(high) or 1.0
    raw = span / _STEPS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw)
    first, last = math.floor(low / step), math.ceil(high / step)
    if first == last:
        last += 1
    return [i * step for i in range(first, last + 1)]
