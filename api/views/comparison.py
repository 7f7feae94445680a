"""Two visits compared, as people outside see them: the JSON of `labsys compare`, in outside units.

Fields may be added, never renamed. What is missing is null with a reason beside it.
"""

from __future__ import annotations

from typing import Any

from api.views.numbers import interval, number, outside
from labsys.core.catalogue import find_metric
from labsys.core.units import Unit
from labsys.longitudinal import Comparison, ComparisonRow, ConditionPair, SideDifference, Unpaired


def comparison_document(comparison: Comparison) -> dict[str, Any]:
    """Two visits as `labsys compare A B --json` prints them."""
    return {
        "subject": comparison.subject,
        "pre": comparison.pre,
        "post": comparison.post,
        "comparable": comparison.comparable,
        "reason": comparison.reason,
        "warnings": list(comparison.warnings),
        "unpaired": [_unpaired_document(u) for u in comparison.unpaired],
        "pairs": [_pair_document(p) for p in comparison.pairs],
        "n_exploratory": comparison.n_exploratory,
        "rows": [_row_document(r) for r in comparison.rows],
        "symmetry": [_symmetry_document(s) for s in comparison.symmetry],
    }


def _symmetry_document(row: SideDifference) -> dict[str, Any]:
    """Right minus left; descriptive, so that there is no verdict."""
    definition = find_metric(row.id)
    unit = definition.unit
    return {
        "pair": row.pair,
        "id": row.id,
        "unit": unit.value,
        "pre": outside(row.pre, unit),
        "post": outside(row.post, unit),
        "change": outside(row.change, unit),
        "pre_ci95": interval(row.pre_ci95, unit),
        "post_ci95": interval(row.post_ci95, unit),
        "ci95": interval(row.ci95, unit),
        "pre_index_pct": outside(row.pre_index, Unit.PERCENT),
        "post_index_pct": outside(row.post_index, Unit.PERCENT),
        "mdc95": outside(row.mdc95, unit),
        "n": row.n,
        "sem_source": row.sem_source or None,
        "provisional": row.sem_source not in ("", "lab"),
        "source": definition.source,
        "reason": row.reason,
    }


def _unpaired_document(unpaired: Unpaired) -> dict[str, Any]:
    return {
        "visit": unpaired.visit,
        "trial": unpaired.trial,
        "kind": unpaired.kind.value,
        "speed_mps": number(unpaired.speed_mps),
        "incline_pct": number(unpaired.incline_pct),
        "reason": unpaired.reason,
    }


def _pair_document(pair: ConditionPair) -> dict[str, Any]:
    return {
        "kind": pair.kind.value,
        "surface": pair.surface.value if pair.surface else None,
        "speed_mps": number(pair.speed_mps),
        "incline_pct": number(pair.incline_pct),
        "pre": [c.name.trial for c in pair.pre],
        "post": [c.name.trial for c in pair.post],
        "runs": {f"{c.name.session}/{c.name.trial}": c.run for c in pair.pre + pair.post},
    }


def _row_document(row: ComparisonRow) -> dict[str, Any]:
    definition = find_metric(row.id)
    unit = definition.unit
    return {
        "pair": row.pair,
        "id": row.id,
        "side": row.side.value,
        "unit": unit.value,
        "pre": outside(row.pre, unit),
        "post": outside(row.post, unit),
        "change": outside(row.change, unit),
        "ci95": interval(row.ci95, unit),
        "pre_sd": outside(row.pre_sd, unit),
        "post_sd": outside(row.post_sd, unit),
        "pre_ci95": interval(row.pre_ci95, unit),
        "post_ci95": interval(row.post_ci95, unit),
        "tier": row.tier.name if row.tier is not None else None,
        "quality": row.quality.value,
        "source": definition.source,
        "threshold": outside(row.threshold, unit),
        "detectable_change": outside(row.detectable_change, unit),
        "mdc95": outside(row.mdc95, unit),
        "change_stride_sds": number(row.change_stride_sds),
        "n_pre": row.n_pre,
        "n_post": row.n_post,
        "family": row.family.value,
        "verdict": row.verdict.value,
        "direction": row.direction,
        "goal": row.goal.direction.value if row.goal else None,
        "goal_late": row.goal_late,
        "goal_direction": row.goal_direction,
        "sem_source": row.sem_source or None,
        "provisional": row.provisional,
        "reason": row.reason,
    }
