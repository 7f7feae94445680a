"""Centre of mass from segment masses.

de Leva 1996, 10.1016/0021-9290(95)00178-6, mean of the men's and women's tables.
"""

from __future__ import annotations

import numpy as np

from labsys.biomechanics.axes import mid
from labsys.biomechanics.points import BodyPoints
from labsys.biomechanics.segments import SIDES, Body
from labsys.core.arrays import FloatArray
from labsys.core.skeleton import Side

# Beside the joint centres of both legs.
COM_ROLES = ("HEAD", "RAC", "LAC", "RELB", "LELB", "RWRI", "LWRI", "RHEEL", "LHEEL", "RTOE", "LTOE")
# Share of body mass, and centre as a share of the way from the proximal to the distal end.
_TRUNK_MASS, _TRUNK_AT = 0.43015, 0.4046
_HEAD_MASS = 0.0681
_UPPER_ARM_MASS, _UPPER_ARM_AT = 0.0263, 0.57630
_FOREARM_MASS, _FOREARM_AT = 0.0150, 0.45665
_HAND_MASS = 0.00585
_THIGH_MASS, _THIGH_AT = 0.1447, 0.38535
_SHANK_MASS, _SHANK_AT = 0.0457, 0.43735
_FOOT_MASS, _FOOT_AT = 0.0133, 0.4208


def centre_of_mass(points: BodyPoints, body: Body) -> tuple[FloatArray, str | None]:
    """Whole-body centre of mass (T, 3) m in LAB, and why there is none (NaN) or None."""
    nothing = np.full((points.times_s.size, 3), np.nan)
    if not points.has(*COM_ROLES):
        return nothing, f"the centre of mass needs arms, head and feet, {points.missing(*COM_ROLES)}"
    limb_reason = next((t.reason for s in SIDES for t in (body.hip[s], body.knee[s], body.ankle[s]) if t.reason), None)
    if limb_reason:
        return nothing, limb_reason
    parts = [
        (_HEAD_MASS, points["HEAD"]),
        (_TRUNK_MASS, _along(mid(points["RAC"], points["LAC"]), body.mid_hip_m, _TRUNK_AT)),
    ]
    for side in SIDES:
        parts += _arm(points, side) + _leg(points, body, side)
    total = sum(mass for mass, _ in parts)
    return np.asarray(sum(mass * centre for mass, centre in parts) / total, dtype=np.float64), None


def _arm(points: BodyPoints, side: Side) -> list[tuple[float, FloatArray]]:
    shoulder, elbow, wrist = (points[f"{side.letter}{r}"] for r in ("AC", "ELB", "WRI"))
    return [
        (_UPPER_ARM_MASS, _along(shoulder, elbow, _UPPER_ARM_AT)),
        (_FOREARM_MASS, _along(elbow, wrist, _FOREARM_AT)),
        (_HAND_MASS, wrist),
    ]


def _leg(points: BodyPoints, body: Body, side: Side) -> list[tuple[float, FloatArray]]:
    hip, knee, ankle = (track[side].position_m for track in (body.hip, body.knee, body.ankle))
    return [
        (_THIGH_MASS, _along(hip, knee, _THIGH_AT)),
        (_SHANK_MASS, _along(knee, ankle, _SHANK_AT)),
        (_FOOT_MASS, _along(points[f"{side.letter}HEEL"], points[f"{side.letter}TOE"], _FOOT_AT)),
    ]


def _along(start: FloatArray, end: FloatArray, share: float) -> FloatArray:
    return start + share * (end - start)
