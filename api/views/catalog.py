"""The catalogue over HTTP: what every metric and angle is, and how far it may be off between two days."""

from __future__ import annotations

from api.schemas.results import MeasurementError, MetricEntry
from labsys.core.catalogue import ANGLES, METRICS, AngleDefinition, MetricDefinition
from labsys.core.measurement_error import ErrorTable
from labsys.core.skeleton import Tier
from labsys.core.units import to_outside


def list_metrics(errors: ErrorTable) -> list[MetricEntry]:
    """Every metric of the catalogue, in its order, with its error at every tier."""
    return [_metric_entry(m, errors) for m in METRICS]


def list_angles() -> list[MetricEntry]:
    """Every angle of the catalogue, in its order. Angles carry no error of their own."""
    return [_angle_entry(a) for a in ANGLES]


def _metric_entry(metric: MetricDefinition, errors: ErrorTable) -> MetricEntry:
    return MetricEntry(
        id=metric.id,
        kind="metric",
        unit=metric.unit.value,
        sides=[s.value for s in metric.sided.sides],
        description=metric.description,
        positive=metric.positive,
        zero="static" if metric.static_referenced else "absolute",
        reference=metric.reference.value,
        minimum_tier=metric.tier.name,
        source=metric.source,
        definition_version=metric.version,
        errors=[_error_entry(metric, tier, errors) for tier in Tier if tier >= metric.tier],
    )


def _error_entry(metric: MetricDefinition, tier: Tier, errors: ErrorTable) -> MeasurementError:
    error = errors.find(metric.id, tier)
    if error is None:
        return MeasurementError(tier=tier.name, sem=None, mdc95=None, source=None)
    return MeasurementError(
        tier=tier.name,
        sem=to_outside(error.sem, metric.unit),
        mdc95=to_outside(error.mdc95, metric.unit),
        source=error.source,
    )


def _angle_entry(angle: AngleDefinition) -> MetricEntry:
    return MetricEntry(
        id=angle.id,
        kind="angle",
        unit=angle.unit.value,
        sides=[s.value for s in angle.sided.sides],
        description=angle.description,
        positive=angle.positive,
        zero=angle.zero,
        reference=angle.reference.value,
        minimum_tier=angle.tier.name,
        source=angle.source,
        definition_version=angle.version,
        errors=[],
    )
