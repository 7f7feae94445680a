"""Segment frames: axes as columns, x forward, y up, z to the runner's right on both sides.

Construction after Wu 2002 (pelvis, thigh, shank), with hip centres by Harrington 2007 (10.1016/j.jbiomech.2006.02.003)
where the pelvis has its four points, a quarter of the trochanter distance where it has not, and the keypoint itself
where a network gives the hip. What cannot be built is NaN and says why.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from labsys.biomechanics.axes import Bend, Segment, Track, axes_from_up, cross, mid, no_segment, no_track, unit
from labsys.biomechanics.points import BodyPoints
from labsys.biomechanics.trunk import lordosis_bend, lumbar_segment, thorax_segment, trunk_segment, trunk_top
from labsys.core.arrays import FloatArray
from labsys.core.skeleton import Side

PELVIS_ROLES = ("RASIS", "LASIS", "RPSIS", "LPSIS")
_FOOT_SHANK_LIMIT = 0.97


@dataclass(frozen=True, eq=False)
class PelvisSize:
    """Distances that place hip centres (m): ASIS to ASIS, mid-ASIS to mid-PSIS, ASIS to medial malleolus or NaN.

    One number each, or (T,) where stretches with statics of their own follow one another.
    """

    width_m: float | FloatArray
    depth_m: float | FloatArray
    leg_length_m: float | FloatArray


@dataclass(frozen=True, eq=False)
class Body:
    """All segments and joint centres of one trial, each built when it is first asked for.

    `right_axis` (T, 3) is the pelvis's right-left axis from whatever gives it (ASIS, hips or trochanters).
    `knee_3d` tells per side whether the joint has its medial and lateral point.
    """

    points: BodyPoints
    size: PelvisSize | None
    _kept: dict[Hashable, FloatArray] = field(default_factory=dict, init=False, repr=False)

    def kept(self, name: Hashable, make: Callable[[], FloatArray]) -> FloatArray:
        """What several angles need of the body, made once under a name."""
        if name not in self._kept:
            self._kept[name] = make()
        return self._kept[name]

    @cached_property
    def pelvis(self) -> Segment:
        """By its four points."""
        return _pelvis(self.points)

    @cached_property
    def _hips_and_source(self) -> tuple[Mapping[Side, Track], str]:
        return _hips(self.points, self.pelvis, self.size)

    @property
    def hip(self) -> Mapping[Side, Track]:
        """Hip centres."""
        return self._hips_and_source[0]

    @property
    def hip_source(self) -> str:
        """What gave the hip centres."""
        return self._hips_and_source[1]

    @cached_property
    def mid_hip_m(self) -> FloatArray:
        """Midpoint of the hip centres, (T, 3) m."""
        middle: FloatArray = 0.5 * (self.hip[Side.LEFT].position_m + self.hip[Side.RIGHT].position_m)
        return middle

    @cached_property
    def right_axis(self) -> Track:
        """The pelvis's right-left axis."""
        return _right_axis(self.points, self.pelvis, self.hip)

    @cached_property
    def thorax(self) -> Segment:
        """By its midline points."""
        return thorax_segment(self.points)

    @cached_property
    def trunk(self) -> Segment:
        """From the mid-hip up."""
        return trunk_segment(self.points, self.mid_hip_m)

    @cached_property
    def lumbar(self) -> Segment:
        """Of the line from L5 to L1."""
        return lumbar_segment(self.points, self.pelvis)

    @cached_property
    def lordosis(self) -> Bend:
        """Within the lumbar spine."""
        return lordosis_bend(self.points, self.pelvis)

    @cached_property
    def trunk_top(self) -> Track:
        """Upper end of the trunk line."""
        return trunk_top(self.points)

    @cached_property
    def knee(self) -> Mapping[Side, Track]:
        """Knee centres."""
        return {s: _knee(self.points, s) for s in SIDES}

    @cached_property
    def ankle(self) -> Mapping[Side, Track]:
        """Ankle centres."""
        return {s: _joint_between(self.points, s, "LM", "MM", "ANKLE") for s in SIDES}

    @cached_property
    def thigh(self) -> Mapping[Side, Segment]:
        """Of both legs."""
        return {s: _thigh(self.points, s, self.hip[s], self.knee[s], self.right_axis) for s in SIDES}

    @cached_property
    def shank(self) -> Mapping[Side, Segment]:
        """Of both legs."""
        return {s: _shank(self.points, s, self.knee[s], self.ankle[s], self.right_axis) for s in SIDES}

    @cached_property
    def foot(self) -> Mapping[Side, Segment]:
        """Of both legs."""
        return {s: _foot(self.points, s, self.knee[s], self.ankle[s]) for s in SIDES}

    @cached_property
    def knee_3d(self) -> Mapping[Side, bool]:
        """Whether the knee has both its points."""
        return {s: self.points.has(f"{s.letter}LFE", f"{s.letter}MFE") for s in SIDES}


SIDES = (Side.LEFT, Side.RIGHT)


def measure_pelvis(points: BodyPoints) -> PelvisSize | None:
    """Medians over the trial of what hip centres are placed by; None without the four pelvic points."""
    if not points.has(*PELVIS_ROLES):
        return None
    width = np.linalg.norm(points["RASIS"] - points["LASIS"], axis=1)
    depth = np.linalg.norm(mid(points["RASIS"], points["LASIS"]) - mid(points["RPSIS"], points["LPSIS"]), axis=1)
    return PelvisSize(float(np.nanmedian(width)), float(np.nanmedian(depth)), float("nan"))


def measure_leg_length(points: BodyPoints) -> float:
    """ASIS to medial malleolus, mean of both legs, m; meant for a quiet stance. NaN where a point is missing."""
    if not points.has("RASIS", "LASIS", "RMM", "LMM"):
        return float("nan")
    return float(np.mean([np.nanmedian(np.linalg.norm(points[f"{s}ASIS"] - points[f"{s}MM"], axis=1)) for s in "RL"]))


def hip_offset_m(size: PelvisSize, side: Side) -> FloatArray:
    """Hip centre in the pelvis frame with mid-ASIS as origin, (3,) m or (T, 3) m where the size is (T,).

    Harrington 2007; without a leg length by one predictor.
    """
    width, depth, leg = (1e3 * np.asarray(own) for own in (size.width_m, size.depth_m, size.leg_length_m))
    measured = np.isfinite(leg)
    x = -0.24 * depth - 9.9
    y = np.where(measured, -0.16 * width - 0.04 * leg - 7.1, -0.305 * width - 10.9)
    z = np.where(measured, 0.28 * depth + 0.16 * width + 7.9, 0.33 * width + 7.3)
    return np.stack([x, y, z if side is Side.RIGHT else -z], axis=-1) / 1e3


def find_right_axis(points: BodyPoints, size: PelvisSize | None) -> Track:
    """The body's `right_axis` alone."""
    pelvis = _pelvis(points)
    return _right_axis(points, pelvis, _hips(points, pelvis, size)[0])


def build_body(points: BodyPoints, size: PelvisSize | None) -> Body:
    """Every segment that the points allow. `size`: of the session (static where there is one)."""
    return Body(points, size)


def _pelvis(points: BodyPoints) -> Segment:
    if not points.has(*PELVIS_ROLES):
        return no_segment(points, f"pelvis not observable, {points.missing(*PELVIS_ROLES)}")
    z = unit(points["RASIS"] - points["LASIS"])
    forward = mid(points["RASIS"], points["LASIS"]) - mid(points["RPSIS"], points["LPSIS"])
    y = unit(cross(z, forward))
    return Segment(np.stack([cross(y, z), y, z], axis=-1))


def _hips(points: BodyPoints, pelvis: Segment, size: PelvisSize | None) -> tuple[dict[Side, Track], str]:
    if pelvis.reason is None and size is not None:
        origin = mid(points["RASIS"], points["LASIS"])
        offsets = {s: (pelvis.rotation @ hip_offset_m(size, s)[..., None])[..., 0] for s in SIDES}
        return {s: Track(origin + offset) for s, offset in offsets.items()}, "harrington"
    if points.has("RHIP", "LHIP"):
        return {s: Track(points[f"{s.letter}HIP"]) for s in SIDES}, "keypoint"
    if points.has("RGT", "LGT"):
        between = points["LGT"] - points["RGT"]
        centres = {Side.RIGHT: points["RGT"] + 0.25 * between, Side.LEFT: points["LGT"] - 0.25 * between}
        return {s: Track(c) for s, c in centres.items()}, "hjc_gt"
    reason = "hip centres not observable, " + points.missing("RHIP", "LHIP", "RGT", "LGT")
    return {s: no_track(points, reason) for s in SIDES}, "none"


def _right_axis(points: BodyPoints, pelvis: Segment, hips: Mapping[Side, Track]) -> Track:
    if pelvis.reason is None:
        return Track(pelvis.rotation[..., 2])
    reason = hips[Side.RIGHT].reason
    if reason is not None:
        return no_track(points, reason)
    return Track(unit(hips[Side.RIGHT].position_m - hips[Side.LEFT].position_m))


def _knee(points: BodyPoints, side: Side) -> Track:
    return _joint_between(points, side, "LFE", "MFE", "KNEE")


def _joint_between(points: BodyPoints, side: Side, lateral: str, medial: str, keypoint: str) -> Track:
    """Midpoint of lateral and medial; the keypoint; or the lateral point alone, which is good for sagittal angles."""
    a, b, k = (f"{side.letter}{name}" for name in (lateral, medial, keypoint))
    if points.has(a, b):
        return Track(mid(points[a], points[b]))
    for single in (k, a):
        if points.has(single):
            return Track(points[single])
    return no_track(points, points.missing(a, k))


def _right_pointing(points: BodyPoints, side: Side, lateral: str, medial: str) -> FloatArray | None:
    a, b = f"{side.letter}{lateral}", f"{side.letter}{medial}"
    if not points.has(a, b):
        return None
    across = points[a] - points[b]
    return across if side is Side.RIGHT else -across


def _thigh(points: BodyPoints, side: Side, hip: Track, knee: Track, right: Track) -> Segment:
    reason = hip.reason or knee.reason
    if reason:
        return no_segment(points, reason)
    across = _right_pointing(points, side, "LFE", "MFE")
    return Segment(axes_from_up(hip.position_m - knee.position_m, right.position_m if across is None else across))


def _shank(points: BodyPoints, side: Side, knee: Track, ankle: Track, right: Track) -> Segment:
    reason = knee.reason or ankle.reason or right.reason
    if reason:
        return no_segment(points, reason)
    # Shank and thigh take their right-left axes from the same kind of source, else the knee would mix two definitions.
    across = (
        _right_pointing(points, side, "LM", "MM") if _right_pointing(points, side, "LFE", "MFE") is not None else None
    )
    return Segment(axes_from_up(knee.position_m - ankle.position_m, right.position_m if across is None else across))


def _foot(points: BodyPoints, side: Side, knee: Track, ankle: Track) -> Segment:
    s = side.letter
    reason = knee.reason or ankle.reason
    if reason or not points.has(f"{s}HEEL"):
        return no_segment(points, reason or points.missing(f"{s}HEEL"))
    if points.has(f"{s}MT1", f"{s}MT5"):
        front = mid(points[f"{s}MT1"], points[f"{s}MT5"])
    elif points.has(f"{s}TOE"):
        front = points[f"{s}TOE"]
    else:
        return no_segment(points, points.missing(f"{s}MT1", f"{s}MT5", f"{s}TOE"))
    x = unit(front - points[f"{s}HEEL"])
    shank = unit(knee.position_m - ankle.position_m)
    z = unit(cross(x, shank))
    R = np.stack([x, cross(z, x), z], axis=-1)
    R[np.abs(np.sum(x * shank, axis=-1)) > _FOOT_SHANK_LIMIT] = np.nan
    return Segment(R)
