"""What a lab learnt of its own error, and plans that rest on it, as JSON in outside units."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from api.lab_errors import MetricPlan
from api.views.numbers import interval, number, outside
from labsys.core.catalogue import find_metric
from labsys.core.learnt_error import LearntError, LearntErrors, LearntPart, SideAgreement
from labsys.core.units import Unit
from labsys.longitudinal import PlanOption


def reliability_document(learnt: tuple[str | None, LearntErrors] | None) -> dict[str, Any]:
    """As `labsys reliability --json` prints it; `name` is null for what was not saved."""
    if learnt is None:
        return {"name": None, "made_at": None, "n_people": 0, "correlated_rows": 0, "left_out": {}, "rows": []}
    name, content = learnt
    return {
        "name": name,
        "made_at": content.made_at,
        "n_people": content.n_people,
        "correlated_rows": len(content.correlation_rows),
        "left_out": dict(content.left_out or {}),
        "rows": [_row_document(r) for r in content.current_rows],
    }


def _row_document(row: LearntError) -> dict[str, Any]:
    unit, error = find_metric(row.metric).unit, row.error
    return {
        "id": row.metric,
        "unit": unit.value,
        "tier": row.tier.name,
        "speed_band_mps": row.band,
        "sem": outside(error.sem, unit),
        "sem_ci95": _bounds(row.sem_ci95, unit),
        "df": number(row.df),
        "mdc95": outside(error.mdc95, unit),
        "source": row.source,
        "provisional": row.source != "lab",
        "split_source": row.split_source,
        "capture": _part_document(row.capture, unit),
        "palpation": _part_document(row.palpation, unit),
        "day": _part_document(row.day, unit),
        "n_people": row.n_people,
        "n_visits": row.n_visits,
        "n_captures": row.n_captures,
        "agreement": [_agreement_document(a, unit) for a in row.agreement],
    }


def _part_document(part: LearntPart, unit: Unit) -> dict[str, Any]:
    """A component as standard deviation, in the metric's unit."""
    bounds = part.ci95
    roots = None if bounds is None else (math.sqrt(bounds[0]), None if bounds[1] is None else math.sqrt(bounds[1]))
    return {
        "sd": outside(math.sqrt(part.variance), unit),
        "ci95": None if roots is None else _bounds(roots, unit),
        "df": number(round(part.df, 6)),
        "source": part.source,
    }


def _agreement_document(agreement: SideAgreement, unit: Unit) -> dict[str, Any]:
    return {
        "side": agreement.side.value,
        "n": agreement.n,
        "bias": outside(agreement.bias, unit),
        "bias_ci95": interval(agreement.bias_ci95, unit),
        "difference_sd": outside(agreement.difference_sd, unit),
        "limits_of_agreement": interval(agreement.limits, unit),
        "icc_2_1": agreement.icc,
        "icc_2_1_ci95": None if agreement.icc_ci95 is None else list(agreement.icc_ci95),
    }


def _bounds(bounds: Sequence[float | None], unit: Unit) -> list[float | None]:
    return [None if b is None else outside(b, unit) for b in bounds]


def plan_document(found: MetricPlan) -> dict[str, Any]:
    """As `labsys reliability --plan METRIC --change X --json` prints it."""
    unit, plan = find_metric(found.metric).unit, found.plan
    return {
        "id": found.metric,
        "unit": unit.value,
        "tier": found.tier.name,
        "change": outside(plan.change, unit),
        "sem": outside(plan.error.sem, unit),
        "sem_source": plan.error.source_of(divided=True),
        "provisional": plan.error.source_of(divided=True) != "lab",
        "power_wanted": 0.8,
        "enough": None if plan.enough is None else _option_document(plan.enough, unit),
        "smallest_detectable_change": outside(plan.smallest, unit),
        "options": [_option_document(o, unit) for o in plan.options],
    }


def _option_document(option: PlanOption, unit: Unit) -> dict[str, Any]:
    return {
        "captures_per_visit": option.n_captures,
        "stickers_replaced": option.replaced,
        "power": option.power,
        "detectable_change": outside(option.detectable, unit),
        "se_change": outside(option.se_change, unit),
        "df": number(option.df),
    }
