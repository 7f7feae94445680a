"""The metrics of the catalogue: one value per stride that counts, or why there is none.

Every rule takes all strides of a side at once, (S,), and gives (S,) values in inside units.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from labsys.biomechanics.joint_metrics import JOINT_RULES_OF_METRICS
from labsys.biomechanics.metric_rules import MetricRule
from labsys.biomechanics.metric_source import MetricSource, StrideTimes, stride_times
from labsys.biomechanics.step_metrics import STEP_RULES_OF_METRICS
from labsys.biomechanics.strides import strides_of
from labsys.core.arrays import FloatArray
from labsys.core.catalogue import METRICS, MetricDefinition, find_angle
from labsys.core.motion import Stride, StrideValues
from labsys.core.session import TrialKind
from labsys.core.skeleton import Side

RULES: Mapping[str, MetricRule] = {**JOINT_RULES_OF_METRICS, **STEP_RULES_OF_METRICS}


def metric_values(
    source: MetricSource, strides: tuple[Stride, ...]
) -> tuple[tuple[StrideValues, ...], dict[tuple[str, Side], str]]:
    """Values per metric and side, and the reasons of those that cannot be given."""
    counted_of = {side: strides_of(strides, side) for side in Side}
    times_of = {side: stride_times(counted) for side, counted in counted_of.items() if counted}
    values: list[StrideValues] = []
    reasons: dict[tuple[str, Side], str] = {}
    for metric_id, side, computed in values_or_reasons(source, times_of):
        if isinstance(computed, str):
            reasons[metric_id, side] = computed
            continue
        ok = np.isfinite(computed)
        index = tuple(s.index for s, good in zip(counted_of[side], ok, strict=True) if good)
        values.append(StrideValues(metric_id, side, index, computed[ok]))
        if not ok.any():
            reasons[metric_id, side] = RULES[metric_id].nowhere
    return tuple(values), reasons


def values_or_reasons(
    source: MetricSource, times_of: Mapping[Side, StrideTimes]
) -> Iterator[tuple[str, Side, FloatArray | str]]:
    """Every metric of every side: its values, of the shape of the times, NaN where a stride has none; or why not."""
    for definition in METRICS:
        for side in definition.sided.sides:
            reason = reason_against(source, definition, side, 1 if side in times_of else 0)
            computed = reason or RULES[definition.id].compute(source, times_of[side], side)
            yield definition.id, side, computed


def reason_against(source: MetricSource, definition: MetricDefinition, side: Side, n: int) -> str | None:
    """Why a metric cannot be given, or None."""
    if source.tier < definition.tier:
        return f"needs landmarks of tier {definition.tier.name}, this trial has {source.tier.name}: not observable"
    if definition.id == "flight_time" and source.kind is TrialKind.WALK:
        return "walking"
    rule = RULES[definition.id]
    for need in rule.needs:
        for name in (need, f"R{need}", f"L{need}"):
            if name in source.lacking:
                return source.lacking[name]
    return _angle_reason(source, definition, rule, side) or (None if n else "no stride counts")


def _angle_reason(source: MetricSource, definition: MetricDefinition, rule: MetricRule, side: Side) -> str | None:
    for angle in rule.angles:
        key = (angle, side) if (angle, side) in source.readers else (angle, Side.BOTH)
        if key in source.reasons:
            return source.reasons[key]
        if definition.static_referenced and find_angle(angle).static_referenced and key not in source.referenced:
            return source.static_reason
    return None
