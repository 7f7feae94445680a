"""The metrics of the catalogue: one value per stride that counts, or why there is none.

Every rule takes all strides of a side at once, (S,), and gives (S,) values in inside units.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from labsys.biomechanics.metric_source import MetricSource, StrideTimes, stride_times
from labsys.biomechanics.strides import strides_of
from labsys.core.arrays import FloatArray
from labsys.core.catalogue import METRICS, MetricDefinition
from labsys.core.motion import Stride, StrideValues
from labsys.core.session import Surface, TrialKind
from labsys.core.skeleton import Side

# Peak hip and thigh extension are searched from half of contact to toe-off plus this share of the stride.
_PEAK_FROM, _PEAK_UNTIL = 0.5, 0.15
# Part of contact in which the forefoot stands for certain.
_STANDING = (0.3, 0.7)

Rule = Callable[[MetricSource, StrideTimes, Side], FloatArray]


@dataclass(frozen=True)
class MetricRule:
    """How a metric is computed and which angles it reads."""

    compute: Rule
    angles: tuple[str, ...] = ()


def metric_values(
    source: MetricSource, strides: tuple[Stride, ...]
) -> tuple[tuple[StrideValues, ...], dict[tuple[str, Side], str]]:
    """Values per metric and side, and the reasons of those that cannot be given."""
    values: list[StrideValues] = []
    reasons: dict[tuple[str, Side], str] = {}
    for definition in METRICS:
        for side in definition.sided.sides:
            counted = strides_of(strides, side)
            reason = reason_against(source, definition, side, len(counted))
            if reason is not None:
                reasons[definition.id, side] = reason
                continue
            computed = RULES[definition.id].compute(source, stride_times(counted), side)
            ok = np.isfinite(computed)
            index = tuple(s.index for s, good in zip(counted, ok, strict=True) if good)
            values.append(StrideValues(definition.id, side, index, computed[ok]))
            if not ok.any():
                reasons[definition.id, side] = "its landmarks are missing in every stride"
    return tuple(values), reasons


def reason_against(source: MetricSource, definition: MetricDefinition, side: Side, n: int) -> str | None:
    """Why a metric cannot be given, or None."""
    if source.tier < definition.tier:
        return f"needs landmarks of tier {definition.tier.name}, this trial has {source.tier.name}: not observable"
    if definition.id == "flight_time" and source.kind is TrialKind.WALK:
        return "walking"
    if definition.id == "vertical_oscillation" and source.com_reason is not None:
        return source.com_reason
    for angle in RULES[definition.id].angles:
        key = (angle, side) if (angle, side) in source.readers else (angle, Side.BOTH)
        if key in source.reasons:
            return source.reasons[key]
        if definition.static_referenced and key not in source.referenced:
            return source.static_reason
    return None if n else "no stride counts"


def _peak_window(times: StrideTimes) -> FloatArray:
    start = times.strike_s + _PEAK_FROM * (times.toe_off_s - times.strike_s)
    end = times.toe_off_s + _PEAK_UNTIL * (times.next_strike_s - times.strike_s)
    return times.between(start, end)


def _extension(source: MetricSource, side: Side, at_s: FloatArray) -> FloatArray:
    return -source.read("hip_flexion", side, at_s)


def _hip_peak_time(source: MetricSource, times: StrideTimes, side: Side) -> FloatArray:
    window = _peak_window(times)
    values = _extension(source, side, window)
    best = np.argmax(np.where(np.isfinite(values), values, -np.inf), axis=1)
    return np.where(np.isfinite(values).all(axis=1), window[np.arange(len(best)), best], np.nan)


def _hip_peak(source: MetricSource, times: StrideTimes, side: Side) -> FloatArray:
    return np.asarray(_extension(source, side, _peak_window(times)).max(axis=1))


def _hip_excursion(source: MetricSource, times: StrideTimes, side: Side) -> FloatArray:
    return _hip_peak(source, times, side) - _extension(source, side, times.strike_s)


def _thigh_peak(source: MetricSource, times: StrideTimes, side: Side) -> FloatArray:
    return np.asarray(source.read("thigh_vertical", side, _peak_window(times)).max(axis=1))


def _thigh_excursion(source: MetricSource, times: StrideTimes, side: Side) -> FloatArray:
    return _thigh_peak(source, times, side) - source.read("thigh_vertical", side, times.strike_s)


def _at(angle_id: str, instant: str, sign: float = 1.0) -> MetricRule:
    def compute(source: MetricSource, times: StrideTimes, side: Side) -> FloatArray:
        return sign * source.read(angle_id, side, getattr(times, instant))

    return MetricRule(compute, (angle_id,))


def _over_stride(angle_id: str, reduce: Callable[[FloatArray], FloatArray]) -> MetricRule:
    def compute(source: MetricSource, times: StrideTimes, side: Side) -> FloatArray:
        return reduce(source.read(angle_id, side, times.whole))

    return MetricRule(compute, (angle_id,))


def _range(values: FloatArray) -> FloatArray:
    return np.asarray(np.ptp(values, axis=1))


def _mean(values: FloatArray) -> FloatArray:
    # Trapezoids: both ends of the stride are the same instant of the cycle.
    return np.asarray(0.5 * (values[:, 1:] + values[:, :-1]).mean(axis=1))


def _max(values: FloatArray) -> FloatArray:
    return np.asarray(values.max(axis=1))


def _toward_extending_side(source: MetricSource, times: StrideTimes, side: Side) -> FloatArray:
    turned = source.read("pelvis_rotation", Side.BOTH, times.toe_off_s)
    centred = turned - _mean(source.read("pelvis_rotation", Side.BOTH, times.whole))
    return -centred if side is Side.RIGHT else centred


def _lumbar_at_hip_peak(source: MetricSource, times: StrideTimes, side: Side) -> FloatArray:
    return source.read("lumbar_extension", Side.BOTH, _hip_peak_time(source, times, side))


def _lean_in_stance(source: MetricSource, times: StrideTimes, _: Side) -> FloatArray:
    return _mean(source.read("trunk_lean", Side.BOTH, times.between(times.strike_s, times.toe_off_s)))


def _trailing_limb(source: MetricSource, times: StrideTimes, side: Side) -> FloatArray:
    forward, up = (reader.read(times.toe_off_s) for reader in source.limb[side])
    return -np.arctan2(forward, -up)


def _oscillation(name: str) -> MetricRule:
    def compute(source: MetricSource, times: StrideTimes, _: Side) -> FloatArray:
        height = source.heights[name]
        steps = (
            times.between(times.strike_s, times.contra_strike_s),
            times.between(times.contra_strike_s, times.next_strike_s),
        )
        return np.asarray(np.mean([_range(height.read(step)) for step in steps], axis=0))

    return MetricRule(compute)


def _contact(_: MetricSource, times: StrideTimes, __: Side) -> FloatArray:
    return times.toe_off_s - times.strike_s


def _flight(_: MetricSource, times: StrideTimes, __: Side) -> FloatArray:
    return times.contra_strike_s - times.toe_off_s


def _duty(_: MetricSource, times: StrideTimes, __: Side) -> FloatArray:
    return (times.toe_off_s - times.strike_s) / times.duration_s


def _step(_: MetricSource, times: StrideTimes, __: Side) -> FloatArray:
    return times.contra_strike_s - times.strike_s


def _stride(_: MetricSource, times: StrideTimes, __: Side) -> FloatArray:
    return times.duration_s


def _cadence(_: MetricSource, times: StrideTimes, __: Side) -> FloatArray:
    return 2.0 / times.duration_s


def _speed(source: MetricSource, times: StrideTimes, _: Side) -> FloatArray:
    """Belt: the forefoot in the middle of its stance. Overground: the pelvis over the stride."""
    if source.surface is Surface.OVERGROUND:
        start, end = (source.pelvis_forward.read(t) for t in (times.strike_s, times.next_strike_s))
        return source.drift_mps + (end - start) / times.duration_s
    contact = times.toe_off_s - times.strike_s
    standing = times.between(*(times.strike_s + share * contact for share in _STANDING))
    return np.asarray(-np.median(source.forefoot_mps[times.side].read(standing), axis=1))


RULES: Mapping[str, MetricRule] = {
    "hip_ext_excursion_stance": MetricRule(_hip_excursion, ("hip_flexion",)),
    "hip_ext_pelvis_peak": MetricRule(_hip_peak, ("hip_flexion",)),
    "hip_ext_pelvis_at_to": _at("hip_flexion", "toe_off_s", -1.0),
    "hip_sagittal_rom": _over_stride("hip_flexion", _range),
    "thigh_ext_excursion_stance": MetricRule(_thigh_excursion, ("thigh_vertical",)),
    "thigh_ext_vertical_peak": MetricRule(_thigh_peak, ("thigh_vertical",)),
    "thigh_ext_vertical_at_to": _at("thigh_vertical", "toe_off_s"),
    "pelvis_rot_rom": _over_stride("pelvis_rotation", _range),
    "pelvis_rot_to_ext_side_at_to": MetricRule(_toward_extending_side, ("pelvis_rotation",)),
    "pelvis_tilt_mean": _over_stride("pelvis_tilt", _mean),
    "pelvis_tilt_rom": _over_stride("pelvis_tilt", _range),
    "lumbar_ext_peak": _over_stride("lumbar_extension", _max),
    "lumbar_ext_rom": _over_stride("lumbar_extension", _range),
    "lumbar_ext_at_peak_hip_ext": MetricRule(_lumbar_at_hip_peak, ("lumbar_extension", "hip_flexion")),
    "trunk_lean_stance_mean": MetricRule(_lean_in_stance, ("trunk_lean",)),
    "trailing_limb_angle_at_to": MetricRule(_trailing_limb, ("thigh_vertical", "shank_vertical")),
    "shank_angle_at_fs": _at("shank_vertical", "strike_s"),
    "knee_flex_at_fs": _at("knee_flexion", "strike_s"),
    "vertical_oscillation": _oscillation("com"),
    "vertical_oscillation_pelvis": _oscillation("pelvis"),
    "contact_time": MetricRule(_contact),
    "flight_time": MetricRule(_flight),
    "duty_factor": MetricRule(_duty),
    "step_time": MetricRule(_step),
    "stride_time": MetricRule(_stride),
    "cadence": MetricRule(_cadence),
    "speed": MetricRule(_speed),
}
