"""Which metrics two calibrations allow to be compared: what is measured against gravity or heading moves with them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from labsys.core.catalogue import MetricDefinition, Reference
from labsys.core.units import Unit, degrees, radians
from labsys.longitudinal.values import Capture

# Largest gravity or heading uncertainty under which values against vertical are compared.
MAX_UNCERTAINTY_RAD = radians(0.3)


def depends_on_calibration(definition: MetricDefinition) -> bool:
    """Whether a constant rotation of LAB changes the metric; excursions, ranges and centred values are exempt."""
    return definition.reference in (Reference.GRAVITY, Reference.HEADING) and not definition.rotation_invariant


def depends_on_heading(definition: MetricDefinition) -> bool:
    """Whether the metric needs LAB's X: transverse angles, and limb or trunk angles in the plane of X and Y."""
    if not depends_on_calibration(definition) or definition.static_referenced:
        return False
    return definition.reference is Reference.HEADING or definition.unit is Unit.DEG


def reason_against(definition: MetricDefinition, captures: Sequence[Capture]) -> str | None:
    """Why the calibrations of these captures do not allow this metric to be compared, or None."""
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
    return None


def uncertainty_unknown(captures: Sequence[Capture]) -> bool:
    """Whether nobody knows how well gravity is known in one of these captures."""
    return any(math.isnan(c.up_sd_rad) for c in captures)


def _worst(values_rad: Sequence[float]) -> float:
    return max((v for v in values_rad if not math.isnan(v)), default=0.0)
