"""Which curves a report draws: hip, pelvis and low back, by side and by visit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from api.pages.curve_sources import SHOWN
from api.pages.words import unit_sign
from api.report.blocks import Picture, Pictures
from api.report.curves import Line, draw_curves
from api.report.sources import Capture
from api.schemas.results import CurveDocument, RunCurves
from labsys.core.catalogue import AngleDefinition, find_angle

_NOTE = (
    "Mean and one standard deviation between strides; vertical lines: toe-off. Midline angles (pelvis, low back) are "
    "read over right strides."
)
_BLUE, _ORANGE, _GREY = "#1f5fa8", "#b8500c", "#6b7280"
_SIDES = {"left": (_BLUE, False), "right": (_ORANGE, True), "both": (_BLUE, False)}
_VISITS = {"pre": ("before", _GREY, True), "post": ("after", _BLUE, False)}
_THREE, _TWO = 270.0, 405.0  # so that letters have one size in both grids


def draw_trial(curves: RunCurves, metrics: Sequence[Mapping[str, Any]]) -> Pictures:
    """One drawing per angle, left and right in it."""
    toe_off = {m["side"]: m["mean"] for m in metrics if m["id"] == "duty_factor"}
    drawn = []
    for angle in map(find_angle, SHOWN):
        lines = [_side_line(c, toe_off) for c in curves.curves if c.id == angle.id]
        drawn += [_picture(angle, "", lines, _THREE)] if lines else []
    return Pictures(tuple(drawn), columns=3, note=_NOTE)


def _side_line(curve: CurveDocument, toe_off: Mapping[str, float | None]) -> Line:
    colour, dashed = _SIDES[curve.side.value]
    label = "right strides" if curve.side == "both" else curve.side.value
    return Line(label, curve.mean, curve.sd, colour, dashed, toe_off.get(_read_over(curve.side.value)))


def draw_visits(captures: Sequence[Capture], rows: Sequence[Mapping[str, Any]]) -> Pictures:
    """One drawing per angle and side, both visits in it."""
    toe_off = {(visit, r["side"]): r[visit] for r in rows if r["id"] == "duty_factor" for visit in _VISITS}
    drawn = []
    for angle in map(find_angle, SHOWN):
        for side in angle.sided.sides:
            lines = list(_visit_lines(captures, angle.id, side.value, toe_off))
            of_side = "" if side == "both" else f", {side.value}"
            drawn += [_picture(angle, of_side, lines, _TWO)] if lines else []
    return Pictures(tuple(drawn), columns=2, note=_NOTE)


def _visit_lines(
    captures: Sequence[Capture], angle: str, side: str, toe_off: Mapping[tuple[str, str], float | None]
) -> Iterator[Line]:
    several = len(captures) > len(_VISITS)
    for capture in captures:
        word, colour, dashed = _VISITS[capture.visit]
        label = f"{word} ({capture.run.trial.rpartition('/')[2]})" if several else word
        for curve in (c for c in capture.curves.curves if (c.id, c.side) == (angle, side)):
            at = toe_off.get((capture.visit, _read_over(side)))
            yield Line(label, curve.mean, curve.sd, colour, dashed, at)


def _read_over(side: str) -> str:
    """The side whose strides a curve is cut by."""
    return "right" if side == "both" else side


def _picture(angle: AngleDefinition, of_side: str, lines: Sequence[Line], width: float) -> Picture:
    svg = draw_curves(lines, width=width, unit_sign=unit_sign(angle.unit.value))
    zero = "zero: standing" if angle.static_referenced else f"zero: {angle.zero}"
    return Picture(f"{angle.description}{of_side}", f"up: {angle.positive}; {zero}", svg)
