"""Foot strikes and toe-offs of the synthetic runner, whose true contacts are known, with and without noise."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.triangulation.triangulate import triangulate_robust
from labsys.core.arrays import FloatArray
from labsys.core.landmarks import Landmarks3D
from labsys.core.motion import EventKind, MotionResult
from labsys.core.session import TrialKind
from labsys.core.skeleton import Side
from pipelines.synthetic.noise import NoiseModel, observe
from pipelines.synthetic.parameters import RunnerParameters, Strike, Variability
from pipelines.synthetic.rigs import make_rig
from pipelines.synthetic.trial import SyntheticTrial, make_trial
from tests.test_labsys.gait_scene import BOOK, analyse, metric, synthetic


@pytest.mark.slow
@pytest.mark.parametrize("rate_hz", [100.0, 250.0])
@pytest.mark.parametrize("strike", list(Strike))
def test_events_are_true_contacts_within_half_a_frame(rate_hz: float, strike: Strike) -> None:
    trial = synthetic(rate_hz=rate_hz, strike=strike, seconds=8.0)
    result = analyse(trial.anatomy)
    for kind in EventKind:
        errors = event_errors(trial, result, kind)
        assert len(errors) >= 16
        assert np.abs(errors).max() <= 0.5 / rate_hz, kind


def event_errors(trial: SyntheticTrial, result: MotionResult, kind: EventKind) -> FloatArray:
    """Ours minus truth, s, away from the ends of the capture; every true event must have been found."""
    assert trial.events is not None
    assert result.events is not None
    end = trial.landmarks.times_s[-1] - 0.4
    errors = []
    for side in (Side.LEFT, Side.RIGHT):
        found = np.array(result.events.times_s(kind, side))
        for true in trial.events.times_s(kind, side):
            if 0.4 < true < end:
                errors.append(found[np.abs(found - true).argmin()] - true)
    return np.array(errors)


@pytest.mark.slow
@pytest.mark.parametrize("strike", list(Strike))
def test_events_stand_three_millimetres_of_noise(strike: Strike) -> None:
    trial = synthetic(strike=strike)
    noise = 0.003 * np.random.default_rng(1).standard_normal(trial.landmarks.xyz_m.shape)
    result = analyse(trial.landmarks.with_positions(trial.landmarks.xyz_m + noise))
    for kind in EventKind:
        errors = event_errors(trial, result, kind)
        assert np.sqrt(np.mean(errors**2)) < 0.010, kind


@pytest.mark.slow
def test_walking_events_are_true_contacts() -> None:
    trial = synthetic(TrialKind.WALK)
    result = analyse(trial.anatomy, kind=TrialKind.WALK, speed_mps=None)
    for kind in EventKind:
        assert np.abs(event_errors(trial, result, kind)).max() < 0.025, kind
    flight = metric(result, "flight_time", Side.LEFT)
    assert (flight.n, flight.reason) == (0, "walking")


FOOT = ("HEEL", "MT5", "MT1", "TOE", "LM")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "lost_frames", "valid"), [(("HEEL",), 1, True), (("HEEL",), 4, True), (FOOT[:3], 4, False)]
)
def test_an_event_rests_on_what_was_measured_of_the_foot(names: tuple[str, ...], lost_frames: int, valid: bool) -> None:
    """A lost landmark has no say in the event; with most of the foot lost, the stride does not count."""
    trial = synthetic().anatomy
    strike = analyse(trial).strides[14]
    frame = round(strike.foot_strike_s * 100.0)
    xyz = np.array(trial.xyz_m)
    for name in names:
        xyz[frame - 1 : frame - 1 + lost_frames, trial.index(f"{strike.side.letter}{name}")] = np.nan
    again = analyse(trial.with_positions(xyz))
    same = next(s for s in again.strides if s.side is strike.side and s.index == strike.index)
    assert same.valid is valid, same.reason
    if valid:
        assert abs(same.foot_strike_s - strike.foot_strike_s) < 0.010
    else:
        assert same.reason == "an event of low quality"


@pytest.mark.slow
@pytest.mark.parametrize("strike", list(Strike))
@pytest.mark.parametrize("speed_mps", [2.5, 4.0])
def test_events_stand_the_noise_of_a_2d_detector(strike: Strike, speed_mps: float) -> None:
    """Four cameras at 100 Hz, 2D errors heavy-tailed, correlated and hidden at times.

    Events cost at most one stride in ten; landmarks filled in for too long may cost a few more.
    """
    parameters = RunnerParameters(speed_mps=speed_mps, strike=strike)
    trial = make_trial(parameters, kind=TrialKind.RUN, seconds=14.0, rate_hz=100.0, seed=31, visit_seed=31)
    result = analyse(reconstruct_noisy(trial, seed=31), speed_mps=speed_mps)
    for kind in EventKind:
        errors = event_errors(trial, result, kind)
        assert np.sqrt(np.mean(errors**2)) <= 0.010, kind
    judged = [s for s in result.strides if not (s.reason or "").startswith("one of the")]
    lost_to_landmarks = sum("filled in" in (s.reason or "") for s in judged)
    assert sum(s.valid for s in judged) >= 0.9 * len(judged) - lost_to_landmarks
    assert lost_to_landmarks <= 0.15 * len(judged)


def reconstruct_noisy(trial: SyntheticTrial, seed: int) -> Landmarks3D:
    rig = make_rig(4)
    seen = observe(trial, rig, NoiseModel.dlc_like(), seed)
    found = triangulate_robust(rig, np.moveaxis(seen.xy_px, 1, 2), np.moveaxis(seen.confidence, 1, 2))
    return Landmarks3D.from_positions(seen.landmarks, seen.times_s, found.xyz_m)


@pytest.mark.slow
def test_contact_times_keep_what_really_differs_between_strides() -> None:
    """Laying strides over each other must not make them alike: what spreads twice as much is found to."""
    parameters = RunnerParameters(anatomy=BOOK, variability=Variability(scale=2.0))
    trial = make_trial(parameters, kind=TrialKind.RUN, seconds=20.0, rate_hz=100.0, seed=4, visit_seed=4)
    noise = 0.0015 * np.random.default_rng(5).standard_normal(trial.landmarks.xyz_m.shape)
    result = analyse(trial.landmarks.with_positions(trial.landmarks.xyz_m + noise))
    for side in (Side.LEFT, Side.RIGHT):
        ours, true = metric(result, "contact_time", side), trial.metric("contact_time", side)
        assert 0.8 < ours.sd / true.sd < 1.8


@pytest.mark.slow
def test_noise_does_not_slow_the_belt_down() -> None:
    trial = synthetic().anatomy
    noise = 0.003 * np.random.default_rng(3).standard_normal(trial.xyz_m.shape)
    clean, found = (metric(analyse(t), "speed", Side.BOTH) for t in (trial, trial.with_positions(trial.xyz_m + noise)))
    assert clean.mean == pytest.approx(3.0, abs=0.003)
    # Nine strides of 0.037 m/s each. Read until 70 % of contact, where the forefoot rolls over the toes, it was 2.965.
    assert found.mean == pytest.approx(3.0, abs=0.015)


@pytest.mark.slow
def test_noise_does_not_shorten_strides() -> None:
    """Lengths rest on the speed of the ground: read until 70 % of contact, strides were 13 to 21 mm too short."""
    trial = synthetic().anatomy
    draws = [0.003 * np.random.default_rng(seed).standard_normal(trial.xyz_m.shape) for seed in (3, 4, 5)]
    clean, *noisy = (analyse(trial.with_positions(trial.xyz_m + noise)) for noise in (0.0 * trial.xyz_m, *draws))
    ground = [r.events.belt_speed_mps for r in (clean, *noisy) if r.events is not None]
    assert ground[0] == pytest.approx(3.0, abs=0.003)
    assert ground[1:] == pytest.approx([3.0] * 3, abs=0.015)
    for metric_id, side in (("stride_length", Side.BOTH), ("step_length", Side.LEFT), ("step_length", Side.RIGHT)):
        shorter = [metric(clean, metric_id, side).mean - metric(r, metric_id, side).mean for r in noisy]
        assert abs(np.mean(shorter)) < 0.003, metric_id
        assert max(np.abs(shorter)) < 0.010, metric_id
