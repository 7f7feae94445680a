"""Whether a static trial can be the standing posture of the subject in a trial: it stands still, and is the same body.

A wrong static moves every angle that is measured from standing, and nothing else would show it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from labsys.biomechanics.points import BodyPoints
from labsys.core.arrays import FloatArray
from labsys.core.errors import InputError

# Sway moves an ankle against the hips by a centimetre or two, a step by tens of them.
_MOST_MOTION_M = 0.10
_MOTION_PERCENTILES = (5.0, 95.0)
# Skin glides over bone, and a keypoint over the joint: a body's own lengths differ this much between two postures.
_LIKE_SHARE, _OTHER_BODY_SHARE = 0.05, 0.10
_FEWEST_LENGTHS_OFF = 2
# Lengths of one body, by the landmarks at their ends; those of both sides are averaged.
_LENGTHS: dict[str, tuple[tuple[str, str], ...]] = {
    "pelvic width": (("RASIS", "LASIS"),),
    "thigh": (("RGT", "RLFE"), ("LGT", "LLFE"), ("RHIP", "RKNEE"), ("LHIP", "LKNEE")),
    "shank": (("RLFE", "RLM"), ("LLFE", "LLM"), ("RKNEE", "RANKLE"), ("LKNEE", "LANKLE")),
    "foot": (("RHEEL", "RTOE"), ("LHEEL", "LTOE")),
}


def check_stands_still(static: BodyPoints) -> None:
    """Refuse a static trial in which the feet move against the pelvis.

    Raises:
        InputError: it moves, as a run given in place of a static does.
    """
    hips = _first(static, ("RASIS", "RHIP", "RGT"))
    for side in "RL":
        ankle = _first(static, (f"{side}LM", f"{side}ANKLE", f"{side}HEEL"))
        if hips is None or ankle is None:
            continue
        travelled = _travel_m(ankle - hips)
        if travelled > _MOST_MOTION_M:
            raise InputError(
                f"the static trial is no quiet stance: an ankle moves by {1e3 * travelled:.0f} mm against the pelvis",
                remedy="Choose the standing trial of this visit with --static, or analyse without a static",
            )


def _first(points: BodyPoints, roles: tuple[str, ...]) -> FloatArray | None:
    return next((points[r] for r in roles if points.has(r)), None)


def _travel_m(track_m: FloatArray) -> float:
    """Largest extent along any axis, outliers apart, m."""
    low, high = np.nanpercentile(track_m, _MOTION_PERCENTILES, axis=0)
    return float(np.max(high - low))


def compare_bodies(moving: BodyPoints, static: BodyPoints) -> str | None:
    """Why the static may be of another body (a sentence to show), or None.

    moving: as measured, nothing carried from the static. static: one frame.

    Raises:
        InputError: two or more lengths differ by more than a tenth: another person, or landmarks under other names.
    """
    off = {
        name: (still_m, moving_m)
        for name, still_m, moving_m in _both_lengths(moving, static)
        if abs(moving_m / still_m - 1.0) > _LIKE_SHARE
    }
    if not off:
        return None
    said = ", ".join(f"{n} {1e3 * s:.0f} mm in it and {1e3 * m:.0f} mm here" for n, (s, m) in off.items())
    far = [n for n, (s, m) in off.items() if abs(m / s - 1.0) > _OTHER_BODY_SHARE]
    if len(far) >= _FEWEST_LENGTHS_OFF:
        raise InputError(
            f"the static trial is of another body: {said}",
            remedy="Choose the static of this subject and visit with --static, or analyse without a static",
        )
    return f"the static trial may be of another body or sticker placement: {said}"


def _both_lengths(moving: BodyPoints, static: BodyPoints) -> Iterator[tuple[str, float, float]]:
    """(name, m in the static, m in the trial) of lengths that both show."""
    for name, ends in _LENGTHS.items():
        shown = [e for e in ends if moving.has(*e) and static.has(*e)]
        lengths = [[_median_length_m(points, *e) for e in shown] for points in (static, moving)]
        if shown and all(np.isfinite(lengths).ravel()) and min(lengths[0]) > 0.0:
            yield name, float(np.mean(lengths[0])), float(np.mean(lengths[1]))


def _median_length_m(points: BodyPoints, a: str, b: str) -> float:
    length = np.linalg.norm(points[a] - points[b], axis=1)
    return float(np.nanmedian(length)) if np.isfinite(length).any() else float("nan")
