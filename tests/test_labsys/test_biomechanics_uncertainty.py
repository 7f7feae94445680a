"""What landmarks' errors do to angles and metrics: stated errors are put on true landmarks, many times over."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from labsys.biomechanics.analyse import analyse_motion
from labsys.biomechanics.kinematics import joint_angles
from labsys.biomechanics.preparation import prepare_points
from labsys.biomechanics.settings import AnalysisSettings
from labsys.biomechanics.stacking import split_stretches, stack_stretches
from labsys.biomechanics.summarise import total_interval
from labsys.biomechanics.uncertainty_draws import frame_errors, passed_variance
from labsys.core.catalogue import METRICS
from labsys.core.landmarks import Landmarks3D
from labsys.core.measurement_error import SessionError, default_error_table
from labsys.core.motion import MotionResult
from labsys.core.point_errors import N_TERMS, PointErrors
from labsys.core.session import Surface, TrialKind
from labsys.core.skeleton import Side
from pipelines.synthetic.parameters import Anatomy, RunnerParameters
from pipelines.synthetic.trial import SyntheticTrial, make_trial

PARAMETERS = RunnerParameters(anatomy=Anatomy.REGRESSION)
N_LANDMARKS = 37


def point_errors(*, steady: float = 0.2, period_s: float = math.nan, calibration: str = "a") -> PointErrors:
    """Errors of which a part stays, a part repeats, and a calibration that bends the room by some millimetres."""
    shapes = np.zeros((2, N_TERMS, 3))
    shapes[0, 1:4] = np.diag([0.002, -0.001, 0.002])
    shapes[1, 5, 0] = 0.003
    repeating = np.full((N_LANDMARKS, 1), 0.1) if period_s > 0 else np.zeros((N_LANDMARKS, 0))
    return PointErrors(
        steady=np.full(N_LANDMARKS, steady),
        repeating=repeating,
        fade_s=np.full(N_LANDMARKS, 0.03),
        period_s=period_s,
        centre_m=np.array([0.0, 0.9, 0.0]),
        shapes_m=shapes,
        calibration_included=True,
        calibration=calibration,
    )


def with_errors(trial: SyntheticTrial, errors: PointErrors, sd_m: float) -> Landmarks3D:
    """The true landmarks, said to have these errors."""
    true = trial.landmarks
    own = np.broadcast_to(sd_m**2 * np.eye(3), (*true.xyz_m.shape, 3))
    return replace(true, covariance_m2=own + errors.common_covariance_m2(true.xyz_m), errors=errors)


def moved(landmarks: Landmarks3D, rng: np.random.Generator, factors: np.ndarray) -> Landmarks3D:
    """The same landmarks after one draw of the errors that they are said to have."""
    assert landmarks.errors is not None
    model = frame_errors(landmarks, landmarks.errors, np.arange(landmarks.times_s.size))
    return landmarks.with_positions(landmarks.xyz_m + model.draw_stretch(rng, factors))


def analysed(landmarks: Landmarks3D, static: Landmarks3D | None, kind: TrialKind) -> MotionResult:
    return analyse_motion(
        landmarks,
        static=static,
        kind=kind,
        surface=Surface.TREADMILL,
        declared_speed_mps=None,
        heading_known=True,
        settings=AnalysisSettings(),
        errors=default_error_table(tuple(m.id for m in METRICS)),
        leg_length_m=None,
    )


def squared_angle_errors(found: MotionResult, truth: MotionResult) -> dict[tuple[str, str], float]:
    """Mean over time of squared errors over squared standard errors, of every angle as reported."""
    out = {}
    for series in found.angles.series:
        true = truth.angles.find(series.id, series.side)
        referenced = np.isfinite(series.ref_rad).any()
        error = series.ref_rad - true.ref_rad if referenced else series.raw_rad - true.raw_rad
        if series.se_rad is not None and np.isfinite(error).any():
            out[series.id, series.side.value] = float(np.nanmean(np.square(error / series.se_rad)))
    return out


@pytest.mark.slow
def test_angles_err_as_much_as_they_say() -> None:
    """Six trials; `make accept` takes twelve."""
    judge_angle_errors(trials=6)


def judge_angle_errors(*, trials: int) -> None:
    """Errors of all angles over what was stated, in so many trials."""
    trial, still = (
        make_trial(PARAMETERS, kind=kind, seconds=2.5, rate_hz=60.0, seed=2)
        for kind in (TrialKind.OTHER, TrialKind.STATIC)
    )
    errors = point_errors()
    said = [with_errors(t, errors, 0.004) for t in (trial, still)]
    truth = analysed(trial.landmarks, still.landmarks, TrialKind.OTHER)
    squares = []
    for seed in range(trials):
        rng = np.random.default_rng([seed, 77])
        factors = rng.standard_normal(2)
        found = analysed(moved(said[0], rng, factors), moved(said[1], rng, factors), TrialKind.OTHER)
        by_angle = squared_angle_errors(found, truth)
        assert len(by_angle) == 28
        squares.append(list(by_angle.values()))
    # Of twelve trials and about 8 independent angles; a covariance off by 1.5 would give 0.67 or 1.5.
    assert 0.75 <= np.mean(squares) <= 1.33


@pytest.mark.slow
def test_metrics_err_as_much_as_they_say() -> None:
    trial = make_trial(PARAMETERS, seconds=10.0, rate_hz=60.0, seed=3)
    still = make_trial(PARAMETERS, kind=TrialKind.STATIC, seconds=3.0, rate_hz=60.0, seed=3)
    said = [with_errors(t, point_errors(period_s=p), 0.004) for t, p in ((trial, 0.7), (still, math.nan))]
    truth = {(m.id, m.side): m.mean for m in analysed(trial.landmarks, still.landmarks, TrialKind.RUN).metrics}
    angular = (
        "hip_ext_pelvis_peak",
        "hip_ext_pelvis_at_to",
        "pelvis_tilt_mean",
        "lumbar_ext_at_peak_hip_ext",
        "trunk_lean_stance_mean",
        "thigh_ext_vertical_peak",
        "trailing_limb_angle_at_to",
        "lumbar_ext_peak",
    )
    squares = []
    for seed in range(6):
        rng = np.random.default_rng([seed, 78])
        factors = rng.standard_normal(2)
        found = analysed(moved(said[0], rng, factors), moved(said[1], rng, factors), TrialKind.RUN)
        by_metric = [
            ((m.mean - truth[m.id, m.side]) / m.se_reconstruction) ** 2 for m in found.metrics if m.id in angular
        ]
        assert len(by_metric) == 14
        squares.append(np.mean(by_metric))
    assert 0.6 <= np.mean(squares) <= 1.6


@pytest.mark.slow
def test_events_that_come_early_or_late_alike_are_in_what_is_read_from_them() -> None:
    trial = make_trial(PARAMETERS, seconds=9.0, rate_hz=60.0, seed=3)
    found = analysed(with_errors(trial, point_errors(steady=0.0), 1e-6), None, TrialKind.RUN)
    errors = {(m.id, m.side): m.se_reconstruction for m in found.metrics}
    for side in (Side.LEFT, Side.RIGHT):
        # Foot strikes 4.5 ms and toe-offs 3 ms apart from where they should be, of 28 draws.
        assert errors["contact_time", side] == pytest.approx(math.hypot(0.0045, 0.003), rel=0.35)
        # A shank swings by 4 to 9 rad/s when the foot lands.
        assert 0.3 < math.degrees(errors["shank_angle_at_fs", side]) < 3.0
    # What shifts all foot strikes alike shifts no stride.
    assert errors["stride_time", Side.BOTH] == pytest.approx(0.0, abs=1e-9)


def test_the_same_trial_has_the_same_errors_every_time() -> None:
    trial = make_trial(PARAMETERS, kind=TrialKind.OTHER, seconds=2.0, rate_hz=60.0, seed=2)
    said = with_errors(trial, point_errors(), 0.004)
    first, again = (analysed(said, None, TrialKind.OTHER) for _ in range(2))
    for a, b in zip(first.angles.series, again.angles.series, strict=True):
        assert (a.se_rad is None) == (b.se_rad is None)
        if a.se_rad is not None and b.se_rad is not None:
            np.testing.assert_array_equal(a.se_rad, b.se_rad)


def test_stretches_laid_one_after_the_other_are_those_by_themselves() -> None:
    trial, still = (
        make_trial(PARAMETERS, kind=kind, seconds=1.0, rate_hz=60.0, seed=2)
        for kind in (TrialKind.OTHER, TrialKind.STATIC)
    )
    settings, rng = AnalysisSettings(), np.random.default_rng(5)
    parts = []
    for _ in range(3):
        moved, stood = (
            t.landmarks.with_positions(t.landmarks.xyz_m + 0.02 * rng.standard_normal((N_LANDMARKS, 3)))
            for t in (trial, still)
        )
        own = prepare_points(moved, stood, settings)
        views = {c: own.smoothed(c) for c in (settings.proximal_cutoff_hz, settings.distal_cutoff_hz)}
        parts.append(own.replaced(views, own.static, own.size))
    stacked = joint_angles(stack_stretches(parts))
    assert len(stacked.series) == 28
    for i, part in enumerate(parts):
        for own, together in zip(joint_angles(part).series, stacked.series, strict=True):
            for name in ("raw_rad", "ref_rad"):
                found = split_stretches(getattr(together, name), len(parts))[i]
                np.testing.assert_allclose(found, getattr(own, name), rtol=0.0, atol=1e-12)


def test_unknown_errors_stay_unknown() -> None:
    trial, still = (
        make_trial(PARAMETERS, kind=kind, seconds=2.0, rate_hz=60.0, seed=2)
        for kind in (TrialKind.OTHER, TrialKind.STATIC)
    )
    nothing_known = analysed(trial.landmarks, None, TrialKind.OTHER)
    static_unknown = analysed(with_errors(trial, point_errors(), 0.004), still.landmarks, TrialKind.OTHER)
    for result in (nothing_known, static_unknown):
        assert all(s.se_rad is None for s in result.angles.series)


@pytest.mark.slow
def test_one_calibration_cancels_in_change_from_standing_and_two_do_not() -> None:
    trial, still = (
        make_trial(PARAMETERS, kind=kind, seconds=2.0, rate_hz=60.0, seed=2)
        for kind in (TrialKind.STATIC, TrialKind.STATIC)
    )
    run = with_errors(trial, point_errors(steady=0.0), 1e-6)
    one, two = (
        analysed(run, with_errors(still, point_errors(steady=0.0, calibration=c), 1e-6), TrialKind.STATIC)
        for c in ("a", "b")
    )
    hip = [r.angles.find("hip_flexion", r.angles.series[5].side).se_rad for r in (one, two)]
    assert hip[0] is not None
    assert hip[1] is not None
    assert np.median(hip[0]) < 0.2 * np.median(hip[1])


def test_low_pass_leaves_what_stays_and_little_of_white_noise() -> None:
    white = replace(point_errors(steady=0.0), fade_s=np.zeros(N_LANDMARKS))
    left = passed_variance(white, cutoff_hz=8.0, rate_hz=100.0)
    # A 4th-order zero-lag Butterworth leaves about 2 · cut-off / rate of white noise's variance.
    assert left[0] == pytest.approx(0.15, abs=0.02)
    assert passed_variance(point_errors(steady=1.0), cutoff_hz=8.0, rate_hz=100.0)[0] == pytest.approx(1.0)


def test_total_interval_takes_the_larger_of_capture_and_reconstruction() -> None:
    error = SessionError(0.04, 0.16, 0.2, "default")
    widths = [np.diff(total_interval(1.0, 0.3, 30, 0.0, error, se))[0] for se in (math.nan, 0.1, 0.2, 0.6)]
    assert widths[0] == widths[1] == pytest.approx(widths[2])
    assert widths[3] == pytest.approx(2 * 1.96 * math.sqrt(0.36 + 0.36 + 0.003), rel=1e-3)
