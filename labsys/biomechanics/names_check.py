"""Whether landmarks lie where a body has them: right ones to the right of left ones, toes ahead, the pelvis upright.

Names that were exchanged (left with right, front with back) turn segment frames by up to half a turn, and with them
whatever is measured from a standing posture: each of these would be a number, and none of them true.
"""

from __future__ import annotations

import numpy as np

from labsys.biomechanics.axes import mid, unit
from labsys.biomechanics.points import BodyPoints
from labsys.biomechanics.segments import PELVIS_ROLES, find_right_axis, measure_pelvis
from labsys.core.arrays import FloatArray
from labsys.core.errors import InputError

_UP = np.array([0.0, 1.0, 0.0])
_SIDES = (("R", "right"), ("L", "left"))
# Feet of runners may cross the midline by some centimetres; knees and shoulders never do.
_PAIRS_APART: dict[str, tuple[str, ...]] = {"knee": ("LFE", "KNEE"), "shoulder": ("AC",)}
_PAIRS_STANDING = {**_PAIRS_APART, "ankle": ("LM", "ANKLE"), "heel": ("HEEL",), "toe": ("TOE",)}
_LEAST_M = 0.02
# Nobody who stands as the protocol asks for bends a knee, tips a foot or lifts one so far.
_BENT_KNEE_RAD, _TIPPED_FOOT_RAD, _LIFTED_M = np.deg2rad(40.0), np.deg2rad(40.0), 0.10


def check_names_of_gait(points: BodyPoints) -> None:
    """Refuse a run or walk, LAB's Y up, whose landmarks bear each other's names.

    Raises:
        InputError: names that were exchanged.
    """
    _check(points, _PAIRS_APART, where="in this trial", remedy="Correct the names in the landmarks or the marker map")


def check_standing(still: BodyPoints) -> None:
    """Refuse a static trial (one frame, LAB's Y up) whose landmarks bear each other's names, or that does not stand.

    Raises:
        InputError: names that were exchanged; no standing posture.
    """
    remedy = "Correct its names, choose another standing trial of this visit with --static, or analyse without a static"
    _check(still, _PAIRS_STANDING, where="in the static trial", remedy=remedy)
    said = _not_standing(still)
    if said is not None:
        raise InputError(
            f"the static trial is no standing posture: {said}",
            remedy="Choose the standing trial of this visit with --static, or analyse without a static",
        )


def _check(points: BodyPoints, pairs: dict[str, tuple[str, ...]], *, where: str, remedy: str) -> None:
    right = find_right_axis(points, measure_pelvis(points)).position_m
    said = _upside_down(points) or _wrong_side(points, right, pairs) or _backward_foot(points, right)
    if said is not None:
        raise InputError(said, where=where, remedy=remedy)


def _upside_down(points: BodyPoints) -> str | None:
    if not points.has(*PELVIS_ROLES):
        return None
    ahead = mid(points["RASIS"], points["LASIS"]) - mid(points["RPSIS"], points["LPSIS"])
    up = np.cross(points["RASIS"] - points["LASIS"], ahead)
    if not _median(up @ _UP) < 0.0:
        return None
    return "the pelvis is upside down: left and right, or front and back, of ASIS and PSIS are exchanged"


def _wrong_side(points: BodyPoints, right: FloatArray, pairs: dict[str, tuple[str, ...]]) -> str | None:
    for word, names in pairs.items():
        for name in names:
            if not points.has(f"R{name}", f"L{name}"):
                continue
            apart_m = _median(((points[f"R{name}"] - points[f"L{name}"]) * right).sum(axis=-1))
            if apart_m < -_LEAST_M:
                return (
                    f"the right {word} lies {-1e3 * apart_m:.0f} mm to the left of the left one, as the pelvis looks: "
                    "left and right are exchanged"
                )
    return None


def _backward_foot(points: BodyPoints, right: FloatArray) -> str | None:
    forward = unit(np.cross(_UP, right))
    for side, word in _SIDES:
        if not points.has(f"{side}TOE", f"{side}HEEL"):
            continue
        ahead_m = _median(((points[f"{side}TOE"] - points[f"{side}HEEL"]) * forward).sum(axis=-1))
        if ahead_m < -_LEAST_M:
            return (
                f"the {word} toe lies {-1e3 * ahead_m:.0f} mm behind its heel, as the pelvis looks: heel and toe, or "
                "all of left and right, are exchanged"
            )
    return None


def _not_standing(still: BodyPoints) -> str | None:
    for side, word in _SIDES:
        bent_rad, tipped_rad = _knee_bend(still, side), _foot_pitch(still, side)
        if bent_rad > _BENT_KNEE_RAD:
            return f"the {word} knee is bent by {np.rad2deg(bent_rad):.0f}°"
        if abs(tipped_rad) > _TIPPED_FOOT_RAD:
            return f"the {word} toe points {'up' if tipped_rad > 0 else 'down'} by {abs(np.rad2deg(tipped_rad)):.0f}°"
    ankles = [next((r for r in _leg(side)[2] if still.has(r)), "") for side, _ in _SIDES]
    lifted_m = _median(still[ankles[0]][:, 1] - still[ankles[1]][:, 1]) if all(ankles) else 0.0
    if abs(lifted_m) > _LIFTED_M:
        return f"the {_SIDES[lifted_m < 0][1]} foot is {1e3 * abs(lifted_m):.0f} mm above the other"
    return None


def _knee_bend(still: BodyPoints, side: str) -> float:
    """How far a knee is from straight, rad; NaN where the leg is not seen."""
    ends = [next((r for r in roles if still.has(r)), "") for roles in _leg(side)]
    if not all(ends):
        return float("nan")
    hip, knee, ankle = (still[r] for r in ends)
    return _median(np.pi - np.arccos(np.clip((unit(hip - knee) * unit(ankle - knee)).sum(axis=-1), -1.0, 1.0)))


def _foot_pitch(still: BodyPoints, side: str) -> float:
    """Of the line from heel to toe against level, rad, toe up positive; NaN where the foot is not seen."""
    if not still.has(f"{side}HEEL", f"{side}TOE"):
        return float("nan")
    line = still[f"{side}TOE"] - still[f"{side}HEEL"]
    return _median(np.arctan2(line[:, 1], np.hypot(line[:, 0], line[:, 2])))


def _leg(side: str) -> tuple[tuple[str, ...], ...]:
    return (f"{side}GT", f"{side}HIP"), (f"{side}LFE", f"{side}KNEE"), (f"{side}LM", f"{side}ANKLE")


def _median(values: FloatArray) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else float("nan")
