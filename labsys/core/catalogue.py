"""Every angle and metric that labsys reports: id, unit, sign, zero, frame, minimum tier, error group, source.

Changing a definition makes a new `version`; values of different versions are never compared or trended together.
Ids are exact. No metric has a good direction: whether a change is wanted is said by a clinician's goal, not here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from labsys.core.errors import UnknownNameError
from labsys.core.skeleton import Side, Tier
from labsys.core.units import Unit

CATALOGUE_VERSION = 1


class Sided(StrEnum):
    """Whether a quantity exists once or once per side."""

    BOTH = "both"
    PER_SIDE = "per side"

    @property
    def sides(self) -> tuple[Side, ...]:
        """The sides under which values are stored."""
        return (Side.BOTH,) if self is Sided.BOTH else (Side.LEFT, Side.RIGHT)


class Reference(StrEnum):
    """What a quantity is measured against; GRAVITY and HEADING ones depend on the calibration's up and forward."""

    PROXIMAL_SEGMENT = "proximal segment"
    GRAVITY = "gravity"
    HEADING = "heading"
    TIME = "time"
    LENGTH = "length"


class ErrorGroup(StrEnum):
    """Metrics that share a measurement error (core/measurement_error.py)."""

    PELVIS_REFERENCED = "pelvis-referenced sagittal angles"
    VERTICAL_REFERENCED = "limb and trunk against vertical"
    DISTAL_AND_PELVIC_ROTATION = "knee, ankle, foot; pelvic rotation and drop"
    VERTICAL_OSCILLATION = "vertical oscillation"
    FOOT_PLACEMENT = "foot placement"
    CADENCE = "cadence"
    CONTACT = "contact and flight time"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class AngleDefinition:
    """An angle series. Values inside are rad."""

    id: str
    sided: Sided
    description: str
    positive: str
    zero: str
    reference: Reference
    tier: Tier
    source: str
    unit: Unit = Unit.DEG
    version: int = 1

    @property
    def static_referenced(self) -> bool:
        """Whether the reported zero is the subject's own standing posture."""
        return self.zero == "static"


@dataclass(frozen=True)
class MetricDefinition:
    """A number per stride, summarised per trial.

    `static_referenced`: needs a static trial. `per_stride`: False where only the trial as a whole has a value.
    """

    id: str
    sided: Sided
    unit: Unit
    description: str
    positive: str
    tier: Tier
    reference: Reference
    error_group: ErrorGroup
    source: str
    static_referenced: bool = False
    rotation_invariant: bool = False
    version: int = 1


_JCS = "Wu 2002; Grood & Suntay 1983"
_BAKER = "Baker 2001, 10.1016/S0966-6362(00)00083-7"
_LABSYS = "labsys definition"
_B, _S = Sided.BOTH, Sided.PER_SIDE
_P, _G, _H = Reference.PROXIMAL_SEGMENT, Reference.GRAVITY, Reference.HEADING

ANGLES: tuple[AngleDefinition, ...] = (
    AngleDefinition("pelvis_tilt", _B, "Sagittal tilt of the pelvis", "anterior tilt", "static", _G, Tier.T2, _BAKER),
    AngleDefinition("pelvis_obliquity", _B, "Frontal tilt of the pelvis", "right side down", "level", _G, Tier.T0, _BAKER),
    AngleDefinition(
        "pelvis_rotation", _B, "Transverse rotation of the pelvis", "pelvis faces left (right side forward)",
        "run direction", _H, Tier.T0, _BAKER,
    ),
    AngleDefinition("hip_flexion", _S, "Thigh against pelvis, sagittal", "flexion", "static", _P, Tier.T2, _JCS),
    AngleDefinition("hip_adduction", _S, "Thigh against pelvis, frontal", "adduction", "static", _P, Tier.T2, _JCS),
    AngleDefinition(
        "hip_rotation", _S, "Thigh against pelvis, transverse", "internal rotation", "static", _P, Tier.T3, _JCS
    ),
    AngleDefinition(
        "thigh_vertical", _S, "Thigh against gravity, sagittal", "knee behind hip (extension)", "vertical", _G, Tier.T0,
        _LABSYS,
    ),
    AngleDefinition(
        "hip_trunk_extension", _S, "Thigh against the trunk line; never called hip extension",
        "extension relative to the trunk line", "static", _P, Tier.T0, _LABSYS,
    ),
    AngleDefinition("knee_flexion", _S, "Shank against thigh, sagittal", "flexion", "static", _P, Tier.T0, _JCS),
    AngleDefinition(
        "ankle_dorsiflexion", _S, "Foot against shank, sagittal", "dorsiflexion", "static", _P, Tier.T1, _JCS
    ),
    AngleDefinition(
        "shank_vertical", _S, "Shank against gravity, sagittal", "ankle ahead of knee", "vertical", _G, Tier.T0, _LABSYS
    ),
    AngleDefinition("foot_pitch", _S, "Heel-to-toe line against the deck", "toes up", "static", _G, Tier.T1, _LABSYS),
    AngleDefinition(
        "lumbar_extension", _B, "Thorax against pelvis, sagittal", "thorax extended on pelvis", "static", _P, Tier.T3, _JCS
    ),
    AngleDefinition("lumbar_bending", _B, "Thorax against pelvis, frontal", "bend to right", "static", _P, Tier.T3, _JCS),
    AngleDefinition("lumbar_rotation", _B, "Thorax against pelvis, transverse", "turn to left", "static", _P, Tier.T3, _JCS),
    AngleDefinition(
        "trunk_pelvis_extension", _B, "Whole trunk against pelvis, sagittal (lumbar and thoracic mixed)",
        "trunk extended on pelvis", "static", _P, Tier.T2, _LABSYS,
    ),
    AngleDefinition(
        "lumbar_segment_extension", _B, "L1-L5 line against pelvis, sagittal", "L1-L5 line leans back", "static", _P,
        Tier.T3, _LABSYS,
    ),
    AngleDefinition("trunk_lean", _B, "Trunk line against gravity, sagittal", "forward", "vertical", _G, Tier.T0, _LABSYS),
)  # fmt: skip

_PELV = ErrorGroup.PELVIS_REFERENCED
_VERT = ErrorGroup.VERTICAL_REFERENCED
_DIST = ErrorGroup.DISTAL_AND_PELVIC_ROTATION
_NOERR = ErrorGroup.UNKNOWN
_D = Unit.DEG

METRICS: tuple[MetricDefinition, ...] = (
    MetricDefinition(
        "hip_ext_excursion_stance", _S, _D, "Hip extension at its peak minus at foot strike; the headline hip row",
        "more extension between foot strike and peak", Tier.T2, _P, _PELV, "Ferber 2002 (excursions over peaks)",
        rotation_invariant=True,
    ),
    MetricDefinition(
        "hip_ext_pelvis_peak", _S, _D, "Peak hip extension around toe-off, change from standing",
        "thigh further back relative to the pelvis", Tier.T2, _P, _PELV, _JCS, static_referenced=True,
        rotation_invariant=True,
    ),
    MetricDefinition(
        "hip_ext_pelvis_at_to", _S, _D, "Hip extension at toe-off, change from standing",
        "thigh further back relative to the pelvis", Tier.T2, _P, _PELV, _JCS, static_referenced=True,
        rotation_invariant=True,
    ),
    MetricDefinition(
        "hip_sagittal_rom", _S, _D, "Range of hip flexion over the stride", "larger range", Tier.T2, _P, _NOERR, _JCS,
        rotation_invariant=True,
    ),
    MetricDefinition(
        "thigh_ext_excursion_stance", _S, _D, "Thigh against vertical at its peak minus at foot strike",
        "more backward motion of the thigh", Tier.T1, _G, _VERT, _LABSYS, rotation_invariant=True,
    ),
    MetricDefinition(
        "thigh_ext_vertical_peak", _S, _D, "Peak of the thigh behind vertical around toe-off", "knee further behind hip",
        Tier.T0, _G, _VERT, _LABSYS,
    ),
    MetricDefinition(
        "thigh_ext_vertical_at_to", _S, _D, "Thigh behind vertical at toe-off", "knee further behind hip", Tier.T0, _G,
        _VERT, _LABSYS,
    ),
    MetricDefinition(
        "pelvis_rot_rom", _B, _D, "Range of pelvic transverse rotation over the stride", "larger range", Tier.T0, _H,
        _DIST, _BAKER, rotation_invariant=True,
    ),
    MetricDefinition(
        "pelvis_rot_to_ext_side_at_to", _S, _D,
        "Pelvic rotation toward the extending side at toe-off, minus the stride mean", "pelvis turned toward that side",
        Tier.T0, _H, _DIST, _BAKER, rotation_invariant=True,
    ),
    MetricDefinition(
        "pelvis_tilt_mean", _B, _D, "Mean pelvic tilt over the stride, change from standing", "anterior tilt", Tier.T2, _G,
        _PELV, _BAKER, static_referenced=True,
    ),
    MetricDefinition(
        "pelvis_tilt_rom", _B, _D, "Range of pelvic tilt over the stride", "larger range", Tier.T2, _G, _PELV, _BAKER,
        rotation_invariant=True,
    ),
    MetricDefinition(
        "lumbar_ext_peak", _B, _D, "Peak lumbar extension over the stride, change from standing",
        "thorax extended on pelvis", Tier.T3, _P, _PELV, _JCS, static_referenced=True, rotation_invariant=True,
    ),
    MetricDefinition(
        "lumbar_ext_rom", _B, _D, "Range of lumbar extension over the stride", "larger range", Tier.T3, _P, _PELV, _JCS,
        rotation_invariant=True,
    ),
    MetricDefinition(
        "lumbar_ext_at_peak_hip_ext", _S, _D, "Lumbar extension at the time of peak hip extension, change from standing",
        "thorax extended on pelvis", Tier.T3, _P, _PELV, _JCS, static_referenced=True, rotation_invariant=True,
    ),
    MetricDefinition(
        "trunk_lean_stance_mean", _S, _D, "Mean forward lean of the trunk line from foot strike to toe-off", "forward",
        Tier.T0, _G, _VERT, "Teng & Powers 2015",
    ),
    MetricDefinition(
        "trailing_limb_angle_at_to", _S, _D, "Hip-to-ankle line behind vertical at toe-off", "ankle further behind hip",
        Tier.T0, _G, _VERT, _LABSYS,
    ),
    MetricDefinition(
        "shank_angle_at_fs", _S, _D, "Shank against vertical at foot strike", "ankle further ahead of knee", Tier.T1, _G,
        _VERT, "Souza 2016",
    ),
    MetricDefinition(
        "knee_flex_at_fs", _S, _D, "Knee flexion at foot strike, change from standing", "flexion", Tier.T1, _P, _DIST,
        "Heiderscheit 2011", static_referenced=True, rotation_invariant=True,
    ),
    MetricDefinition(
        "vertical_oscillation", _B, Unit.MM, "Vertical travel of the centre of mass per step, mean of the stride's two",
        "more travel", Tier.T0, _G, ErrorGroup.VERTICAL_OSCILLATION, "de Leva 1996 (segment masses)",
    ),
    MetricDefinition(
        "vertical_oscillation_pelvis", _B, Unit.MM, "Vertical travel of the mid-hip per step, mean of the stride's two",
        "more travel", Tier.T0, _G, ErrorGroup.VERTICAL_OSCILLATION, _LABSYS,
    ),
    MetricDefinition(
        "contact_time", _S, Unit.S, "Foot strike to toe-off", "longer contact", Tier.T1, Reference.TIME, ErrorGroup.CONTACT,
        "Fellin 2010; Handsaker 2016 (event rules)", rotation_invariant=True,
    ),
    MetricDefinition(
        "flight_time", _S, Unit.S, "Toe-off to the other foot's strike", "longer flight", Tier.T1, Reference.TIME,
        ErrorGroup.CONTACT, _LABSYS, rotation_invariant=True,
    ),
    MetricDefinition(
        "duty_factor", _S, Unit.PERCENT, "Contact time as a share of stride time", "longer contact", Tier.T1,
        Reference.TIME, _NOERR, _LABSYS, rotation_invariant=True,
    ),
    MetricDefinition(
        "step_time", _S, Unit.S, "Foot strike to the other foot's strike", "longer step", Tier.T0, Reference.TIME, _NOERR,
        _LABSYS, rotation_invariant=True,
    ),
    MetricDefinition(
        "stride_time", _B, Unit.S, "Foot strike to the same foot's next strike", "longer stride", Tier.T0, Reference.TIME,
        _NOERR, _LABSYS, rotation_invariant=True,
    ),
    MetricDefinition(
        "cadence", _B, Unit.STEPS_PER_MIN, "Steps per minute", "more steps", Tier.T0, Reference.TIME, ErrorGroup.CADENCE,
        _LABSYS, rotation_invariant=True,
    ),
    MetricDefinition(
        "speed", _B, Unit.M_PER_S, "Belt speed from the planted feet; overground the mean pelvis speed", "faster", Tier.T1,
        Reference.LENGTH, _NOERR, "Willwacher 2021 (belt behaviour)", rotation_invariant=True,
    ),
)  # fmt: skip

_ANGLES_BY_ID = {a.id: a for a in ANGLES}
_METRICS_BY_ID = {m.id: m for m in METRICS}


def find_angle(angle_id: str) -> AngleDefinition:
    """Definition of an angle (UnknownNameError names the nearest id)."""
    if angle_id not in _ANGLES_BY_ID:
        raise UnknownNameError("angle", angle_id, valid=_ANGLES_BY_ID)
    return _ANGLES_BY_ID[angle_id]


def find_metric(metric_id: str) -> MetricDefinition:
    """Definition of a metric (UnknownNameError names the nearest id)."""
    if metric_id not in _METRICS_BY_ID:
        raise UnknownNameError("metric", metric_id, valid=_METRICS_BY_ID)
    return _METRICS_BY_ID[metric_id]
