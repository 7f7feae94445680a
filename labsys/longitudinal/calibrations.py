"""Which metrics two calibrations allow to be compared: what is measured against gravity or heading moves with them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labsys.core.catalogue import AngleDefinition, MetricDefinition, Reference
from labsys.core.units import Unit, degrees, radians
from labsys.longitudinal.values import Capture

# Largest gravity or heading uncertainty under which values against vertical are compared, and the largest difference
# between two calibrations.
MAX_UNCERTAINTY_RAD = radians(0.3)
# Cameras whose turns against each other agree this well between two calibrations stand as they stood.
_UNMOVED_RAD = radians(0.3)
_MIN_SHARED_CAMERAS = 2


@dataclass(frozen=True)
class FrameDifference:
    """How far the LAB frames of two calibrations of one unmoved rig lie apart, rad."""

    first: str
    second: str
    up_rad: float
    heading_rad: float


def frame_difference(a: Capture, b: Capture) -> FrameDifference | None:
    """What two calibrations disagree about; None where they are one, or cameras were moved between them.

    Cameras that stand as they stood saw the same room, so whatever turn remains between the two LAB frames is an error
    of one of them. Cameras that were moved share nothing by which their frames could be compared.
    """
    shared = sorted(set(a.camera_turns) & set(b.camera_turns))
    if not a.calibration or a.calibration == b.calibration or len(shared) < _MIN_SHARED_CAMERAS:
        return None
    # Here, because the service must start without it: of scipy nothing takes as long to import.
    from scipy.spatial.transform import Rotation

    turn_a = Rotation.from_rotvec([a.camera_turns[c] for c in shared])
    turn_b = Rotation.from_rotvec([b.camera_turns[c] for c in shared])
    each = turn_a.inv() * turn_b
    mean = each.mean()
    if float((mean.inv() * each).magnitude().max()) > _UNMOVED_RAD:
        return None
    up, forward = mean.apply([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    tilt_rad = math.acos(float(np.clip(up[1], -1.0, 1.0)))
    return FrameDifference(
        a.calibration, b.calibration, tilt_rad, abs(math.atan2(float(forward[2]), float(forward[0])))
    )


def largest_differences(pre: Sequence[Capture], post: Sequence[Capture]) -> tuple[FrameDifference, ...]:
    """Of every two different calibrations of the visits whose frames can be compared."""
    found = {(d.first, d.second): d for a in pre for b in post for d in (frame_difference(a, b),) if d is not None}
    return tuple(found.values())


def depends_on_calibration(definition: MetricDefinition | AngleDefinition) -> bool:
    """Whether a constant rotation of LAB changes the values; excursions, ranges and centred values are exempt."""
    exempt = isinstance(definition, MetricDefinition) and definition.rotation_invariant
    return definition.reference in (Reference.GRAVITY, Reference.HEADING) and not exempt


def depends_on_heading(definition: MetricDefinition | AngleDefinition) -> bool:
    """Whether the metric needs LAB's X: transverse angles, and limb or trunk angles in the plane of X and Y."""
    if not depends_on_calibration(definition) or definition.static_referenced:
        return False
    return definition.reference is Reference.HEADING or definition.unit is Unit.DEG


def reason_against(
    definition: MetricDefinition | AngleDefinition,
    captures: Sequence[Capture],
    differences: Sequence[FrameDifference] = (),
) -> str | None:
    """Why the calibrations of these captures do not allow this metric or angle to be compared, or None."""
    if not depends_on_calibration(definition):
        return None
    if definition.static_referenced and all(c.static_shares_calibration for c in captures):
        return None
    # Angles against vertical stay: without a heading, biomechanics measures them along the travel that it finds.
    if definition.reference is Reference.HEADING and not all(c.heading_known for c in captures):
        return "the heading of the calibration is unknown"
    uncertainty_rad = _worst([c.up_sd_rad for c in captures])
    if depends_on_heading(definition):
        uncertainty_rad = max(uncertainty_rad, _worst([c.heading_sd_rad for c in captures]))
    if uncertainty_rad > MAX_UNCERTAINTY_RAD:
        return (
            f"gravity or heading is known to {degrees(uncertainty_rad):.1f}° only, "
            f"more than the {degrees(MAX_UNCERTAINTY_RAD):.1f}° that comparison allows"
        )
    for found in differences:
        apart_rad = max(found.up_rad, found.heading_rad if depends_on_heading(definition) else 0.0)
        if apart_rad > MAX_UNCERTAINTY_RAD:
            return (
                f"gravity or heading of calibrations {found.first} and {found.second} differ by "
                f"{degrees(apart_rad):.1f}°, more than the {degrees(MAX_UNCERTAINTY_RAD):.1f}° that comparison allows"
            )
    return None


def uncertainty_unknown(captures: Sequence[Capture]) -> bool:
    """Whether nobody knows how well gravity is known in one of these captures."""
    return any(math.isnan(c.up_sd_rad) for c in captures)


def _worst(values_rad: Sequence[float]) -> float:
    return max((v for v in values_rad if not math.isnan(v)), default=0.0)
