"""True strides and metrics: read off the true curves, sampled every millisecond, at the true events."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from labsys.core.arrays import FloatArray
from labsys.core.catalogue import METRICS, find_angle
from labsys.core.motion import EventKind, GaitEvents, Metric, Quality, Stride, StrideValues
from labsys.core.skeleton import Side
from pipelines.synthetic.true_angles import Key

_WINDOW = 401


@dataclass(frozen=True, eq=False)
class TrueCurves:
    """Finely sampled truth.

    Attributes:
        angles: (angle id, side) -> reported angle, (T,) rad.
        com_y_m, hips_y_m: heights, (T,) m. limb_m: side -> ankle minus hip, (T, 3) m.
    """

    times_s: FloatArray
    angles: Mapping[Key, FloatArray]
    com_y_m: FloatArray
    hips_y_m: FloatArray
    limb_m: Mapping[Side, FloatArray]
    speed_mps: float
    walking: bool

    def angle(self, angle_id: str, side: Side, at_s: FloatArray) -> FloatArray:
        """An angle at any times; midline angles may be asked for with a side."""
        both = not find_angle(angle_id).sided.sides[0].letter
        return np.interp(at_s, self.times_s, self.angles[angle_id, Side.BOTH if both else side])


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
            found = np.array([_RULES[definition.id](curves, s) for s in own])
            values.append(StrideValues(definition.id, side, tuple(s.index for s in own), found))
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
    )


def _lag1(values: FloatArray) -> float:
    if values.size < 3 or values.std() == 0:
        return 0.0
    centred = values - values.mean()
    return float(np.clip(np.sum(centred[1:] * centred[:-1]) / np.sum(centred**2), 0.0, 0.9))


Rule = Callable[[TrueCurves, Stride], float]


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


def _lumbar_at_hip_peak(c: TrueCurves, s: Stride) -> float:
    window = _late(s)
    return _at(c, "lumbar_extension", s, float(window[np.argmin(c.angle("hip_flexion", s.side, window))]))


def _range(angle_id: str) -> Rule:
    return lambda c, s: float(np.ptp(c.angle(angle_id, s.side, _whole(s))))


def _mean(c: TrueCurves, angle_id: str, side: Side, window: FloatArray) -> float:
    values = c.angle(angle_id, side, window)
    return float(np.trapezoid(values, window) / (window[-1] - window[0]))


def _toward_extending_side(c: TrueCurves, s: Stride) -> float:
    turn = _at(c, "pelvis_rotation", s, s.toe_off_s) - _mean(c, "pelvis_rotation", s.side, _whole(s))
    return -turn if s.side is Side.RIGHT else turn


def _limb_angle(c: TrueCurves, s: Stride) -> float:
    line = c.limb_m[s.side]
    x, y = (float(np.interp(s.toe_off_s, c.times_s, line[:, j])) for j in (0, 1))
    return -math.atan2(x, -y)


def _travel(c: TrueCurves, s: Stride, height_m: FloatArray) -> float:
    halves = ((s.foot_strike_s, s.contra_foot_strike_s), (s.contra_foot_strike_s, s.next_foot_strike_s))
    return float(np.mean([np.ptp(np.interp(np.linspace(a, b, _WINDOW), c.times_s, height_m)) for a, b in halves]))


def _duration(s: Stride) -> float:
    return s.next_foot_strike_s - s.foot_strike_s


_RULES: dict[str, Rule] = {
    "hip_ext_excursion_stance": lambda c, s: _hip_peak(c, s) + _at(c, "hip_flexion", s, s.foot_strike_s),
    "hip_ext_pelvis_peak": _hip_peak,
    "hip_ext_pelvis_at_to": lambda c, s: -_at(c, "hip_flexion", s, s.toe_off_s),
    "hip_sagittal_rom": _range("hip_flexion"),
    "thigh_ext_excursion_stance": lambda c, s: _thigh_peak(c, s) - _at(c, "thigh_vertical", s, s.foot_strike_s),
    "thigh_ext_vertical_peak": _thigh_peak,
    "thigh_ext_vertical_at_to": lambda c, s: _at(c, "thigh_vertical", s, s.toe_off_s),
    "pelvis_rot_rom": _range("pelvis_rotation"),
    "pelvis_rot_to_ext_side_at_to": _toward_extending_side,
    "pelvis_tilt_mean": lambda c, s: _mean(c, "pelvis_tilt", s.side, _whole(s)),
    "pelvis_tilt_rom": _range("pelvis_tilt"),
    "lumbar_ext_peak": lambda c, s: float(np.max(c.angle("lumbar_extension", s.side, _whole(s)))),
    "lumbar_ext_rom": _range("lumbar_extension"),
    "lumbar_ext_at_peak_hip_ext": _lumbar_at_hip_peak,
    "trunk_lean_stance_mean": lambda c, s: _mean(
        c, "trunk_lean", s.side, np.linspace(s.foot_strike_s, s.toe_off_s, _WINDOW)
    ),
    "trailing_limb_angle_at_to": _limb_angle,
    "shank_angle_at_fs": lambda c, s: _at(c, "shank_vertical", s, s.foot_strike_s),
    "knee_flex_at_fs": lambda c, s: _at(c, "knee_flexion", s, s.foot_strike_s),
    "vertical_oscillation": lambda c, s: _travel(c, s, c.com_y_m),
    "vertical_oscillation_pelvis": lambda c, s: _travel(c, s, c.hips_y_m),
    "contact_time": lambda _, s: s.toe_off_s - s.foot_strike_s,
    "flight_time": lambda _, s: s.contra_foot_strike_s - s.toe_off_s,
    "duty_factor": lambda _, s: (s.toe_off_s - s.foot_strike_s) / _duration(s),
    "step_time": lambda _, s: s.contra_foot_strike_s - s.foot_strike_s,
    "stride_time": lambda _, s: _duration(s),
    "cadence": lambda _, s: 2.0 / _duration(s),
    "speed": lambda c, _: c.speed_mps,
}
