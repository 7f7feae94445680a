"""labsys judged by the synthetic truth: exact where nothing is in the way, and bounded where noise is."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from labsys.biomechanics.settings import AnalysisSettings
from labsys.core.catalogue import ANGLES
from labsys.core.motion import EventKind
from labsys.core.session import TrialKind
from pipelines.synthetic.noise import NoiseModel
from pipelines.synthetic.parameters import NO_VARIABILITY, Anatomy, RunnerParameters, Strike
from tests.accept.accuracy import Measured, accuracy_rows, angle_errors_deg, event_errors_s, measure, runner_for

UNFILTERED = AnalysisSettings(filter_enabled=False)


@lru_cache(maxsize=8)
def _by_the_book(strike: Strike, rate_hz: float, kind: TrialKind = TrialKind.RUN) -> Measured:
    """Noise-free, a body as estimators assume it, stickers in place, filtering off; strides vary."""
    speed = 1.3 if kind is TrialKind.WALK else 3.0
    parameters = RunnerParameters(speed_mps=speed, strike=strike, anatomy=Anatomy.REGRESSION)
    return measure(parameters, None, seed=5, settings=UNFILTERED, rate_hz=rate_hz, seconds=8.0, kind=kind)


@pytest.mark.slow
@pytest.mark.parametrize("strike", list(Strike))
def test_noise_free_angles_are_within_a_twentieth_of_a_degree(strike: Strike) -> None:
    measured = _by_the_book(strike, 100.0)
    for definition in ANGLES:
        for reported in (True, False):
            error = angle_errors_deg(measured, definition.id, definition.sided.sides, reported=reported)
            assert np.isfinite(error).all(), definition.id
            assert np.abs(error).max() < 0.05, definition.id


@pytest.mark.slow
def test_noise_free_angles_of_walking_and_other_motion_are_exact_too() -> None:
    for measured in (
        _by_the_book(Strike.REAR, 100.0, TrialKind.WALK),
        measure(RunnerParameters(anatomy=Anatomy.REGRESSION), None, seed=2, settings=UNFILTERED, kind=TrialKind.OTHER),
    ):
        for definition in ANGLES:
            error = angle_errors_deg(measured, definition.id, definition.sided.sides)
            assert np.abs(error).max() < 0.05, definition.id


@pytest.mark.slow
@pytest.mark.parametrize("rate_hz", [100.0, 250.0])
@pytest.mark.parametrize("strike", list(Strike))
@pytest.mark.parametrize("kind", list(EventKind))
def test_noise_free_running_events_are_within_half_a_frame(kind: EventKind, strike: Strike, rate_hz: float) -> None:
    error = event_errors_s(_by_the_book(strike, rate_hz), kind)
    assert error.size > 8
    assert np.isfinite(error).all()
    assert np.abs(error).max() <= 0.5 / rate_hz


@pytest.mark.slow
def test_noise_free_metrics_follow_the_truth_stride_by_stride() -> None:
    rows = accuracy_rows([_by_the_book(Strike.REAR, 250.0)])
    for name in ("hip_ext_pelvis_peak", "pelvis_rot_rom", "lumbar_ext_at_peak_hip_ext"):
        assert abs(rows[name].bias) < 0.05
    # Hip flexion at foot strike turns at up to 150 deg/s: 2 ms of event are 0.3 deg.
    assert abs(rows["hip_ext_excursion_stance"].bias) < 0.4


@pytest.mark.slow
def test_default_filtering_bias_is_small_for_what_the_clinician_reads() -> None:
    """The default low-pass costs peaks a little; the long suite reports the bias per angle."""
    parameters = RunnerParameters(anatomy=Anatomy.REGRESSION, variability=NO_VARIABILITY)
    rows = accuracy_rows([measure(parameters, None, seed=5, seconds=10.0)])
    assert abs(rows["hip_flexion"].bias) < 0.05
    assert rows["hip_flexion"].rmse < 1.5
    assert rows["pelvis_rotation"].rmse < 0.3
    assert rows["lumbar_extension"].rmse < 0.3
    assert abs(rows["hip_ext_pelvis_peak"].bias) < 1.0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("noise", "hip_rmse", "rotation_rmse", "lumbar_rmse"),
    [(NoiseModel.white(1.0), 5.0, 3.0, 5.0), (NoiseModel.dlc_like(), 7.0, 5.0, 7.0)],
    ids=["white", "dlc_like"],
)
def test_accuracy_with_noise_over_a_few_runners(
    noise: NoiseModel, hip_rmse: float, rotation_rmse: float, lumbar_rmse: float
) -> None:
    """Two of the twenty runners of `make accept`; bodies and stickers deviate as in real subjects."""
    rows = accuracy_rows([measure(runner_for(seed), noise, seed=seed) for seed in (1, 2)])
    assert 0.05 < rows["hip_flexion"].rmse < hip_rmse
    assert 0.05 < rows["pelvis_rotation"].rmse < rotation_rmse
    assert 0.05 < rows["lumbar_extension"].rmse < lumbar_rmse
