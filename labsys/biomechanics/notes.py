"""What a reader of the numbers must know, in sentences: keyed, so that pages can show or hide them."""

from __future__ import annotations

import math
from collections import Counter

from labsys.biomechanics.points import BodyPoints
from labsys.biomechanics.preparation import Prepared
from labsys.biomechanics.settings import AnalysisSettings
from labsys.biomechanics.summarise import MIN_STRIDES_CAPTURE, unreferenced
from labsys.biomechanics.treadmill import Travel
from labsys.core.motion import GaitEvents, JointAngles, Metric, Stride
from labsys.core.point_errors import PointErrors
from labsys.core.session import Surface
from labsys.core.skeleton import Side, Tier

_UNUSED = "S3"  # helps to carry the pelvis; no angle rests on it
NO_STATIC = "no static trial: angles whose zero is the standing posture are absolute (unreferenced)"
_GRAVITY_MPS2 = 9.81
_HIP_SOURCES = {
    "harrington": "hip centres by Harrington's regression on the pelvis",
    "hjc_gt": "hip centres by a quarter of the trochanter distance (hjc_gt)",
    "keypoint": "hip centres are the 2D model's hip keypoints, which are not the joint centres",
    "none": "hip centres not observable",
}


def posture_notes(prepared: Prepared, angles: JointAngles, heading_known: bool) -> dict[str, str]:
    """Notes that every kind of trial has."""
    notes = {"hip_centres": _HIP_SOURCES[prepared.body(prepared.settings.proximal_cutoff_hz).hip_source]}
    missing = unreferenced(angles)
    if prepared.static is None:
        notes["static"] = NO_STATIC
    elif missing:
        notes["static"] = f"the static trial lacks the landmarks for {', '.join(missing)}: absolute (unreferenced)"
    if prepared.static_doubt is not None:
        notes["static_body"] = prepared.static_doubt
    if prepared.points.carried.difference({_UNUSED}):
        notes["carried"] = _carried(prepared.points)
    if prepared.tier <= Tier.T1:
        notes["tier"] = "pelvic tilt, hip extension relative to pelvis and lumbar angle were not measured"
    if not heading_known:
        notes["heading"] = "heading unknown: transverse angles have an arbitrary zero"
    return notes


def error_notes(errors: PointErrors | None) -> dict[str, str]:
    """What standard errors of angles and metrics leave out, where there are any."""
    if errors is None or errors.calibration_included:
        return {}
    return {"reconstruction": "standard errors of 3D leave the calibration's own error out: it is not known"}


def gait_notes(
    travel: Travel,
    angles: JointAngles,
    events: GaitEvents,
    strides: tuple[Stride, ...],
    heading_known: bool,
    declared_speed_mps: float,
) -> dict[str, str]:
    """Notes of a run or walk."""
    settings = travel.prepared.settings
    notes = posture_notes(travel.prepared, angles, heading_known) | {"surface": str(travel.surface)}
    if not heading_known or travel.surface is Surface.OVERGROUND:
        found = "the standing feet" if travel.surface is Surface.TREADMILL else "the pelvis's path"
        known = "" if heading_known else "heading unknown: "
        notes["heading"] = f"{known}run direction taken from {found}"
    elif abs(travel.heading_error_rad) > settings.heading_tolerance_rad:
        off = math.degrees(travel.heading_error_rad)
        notes["heading"] = f"the belt runs {off:+.1f}° about the vertical from the calibrated forward axis"
    difference = (events.belt_speed_mps - declared_speed_mps) / declared_speed_mps
    if abs(difference) > settings.speed_tolerance:
        notes["speed"] = (
            f"measured speed {events.belt_speed_mps:.2f} m/s differs by {100 * difference:+.1f} % "
            f"from the declared {declared_speed_mps:.2f} m/s"
        )
    notes["strides"] = ", ".join(_count(strides, s, settings) for s in (Side.LEFT, Side.RIGHT))
    return notes


def capture_note(metrics: tuple[Metric, ...]) -> dict[str, str]:
    """Why metrics that are given have no interval of this capture, where there are any."""
    few = [m.n for m in metrics if math.isfinite(m.mean) and not math.isfinite(m.ci95_strides[0])]
    if not few:
        return {}
    counts = f"{min(few)}" if min(few) == max(few) else f"{min(few)} to {max(few)}"
    text = f"too few independent strides ({counts}) for an interval of this capture: {MIN_STRIDES_CAPTURE} are needed"
    return {"this_capture": text}


def flight_note(metrics: tuple[Metric, ...]) -> dict[str, str]:
    """That a body in free flight would rise further than it was seen to: then events are not to be trusted."""
    found = {(m.id, m.side): m.mean for m in metrics}
    risen = found.get(("vertical_oscillation", Side.BOTH), math.nan)
    risen = risen if math.isfinite(risen) else found.get(("vertical_oscillation_pelvis", Side.BOTH), math.nan)
    flights = [found.get(("flight_time", s), math.nan) for s in (Side.LEFT, Side.RIGHT)]
    needed = _GRAVITY_MPS2 * max((t for t in flights if t > 0.0), default=0.0) ** 2 / 8.0
    if not needed > risen:
        return {}
    asked, seen = f"{1e3 * needed:.0f} mm", f"{1e3 * risen:.0f} mm"
    return {"flight": f"flight times ask for a rise of {asked}, and {seen} were seen: events are suspect"}


def _carried(points: BodyPoints) -> str:
    of_pelvis = points.carried_pelvis
    of_markers = sorted(points.carried.difference(of_pelvis, {_UNUSED}))
    said = []
    if of_pelvis:
        others = "carried from the static trial by the pelvis's other landmarks; what rests on the pelvis is indicative"
        said.append(f"{', '.join(of_pelvis)} not found in this trial: {others}")
    if of_markers:
        others = "carried from the static trial by the rest of their segment"
        said.append(f"{', '.join(of_markers)} not found in this trial: {others}")
    return "; ".join(said)


def _count(strides: tuple[Stride, ...], side: Side, settings: AnalysisSettings) -> str:
    found = [s for s in strides if s.side is side]
    n, wanted = sum(s.valid for s in found), settings.min_strides_verdict
    if n == 0:
        first, last = settings.discard_first_strides, settings.discard_last_strides
        others = Counter(s.reason for s in found if s.reason and not s.reason.startswith("one of the "))
        also = "".join(f"; {count}: {reason}" for reason, count in others.most_common(1))
        return f"0 {side} ({len(found)} found, {first} first and {last} last per side are left out{also})"
    return f"{n} {side}" + ("" if n >= wanted else f" (indicative: {wanted} are needed for a verdict)")
