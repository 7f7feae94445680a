"""The story: landmarks to angles, events, strides, metrics."""

from __future__ import annotations

from labsys.biomechanics.settings import AnalysisSettings
from labsys.core.landmarks import Landmarks3D
from labsys.core.measurement_error import ErrorTable
from labsys.core.motion import MotionResult
from labsys.core.session import Surface, TrialKind


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
) -> MotionResult:
    """Make angles, events, strides and metrics of one trial's landmarks.

    landmarks: (T, K, 3) m in LAB, evenly spaced in time. static: quiet stance of the same visit, or None.
    surface: as declared, or None to take what the feet show. leg_length_m: measured, or None to take the static's.

    Raises:
        InputError: landmarks that reach no tier (named), empty trial, uneven times; for runs and walks also a belt
            that stands still, a surface or kind that contradicts the feet, a subject facing backwards, fewer than
            three strides.
    """
    raise NotImplementedError
