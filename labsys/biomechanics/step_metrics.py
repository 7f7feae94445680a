"""Rules of the metrics of foot placement, leg, centre of mass and time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from labsys.biomechanics.instants import highest, mid_stance_s, spread, stance
from labsys.biomechanics.metric_rules import MetricRule, at_strike, at_toe_off, over
from labsys.biomechanics.metric_source import MetricSource, StrideTimes
from labsys.biomechanics.treadmill import STANDING_SHARE
from labsys.core.arrays import FloatArray
from labsys.core.session import Surface
from labsys.core.skeleton import Side

_MIDDLE = 0.5  # of contact
_FORWARD, _UP, _RIGHT = range(3)


def _behind(source: MetricSource, times: StrideTimes, side: Side, body: str) -> FloatArray:
    toe = source.place(f"{side.letter}TOE", _FORWARD, times.toe_off_s)
    return source.place(body, _FORWARD, times.toe_off_s) - toe


def _ahead(source: MetricSource, times: StrideTimes, side: Side, body: str) -> FloatArray:
    heel = source.place(f"{side.letter}HEEL", _FORWARD, times.strike_s)
    return heel - source.place(body, _FORWARD, times.strike_s)


def _behind_body(body: str) -> MetricRule:
    return MetricRule(lambda c, t, s: _behind(c, t, s, body), needs=(body, "TOE"))


def _ahead_of_body(body: str) -> MetricRule:
    return MetricRule(lambda c, t, s: _ahead(c, t, s, body), needs=(body, "HEEL"))


def _ahead_of_own_hip(source: MetricSource, times: StrideTimes, side: Side) -> FloatArray:
    return _ahead(source, times, side, f"{side.letter}HIP")


def _front_back(body: str) -> MetricRule:
    def compute(source: MetricSource, times: StrideTimes, side: Side) -> FloatArray:
        behind = _behind(source, times, side, body)
        return np.where(behind > 0.0, _ahead(source, times, side, body) / np.where(behind > 0.0, behind, 1.0), np.nan)

    return MetricRule(compute, needs=(body, "HEEL", "TOE"), nowhere="the toe leaves the ground ahead of the body")


def _per_leg(rule: MetricRule) -> MetricRule:
    return MetricRule(lambda c, t, s: rule.compute(c, t, s) / c.leg_length_m, rule.angles, (*rule.needs, "leg_length"))


def _line_behind(upper: str, lower: str) -> MetricRule:
    """A line of the leg behind vertical at toe-off."""

    def compute(source: MetricSource, times: StrideTimes, side: Side) -> FloatArray:
        ends = [
            [source.place(f"{side.letter}{n}", k, times.toe_off_s) for k in (_FORWARD, _UP)] for n in (upper, lower)
        ]
        forward, up = (ends[1][k] - ends[0][k] for k in (0, 1))
        return np.asarray(-np.arctan2(forward, -up))

    return MetricRule(compute, needs=(upper, lower))


def _knee_straightening(source: MetricSource, times: StrideTimes, side: Side) -> FloatArray:
    middle = mid_stance_s(source, times)
    return source.read("knee_flexion", side, middle) - source.read("knee_flexion", side, times.toe_off_s)


def _oscillation(body: str) -> MetricRule:
    def measure(source: MetricSource, times: StrideTimes) -> FloatArray:
        steps = (
            times.between(times.strike_s, times.contra_strike_s),
            times.between(times.contra_strike_s, times.next_strike_s),
        )
        return np.asarray(np.mean([spread(source.place(body, _UP, step)) for step in steps], axis=0))

    def compute(source: MetricSource, times: StrideTimes, _: Side) -> FloatArray:
        return times.kept((source, "oscillation", body), lambda: measure(source, times))

    return MetricRule(compute, needs=(body,))


def _per_step_length(rule: MetricRule) -> MetricRule:
    def compute(source: MetricSource, times: StrideTimes, side: Side) -> FloatArray:
        return rule.compute(source, times, side) / (0.5 * _stride_length(source, times, side))

    return MetricRule(compute, needs=(*rule.needs, "pelvis"))


def _contact(_: MetricSource, times: StrideTimes, __: Side) -> FloatArray:
    return times.toe_off_s - times.strike_s


def _flight(_: MetricSource, times: StrideTimes, __: Side) -> FloatArray:
    return times.contra_strike_s - times.toe_off_s


def _duty(_: MetricSource, times: StrideTimes, __: Side) -> FloatArray:
    return (times.toe_off_s - times.strike_s) / times.duration_s


def _step_time(_: MetricSource, times: StrideTimes, __: Side) -> FloatArray:
    return times.contra_strike_s - times.strike_s


def _stride_time(_: MetricSource, times: StrideTimes, __: Side) -> FloatArray:
    return times.duration_s


def _cadence(_: MetricSource, times: StrideTimes, __: Side) -> FloatArray:
    return 2.0 / times.duration_s


def _step_length(source: MetricSource, times: StrideTimes, side: Side) -> FloatArray:
    here = source.place(f"{side.letter}HEEL", _FORWARD, times.strike_s)
    there = source.place(f"{side.opposite.letter}HEEL", _FORWARD, times.contra_strike_s)
    return there - here + source.ground_mps * (times.contra_strike_s - times.strike_s)


def _stride_length(source: MetricSource, times: StrideTimes, _: Side) -> FloatArray:
    start, end = (source.place("pelvis", _FORWARD, t) for t in (times.strike_s, times.next_strike_s))
    return source.ground_mps * times.duration_s + (end - start)


def _stride_per_height(source: MetricSource, times: StrideTimes, side: Side) -> FloatArray:
    return _stride_length(source, times, side) / source.height_m


def _step_width(source: MetricSource, times: StrideTimes, _: Side) -> FloatArray:
    """The other foot's middle of stance is as long after its strike as this one's: its toe-off is another stride's."""
    after_s = _MIDDLE * (times.toe_off_s - times.strike_s)
    own = source.place(f"{times.side.letter}FOOT", _RIGHT, times.strike_s + after_s)
    other = source.place(f"{times.side.opposite.letter}FOOT", _RIGHT, times.contra_strike_s + after_s)
    return own - other if times.side is Side.RIGHT else other - own


def _speed(source: MetricSource, times: StrideTimes, _: Side) -> FloatArray:
    """Belt: the forefoot in the middle of its stance. Overground: the pelvis over the stride."""
    if source.surface is Surface.OVERGROUND:
        start, end = (source.place("pelvis", _FORWARD, t) for t in (times.strike_s, times.next_strike_s))
        return source.drift_mps + (end - start) / times.duration_s
    contact = times.toe_off_s - times.strike_s
    standing = times.between(*(times.strike_s + share * contact for share in STANDING_SHARE))
    return np.asarray(-np.median(source.forefoot_mps[times.side].read(standing), axis=-1))


STEP_RULES_OF_METRICS: Mapping[str, MetricRule] = {
    "trailing_limb_angle_at_to": _line_behind("HIP", "ANKLE"),
    "foot_push_angle_at_to": _line_behind("ANKLE", "TOE"),
    "behind_body_at_to": _behind_body("com"),
    "behind_body_at_to_pelvis": _behind_body("pelvis"),
    "behind_body_at_to_per_leg": _per_leg(_behind_body("com")),
    "behind_body_at_to_per_leg_pelvis": _per_leg(_behind_body("pelvis")),
    "ahead_at_fs": _ahead_of_body("com"),
    "ahead_at_fs_pelvis": _ahead_of_body("pelvis"),
    "ahead_at_fs_hip": MetricRule(_ahead_of_own_hip, needs=("HIP", "HEEL")),
    "ahead_at_fs_per_leg": _per_leg(_ahead_of_body("com")),
    "ahead_at_fs_per_leg_pelvis": _per_leg(_ahead_of_body("pelvis")),
    "front_back_ratio": _front_back("com"),
    "front_back_ratio_pelvis": _front_back("pelvis"),
    "shank_angle_at_fs": at_strike("shank_vertical"),
    "foot_angle_at_fs": at_strike("foot_pitch"),
    "knee_flex_at_fs": at_strike("knee_flexion"),
    "knee_flex_peak_stance": over(stance, "knee_flexion", highest),
    "knee_flex_at_to": at_toe_off("knee_flexion"),
    "knee_ext_excursion_push": MetricRule(_knee_straightening, ("knee_flexion",), ("pelvis",)),
    "ankle_df_peak_stance": over(stance, "ankle_dorsiflexion", highest),
    "vertical_oscillation": _oscillation("com"),
    "vertical_oscillation_pelvis": _oscillation("pelvis"),
    "vertical_oscillation_per_leg": _per_leg(_oscillation("com")),
    "vertical_oscillation_per_leg_pelvis": _per_leg(_oscillation("pelvis")),
    "vertical_oscillation_per_step_length": _per_step_length(_oscillation("com")),
    "vertical_oscillation_per_step_length_pelvis": _per_step_length(_oscillation("pelvis")),
    "contact_time": MetricRule(_contact),
    "flight_time": MetricRule(_flight),
    "duty_factor": MetricRule(_duty),
    "step_time": MetricRule(_step_time),
    "stride_time": MetricRule(_stride_time),
    "cadence": MetricRule(_cadence),
    "step_length": MetricRule(_step_length, needs=("HEEL",)),
    "stride_length": MetricRule(_stride_length, needs=("pelvis",)),
    "stride_length_per_height": MetricRule(_stride_per_height, needs=("pelvis", "height")),
    "step_width": MetricRule(_step_width, needs=("FOOT",)),
    "speed": MetricRule(_speed),
}
