"""3D landmarks of a trial and its static to everything that biomechanics says of it; pure."""

from __future__ import annotations

from labsys.biomechanics.analyse import analyse_motion
from labsys.biomechanics.settings import AnalysisSettings
from labsys.core.catalogue import METRICS
from labsys.core.landmarks import Landmarks3D
from labsys.core.measurement_error import default_error_table
from labsys.core.motion import MotionResult
from labsys.core.session import Session, Trial
from pipelines.screening import Screening, with_findings


def analyse(
    landmarks: Landmarks3D,
    *,
    static: Landmarks3D | None,
    trial: Trial,
    session: Session,
    heading_known: bool,
    settings: AnalysisSettings,
    screening: Screening | None,
) -> MotionResult:
    """Angles, events, strides, metrics and findings of one trial, with this trial's conditions and the default errors.

    screening: None for trials that are no gait, and where nothing is to be held against rules.

    Raises:
        InputError: landmarks that biomechanics cannot analyse, or conditions that contradict them.
    """
    motion = analyse_motion(
        landmarks,
        static=static,
        kind=trial.kind,
        surface=trial.conditions.surface,
        declared_speed_mps=trial.conditions.speed_mps,
        heading_known=heading_known,
        settings=settings,
        errors=default_error_table(tuple(m.id for m in METRICS)),
        leg_length_m=session.anthropometry.leg_length_m,
        height_m=session.anthropometry.height_m,
    )
    return motion if screening is None else with_findings(motion, trial, screening)
