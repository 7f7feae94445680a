"""Metrics of hip, pelvis, spine and trunk, in the order in which they are listed."""

from __future__ import annotations

from labsys.core.definitions import ErrorGroup, MetricDefinition, Reference, Sided
from labsys.core.skeleton import Tier
from labsys.core.units import Unit

_JCS = "Wu 2002; Grood & Suntay 1983"
_BAKER = "Baker 2001, 10.1016/S0966-6362(00)00083-7"
_LABSYS = "labsys definition"
_B, _S = Sided.BOTH, Sided.PER_SIDE
_P, _G, _H = Reference.PROXIMAL_SEGMENT, Reference.GRAVITY, Reference.HEADING
_PELV = ErrorGroup.PELVIS_REFERENCED
_VERT = ErrorGroup.VERTICAL_REFERENCED
_DIST = ErrorGroup.DISTAL_AND_PELVIC_ROTATION
_COMP = ErrorGroup.COMPENSATION
_NOERR = ErrorGroup.UNKNOWN
_D = Unit.DEG

JOINT_METRICS: tuple[MetricDefinition, ...] = (
    MetricDefinition(
        "hip_ext_excursion_stance", _S, _D, "Hip extension at its peak minus at foot strike; the headline hip row",
        "more extension between foot strike and peak", Tier.T2, _P, _PELV, "Ferber 2002 (excursions over peaks)",
        rotation_invariant=True, version=2,
    ),
    MetricDefinition(
        "hip_ext_pelvis_peak", _S, _D, "Peak hip extension around toe-off, change from standing",
        "thigh further back relative to the pelvis", Tier.T2, _P, _PELV, _JCS, static_referenced=True,
        rotation_invariant=True, version=2,
    ),
    MetricDefinition(
        "hip_ext_pelvis_at_to", _S, _D, "Hip extension at toe-off, change from standing",
        "thigh further back relative to the pelvis", Tier.T2, _P, _PELV, _JCS, static_referenced=True,
        rotation_invariant=True,
    ),
    MetricDefinition(
        "hip_sagittal_rom", _S, _D, "Range of hip flexion over the stride", "larger range", Tier.T2, _P, _NOERR, _JCS,
        rotation_invariant=True, version=2,
    ),
    MetricDefinition(
        "hip_add_peak_stance", _S, _D, "Peak hip adduction in stance, change from standing; low confidence", "adduction",
        Tier.T2, _P, _NOERR, _JCS, static_referenced=True, rotation_invariant=True, low_confidence=True,
    ),
    MetricDefinition(
        "thigh_ext_excursion_stance", _S, _D, "Thigh against vertical at its peak minus at foot strike",
        "more backward motion of the thigh", Tier.T1, _G, _VERT, _LABSYS, rotation_invariant=True, version=2,
    ),
    MetricDefinition(
        "thigh_ext_vertical_peak", _S, _D, "Peak of the thigh behind vertical around toe-off", "knee further behind hip",
        Tier.T0, _G, _VERT, _LABSYS, version=2,
    ),
    MetricDefinition(
        "thigh_ext_vertical_at_to", _S, _D, "Thigh behind vertical at toe-off", "knee further behind hip", Tier.T0, _G,
        _VERT, _LABSYS,
    ),
    MetricDefinition(
        "pelvis_rot_rom", _B, _D, "Range of pelvic transverse rotation over the stride", "larger range", Tier.T0, _H,
        _DIST, _BAKER, rotation_invariant=True, version=2,
    ),
    MetricDefinition(
        "pelvis_rot_to_ext_side_at_to", _S, _D,
        "Pelvic rotation toward the extending side at toe-off, minus the stride mean", "pelvis turned toward that side",
        Tier.T0, _H, _DIST, _BAKER, rotation_invariant=True,
    ),
    MetricDefinition(
        "pelvis_rot_lag_to_hip_ext", _S, Unit.PERCENT,
        "Peak pelvic rotation toward the extending side after peak hip extension, share of the stride", "pelvis turns later",
        Tier.T2, Reference.TIME, _NOERR, _LABSYS, rotation_invariant=True,
    ),
    MetricDefinition(
        "pelvis_drop_contra_peak_stance", _S, _D, "Peak drop of the other side of the pelvis in stance",
        "other side lower", Tier.T0, _G, _DIST, _BAKER,
    ),
    MetricDefinition(
        "pelvis_tilt_mean", _B, _D, "Mean pelvic tilt over the stride, change from standing", "anterior tilt", Tier.T2, _G,
        _PELV, _BAKER, static_referenced=True,
    ),
    MetricDefinition(
        "pelvis_tilt_rom", _B, _D, "Range of pelvic tilt over the stride", "larger range", Tier.T2, _G, _PELV, _BAKER,
        rotation_invariant=True, version=2,
    ),
    MetricDefinition(
        "pelvis_tilt_at_peak_thigh_ext", _S, _D, "Pelvic tilt at peak thigh extension, change from standing",
        "anterior tilt", Tier.T2, _G, _PELV, _BAKER, static_referenced=True,
    ),
    MetricDefinition(
        "pelvis_tilt_rise_late_stance", _S, _D, "Pelvic tilt at peak thigh extension minus in mid-stance",
        "more tilting in late stance", Tier.T2, _G, _PELV, _BAKER, rotation_invariant=True, version=2,
    ),
    MetricDefinition(
        "lumbar_ext_peak", _B, _D, "Peak lumbar extension over the stride, change from standing",
        "thorax extended on pelvis", Tier.T3, _P, _PELV, _JCS, static_referenced=True, rotation_invariant=True,
        version=2,
    ),
    MetricDefinition(
        "lumbar_ext_rom", _B, _D, "Range of lumbar extension over the stride", "larger range", Tier.T3, _P, _PELV, _JCS,
        rotation_invariant=True, version=2,
    ),
    MetricDefinition(
        "lumbar_ext_at_peak_hip_ext", _S, _D, "Lumbar extension at the time of peak hip extension, change from standing",
        "thorax extended on pelvis", Tier.T3, _P, _PELV, _JCS, static_referenced=True, rotation_invariant=True,
        version=2,
    ),
    MetricDefinition(
        "trunk_pelvis_ext_peak", _B, _D, "Peak extension of the whole trunk on the pelvis, change from standing",
        "trunk extended on pelvis", Tier.T2, _P, _PELV, _LABSYS, static_referenced=True, rotation_invariant=True,
    ),
    MetricDefinition(
        "trunk_pelvis_ext_rom", _B, _D, "Range of extension of the whole trunk on the pelvis over the stride",
        "larger range", Tier.T2, _P, _PELV, _LABSYS, rotation_invariant=True,
    ),
    MetricDefinition(
        "trunk_pelvis_ext_at_peak_hip_ext", _S, _D,
        "Extension of the whole trunk on the pelvis at the time of peak hip extension, change from standing",
        "trunk extended on pelvis", Tier.T2, _P, _PELV, _LABSYS, static_referenced=True, rotation_invariant=True,
    ),
    MetricDefinition(
        "lhci_dyn", _S, Unit.PERCENT, "Share of the thigh's motion behind the body that lumbar extension makes",
        "more of it made by the spine", Tier.T3, _P, _COMP, "labsys index, no norm exists", rotation_invariant=True, version=2,
    ),
    MetricDefinition(
        "phci_dyn", _S, Unit.PERCENT, "Share of the thigh's motion behind the body that pelvic tilt makes; the rest is the hip's",
        "more of it made by the pelvis", Tier.T2, _P, _COMP, "labsys index, no norm exists", rotation_invariant=True, version=2,
    ),
    MetricDefinition(
        "lhci_abs", _S, Unit.PERCENT, "Lumbar extension over thigh extension at the thigh's peak, both as change from standing",
        "more of it made by the spine", Tier.T3, _G, _NOERR, "labsys index, no norm exists", static_referenced=True,
    ),
    MetricDefinition(
        "thigh_ext_rise_late_stance", _S, _D, "Thigh behind vertical at its peak minus in mid-stance; whole of the decomposition",
        "more backward motion of the thigh", Tier.T2, _G, _VERT, _LABSYS, rotation_invariant=True, version=2,
    ),
    MetricDefinition(
        "hip_ext_rise_late_stance", _S, _D,
        "Hip extension at the thigh's peak minus in mid-stance: the hip's part of the thigh's motion",
        "more of the motion in the hip", Tier.T2, _P, _PELV, _LABSYS, rotation_invariant=True, version=2,
    ),
    MetricDefinition(
        "lumbar_ext_rise_late_stance", _S, _D,
        "Lumbar extension at the thigh's peak minus in mid-stance: the spine's part of the thigh's motion",
        "more of the motion in the spine", Tier.T3, _P, _PELV, _LABSYS, rotation_invariant=True, version=2,
    ),
    MetricDefinition(
        "lean_rise_late_stance", _S, _D,
        "Pelvic tilt less lumbar extension, at the thigh's peak minus in mid-stance: the forward lean's part of the thigh's motion",
        "more of the motion in the lean of the trunk", Tier.T3, _G, _PELV, _LABSYS, rotation_invariant=True, version=2,
    ),
    MetricDefinition(
        "trunk_lean_stance_mean", _S, _D, "Mean forward lean of the trunk line from foot strike to toe-off", "forward",
        Tier.T0, _G, _VERT, "Teng & Powers 2015",
    ),
    MetricDefinition(
        "body_lean_ankle", _S, _D, "Line from the standing ankle to the trunk's top against vertical in mid-stance",
        "whole body forward from the ankle", Tier.T0, _G, _VERT, _LABSYS, version=2,
    ),
    MetricDefinition(
        "waist_break", _S, _D, "Trunk line against the line from the standing ankle to the mid-hip in mid-stance",
        "trunk folded forward at the hip", Tier.T0, _G, _VERT, _LABSYS, rotation_invariant=True, version=2,
    ),
)  # fmt: skip
