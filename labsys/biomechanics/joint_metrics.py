"""Rules of the metrics of hip, pelvis, spine and trunk, and what each of them adds to the thigh's motion."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from labsys.biomechanics.instants import (
    at_places,
    highest,
    hip_peak_s,
    late_stance,
    mid_stance_s,
    spread,
    stance,
    thigh_peak_s,
)
from labsys.biomechanics.metric_rules import MetricRule, Rule, at_toe_off, mean, over, toward_side, whole
from labsys.biomechanics.metric_source import MetricSource, StrideTimes
from labsys.core.arrays import FloatArray
from labsys.core.skeleton import Side

# Below this motion of the thigh a share of it is noise over noise.
_LEAST_THIGH_RAD = math.radians(15.0)
# Pelvic rotation is looked for this share of the stride before and after peak hip extension.
_LAG_SHARE = 0.25
_TOO_LITTLE = "the thigh moves less than 15° between mid-stance and its peak in every stride"
_NO_TURN = "pelvic rotation has no peak within a quarter of the stride around peak hip extension"


def _hip_peak(source: MetricSource, times: StrideTimes, side: Side) -> FloatArray:
    return highest(-source.read("hip_flexion", side, late_stance(times)))


def _hip_excursion(source: MetricSource, times: StrideTimes, side: Side) -> FloatArray:
    return _hip_peak(source, times, side) + source.read_strike("hip_flexion", side, times)


def _thigh_excursion(source: MetricSource, times: StrideTimes, side: Side) -> FloatArray:
    peak = highest(source.read("thigh_vertical", side, late_stance(times)))
    return peak - source.read_strike("thigh_vertical", side, times)


def _toward_extending_side(source: MetricSource, times: StrideTimes, side: Side) -> FloatArray:
    turned = source.read("pelvis_rotation", Side.BOTH, times.toe_off_s)
    return toward_side(turned - mean(source.read("pelvis_rotation", Side.BOTH, times.whole)), side)


def _rotation_lag(source: MetricSource, times: StrideTimes, side: Side) -> FloatArray:
    """Each stride's own peak: the error of a time has no direction, and common places would hide its scatter."""
    hip_s = hip_peak_s(source, times, side)
    around = times.between(hip_s - _LAG_SHARE * times.duration_s, hip_s + _LAG_SHARE * times.duration_s)
    turned = toward_side(source.read("pelvis_rotation", Side.BOTH, around), side)
    peak = np.argmax(np.where(np.isfinite(turned), turned, -np.inf), axis=-1)
    inside = np.isfinite(turned).all(axis=-1) & (peak > 0) & (peak < turned.shape[-1] - 1)
    found = at_places(around, peak)
    return np.where(inside, (found - hip_s) / times.duration_s, np.nan)


def _drop(source: MetricSource, times: StrideTimes, side: Side) -> FloatArray:
    return highest(toward_side(source.read("pelvis_obliquity", Side.BOTH, stance(times)), side))


def _at_hip_peak(angle_id: str) -> MetricRule:
    def compute(source: MetricSource, times: StrideTimes, side: Side) -> FloatArray:
        return source.read(angle_id, side, hip_peak_s(source, times, side))

    return MetricRule(compute, (angle_id, "hip_flexion"))


def _tilt_at_thigh_peak(source: MetricSource, times: StrideTimes, side: Side) -> FloatArray:
    return source.read("pelvis_tilt", side, thigh_peak_s(source, times, side))


def _rise(source: MetricSource, times: StrideTimes, side: Side, angle_id: str) -> FloatArray:
    """An angle at the thigh's peak minus in mid-stance, (S,) rad."""
    late, middle = thigh_peak_s(source, times, side), mid_stance_s(source, times)
    return source.read(angle_id, side, late) - source.read(angle_id, side, middle)


def _rise_of(*signed: tuple[str, float]) -> MetricRule:
    """Sum of the rises of some angles, each with its sign."""

    def compute(source: MetricSource, times: StrideTimes, side: Side) -> FloatArray:
        parts = [sign * _rise(source, times, side, angle_id) for angle_id, sign in signed]
        return np.asarray(sum(parts))

    return MetricRule(compute, (*(a for a, _ in signed), "thigh_vertical"), ("pelvis",))


def _share_of_thigh(angle_id: str) -> MetricRule:
    def compute(source: MetricSource, times: StrideTimes, side: Side) -> FloatArray:
        of_thigh = _rise(source, times, side, "thigh_vertical")
        return _over_enough(_rise(source, times, side, angle_id), of_thigh)

    return MetricRule(compute, (angle_id, "thigh_vertical"), ("pelvis",), _TOO_LITTLE)


def _lumbar_share_from_standing(source: MetricSource, times: StrideTimes, side: Side) -> FloatArray:
    late = thigh_peak_s(source, times, side)
    thigh = source.read("thigh_vertical", side, late) - source.standing_thigh_rad[side]
    return _over_enough(source.read("lumbar_extension", side, late), thigh)


def _over_enough(part: FloatArray, of_thigh: FloatArray) -> FloatArray:
    enough = of_thigh >= _LEAST_THIGH_RAD
    return np.where(enough, part / np.where(enough, of_thigh, 1.0), np.nan)


def _body_lean(source: MetricSource, times: StrideTimes, side: Side) -> FloatArray:
    return _lean_over_ankle(source, side, "top", mid_stance_s(source, times))


def _waist(source: MetricSource, times: StrideTimes, side: Side) -> FloatArray:
    middle = mid_stance_s(source, times)
    return source.read("trunk_lean", side, middle) - _lean_over_ankle(source, side, "pelvis", middle)


def _lean_over_ankle(source: MetricSource, side: Side, name: str, at_s: FloatArray) -> FloatArray:
    forward, up = (source.place(name, k, at_s) - source.place(f"{side.letter}ANKLE", k, at_s) for k in (0, 1))
    return np.asarray(np.arctan2(forward, up))


def _range(angle_id: str) -> MetricRule:
    return over(whole, angle_id, spread)


def _peak(angle_id: str) -> MetricRule:
    return over(whole, angle_id, highest)


def _needing(compute: Rule, *angles: str, needs: tuple[str, ...] = ()) -> MetricRule:
    return MetricRule(compute, angles, needs)


def _late_peak(angle_id: str) -> MetricRule:
    return over(late_stance, angle_id, highest)


JOINT_RULES_OF_METRICS: Mapping[str, MetricRule] = {
    "hip_ext_excursion_stance": _needing(_hip_excursion, "hip_flexion"),
    "hip_ext_pelvis_peak": _needing(_hip_peak, "hip_flexion"),
    "hip_ext_pelvis_at_to": at_toe_off("hip_flexion", -1.0),
    "hip_sagittal_rom": _range("hip_flexion"),
    "hip_add_peak_stance": over(stance, "hip_adduction", highest),
    "thigh_ext_excursion_stance": _needing(_thigh_excursion, "thigh_vertical"),
    "thigh_ext_vertical_peak": _late_peak("thigh_vertical"),
    "thigh_ext_vertical_at_to": at_toe_off("thigh_vertical"),
    "pelvis_rot_rom": _range("pelvis_rotation"),
    "pelvis_rot_to_ext_side_at_to": _needing(_toward_extending_side, "pelvis_rotation"),
    "pelvis_rot_lag_to_hip_ext": MetricRule(_rotation_lag, ("pelvis_rotation", "hip_flexion"), (), _NO_TURN),
    "pelvis_drop_contra_peak_stance": _needing(_drop, "pelvis_obliquity"),
    "pelvis_tilt_mean": over(whole, "pelvis_tilt", mean),
    "pelvis_tilt_rom": _range("pelvis_tilt"),
    "pelvis_tilt_at_peak_thigh_ext": _needing(_tilt_at_thigh_peak, "pelvis_tilt", "thigh_vertical"),
    "pelvis_tilt_rise_late_stance": _rise_of(("pelvis_tilt", 1.0)),
    "lumbar_ext_peak": _peak("lumbar_extension"),
    "lumbar_ext_rom": _range("lumbar_extension"),
    "lumbar_ext_at_peak_hip_ext": _at_hip_peak("lumbar_extension"),
    "trunk_pelvis_ext_peak": _peak("trunk_pelvis_extension"),
    "trunk_pelvis_ext_rom": _range("trunk_pelvis_extension"),
    "trunk_pelvis_ext_at_peak_hip_ext": _at_hip_peak("trunk_pelvis_extension"),
    "lhci_dyn": _share_of_thigh("lumbar_extension"),
    "phci_dyn": _share_of_thigh("pelvis_tilt"),
    "lhci_abs": MetricRule(
        _lumbar_share_from_standing, ("lumbar_extension", "thigh_vertical"), ("standing_thigh",), _TOO_LITTLE
    ),
    "thigh_ext_rise_late_stance": _rise_of(("thigh_vertical", 1.0)),
    "hip_ext_rise_late_stance": _rise_of(("hip_flexion", -1.0)),
    "lumbar_ext_rise_late_stance": _rise_of(("lumbar_extension", 1.0)),
    "lean_rise_late_stance": _rise_of(("pelvis_tilt", 1.0), ("lumbar_extension", -1.0)),
    "trunk_lean_stance_mean": over(stance, "trunk_lean", mean),
    "body_lean_ankle": _needing(_body_lean, "trunk_lean", needs=("top", "ANKLE", "pelvis")),
    "waist_break": _needing(_waist, "trunk_lean", needs=("pelvis", "ANKLE")),
}
