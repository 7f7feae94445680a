"""A trial's page: findings by how much they ask for, metrics by region, and what stands behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from api.pages.curve_sources import angle_choice
from api.pages.regions import HEADLINE
from api.pages.sections import RegionRows, group_by_region

Row = Mapping[str, Any]
_RAISED = ("flagged", "borderline")
_EVENTS = ("stride_time", "contact_time", "flight_time", "step_time", "duty_factor")


@dataclass(frozen=True)
class TrialRows:
    """The metrics of one run: the main ones, and all others by region."""

    main: tuple[Row, ...]
    regions: tuple[RegionRows, ...]


def arrange_findings(findings: Sequence[Row]) -> dict[str, list[Row]]:
    """Findings that ask for a look (flagged first), and all others."""
    raised = [f for status in _RAISED for f in findings if f["status"] == status]
    return {"raised": raised, "others": [f for f in findings if f["status"] not in _RAISED]}


def arrange_metrics(metrics: Sequence[Row]) -> TrialRows:
    """Each metric in exactly one place, in the order of the catalogue."""
    main = [m for m in metrics if m["id"] in HEADLINE]
    rest = [m for m in metrics if m["id"] not in HEADLINE]
    return TrialRows(tuple(main), group_by_region(rest, _kind_of))


def _kind_of(metric: Row) -> str:
    return "not measured" if metric["mean"] is None else "measured"


def trial_curves(trial: str, metrics: Sequence[Row]) -> dict[str, Any]:
    """Curves of one trial: both sides of an angle in one chart."""
    toe_off = {m["side"]: [{"line": m["side"], "at": m["mean"]}] for m in metrics if _is_toe_off(m)}
    source = {"line": "trial", "dashed": False, "label": trial, "href": f"/api/v1/trials/{trial}/curves"}
    return {"sources": [source], "toe_off": toe_off, "changes": "", "pair": 0, "angles": angle_choice(), "sides": True}


def _is_toe_off(metric: Row) -> bool:
    return metric["id"] == "duty_factor" and metric["mean"] is not None


def event_rows(metrics: Sequence[Row]) -> list[Row]:
    """The metrics that come straight from foot strikes and toe-offs."""
    return [m for m in metrics if m["id"] in _EVENTS and m["mean"] is not None]
