"""True strides and metrics: read off the true curves, sampled every millisecond, at the true events."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from labsys.core.arrays import FloatArray
from labsys.core.catalogue import METRICS
from labsys.core.motion import EventKind, GaitEvents, Metric, Quality, Stride, StrideValues
from labsys.core.skeleton import Side
from pipelines.synthetic.true_curves import Rule, TrueCurves
from pipelines.synthetic.true_placement import PLACEMENT_RULES

_WINDOW = 401


def true_strides(events: GaitEvents) -> tuple[Stride, ...]:
    """Foot strike to next foot strike, counted per side, with what happens between; complete strides only."""
    out: list[Stride] = []
    for side in (Side.LEFT, Side.RIGHT):
        strikes = events.times_s(EventKind.FOOT_STRIKE, side)
        for index, (start, end) in enumerate(pairwise(strikes)):
            off = [t for t in events.times_s(EventKind.TOE_OFF, side) if start < t < end]
            contra = [t for t in events.times_s(EventKind.FOOT_STRIKE, side.opposite) if start < t < end]
            if len(off) == 1 and len(contra) == 1:
                out.append(Stride(index, side, start, off[0], end, contra[0]))
    return tuple(out)


def true_metrics(
    curves: TrueCurves, strides: tuple[Stride, ...]
) -> tuple[tuple[StrideValues, ...], tuple[Metric, ...]]:
    """Every metric of the catalogue per stride, and its mean over all complete strides of the capture."""
    values: list[StrideValues] = []
    metrics: list[Metric] = []
    for definition in METRICS:
        for side in definition.sided.sides:
            # A quantity of the midline is counted once per stride of the right leg.
            own = [s for s in strides if s.side is (Side.RIGHT if side is Side.BOTH else side)]
            if definition.id == "flight_time" and curves.walking:
                metrics.append(_metric(definition.id, side, np.empty(0), "walking"))
                continue
            computed = np.array([TRUE_RULES[definition.id](curves, s) for s in own])
            ok = np.isfinite(computed)
            found, index = computed[ok], tuple(s.index for s, good in zip(own, ok, strict=True) if good)
            values.append(StrideValues(definition.id, side, index, found))
            metrics.append(_metric(definition.id, side, found, None if found.size else "no complete stride"))
    return tuple(values), tuple(metrics)


def _metric(metric_id: str, side: Side, values: FloatArray, reason: str | None) -> Metric:
    unknown = (math.nan, math.nan)
    return Metric(
        id=metric_id,
        side=side,
        mean=float(values.mean()) if values.size else math.nan,
        sd=float(values.std(ddof=1)) if values.size > 1 else math.nan,
        n=int(values.size),
        lag1=_lag1(values),
        ci95_strides=unknown,
        se_reconstruction=0.0,
        sem_measurement=math.nan,
        sem_source="",
        ci95=unknown,
        quality=Quality.OK,
        provisional=False,
        reason=reason,
        interpolated_share=0.0 if values.size else math.nan,
    )


def _lag1(values: FloatArray) -> float:
    if values.size < 3 or values.std() == 0:
        return 0.0
    centred = values - values.mean()
    return float(np.clip(np.sum(centred[1:] * centred[:-1]) / np.sum(centred**2), 0.0, 0.9))


def _late(stride: Stride) -> FloatArray:
    """Where peak hip extension lies: from half of contact to toe-off plus 15 % of the stride."""
    duration = stride.next_foot_strike_s - stride.foot_strike_s
    middle = 0.5 * (stride.foot_strike_s + stride.toe_off_s)
    return np.linspace(middle, stride.toe_off_s + 0.15 * duration, _WINDOW)


def _whole(stride: Stride) -> FloatArray:
    return np.linspace(stride.foot_strike_s, stride.next_foot_strike_s, _WINDOW)


def _at(curves: TrueCurves, angle_id: str, stride: Stride, time_s: float) -> float:
    return float(curves.angle(angle_id, stride.side, np.array([time_s]))[0])


def _hip_peak(c: TrueCurves, s: Stride) -> float:
    return float(np.max(-c.angle("hip_flexion", s.side, _late(s))))


def _thigh_peak(c: TrueCurves, s: Stride) -> float:
    return float(np.max(c.angle("thigh_vertical", s.side, _late(s))))


def _range(angle_id: str) -> Rule:
    return lambda c, s: float(np.ptp(c.angle(angle_id, s.side, _whole(s))))


def _mean(c: TrueCurves, angle_id: str, side: Side, window: FloatArray) -> float:
    values = c.angle(angle_id, side, window)
    return float(np.trapezoid(values, window) / (window[-1] - window[0]))


def _toward_extending_side(c: TrueCurves, s: Stride) -> float:
    turn = _at(c, "pelvis_rotation", s, s.toe_off_s) - _mean(c, "pelvis_rotation", s.side, _whole(s))
    return -turn if s.side is Side.RIGHT else turn


def _duration(s: Stride) -> float:
    return s.next_foot_strike_s - s.foot_strike_s


def _stance(s: Stride) -> FloatArray:
    return np.linspace(s.foot_strike_s, s.toe_off_s, _WINDOW)


def _mid_stance(c: TrueCurves, s: Stride) -> float:
    """Lowest mid-hip of a run, highest of a walk."""
    window = _stance(s)
    height = np.interp(window, c.times_s, c.points_m["hips"][:, 1])
    return float(window[np.argmax(height if c.walking else -height)])


def _thigh_peak_time(c: TrueCurves, s: Stride) -> float:
    window = _late(s)
    return float(window[np.argmax(c.angle("thigh_vertical", s.side, window))])


def _hip_peak_time(c: TrueCurves, s: Stride) -> float:
    window = _late(s)
    return float(window[np.argmin(c.angle("hip_flexion", s.side, window))])


def _rise(c: TrueCurves, s: Stride, angle_id: str) -> float:
    return _at(c, angle_id, s, _thigh_peak_time(c, s)) - _at(c, angle_id, s, _mid_stance(c, s))


def _toward(s: Stride, value: FloatArray) -> FloatArray:
    return -value if s.side is Side.RIGHT else value


def _lag(c: TrueCurves, s: Stride) -> float:
    hip_s, reach = _hip_peak_time(c, s), 0.25 * _duration(s)
    window = np.linspace(hip_s - reach, hip_s + reach, _WINDOW)
    peak = int(np.argmax(_toward(s, c.angle("pelvis_rotation", s.side, window))))
    known = c.times_s[0] <= window[0] and window[-1] <= c.times_s[-1]
    return float(window[peak] - hip_s) / _duration(s) if known and 0 < peak < _WINDOW - 1 else math.nan


def _share(part: float, whole: float) -> float:
    return part / whole if whole >= math.radians(15.0) else math.nan


def _lumbar_share_from_standing(c: TrueCurves, s: Stride) -> float:
    at = _thigh_peak_time(c, s)
    thigh = _at(c, "thigh_vertical", s, at) - c.standing_thigh_rad[s.side]
    return _share(_at(c, "lumbar_extension", s, at), thigh)


def _lean(c: TrueCurves, s: Stride, top: str, at_s: float) -> float:
    line = c.point(top, at_s) - c.point(f"{s.side.letter}AJC", at_s)
    return math.atan2(line[0], line[1])


def _peak_in(c: TrueCurves, s: Stride, angle_id: str, window: FloatArray) -> float:
    return float(np.max(c.angle(angle_id, s.side, window)))


TRUE_RULES: Mapping[str, Rule] = {
    "hip_ext_excursion_stance": lambda c, s: _hip_peak(c, s) + _at(c, "hip_flexion", s, s.foot_strike_s),
    "hip_ext_pelvis_peak": _hip_peak,
    "hip_ext_pelvis_at_to": lambda c, s: -_at(c, "hip_flexion", s, s.toe_off_s),
    "hip_sagittal_rom": _range("hip_flexion"),
    "hip_add_peak_stance": lambda c, s: _peak_in(c, s, "hip_adduction", _stance(s)),
    "thigh_ext_excursion_stance": lambda c, s: _thigh_peak(c, s) - _at(c, "thigh_vertical", s, s.foot_strike_s),
    "thigh_ext_vertical_peak": _thigh_peak,
    "thigh_ext_vertical_at_to": lambda c, s: _at(c, "thigh_vertical", s, s.toe_off_s),
    "pelvis_rot_rom": _range("pelvis_rotation"),
    "pelvis_rot_to_ext_side_at_to": _toward_extending_side,
    "pelvis_rot_lag_to_hip_ext": _lag,
    "pelvis_drop_contra_peak_stance": lambda c, s: float(
        np.max(_toward(s, c.angle("pelvis_obliquity", s.side, _stance(s))))
    ),
    "pelvis_tilt_mean": lambda c, s: _mean(c, "pelvis_tilt", s.side, _whole(s)),
    "pelvis_tilt_rom": _range("pelvis_tilt"),
    "pelvis_tilt_at_peak_thigh_ext": lambda c, s: _at(c, "pelvis_tilt", s, _thigh_peak_time(c, s)),
    "pelvis_tilt_rise_late_stance": lambda c, s: _rise(c, s, "pelvis_tilt"),
    "lumbar_ext_peak": lambda c, s: _peak_in(c, s, "lumbar_extension", _whole(s)),
    "lumbar_ext_rom": _range("lumbar_extension"),
    "lumbar_ext_at_peak_hip_ext": lambda c, s: _at(c, "lumbar_extension", s, _hip_peak_time(c, s)),
    "trunk_pelvis_ext_peak": lambda c, s: _peak_in(c, s, "trunk_pelvis_extension", _whole(s)),
    "trunk_pelvis_ext_rom": _range("trunk_pelvis_extension"),
    "trunk_pelvis_ext_at_peak_hip_ext": lambda c, s: _at(c, "trunk_pelvis_extension", s, _hip_peak_time(c, s)),
    "lhci_dyn": lambda c, s: _share(_rise(c, s, "lumbar_extension"), _rise(c, s, "thigh_vertical")),
    "phci_dyn": lambda c, s: _share(_rise(c, s, "pelvis_tilt"), _rise(c, s, "thigh_vertical")),
    "lhci_abs": _lumbar_share_from_standing,
    "thigh_ext_rise_late_stance": lambda c, s: _rise(c, s, "thigh_vertical"),
    "hip_ext_rise_late_stance": lambda c, s: -_rise(c, s, "hip_flexion"),
    "lumbar_ext_rise_late_stance": lambda c, s: _rise(c, s, "lumbar_extension"),
    "lean_rise_late_stance": lambda c, s: _rise(c, s, "pelvis_tilt") - _rise(c, s, "lumbar_extension"),
    "trunk_lean_stance_mean": lambda c, s: _mean(
        c, "trunk_lean", s.side, np.linspace(s.foot_strike_s, s.toe_off_s, _WINDOW)
    ),
    "body_lean_ankle": lambda c, s: _lean(c, s, "C7", _mid_stance(c, s)),
    "waist_break": lambda c, s: _at(c, "trunk_lean", s, _mid_stance(c, s)) - _lean(c, s, "hips", _mid_stance(c, s)),
    "shank_angle_at_fs": lambda c, s: _at(c, "shank_vertical", s, s.foot_strike_s),
    "foot_angle_at_fs": lambda c, s: _at(c, "foot_pitch", s, s.foot_strike_s),
    "knee_flex_at_fs": lambda c, s: _at(c, "knee_flexion", s, s.foot_strike_s),
    "knee_flex_peak_stance": lambda c, s: _peak_in(c, s, "knee_flexion", _stance(s)),
    "knee_flex_at_to": lambda c, s: _at(c, "knee_flexion", s, s.toe_off_s),
    "knee_ext_excursion_push": lambda c, s: (
        _at(c, "knee_flexion", s, _mid_stance(c, s)) - _at(c, "knee_flexion", s, s.toe_off_s)
    ),
    "ankle_df_peak_stance": lambda c, s: _peak_in(c, s, "ankle_dorsiflexion", _stance(s)),
    "contact_time": lambda _, s: s.toe_off_s - s.foot_strike_s,
    "flight_time": lambda _, s: s.contra_foot_strike_s - s.toe_off_s,
    "duty_factor": lambda _, s: (s.toe_off_s - s.foot_strike_s) / _duration(s),
    "step_time": lambda _, s: s.contra_foot_strike_s - s.foot_strike_s,
    "stride_time": lambda _, s: _duration(s),
    "cadence": lambda _, s: 2.0 / _duration(s),
    "speed": lambda c, _: c.speed_mps,
    **PLACEMENT_RULES,
}
