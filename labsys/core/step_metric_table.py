"""Metrics of foot placement, leg, centre of mass and time, in the order in which they are listed."""

from __future__ import annotations

from labsys.core.definitions import ErrorGroup, MetricDefinition, Reference, Sided
from labsys.core.skeleton import Tier
from labsys.core.units import Unit

_JCS = "Wu 2002; Grood & Suntay 1983"
_LABSYS = "labsys definition"
_B, _S = Sided.BOTH, Sided.PER_SIDE
_P, _G = Reference.PROXIMAL_SEGMENT, Reference.GRAVITY
_PELV = ErrorGroup.PELVIS_REFERENCED
_VERT = ErrorGroup.VERTICAL_REFERENCED
_DIST = ErrorGroup.DISTAL_AND_PELVIC_ROTATION
_FOOT = ErrorGroup.FOOT_PLACEMENT
_NOERR = ErrorGroup.UNKNOWN
_D = Unit.DEG

STEP_METRICS: tuple[MetricDefinition, ...] = (
    MetricDefinition(
        "trailing_limb_angle_at_to", _S, _D, "Hip-to-ankle line behind vertical at toe-off", "ankle further behind hip",
        Tier.T0, _G, _VERT, _LABSYS,
    ),
    MetricDefinition(
        "foot_push_angle_at_to", _S, _D, "Ankle-to-toe line behind vertical at toe-off", "toe further behind ankle", Tier.T1,
        _G, _VERT, _LABSYS,
    ),
    MetricDefinition(
        "behind_body_at_to", _S, Unit.MM, "Centre of mass ahead of the toe at toe-off", "toe further behind the body", Tier.T1,
        _G, _FOOT, _LABSYS,
    ),
    MetricDefinition(
        "behind_body_at_to_pelvis", _S, Unit.MM, "Mid-hip ahead of the toe at toe-off", "toe further behind the pelvis",
        Tier.T1, _G, _FOOT, _LABSYS,
    ),
    MetricDefinition(
        "behind_body_at_to_per_leg", _S, Unit.NONE, "Centre of mass ahead of the toe at toe-off, over leg length",
        "toe further behind the body", Tier.T1, _G, _NOERR, _LABSYS, static_referenced=True,
    ),
    MetricDefinition(
        "behind_body_at_to_per_leg_pelvis", _S, Unit.NONE, "Mid-hip ahead of the toe at toe-off, over leg length",
        "toe further behind the pelvis", Tier.T1, _G, _NOERR, _LABSYS, static_referenced=True,
    ),
    MetricDefinition(
        "ahead_at_fs", _S, Unit.MM, "Heel ahead of the centre of mass at foot strike", "heel further ahead", Tier.T1, _G,
        _FOOT, "Lieberman 2015; Souza 2016 (overstriding)",
    ),
    MetricDefinition(
        "ahead_at_fs_pelvis", _S, Unit.MM, "Heel ahead of the mid-hip at foot strike", "heel further ahead", Tier.T1, _G,
        _FOOT, "Lieberman 2015; Souza 2016 (overstriding)",
    ),
    MetricDefinition(
        "ahead_at_fs_hip", _S, Unit.MM, "Heel ahead of the hip of its side at foot strike", "heel further ahead", Tier.T1, _G,
        _FOOT, "Lieberman 2015 (foot to hip at landing)",
    ),
    MetricDefinition(
        "ahead_at_fs_per_leg", _S, Unit.NONE, "Heel ahead of the centre of mass at foot strike, over leg length",
        "heel further ahead", Tier.T1, _G, _NOERR, _LABSYS, static_referenced=True,
    ),
    MetricDefinition(
        "ahead_at_fs_per_leg_pelvis", _S, Unit.NONE, "Heel ahead of the mid-hip at foot strike, over leg length",
        "heel further ahead", Tier.T1, _G, _NOERR, _LABSYS, static_referenced=True,
    ),
    MetricDefinition(
        "front_back_ratio", _S, Unit.NONE, "Heel ahead at foot strike over toe behind at toe-off, against the centre of mass",
        "more of the step in front of the body", Tier.T1, _G, _NOERR, _LABSYS,
    ),
    MetricDefinition(
        "front_back_ratio_pelvis", _S, Unit.NONE, "Heel ahead at foot strike over toe behind at toe-off, against the mid-hip",
        "more of the step in front of the pelvis", Tier.T1, _G, _NOERR, _LABSYS,
    ),
    MetricDefinition(
        "shank_angle_at_fs", _S, _D, "Shank against vertical at foot strike", "ankle further ahead of knee", Tier.T1, _G,
        _VERT, "Souza 2016", version=2,
    ),
    MetricDefinition(
        "foot_angle_at_fs", _S, _D, "Heel-to-toe line at foot strike, change from standing: above 8 heel first, below -1.6 forefoot first",
        "toes up", Tier.T1, _G, _DIST, "Altman & Davis 2012 (classes)", static_referenced=True,
    ),
    MetricDefinition(
        "knee_flex_at_fs", _S, _D, "Knee flexion at foot strike, change from standing", "flexion", Tier.T1, _P, _DIST,
        "Heiderscheit 2011", static_referenced=True, rotation_invariant=True, version=2,
    ),
    MetricDefinition(
        "knee_flex_peak_stance", _S, _D, "Peak knee flexion in stance, change from standing", "flexion", Tier.T1, _P, _DIST,
        "Heiderscheit 2011", static_referenced=True, rotation_invariant=True,
    ),
    MetricDefinition(
        "knee_flex_at_to", _S, _D, "Knee flexion at toe-off, change from standing", "flexion", Tier.T1, _P, _DIST, _JCS,
        static_referenced=True, rotation_invariant=True,
    ),
    MetricDefinition(
        "knee_ext_excursion_push", _S, _D, "Knee flexion in mid-stance minus at toe-off", "more straightening of the knee",
        Tier.T1, _P, _DIST, _LABSYS, rotation_invariant=True, version=2,
    ),
    MetricDefinition(
        "ankle_df_peak_stance", _S, _D, "Peak ankle dorsiflexion in stance, change from standing", "dorsiflexion", Tier.T1, _P,
        _DIST, _JCS, static_referenced=True, rotation_invariant=True,
    ),
    MetricDefinition(
        "vertical_oscillation", _B, Unit.MM, "Vertical travel of the centre of mass per step, mean of the stride's two",
        "more travel", Tier.T0, _G, ErrorGroup.VERTICAL_OSCILLATION, "de Leva 1996 (segment masses)", version=2,
    ),
    MetricDefinition(
        "vertical_oscillation_pelvis", _B, Unit.MM, "Vertical travel of the mid-hip per step, mean of the stride's two",
        "more travel", Tier.T0, _G, ErrorGroup.VERTICAL_OSCILLATION, _LABSYS, version=2,
    ),
    MetricDefinition(
        "vertical_oscillation_per_leg", _B, Unit.NONE, "Vertical travel of the centre of mass per step over leg length",
        "more travel", Tier.T0, _G, _NOERR, _LABSYS, static_referenced=True,
    ),
    MetricDefinition(
        "vertical_oscillation_per_leg_pelvis", _B, Unit.NONE, "Vertical travel of the mid-hip per step over leg length",
        "more travel", Tier.T0, _G, _NOERR, _LABSYS, static_referenced=True,
    ),
    MetricDefinition(
        "vertical_oscillation_per_step_length", _B, Unit.PERCENT,
        "Vertical travel of the centre of mass per step over half the stride length", "more travel", Tier.T1, _G, _NOERR,
        _LABSYS, version=2,
    ),
    MetricDefinition(
        "vertical_oscillation_per_step_length_pelvis", _B, Unit.PERCENT,
        "Vertical travel of the mid-hip per step over half the stride length", "more travel", Tier.T1, _G, _NOERR, _LABSYS,
        version=2,
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
        "step_length", _S, Unit.MM, "Heel to the other heel, each at its foot strike, along the ground", "longer step",
        Tier.T1, Reference.LENGTH, _NOERR, _LABSYS, rotation_invariant=True, version=2,
    ),
    MetricDefinition(
        "stride_length", _B, Unit.MM, "Ground covered from foot strike to the same foot's next strike", "longer stride",
        Tier.T0, Reference.LENGTH, _NOERR, _LABSYS, rotation_invariant=True, version=2,
    ),
    MetricDefinition(
        "stride_length_per_height", _B, Unit.NONE, "Stride length over body height", "longer stride", Tier.T0,
        Reference.LENGTH, _NOERR, _LABSYS, rotation_invariant=True, version=2,
    ),
    MetricDefinition(
        "step_width", _B, Unit.MM, "Right foot to the right of the left one, each in mid-stance", "feet further apart", Tier.T1,
        Reference.LENGTH, _NOERR, _LABSYS,
    ),
    MetricDefinition(
        "speed", _B, Unit.M_PER_S, "Belt speed from the planted feet; overground the mean pelvis speed", "faster", Tier.T1,
        Reference.LENGTH, _NOERR, "Willwacher 2021 (belt behaviour)", rotation_invariant=True, version=2,
    ),
)  # fmt: skip
