"""Angle series with the catalogue's ids, signs and zeros.

Signs and zeros are those of the catalogue; joint angles are Cardan Z-X-Y of distal against proximal segment, the pelvis
against LAB is rotation-obliquity-tilt. On the left, frontal and transverse angles are mirrored, so that plus means the
same on both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from labsys.biomechanics.axes import Segment
from labsys.biomechanics.cardan import (
    axis_angles,
    baker_angles,
    drop_opposed,
    is_near_zero,
    jcs_angle,
    transpose,
    unwrap_finite,
)
from labsys.biomechanics.points import BodyPoints
from labsys.biomechanics.preparation import Prepared
from labsys.biomechanics.segments import SIDES, Body
from labsys.biomechanics.static import pelvis_tilt_change, relative_change
from labsys.core.arrays import FloatArray
from labsys.core.catalogue import ANGLES, AngleDefinition, find_angle
from labsys.core.motion import AngleSeries, JointAngles
from labsys.core.skeleton import Side, Tier

# Angles below the hip take the higher cut-off; both segments of a joint always share one.
DISTAL_ANGLES = frozenset({"knee_flexion", "ankle_dorsiflexion", "shank_vertical", "foot_pitch"})

STRIKE_ANGLES = frozenset({"hip_flexion", "thigh_vertical", "knee_flexion", "shank_vertical", "foot_pitch"})


@dataclass(frozen=True)
class JointRule:
    """An angle between two segments: which, which Cardan component (0 z, 1 x, 2 y), and its sign on each side."""

    proximal: Callable[[Body, Side], Segment]
    distal: Callable[[Body, Side], Segment]
    component: int
    sign_right: float
    sign_left: float

    def sign(self, side: Side) -> float:
        """Sign on a side; midline angles have the right one."""
        return self.sign_left if side is Side.LEFT else self.sign_right


def _pelvis(body: Body, _: Side) -> Segment:
    return body.pelvis


def _thorax(body: Body, _: Side) -> Segment:
    return body.thorax


def _trunk(body: Body, _: Side) -> Segment:
    return body.trunk


def _lumbar(body: Body, _: Side) -> Segment:
    return body.lumbar


def _thigh(body: Body, side: Side) -> Segment:
    return body.thigh[side]


def _shank(body: Body, side: Side) -> Segment:
    return body.shank[side]


def _foot(body: Body, side: Side) -> Segment:
    return body.foot[side]


JOINT_RULES: dict[str, JointRule] = {
    "hip_flexion": JointRule(_pelvis, _thigh, 0, 1.0, 1.0),
    "hip_adduction": JointRule(_pelvis, _thigh, 1, 1.0, -1.0),
    "hip_rotation": JointRule(_pelvis, _thigh, 2, 1.0, -1.0),
    "hip_trunk_extension": JointRule(_trunk, _thigh, 0, -1.0, -1.0),
    "knee_flexion": JointRule(_thigh, _shank, 0, -1.0, -1.0),
    "ankle_dorsiflexion": JointRule(_shank, _foot, 0, 1.0, 1.0),
    "lumbar_extension": JointRule(_pelvis, _thorax, 0, 1.0, 1.0),
    "lumbar_bending": JointRule(_pelvis, _thorax, 1, 1.0, 1.0),
    "lumbar_rotation": JointRule(_pelvis, _thorax, 2, 1.0, 1.0),
    "trunk_pelvis_extension": JointRule(_pelvis, _trunk, 0, 1.0, 1.0),
    "lumbar_segment_extension": JointRule(_pelvis, _lumbar, 0, 1.0, 1.0),
}


def joint_angles(prepared: Prepared, *, only: frozenset[str] | None = None) -> JointAngles:
    """Every angle of the catalogue, per side; what the landmarks cannot give is NaN with a reason.

    LAB of the prepared points: X the run direction where known, Y up. only: these ids alone.
    """
    s = prepared.settings
    wanted = [a for a in ANGLES if only is None or a.id in only]
    series = [
        *_angles_at(prepared, s.proximal_cutoff_hz, [a for a in wanted if a.id not in DISTAL_ANGLES]),
        *_angles_at(prepared, s.distal_cutoff_hz, [a for a in wanted if a.id in DISTAL_ANGLES]),
    ]
    order = {a.id: i for i, a in enumerate(ANGLES)}
    series.sort(key=lambda a: (order[a.id], a.side.value))
    return JointAngles(prepared.points.times_s, tuple(series))


def strike_angles(prepared: Prepared) -> JointAngles:
    """The angles that are read at foot strike, low-passed so lightly that the impact does not smear into them."""
    wanted = [a for a in ANGLES if a.id in STRIKE_ANGLES]
    return JointAngles(prepared.points.times_s, tuple(_angles_at(prepared, prepared.strike_cutoff_hz, wanted)))


@dataclass(frozen=True, eq=False)
class _View:
    """One low-passed look at the trial: points, body, and motion and static built alike."""

    points: BodyPoints
    body: Body
    moving: Body | None
    still: Body | None
    still_points: BodyPoints | None
    tier: Tier
    stretches: int

    def unwrapped(self, angle_rad: FloatArray) -> FloatArray:
        """An angle (T,) rad without jumps by whole turns, each stretch by itself."""
        parts = angle_rad.reshape(self.stretches, -1)
        if self.stretches == 1 or not is_near_zero(parts).all():
            return np.concatenate([unwrap_finite(part, rate_hz=self.points.rate_hz) for part in parts])
        return angle_rad


def _angles_at(prepared: Prepared, cutoff_hz: float, wanted: list[AngleDefinition]) -> Iterator[AngleSeries]:
    reference = prepared.reference(cutoff_hz)
    view = _View(
        points=prepared.smoothed(cutoff_hz),
        body=prepared.body(cutoff_hz),
        moving=reference.moving if reference else None,
        still=reference.still if reference else None,
        still_points=prepared.static,
        tier=prepared.tier,
        stretches=prepared.stretches,
    )
    for definition in wanted:
        for side in definition.sided.sides:
            yield _series(view, definition, side)


def _series(view: _View, definition: AngleDefinition, side: Side) -> AngleSeries:
    nothing = np.full(view.points.times_s.size, np.nan)
    reason = _why_not(view, definition, side)
    if reason is not None:
        return AngleSeries(definition.id, side, nothing, nothing, reason)
    raw = view.unwrapped(_raw(view.points, view.body, definition.id, side, view.tier))
    if not np.isfinite(raw).any():
        return AngleSeries(definition.id, side, nothing, nothing, "no frame shows all landmarks that it needs")
    change = nothing
    if definition.static_referenced and view.still is not None:
        change = view.unwrapped(_change(view, definition.id, side))
    return AngleSeries(definition.id, side, raw, change)


def _why_not(view: _View, definition: AngleDefinition, side: Side) -> str | None:
    """Why the landmarks cannot give this angle, or None."""
    if view.tier < definition.tier:
        return f"needs landmarks of tier {definition.tier.name}, this trial has {view.tier.name}: not observable"
    body, points = view.body, view.points
    if definition.id in ("hip_adduction", "hip_rotation"):
        lone = points.has(f"{side.letter}LFE") and not body.knee_3d[side] and not points.has(f"{side.letter}KNEE")
        if lone or (definition.id == "hip_rotation" and not body.knee_3d[side]):
            return "needs the medial and the lateral epicondyle"
    if definition.id in JOINT_RULES:
        rule = JOINT_RULES[definition.id]
        return rule.proximal(body, side).reason or rule.distal(body, side).reason
    if definition.id == "foot_pitch":
        roles = (f"{side.letter}HEEL", f"{side.letter}TOE")
        return None if points.has(*roles) else points.missing(*roles)
    return _line_reason(body, definition.id, side)


def _line_reason(body: Body, angle_id: str, side: Side) -> str | None:
    if angle_id == "thigh_vertical":
        return body.hip[side].reason or body.knee[side].reason
    if angle_id == "shank_vertical":
        return body.knee[side].reason or body.ankle[side].reason
    if angle_id == "trunk_lean":
        return body.trunk_top.reason or body.hip[Side.RIGHT].reason
    if angle_id == "lordosis_3pt":
        return body.pelvis.reason or body.lordosis.reason
    return body.pelvis.reason if angle_id == "pelvis_tilt" else body.right_axis.reason


def _raw(points: BodyPoints, body: Body, angle_id: str, side: Side, tier: Tier) -> FloatArray:
    """(T,) rad as the segment poses give it."""
    if angle_id == "hip_trunk_extension" and tier is Tier.T0:
        return _thigh_vertical(body, side) - _trunk_lean(body)
    if angle_id in JOINT_RULES:
        rule = JOINT_RULES[angle_id]
        return rule.sign(side) * jcs_angle(drop_opposed(_relative(body, rule, side)), rule.component)
    match angle_id:
        case "pelvis_tilt":
            return -baker_angles(body.pelvis.rotation).tilt_rad
        case "pelvis_obliquity":
            return axis_angles(body.right_axis.position_m)[1]
        case "pelvis_rotation":
            return axis_angles(body.right_axis.position_m)[0]
        case "thigh_vertical":
            return _thigh_vertical(body, side)
        case "shank_vertical":
            v = body.ankle[side].position_m - body.knee[side].position_m
            return np.arctan2(v[:, 0], -v[:, 1])
        case "foot_pitch":
            return _foot_pitch(points, side)
        case "lordosis_3pt":
            return body.lordosis.angle_rad
        case _:
            return _trunk_lean(body)


def _thigh_vertical(body: Body, side: Side) -> FloatArray:
    v = body.knee[side].position_m - body.hip[side].position_m
    return -np.arctan2(v[:, 0], -v[:, 1])


def _trunk_lean(body: Body) -> FloatArray:
    w = body.trunk_top.position_m - body.mid_hip_m
    return np.arctan2(w[:, 0], w[:, 1])


def _foot_pitch(points: BodyPoints, side: Side) -> FloatArray:
    v = points[f"{side.letter}TOE"] - points[f"{side.letter}HEEL"]
    return np.arctan2(v[:, 1], v[:, 0])


def _change(view: _View, angle_id: str, side: Side) -> FloatArray:
    """(T,) rad as change from the static trial; NaN where the static cannot give the posture."""
    moving, still = view.moving, view.still
    nothing = np.full(view.points.times_s.size, np.nan)
    if moving is None or still is None or view.still_points is None:
        return nothing
    if angle_id == "pelvis_tilt":
        return pelvis_tilt_change(moving.pelvis.rotation, still.pelvis.rotation)
    if angle_id in ("foot_pitch", "lordosis_3pt") or (angle_id == "hip_trunk_extension" and view.tier is Tier.T0):
        if angle_id == "foot_pitch" and not view.still_points.has(f"{side.letter}TOE", f"{side.letter}HEEL"):
            return nothing
        standing = _raw(view.still_points, still, angle_id, side, view.tier)
        change: FloatArray = _raw(view.points, moving, angle_id, side, view.tier) - standing
        return change
    rule = JOINT_RULES[angle_id]
    change = moving.kept(
        (still, rule.proximal, rule.distal, side),
        lambda: relative_change(drop_opposed(_relative(moving, rule, side)), _relative(still, rule, side)),
    )
    return rule.sign(side) * jcs_angle(change, rule.component)


def _relative(body: Body, rule: JointRule, side: Side) -> FloatArray:
    """(T, 3, 3) distal against proximal segment; one for the three angles of a joint."""
    return body.kept(
        (rule.proximal, rule.distal, side),
        lambda: transpose(rule.proximal(body, side).rotation) @ rule.distal(body, side).rotation,
    )


def standing_leg_m(prepared: Prepared) -> FloatArray:
    """Hip centre to lateral malleolus (or ankle keypoint) in standing, mean of both legs, m per frame of the static, of
    which there is one, or one for every frame of the motion; NaN where not seen."""
    reference, still = prepared.reference(prepared.settings.proximal_cutoff_hz), prepared.static
    if reference is None or still is None:
        return np.full(1, np.nan)
    lengths = [
        np.linalg.norm(still[f"{s.letter}{role}"] - reference.still.hip[s].position_m, axis=1)
        for s in SIDES
        for role in ("LM", "ANKLE")
        if still.has(f"{s.letter}{role}")
    ]
    return np.asarray(np.mean(lengths, axis=0)) if len(lengths) >= len(SIDES) else np.full(1, np.nan)


def standing_thigh_rad(prepared: Prepared) -> dict[Side, FloatArray]:
    """The standing subject's thighs against vertical, rad per frame of the static; NaN where it does not show them."""
    reference = prepared.reference(prepared.settings.proximal_cutoff_hz)
    if reference is None:
        return dict.fromkeys(SIDES, np.full(1, np.nan))
    return {s: _thigh_vertical(reference.still, s) for s in SIDES}


def reported(series: AngleSeries) -> tuple[FloatArray, bool]:
    """The series as reported (T,) rad and whether it is static-referenced: `ref` where there is one, else `raw`."""
    if find_angle(series.id).static_referenced and np.isfinite(series.ref_rad).any():
        return series.ref_rad, True
    return series.raw_rad, False
