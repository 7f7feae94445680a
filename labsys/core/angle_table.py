"""Every angle that labsys reports, in the order in which it is listed."""

from __future__ import annotations

from labsys.core.definitions import AngleDefinition, Reference, Sided
from labsys.core.skeleton import Tier

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
    AngleDefinition(
        "lordosis_3pt", _B, "L3-L5 line against L1-L3 line, sagittal in the pelvis; low confidence on skin", "more lordosis",
        "static", _P, Tier.T3, "Zemp 2014 (skin against bone)",
    ),
    AngleDefinition("trunk_lean", _B, "Trunk line against gravity, sagittal", "forward", "vertical", _G, Tier.T0, _LABSYS),
)  # fmt: skip
