"""Stride curves as SVG: mean and standard deviation over the stride, a line per side or visit."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

HEIGHT = 170.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 34.0, 12.0, 20.0, 26.0
_STEPS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
_MOST_TICKS = 6
# The PDF's own typeface, so that it is there on every machine; a page takes the reader's.
_FONT = "Libertinus Serif, sans-serif"
Values = Sequence[float | None]


@dataclass(frozen=True)
class Line:
    """One line of a drawing, 101 points; `toe_off_pct` where known. `dashed`: told apart without colours."""

    label: str
    mean: Values
    sd: Values
    colour: str
    dashed: bool = False
    toe_off_pct: float | None = None


@dataclass(frozen=True)
class _Scale:
    """Percent of the stride and the angle, to places on paper."""

    low: float
    high: float
    width: float

    def x(self, percent: float) -> float:
        return _LEFT + percent / 100.0 * (self.width - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM)


def draw_curves(lines: Sequence[Line], *, width: float, unit_sign: str) -> str:
    """The drawing; lines without a single value are left out."""
    given = [line for line in lines if any(v is not None for v in line.mean)]
    step, scale = _scale_of(given, width)
    marks = [*_axes(scale, step, unit_sign)]
    marks += [_band(line, scale) for line in given]
    marks += [mark for line in given for mark in _stroke(line, scale)]
    marks += _legend(given)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {HEIGHT:g}" font-family="{_FONT}">'
    return "\n".join([head, *marks, "</svg>"])


def _scale_of(lines: Sequence[Line], width: float) -> tuple[float, _Scale]:
    """The distance of ticks, and a scale from tick to tick that holds every band."""
    ends = [v for line in lines for low, high in _bounds(line) for v in (low, high)] or [0.0, 1.0]
    low, high = min(ends), max(ends)
    step = next((s for s in _STEPS if (high - low) / s <= _MOST_TICKS - 1), _STEPS[-1])
    bottom, top = math.floor(low / step) * step, math.ceil(high / step) * step
    return step, _Scale(bottom, top if top > bottom else bottom + step, width)


def _bounds(line: Line) -> Iterator[tuple[float, float]]:
    """Mean minus and plus one SD, where there is a mean."""
    for mean, sd in zip(line.mean, line.sd, strict=True):
        if mean is not None:
            yield mean - (sd or 0.0), mean + (sd or 0.0)


def _axes(scale: _Scale, step: float, unit_sign: str) -> Iterator[str]:
    left, right = scale.x(0), scale.x(100)
    for i in range(round((scale.high - scale.low) / step) + 1):
        value = scale.low + i * step
        y = scale.y(value)
        colour = "#555555" if value == 0 else "#dddddd"
        yield f'<path d="M{left:.1f} {y:.1f}H{right:.1f}" stroke="{colour}" stroke-width="0.7"/>'
        yield _text(left - 4, y + 3.5, f"{value:g}{unit_sign}".replace("-", "−"), anchor="end")
    for percent in (0, 25, 50, 75, 100):
        yield _text(scale.x(percent), HEIGHT - _BOTTOM + 13, str(percent))
    yield _text(scale.x(50), HEIGHT - 2, "% of the stride, from foot strike")


def _band(line: Line, scale: _Scale) -> str:
    """Mean ± SD as an area; where a point is missing the area ends and begins anew."""
    areas = []
    for part in _parts(line):
        upper = [f"{scale.x(p):.1f} {scale.y(mean + sd):.1f}" for p, mean, sd in part]
        lower = [f"{scale.x(p):.1f} {scale.y(mean - sd):.1f}" for p, mean, sd in reversed(part)]
        areas.append(f"M{'L'.join([*upper, *lower])}Z")
    return f'<path d="{"".join(areas)}" fill="{line.colour}" fill-opacity="0.18"/>'


def _stroke(line: Line, scale: _Scale) -> Iterator[str]:
    dash = ' stroke-dasharray="5 3"' if line.dashed else ""
    path = "".join(f"M{'L'.join(f'{scale.x(p):.1f} {scale.y(m):.1f}' for p, m, _ in part)}" for part in _parts(line))
    yield f'<path d="{path}" fill="none" stroke="{line.colour}" stroke-width="1.6"{dash}/>'
    if line.toe_off_pct is not None:
        x, low, high = scale.x(line.toe_off_pct), scale.y(scale.low), scale.y(scale.high)
        yield f'<path d="M{x:.1f} {low:.1f}V{high:.1f}" stroke="{line.colour}" stroke-width="0.9"{dash}/>'


def _parts(line: Line) -> list[list[tuple[int, float, float]]]:
    """(percent, mean, SD) in stretches without a gap."""
    parts: list[list[tuple[int, float, float]]] = [[]]
    for percent, (mean, sd) in enumerate(zip(line.mean, line.sd, strict=True)):
        if mean is None:
            parts.append([])
        else:
            parts[-1].append((percent, mean, sd or 0.0))
    return [part for part in parts if part]


def _legend(lines: Sequence[Line]) -> Iterator[str]:
    x = _LEFT
    for line in lines:
        dash = ' stroke-dasharray="5 3"' if line.dashed else ""
        yield f'<path d="M{x:.1f} 9H{x + 18:.1f}" stroke="{line.colour}" stroke-width="1.6"{dash}/>'
        yield _text(x + 22, 12.5, line.label, anchor="start")
        x += 34 + 5.5 * len(line.label)


def _text(x: float, y: float, words: str, *, anchor: str = "middle") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="10.5" text-anchor="{anchor}" fill="#333333">{escape(words)}</text>'
    )
