"""Every angle and metric that labsys reports: id, unit, sign, zero, frame, minimum tier, error group, source.

Changing a definition makes a new `version`; values of different versions are never compared or trended together.
Ids are exact. No metric has a good direction: whether a change is wanted is said by a clinician's goal, not here.
"""

from __future__ import annotations

from labsys.core.angle_table import ANGLES
from labsys.core.definitions import AngleDefinition, ErrorGroup, MetricDefinition, Reference, Sided
from labsys.core.derived_metrics import derive_metrics
from labsys.core.errors import UnknownNameError
from labsys.core.joint_metric_table import JOINT_METRICS
from labsys.core.step_metric_table import STEP_METRICS

__all__ = [
    "ANGLES",
    "CATALOGUE_VERSION",
    "DERIVED_METRICS",
    "METRICS",
    "AngleDefinition",
    "ErrorGroup",
    "MetricDefinition",
    "Reference",
    "Sided",
    "find_angle",
    "find_metric",
    "metric_place",
]

CATALOGUE_VERSION = 3

# One value per stride each.
METRICS: tuple[MetricDefinition, ...] = JOINT_METRICS + STEP_METRICS
# One value per trial each: left against right, drift over the capture, spread between strides.
DERIVED_METRICS: tuple[MetricDefinition, ...] = derive_metrics(METRICS, ANGLES)

_ANGLES_BY_ID = {a.id: a for a in ANGLES}
_METRICS_BY_ID = {m.id: m for m in METRICS + DERIVED_METRICS}
_PLACES = {metric_id: place for place, metric_id in enumerate(_METRICS_BY_ID)}


def find_angle(angle_id: str) -> AngleDefinition:
    """Definition of an angle (UnknownNameError names the nearest id)."""
    if angle_id not in _ANGLES_BY_ID:
        raise UnknownNameError("angle", angle_id, valid=_ANGLES_BY_ID)
    return _ANGLES_BY_ID[angle_id]


def find_metric(metric_id: str) -> MetricDefinition:
    """Definition of a metric, per stride or derived (UnknownNameError names the nearest id)."""
    if metric_id not in _METRICS_BY_ID:
        raise UnknownNameError("metric", metric_id, valid=_METRICS_BY_ID)
    return _METRICS_BY_ID[metric_id]


def metric_place(metric_id: str) -> int:
    """Where a metric stands in the catalogue's order; derived ones follow all others (UnknownNameError)."""
    return _PLACES[find_metric(metric_id).id]
