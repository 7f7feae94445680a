"""Cameras and 2D noise of the synthetic lab: the figures it promises."""

from __future__ import annotations

import math

import numpy as np
import pytest

from labsys.core.errors import InputError
from labsys.core.landmarks import Landmarks2D
from labsys.core.session import TrialKind
from pipelines.synthetic.noise import NoiseKind, NoiseModel, correlated_noise, observe, observe_free_running
from pipelines.synthetic.occlusion import find_hidden
from pipelines.synthetic.parameters import RunnerParameters
from pipelines.synthetic.rigs import ClockModel, free_running_times, make_rig
from pipelines.synthetic.trial import SyntheticTrial, make_trial


@pytest.fixture(scope="module")
def runner() -> SyntheticTrial:
    return make_trial(RunnerParameters(), seconds=8.0, rate_hz=100.0, seed=2, visit_seed=2)


@pytest.fixture(scope="module")
def exact(runner: SyntheticTrial) -> Landmarks2D:
    return observe(runner, make_rig(4), NoiseModel.none(), 0)


@pytest.mark.slow
def test_every_camera_of_every_rig_sees_the_whole_runner(runner: SyntheticTrial) -> None:
    for n in (2, 3, 4, 8, 16):
        rig = make_rig(n)
        assert len(rig.cameras) == n
        seen = observe(runner, rig, NoiseModel.none(), 0)
        assert np.isfinite(seen.xy_px).all()
        assert (seen.confidence == 1.0).all()
    for wrong in (1, 17):
        with pytest.raises(InputError, match="cameras"):
            make_rig(wrong)
    with pytest.raises(InputError, match="treadmill"):
        make_rig(4, radius_m=0.5)


def test_cameras_stand_upright_and_look_at_the_runner() -> None:
    for camera in make_rig(8).cameras:
        R = camera.T_cam_lab.rotation
        assert np.linalg.det(R) == pytest.approx(1.0)
        assert R[1] @ [0.0, 1.0, 0.0] < -0.8  # image down is lab down
        assert camera.T_cam_lab.apply([0.0, 0.95, 0.0])[2] > 2.0


def test_white_noise_has_its_sigma_outliers_and_missing(runner: SyntheticTrial, exact: Landmarks2D) -> None:
    error = observe(runner, make_rig(4), NoiseModel.white(1.5), 3).xy_px - exact.xy_px
    assert error.std() == pytest.approx(1.5, rel=0.01)
    assert abs(error.mean()) < 0.01
    spoiled = observe(runner, make_rig(4), NoiseModel.white(1.0, outliers=0.05, missing=0.1), 3)
    lost = np.isnan(spoiled.xy_px[..., 0])
    assert lost.mean() == pytest.approx(0.1, abs=0.005)
    assert (spoiled.confidence[lost] == 0).all()
    radial = np.linalg.norm(spoiled.xy_px - exact.xy_px, axis=-1)[~lost]
    far = radial > 20
    assert far.mean() == pytest.approx(0.05, abs=0.004)
    assert 20 < radial[far].min() < radial[far].max() < 206


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_dlc_like_noise_has_its_percentiles(seed: int, exact: Landmarks2D, runner: SyntheticTrial) -> None:
    """Median radial error 2.5 px, 95th percentile 10 px, of points in sight and apart from swaps."""
    rig = make_rig(4)
    seen = observe(runner, rig, NoiseModel(kind=NoiseKind.DLC_LIKE, swap_rate_hz=0.0), seed)
    hidden = np.stack([find_hidden(runner.landmarks, c.centre_lab_m) for c in rig.cameras], axis=1)
    radial = np.linalg.norm(seen.xy_px - exact.xy_px, axis=-1)
    assert np.median(radial[~hidden]) == pytest.approx(2.5, rel=0.08)
    assert np.percentile(radial[~hidden], 95) == pytest.approx(10.0, rel=0.08)
    assert np.median(radial[hidden]) == pytest.approx(5.0, rel=0.12)
    assert np.median(seen.confidence[~hidden]) > 0.85
    assert np.median(seen.confidence[hidden]) < 0.35


@pytest.mark.slow
def test_dlc_like_errors_are_correlated_over_50_ms_and_carry_a_pose_dependent_offset(
    exact: Landmarks2D, runner: SyntheticTrial
) -> None:
    times = np.arange(20000) / 100.0
    noise = correlated_noise(np.random.default_rng(0), times, (3,), 0.050)
    assert noise.std() == pytest.approx(1.0, rel=0.03)
    lag = np.mean(noise[5:] * noise[:-5])
    assert lag == pytest.approx(math.exp(-1.0), abs=0.03)

    model = NoiseModel(kind=NoiseKind.DLC_LIKE, swap_rate_hz=0.0)
    error = np.stack([observe(runner, make_rig(4), model, s).xy_px - exact.xy_px for s in (1, 2, 3)])
    standing = np.median(error, axis=1)  # what does not average out over the capture, per landmark and view
    assert np.sqrt(np.mean(standing**2)) > 0.5
    # It belongs to landmark, view and seed, not to all alike.
    assert np.corrcoef(standing[0].ravel(), standing[1].ravel())[0, 1] < 0.2


def test_the_body_hides_what_lies_behind_it(runner: SyntheticTrial) -> None:
    k = runner.landmarks.landmarks.index
    right = find_hidden(runner.landmarks, np.array([0.0, 1.2, 3.2]))
    left = find_hidden(runner.landmarks, np.array([0.0, 1.2, -3.2]))
    behind = find_hidden(runner.landmarks, np.array([-3.2, 1.2, 0.0]))
    for name in ("RASIS", "RLFE", "RLM", "RAC"):
        assert right[:, k(name)].mean() < 0.05
        assert left[:, k(name)].mean() > 0.9
    for name in ("C7", "L1", "L5", "RPSIS", "LPSIS"):
        assert behind[:, k(name)].mean() < 0.05
    assert behind[:, k("IJ")].mean() > 0.9


@pytest.mark.slow
def test_swaps_exchange_left_and_right_for_a_moment(runner: SyntheticTrial, exact: Landmarks2D) -> None:
    model = NoiseModel(kind=NoiseKind.DLC_LIKE, sigma_px=0.0, swap_rate_hz=1.0)
    seen = observe(runner, make_rig(4), model, 5)
    names = exact.landmarks
    moved = np.linalg.norm(seen.xy_px - exact.xy_px, axis=-1) > 1e-9
    sided = [names.index(n) for n in names if n[1:] in ("LM", "MM", "HEEL", "ELB", "WRI", "LFE")]
    assert 0.01 < moved[..., sided].mean() < 0.2
    assert not moved[..., names.index("C7")].any()
    t, c = np.argwhere(moved[..., names.index("RLM")])[0]
    assert np.allclose(seen.xy_px[t, c, names.index("RLM")], exact.xy_px[t, c, names.index("LLM")])
    assert np.allclose(seen.xy_px[t, c, names.index("LLM")], exact.xy_px[t, c, names.index("RLM")])


def test_points_outside_the_image_are_missing(runner: SyntheticTrial) -> None:
    seen = observe(runner, make_rig(2, size_px=(200, 720)), NoiseModel.none(), 0)
    lost = np.isnan(seen.xy_px[..., 0])
    assert 0 < lost.mean() < 1
    assert (seen.confidence[lost] == 0).all()
    assert np.nanmax(seen.xy_px[..., 0]) <= 199.5


@pytest.mark.slow
def test_noise_is_reproducible_by_seed(runner: SyntheticTrial) -> None:
    for model in (NoiseModel.white(), NoiseModel.dlc_like()):
        a, b, c = (observe(runner, make_rig(3), model, s).xy_px for s in (7, 7, 8))
        assert np.array_equal(a, b, equal_nan=True)
        assert not np.array_equal(a, c, equal_nan=True)


def test_free_running_clocks_have_phase_rate_jitter_and_drops() -> None:
    clock = ClockModel(ppm_sd=100.0, jitter_s=0.0003, drop_probability=0.05)
    clocks = free_running_times(4, seconds=100.0, rate_hz=100.0, clock=clock, seed=3)
    phases = [c[0] % 0.01 for c in clocks]
    assert np.ptp(phases) > 1e-3
    for times in clocks:
        assert (np.diff(times) > 0).all()
        assert times.size / 10000 == pytest.approx(0.95, abs=0.01)
        gaps = np.diff(times)
        single = gaps[gaps < 0.015]
        assert single.mean() == pytest.approx(0.01, rel=1e-3)
        assert single.std() == pytest.approx(0.0003 * math.sqrt(2), rel=0.1)


def test_free_running_cameras_see_the_runner_at_their_own_times(runner: SyntheticTrial, exact: Landmarks2D) -> None:
    rig = make_rig(4)
    clocks = free_running_times(4, seconds=7.0, rate_hz=100.0, clock=ClockModel(), seed=4)
    views = observe_free_running(runner, rig, NoiseModel.none(), clocks, 1)
    assert [v.cameras for v in views] == [(n,) for n in rig.names]
    for i, view in enumerate(views):
        assert np.isin(view.times_s, clocks[i]).all()
        straight = np.stack(
            [np.interp(view.times_s, exact.times_s, exact.xy_px[:, i, 0, j]) for j in (0, 1)], axis=-1
        )  # C7 moves smoothly: between frames it is close to a straight line
        assert np.abs(view.xy_px[:, 0, 0] - straight).max() < 0.5
    with pytest.raises(InputError, match="3 series of times for 4 cameras"):
        observe_free_running(runner, rig, NoiseModel.none(), clocks[:3], 1)


def test_impossible_noise_is_refused() -> None:
    for wrong in ({"sigma_px": -1.0}, {"outliers": 1.5}, {"missing": -0.1}):
        with pytest.raises(InputError, match="noise of"):
            NoiseModel(**wrong)


def test_static_and_other_can_be_observed() -> None:
    for kind in (TrialKind.STATIC, TrialKind.OTHER):
        trial = make_trial(RunnerParameters(), kind=kind, seconds=2.0, rate_hz=50.0, seed=1)
        seen = observe(trial, make_rig(4), NoiseModel.dlc_like(missing=0.02), 1)
        assert seen.xy_px.shape == (100, 4, 37, 2)
