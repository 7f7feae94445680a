"""Visits to compare, with every metric of the catalogue, and short ways to a row of the answer."""

from __future__ import annotations

import math
from typing import Any

from labsys.core.catalogue import METRICS
from labsys.core.measurement_error import ErrorTable, default_error_table
from labsys.core.session import Conditions, Goal, GoalDirection, Surface, TrialKind, TrialName
from labsys.core.skeleton import Side, Tier
from labsys.core.units import radians
from labsys.longitudinal import (
    Capture,
    CaptureMetric,
    Comparison,
    ComparisonRow,
    Visit,
    compare_visits,
)

ERRORS = default_error_table(tuple(m.id for m in METRICS))
HIP = "hip_ext_excursion_stance"


def make_metric(metric_id: str, side: Side, mean: float, **changes: Any) -> CaptureMetric:
    given_fields = {
        "sd": radians(1.5),
        "n": 40,
        "lag1": 0.3,
        "se_reconstruction": math.nan,
        "tier": Tier.T3,
        "version": 1,
    }
    return CaptureMetric(metric_id, side, mean, **{**given_fields, **changes})


def make_visit(
    session: str, shifts: dict[str, float] | None = None, *, n_captures: int = 1, drop: str = "", **changes: Any
) -> Visit:
    """A visit at 3 m/s with every other catalogue metric at 0.3 (inside units), plus the shifts by id."""
    shifts = shifts or {}
    capture_fields = {k: changes.pop(k) for k in list(changes) if k in Capture.__dataclass_fields__}
    metrics = tuple(
        make_metric(m.id, side, (3.0 if m.id == "speed" else 0.3) + shifts.get(m.id, 0.0), **changes)
        for m in METRICS
        for side in m.sided.sides
        if m.id != drop
    )
    conditions = capture_fields.pop("conditions", Conditions(Surface.TREADMILL, 3.0))
    captures = tuple(
        Capture(
            name=TrialName("S01", session, f"run{k + 1}"),
            kind=TrialKind.RUN,
            conditions=conditions,
            metrics=metrics,
            **{"heading_known": True, "not_for_comparison": None, **capture_fields},
        )
        for k in range(n_captures)
    )
    return Visit(session, session, None, captures)


def compare(pre: Visit, post: Visit, *goals: Goal, errors: ErrorTable = ERRORS) -> Comparison:
    return compare_visits(pre, post, goals=goals, errors=errors, subject="S01")


def row_of(comparison: Comparison, metric_id: str = HIP, side: Side = Side.LEFT) -> ComparisonRow:
    return next(r for r in comparison.rows if r.id == metric_id and r.side is side)


def make_goal(metric: str = HIP, side: Side = Side.LEFT, date: str = "2026-01-02") -> Goal:
    return Goal(metric, side, GoalDirection.TOWARD_HIGHER, date)


PRE = make_visit("2026-01-01")
