"""Metrics of a whole trial, made of values per stride or of curves: left against right, drift, spread."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from labsys.core.definitions import AngleDefinition, ErrorGroup, MetricDefinition, Reference, Sided
from labsys.core.units import Unit

ASYMMETRY, DRIFT, CURVE_SD, VARIATION = "_asym", "_drift", "_curve_sd", "stride_time_cv"
PER_LEG, FRONT_BACK = "_per_leg", "front_back_ratio"

_PER_MINUTE = {
    Unit.DEG: Unit.DEG_PER_MIN,
    Unit.MM: Unit.MM_PER_MIN,
    Unit.S: Unit.S_PER_MIN,
    Unit.PERCENT: Unit.PERCENT_PER_MIN,
    Unit.STEPS_PER_MIN: Unit.STEPS_PER_MIN_PER_MIN,
    Unit.M_PER_S: Unit.M_PER_S_PER_MIN,
    Unit.NONE: Unit.PER_MIN,
}


def derive_metrics(
    metrics: Sequence[MetricDefinition], angles: Sequence[AngleDefinition]
) -> tuple[MetricDefinition, ...]:
    """Differences of all metrics that both sides have, drifts of all metrics, spreads of stride time and all angles."""
    return (*_asymmetries(metrics), *(_drift(m) for m in metrics), *_variations(metrics), *_spreads(angles))


def symmetry_index(right: float, left: float) -> float:
    """Right minus left as a share of the mean size of both, above zero where right is above left.

    NaN unless both have one sign: where a quantity passes through zero, the mean of both may be near it.
    """
    return 2.0 * (right - left) / abs(right + left) if right * left > 0.0 else math.nan


def lengths_of(metric_id: str) -> tuple[str, ...]:
    """The lengths that a quotient is made of, the leg's aside; nothing where the metric is no quotient of lengths."""
    if PER_LEG in metric_id:
        return (metric_id.replace(PER_LEG, ""),)
    if metric_id.startswith(FRONT_BACK):
        against = metric_id.removeprefix(FRONT_BACK)
        return "ahead_at_fs" + against, "behind_body_at_to" + against
    return ()


def _asymmetries(metrics: Sequence[MetricDefinition]) -> Iterator[MetricDefinition]:
    for m in metrics:
        if m.sided is Sided.PER_SIDE:
            # Percentages near zero say nothing, and an angle may well be near zero.
            subtracts = m.unit is Unit.DEG
            yield replace(
                m,
                id=m.id + ASYMMETRY,
                sided=Sided.BOTH,
                unit=Unit.DEG if subtracts else Unit.PERCENT,
                description=f"{m.description}: right minus left" + ("" if subtracts else ", share of their mean"),
                positive=f"right above left ({m.positive})",
                error_group=ErrorGroup.UNKNOWN,
                derived_from=m.id,
            )


def _drift(m: MetricDefinition) -> MetricDefinition:
    return replace(
        m,
        id=m.id + DRIFT,
        unit=_PER_MINUTE[m.unit],
        description=f"{m.description}: change per minute of the capture",
        positive=f"rises over the capture ({m.positive})",
        error_group=ErrorGroup.UNKNOWN,
        source="Theil 1950; Sen 1968",
        static_referenced=False,
        rotation_invariant=True,
        derived_from=m.id,
    )


def _variations(metrics: Sequence[MetricDefinition]) -> Iterator[MetricDefinition]:
    for m in metrics:
        if m.id == "stride_time":
            yield replace(
                m,
                id=VARIATION,
                unit=Unit.PERCENT,
                description="Standard deviation of stride time over its mean",
                positive="less regular strides",
                error_group=ErrorGroup.UNKNOWN,
                source="labsys definition",
                derived_from=m.id,
            )


def _spreads(angles: Sequence[AngleDefinition]) -> Iterator[MetricDefinition]:
    for a in angles:
        yield MetricDefinition(
            id=a.id + CURVE_SD,
            sided=a.sided,
            unit=Unit.DEG,
            description=f"{a.description}: standard deviation between strides, mean over the stride",
            positive="strides differ more",
            tier=a.tier,
            reference=Reference.PROXIMAL_SEGMENT,
            error_group=ErrorGroup.UNKNOWN,
            source="labsys definition",
            rotation_invariant=True,
            derived_from=a.id,
        )
