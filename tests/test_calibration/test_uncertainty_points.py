"""Intervals of 3D points, and of their means over a trial, hold under white and detector-like noise."""

from __future__ import annotations

import numpy as np
import pytest

from labsys.core.cameras import Calibration
from labsys.core.landmarks import Landmarks3D
from labsys.core.session import TrialKind
from pipelines.config import Rule
from pipelines.reconstruct import reconstruct
from pipelines.synthetic.noise import NoiseModel, observe
from pipelines.synthetic.parameters import RunnerParameters
from pipelines.synthetic.rigs import make_rig
from pipelines.synthetic.trial import SyntheticTrial, make_trial


def see(trial: SyntheticTrial, noise: NoiseModel, n_cameras: int, seed: int) -> Landmarks3D:
    rig = make_rig(n_cameras)
    return reconstruct(
        observe(trial, rig, noise, seed),
        Calibration(rig, "synthetic"),
        rule=Rule.ROBUST,
        min_likelihood=0.3,
        max_error_px=15.0,
        min_cameras=2,
    )


@pytest.mark.slow
@pytest.mark.parametrize("noise", [NoiseModel.white(1.0), NoiseModel.dlc_like()], ids=["white", "dlc_like"])
def test_points_and_their_means_lie_where_they_are_said_to(noise: NoiseModel) -> None:
    inside, squares = [], []
    for seed, n_cameras in enumerate((4, 5, 6)):
        trial = make_trial(RunnerParameters(speed_mps=2.6 + 0.4 * seed), seconds=6.0, seed=seed, visit_seed=seed)
        found = see(trial, noise, n_cameras, seed)
        assert found.errors is not None
        error, variance = found.xyz_m - trial.landmarks.xyz_m, np.diagonal(found.covariance_m2, axis1=2, axis2=3)
        inside.append(np.mean((error**2 < 1.96**2 * variance)[np.isfinite(variance)]))
        # A mean keeps what stays, and of the rest what so many frames leave.
        e = found.errors
        lasting = np.maximum(1.0, 2.0 * e.fade_s * found.rate_hz) / len(found.times_s)
        share = e.steady + (1.0 - e.steady - e.repeating.sum(axis=1)) * lasting
        squares.append(np.mean(np.nanmean(error, axis=0) ** 2 / (np.nanmean(variance, axis=0) * share[:, None])))
    assert 0.93 <= np.mean(inside) <= 0.97
    # 333 means: 1 is right, an error of 1.5 in their variance gives 0.67 or 1.5.
    assert 0.7 <= np.mean(squares) <= 1.4


def test_detectors_that_err_alike_for_long_are_told_from_white_noise() -> None:
    still = make_trial(RunnerParameters(), kind=TrialKind.STATIC, seconds=4.0, rate_hz=60.0)
    white, alike = (see(still, noise, 5, 3).errors for noise in (NoiseModel.white(2.0), NoiseModel.dlc_like()))
    assert white is not None
    assert alike is not None
    assert np.median(white.steady) < 0.02
    assert np.median(alike.steady) > 0.15
    assert np.median(alike.fade_s) > 0.015 > np.median(white.fade_s)


def test_the_volume_is_that_of_all_landmarks_however_many_frames_there_are() -> None:
    """Every 37th of 200 frames of 37 landmarks is one landmark: a sample by stride once took the neck for the body."""
    trial = make_trial(RunnerParameters(), kind=TrialKind.STATIC, seconds=2.0, rate_hz=100.0)
    found = see(trial, NoiseModel.white(1.0), 4, 1)
    assert found.errors is not None
    middle = np.nanmean(found.xyz_m, axis=(0, 1))
    assert np.abs(found.errors.centre_m - middle).max() < 0.15
