"""Findings and references as people outside see them: outside units, null where not known."""

from __future__ import annotations

from typing import Any

from labsys.biomechanics.reference_text import describe_reference, distance_sds
from labsys.core.catalogue import find_metric
from labsys.core.motion import Finding, FindingValue, Metric, TrialResult
from labsys.core.references import ReferenceTable, ReferenceValue, speed_held_against
from labsys.core.session import Surface
from labsys.core.skeleton import Tier
from labsys.core.units import Unit, to_outside


def finding_document(finding: Finding) -> dict[str, Any]:
    """One finding with everything that it rests on."""
    return {
        "id": finding.id,
        "side": finding.side.value,
        "status": finding.status.value,
        "title": finding.title,
        "text": finding.text,
        "reason": finding.reason,
        "values": [_value_document(v) for v in finding.values],
        "left_out": dict(finding.left_out),
        "tier": None if finding.tier is None else finding.tier.name,
        "quality": finding.quality.value,
        "confidence": finding.confidence.value,
        "provisional": finding.provisional,
        "source": finding.source,
        "reference": finding.reference or None,
        "rules": finding.rules,
    }


def _value_document(value: FindingValue) -> dict[str, Any]:
    unit = find_metric(value.metric).unit
    return {
        "metric": value.metric,
        "side": value.side.value,
        "unit": unit.value,
        "mean": _outside(value.mean, unit),
        "sd": _outside(value.sd, unit),
        "n": value.n,
        "ci95": _interval(value.ci95, unit),
        "ci95_strides": _interval(value.ci95_strides, unit),
        "se_reconstruction": _outside(value.se_reconstruction, unit),
        "quality": value.quality.value,
        "provisional": value.provisional,
        "status": value.status.value,
        "borderline": _outside(value.borderline, unit),
        "flagged": _outside(value.flagged, unit),
        "strides_beyond_pct": None if value.strides_beyond is None else 100.0 * value.strides_beyond,
    }


def references_of(result: TrialResult, metric: Metric, table: ReferenceTable, sex: str) -> list[dict[str, Any]]:
    """What may stand beside a metric of this trial: nothing where surface, speed or method are others."""
    motion, conditions = result.motion, result.trial.conditions
    if motion.events is None:
        return []
    said = motion.notes.get("surface")
    surface = conditions.surface or (Surface(said) if said else None)
    found = table.find(
        metric.id,
        surface=surface,
        speed_mps=speed_held_against(conditions.speed_mps, motion.events.belt_speed_mps),
        sex=sex,
        tier=Tier.T0.name if motion.tier is None else motion.tier.name,
    )
    return [_reference_document(r, metric) for r in found]


def _reference_document(reference: ReferenceValue, metric: Metric) -> dict[str, Any]:
    unit = find_metric(metric.id).unit
    return {
        "mean": _outside(reference.mean, unit),
        "sd": _outside(reference.sd, unit),
        "low": _outside(reference.low, unit),
        "high": _outside(reference.high, unit),
        "n": reference.n,
        "sex": reference.sex or None,
        "method": reference.method,
        "source": reference.source,
        "own": reference.own,
        "provisional": reference.provisional,
        "compared_as": reference.compared_as,
        "sds_away": _outside(distance_sds(metric.mean, reference), Unit.NONE),
        "text": describe_reference(reference),
    }


def _outside(value: float | None, unit: Unit) -> float | None:
    if value is None or value != value:
        return None
    return to_outside(value, unit)


def _interval(bounds: tuple[float, float] | None, unit: Unit) -> list[float] | None:
    return None if bounds is None else [to_outside(b, unit) for b in bounds]
