"""Segments of spine and trunk: thorax, whole trunk, lumbar line, and the bend within the lumbar spine."""

from __future__ import annotations

import numpy as np

from labsys.biomechanics.axes import Bend, Segment, Track, axes_from_up, mid, no_segment, no_track
from labsys.biomechanics.points import BodyPoints
from labsys.core.arrays import FloatArray


def thorax_segment(points: BodyPoints) -> Segment:
    """Thorax by its four midline points."""
    low = next((r for r in ("T10", "T8") if points.has(r)), "T10")
    needed = ("C7", "IJ", low, "XP", "RAC", "LAC")
    if not points.has(*needed):
        return no_segment(points, f"thorax not observable, {points.missing(*needed)}")
    up = mid(points["C7"], points["IJ"]) - mid(points[low], points["XP"])
    return Segment(axes_from_up(up, points["RAC"] - points["LAC"]))


def trunk_segment(points: BodyPoints, mid_hip_m: FloatArray) -> Segment:
    """Whole trunk from the mid-hip to its top."""
    top = _trunk_frame_top(points)
    if top.reason or not points.has("RAC", "LAC"):
        return no_segment(points, top.reason or points.missing("RAC", "LAC"))
    return Segment(axes_from_up(top.position_m - mid_hip_m, points["RAC"] - points["LAC"]))


def _trunk_frame_top(points: BodyPoints) -> Track:
    if points.has("C7", "IJ"):
        return Track(mid(points["C7"], points["IJ"]))
    if points.has("C7", "RAC", "LAC"):
        return Track(mid(points["C7"], _mid_ac(points)))
    return trunk_top(points)


def _mid_ac(points: BodyPoints) -> FloatArray:
    return mid(points["RAC"], points["LAC"])


def trunk_top(points: BodyPoints) -> Track:
    """Upper end of the trunk line: C7, neck or mid-shoulder."""
    for role in ("C7", "NECK"):
        if points.has(role):
            return Track(points[role])
    if points.has("RAC", "LAC"):
        return Track(_mid_ac(points))
    return no_track(points, "trunk line not observable, " + points.missing("C7", "NECK", "RAC", "LAC"))


def lumbar_segment(points: BodyPoints, pelvis: Segment) -> Segment:
    """L5-L1 line with the pelvis's right-left axis."""
    if pelvis.reason or not points.has("L1", "L5"):
        return no_segment(points, pelvis.reason or points.missing("L1", "L5"))
    return Segment(axes_from_up(points["L1"] - points["L5"], pelvis.rotation[..., 2]))


def lordosis_bend(points: BodyPoints, pelvis: Segment) -> Bend:
    """How far the upper half of the lumbar spine leans back from the lower half, in the pelvis's sagittal plane."""
    reason = pelvis.reason or (None if points.has("L1", "L3", "L5") else points.missing("L1", "L3", "L5"))
    if reason:
        return Bend(np.full(points.times_s.size, np.nan), reason)
    lower, upper = (
        np.einsum("tij,ti->tj", pelvis.rotation, points[above] - points[below])
        for above, below in (("L3", "L5"), ("L1", "L3"))
    )
    crossed = lower[:, 0] * upper[:, 1] - lower[:, 1] * upper[:, 0]
    return Bend(np.arctan2(crossed, lower[:, 0] * upper[:, 0] + lower[:, 1] * upper[:, 1]))
