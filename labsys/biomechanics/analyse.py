"""The story: landmarks to angles, events, strides, metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from labsys.biomechanics.carried import lower_carried
from labsys.biomechanics.contributions import find_contributions
from labsys.biomechanics.derived import derive_metrics_of_trial
from labsys.biomechanics.events import detect_gait_events
from labsys.biomechanics.interpolated import GivenStrides, with_interpolated_shares
from labsys.biomechanics.kinematics import joint_angles
from labsys.biomechanics.metric_source import Circumstances, make_source
from labsys.biomechanics.metrics import metric_values
from labsys.biomechanics.notes import capture_note, error_notes, flight_note, gait_notes, posture_notes
from labsys.biomechanics.preparation import Prepared, prepare_points
from labsys.biomechanics.settings import AnalysisSettings
from labsys.biomechanics.strides import cut_strides, stride_curves
from labsys.biomechanics.summarise import summarise_angles, summarise_metrics
from labsys.biomechanics.treadmill import find_travel
from labsys.biomechanics.uncertainty import metric_errors, with_angle_errors
from labsys.biomechanics.uncertainty_source import ErrorSource, make_error_source
from labsys.biomechanics.unreferenced import lower_unreferenced
from labsys.biomechanics.unseen import name_the_unseen
from labsys.core.errors import InputError
from labsys.core.landmarks import Landmarks3D
from labsys.core.measurement_error import ErrorTable
from labsys.core.motion import JointAngles, MotionResult
from labsys.core.session import Surface, TrialKind
from labsys.core.skeleton import Side


def analyse_motion(  # noqa: PLR0913 - one argument per fact about the trial that the landmarks do not hold
    landmarks: Landmarks3D,
    *,
    static: Landmarks3D | None,
    kind: TrialKind,
    surface: Surface | None,
    declared_speed_mps: float | None,
    heading_known: bool,
    settings: AnalysisSettings,
    errors: ErrorTable,
    leg_length_m: float | None,
    height_m: float | None = None,
) -> MotionResult:
    """Make angles, events, strides and metrics of one trial's landmarks.

    landmarks: (T, K, 3) m in LAB, evenly spaced in time. static: quiet stance of the same visit, or None.
    surface: as declared, or None to take what the feet show. leg_length_m: ASIS to medial malleolus as measured on the
    subject, for hip centres where the static does not show it; or None. height_m: of the body, or None.

    Raises:
        InputError: landmarks that reach no tier (named), empty trial, uneven times; for runs and walks also a belt
            that stands still, a surface or kind that contradicts the feet, a subject facing backwards, no strides.
    """
    if leg_length_m is not None and not 0.3 <= leg_length_m <= 1.5:
        raise InputError(f"leg length {leg_length_m:g} m is not a leg's", remedy="Give ASIS to medial malleolus in m")
    if declared_speed_mps is not None and not declared_speed_mps > 0:
        raise InputError(f"declared speed {declared_speed_mps:g} m/s is not positive")
    prepared = prepare_points(landmarks, static, settings)
    if prepared.size is not None and leg_length_m is not None and math.isnan(prepared.size.leg_length_m):
        prepared = replace(prepared, size=replace(prepared.size, leg_length_m=leg_length_m))
    known = make_error_source(landmarks, static, prepared)
    if kind in (TrialKind.STATIC, TrialKind.OTHER):
        return _posture(prepared, heading_known, known)
    return _gait(
        prepared,
        _Declared(kind, surface, declared_speed_mps or math.nan, height_m or math.nan),
        heading_known,
        errors,
        known,
    )


def _posture(prepared: Prepared, heading_known: bool, known: ErrorSource | None) -> MotionResult:
    angles = joint_angles(prepared)
    if known is not None:
        angles = with_angle_errors(known, angles)
    notes = posture_notes(prepared, angles, heading_known) | error_notes(known.errors if known else None)
    return _result(prepared, angles, notes)


def _result(prepared: Prepared, angles: JointAngles, notes: dict[str, str]) -> MotionResult:
    return MotionResult(
        tier=prepared.tier,
        angles=angles,
        summaries=summarise_angles(angles),
        events=None,
        strides=(),
        stride_values=(),
        curves=(),
        metrics=(),
        findings=(),
        notes=notes,
    )


@dataclass(frozen=True)
class _Declared:
    """What was said of a gait trial; NaN where nothing was."""

    kind: TrialKind
    surface: Surface | None
    speed_mps: float
    height_m: float


def _gait(
    prepared: Prepared,
    declared: _Declared,
    heading_known: bool,
    errors: ErrorTable,
    known: ErrorSource | None,
) -> MotionResult:
    travel = find_travel(prepared, declared=declared.surface, heading_known=heading_known)
    settings = prepared.settings
    events = detect_gait_events(travel, declared.kind)
    travel = replace(travel, speed_mps=events.belt_speed_mps)
    angles = joint_angles(travel.prepared)
    strides = cut_strides(events, prepared.points, kind=declared.kind, settings=settings)
    notes = gait_notes(travel, angles, events, strides, heading_known, declared.speed_mps)
    circumstances = Circumstances(declared.kind, notes.get("static", ""), declared.height_m)
    source = make_source(travel, angles, circumstances)
    values, reasons = metric_values(source, strides)
    reconstruction: Mapping[tuple[str, Side], float] = {}
    if known is not None:
        known = known.turned(travel)
        notes |= error_notes(known.errors)
        angles = with_angle_errors(known, angles)
        reconstruction = metric_errors(known, travel, strides, circumstances)
    metrics = summarise_metrics(
        values,
        reasons,
        tier=prepared.tier,
        rate_hz=prepared.points.rate_hz,
        errors=errors,
        settings=settings,
        reconstruction=reconstruction,
    )
    curves = stride_curves(angles, source.readers, strides)
    derived = derive_metrics_of_trial(metrics, values, curves, strides, reconstruction)
    notes |= capture_note(metrics) | flight_note(metrics)
    contributions = find_contributions(travel.prepared, source)
    given = GivenStrides(strides, values, curves)
    named = name_the_unseen(metrics + derived, strides, prepared.points, contributions)
    stated = with_interpolated_shares(named, given, prepared.points, contributions)
    carried = lower_carried(stated, given, prepared.points, contributions)
    return replace(
        _result(travel.prepared, angles, notes),
        events=events,
        strides=strides,
        stride_values=values,
        curves=curves,
        metrics=lower_unreferenced(carried, source, has_static=prepared.static is not None),
    )
