"""How long errors last: shares of what stays, repeats and fades, from residuals made with known shares."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from calibration.uncertainty.time import (
    PRIOR,
    ErrorTimes,
    fading_times,
    find_period,
    find_times,
    lag_products,
    lasting_part,
    widened_by_doubt,
)

RATE_HZ, PERIOD_S = 100.0, 0.72


def make_residuals(
    *, steady: float, repeating: float, fade_s: float, n_frames: int, seed: int, n_landmarks: int = 30
) -> np.ndarray:
    """Residuals (T, 5, K) of unit variance; what repeats is one harmonic."""
    rng = np.random.default_rng(seed)
    shape = (5, n_landmarks)
    keep = np.exp(-1.0 / (RATE_HZ * fade_s)) if fade_s > 0 else 0.0
    fading = rng.standard_normal((n_frames, *shape))
    fading[1:] *= np.sqrt(1.0 - keep**2)
    fading = lfilter([1.0], [1.0, -keep], fading, axis=0)
    turn = 2.0 * np.pi * np.arange(n_frames)[:, None, None] / (RATE_HZ * PERIOD_S)
    wave = np.cos(turn) * rng.standard_normal(shape) + np.sin(turn) * rng.standard_normal(shape)
    stays = rng.standard_normal(shape)
    return np.sqrt(steady) * stays + np.sqrt(repeating) * wave + np.sqrt(1.0 - steady - repeating) * fading


def found(residuals: np.ndarray, period_s: float = PERIOD_S, explained_px2: float = 0.0) -> ErrorTimes:
    n_landmarks = residuals.shape[2]
    return find_times(
        residuals,
        np.full(n_landmarks, 5.0),
        period_s=period_s,
        rate_hz=RATE_HZ,
        known_steady=np.full(n_landmarks, explained_px2),
    )


def test_shares_and_time_are_found_again() -> None:
    parts = [found(make_residuals(steady=0.2, repeating=0.1, fade_s=0.05, n_frames=2000, seed=s)) for s in range(4)]
    # 30 landmarks of 5 coordinates: the share of what stays is known to about 12 % per trial.
    assert np.mean([p.steady.mean() for p in parts]) == pytest.approx(0.2, abs=0.03)
    assert np.mean([p.repeating.sum(axis=1).mean() for p in parts]) == pytest.approx(0.1, abs=0.03)
    assert np.mean([np.median(p.fade_s) for p in parts]) == pytest.approx(0.05, abs=0.015)


def test_white_noise_neither_stays_nor_repeats_nor_lasts() -> None:
    white = found(make_residuals(steady=0.0, repeating=0.0, fade_s=0.0, n_frames=2000, seed=1))
    assert white.steady.max() < 0.01
    assert white.repeating.sum(axis=1).max() < 0.02
    assert np.median(white.fade_s) < 0.005


def test_what_the_calibration_explains_is_not_counted_twice() -> None:
    residuals = make_residuals(steady=0.2, repeating=0.0, fade_s=0.0, n_frames=2000, seed=2)
    with_it, without = found(residuals, explained_px2=0.2).steady.mean(), found(residuals).steady.mean()
    assert without > 0.14
    assert with_it < 0.4 * without


def test_standing_has_no_period() -> None:
    standing = found(make_residuals(steady=0.3, repeating=0.0, fade_s=0.03, n_frames=500, seed=3), float("nan"))
    assert standing.repeating.shape == (30, 0)
    assert standing.steady.mean() == pytest.approx(0.3, abs=0.08)


def test_too_few_frames_say_nothing_of_what_stays() -> None:
    short = found(make_residuals(steady=0.3, repeating=0.0, fade_s=0.0, n_frames=20, seed=4), float("nan"))
    assert short.steady.tolist() == [0.0] * 30


@pytest.mark.parametrize("period_s", [0.45, 0.5, 0.54, 0.55, 0.6, 0.72])
@pytest.mark.parametrize("n_frames", [200, 266, 290, 320])
def test_a_clip_of_few_short_strides_gives_shares_that_are_numbers(period_s: float, n_frames: int) -> None:
    """266 frames at 160 Hz with strides of 0.54 s left no lag to look at."""
    residuals = make_residuals(steady=0.2, repeating=0.1, fade_s=0.02, n_frames=n_frames, seed=5)
    freedom = np.full(30, 5.0)
    times = find_times(residuals, freedom, period_s=period_s, rate_hz=160.0, known_steady=np.zeros(30))
    assert np.isfinite(times.steady).all()
    assert np.isfinite(times.repeating).all()
    assert np.isfinite(times.fade_s).all()
    assert (times.steady + times.repeating.sum(axis=1)).max() < 1.0
    # Half the clip must hold one period after what fades has faded.
    longest_s = (n_frames // 2 - 1) / 160.0
    assert bool(times.repeating.shape[1]) == (longest_s - max(0.3, 0.5 * period_s) >= period_s)


def test_products_leave_out_what_is_missing() -> None:
    values = np.array([1.0, 2.0, np.nan, 4.0])[:, None, None]
    np.testing.assert_allclose(lag_products(values, 3)[:, 0], [(1 + 4 + 16) / 3, 2.0, 8.0])


def test_stride_period_is_that_of_the_feet_not_of_the_step() -> None:
    t = np.arange(800) / RATE_HZ
    turn = 2.0 * np.pi * t / PERIOD_S
    feet = np.stack([0.4 * np.sin(turn), 0.4 * np.sin(turn + np.pi)], axis=1)
    hips = 0.04 * np.sin(2.0 * turn)
    xyz = np.zeros((t.size, 3, 3))
    xyz[:, :2, 0], xyz[:, 2, 1] = feet, hips
    xyz[100:140, 1] = np.nan
    assert find_period(xyz, RATE_HZ) == pytest.approx(PERIOD_S, rel=0.01)
    assert np.isnan(find_period(np.random.default_rng(0).standard_normal((800, 3, 3)), RATE_HZ))
    assert np.isnan(find_period(xyz[:3], RATE_HZ))


def test_shares_that_outliers_swell_meet_what_errors_show_halfway() -> None:
    """Errors of which 0.4 stay, 0.1 repeat and the rest fades in 50 ms, beside shares twice as large."""
    lag_s = np.arange(51) / RATE_HZ
    wave = np.cos(2.0 * np.pi * lag_s / PERIOD_S)
    correlation = np.repeat((0.4 + 0.1 * wave + 0.5 * np.exp(-lag_s / 0.05))[:, None], 3, axis=1)
    steady, repeating = np.full(3, 0.4), np.full((3, 1), 0.1)
    assert lasting_part(correlation, 2.0 * steady, 2.0 * repeating, PERIOD_S, RATE_HZ) == pytest.approx(0.707, abs=0.01)
    # Shares that are too small are left: nothing shows that more would stay.
    assert lasting_part(correlation, 0.1 * steady, 0.1 * repeating, PERIOD_S, RATE_HZ) == 1.0
    fade_s = fading_times(correlation, steady, repeating, PERIOD_S, RATE_HZ)
    np.testing.assert_allclose(fade_s, 0.05, rtol=0.1)


def test_what_lasts_is_surer_the_more_views_show_it_and_what_fades_needs_none() -> None:
    steady, repeating, freedom = np.array([0.4, 0.4, 0.0]), np.array([[0.1], [0.1], [0.0]]), np.array([5.0, 1e9, 5.0])
    wider, waves, growth = widened_by_doubt(steady, repeating, freedom)
    # Student's t of 5 + 15 degrees of freedom has a variance of 20 / 18.
    np.testing.assert_allclose(growth * wider, [0.4 * 20.0 / 18.0, 0.4, 0.0], rtol=1e-6)
    np.testing.assert_allclose(growth * waves[:, 0], [0.1 * 20.0 / 18.0, 0.1, 0.0], rtol=1e-6)
    np.testing.assert_allclose(growth * (1.0 - wider - waves[:, 0]), [0.5, 0.5, 1.0], rtol=1e-6)


def test_errors_known_from_few_views_are_held_as_often_as_is_stated() -> None:
    """Shares as a trial shows them, once per redundant coordinate and with what all landmarks say: all but 95 % of the
    errors lie within 1.96 of the stated standard error; without, a fifth more than that 5 % lie outside."""
    rng, freedom = np.random.default_rng(3), 5
    true = PRIOR / rng.chisquare(PRIOR, 40_000)  # landmarks differ as the prior says
    shown = true * rng.chisquare(freedom, true.size)
    estimate = (PRIOR + shown) / (PRIOR + freedom)
    error = np.sqrt(true) * rng.standard_normal(true.size)
    _, _, growth = widened_by_doubt(np.ones(1), np.zeros((1, 0)), np.array([float(freedom)]))
    held = [float(np.mean(np.abs(error) < 1.96 * np.sqrt(g * estimate))) for g in (1.0, growth[0])]
    assert held == pytest.approx([0.936, 0.947], abs=0.003)
