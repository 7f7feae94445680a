"""Filters, gaps, intervals: the numbers behind the numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labsys.biomechanics.filtering import fill_gaps, find_outliers, low_pass, too_fast
from labsys.biomechanics.notes import capture_note
from labsys.biomechanics.settings import AnalysisSettings
from labsys.biomechanics.summarise import (
    MIN_STRIDES_CAPTURE,
    lag1_autocorrelation,
    strides_interval,
    summarise_metrics,
    total_interval,
)
from labsys.core.errors import InputError
from labsys.core.measurement_error import ErrorTable, SessionError, default_error
from labsys.core.motion import StrideValues
from labsys.core.skeleton import Side, Tier


@pytest.mark.parametrize("cutoff_hz", [6.0, 8.0, 12.0])
@pytest.mark.parametrize("rate_hz", [100.0, 120.0, 250.0])
def test_gain_at_the_cut_off_is_half_power_after_both_passes(cutoff_hz: float, rate_hz: float) -> None:
    t = np.arange(0, 10, 1 / rate_hz)
    out = low_pass(np.sin(2 * np.pi * cutoff_hz * t)[:, None], cutoff_hz=cutoff_hz, rate_hz=rate_hz)[:, 0]
    middle = slice(round(2 * rate_hz), round(8 * rate_hz))
    assert np.sqrt(2 * np.mean(out[middle] ** 2)) == pytest.approx(math.sqrt(0.5), abs=0.002)


def test_low_pass_has_no_lag_and_keeps_straight_lines() -> None:
    t = np.arange(0, 4, 0.01)
    slow = np.stack([np.sin(2 * np.pi * t), 2.0 * t + 1.0], axis=1)
    out = low_pass(slow, cutoff_hz=8.0, rate_hz=100.0)
    assert np.abs(out - slow).max() < 2e-3
    assert np.allclose(out[:, 1], slow[:, 1])


def test_stretches_are_filtered_alone_and_gaps_stay() -> None:
    t = np.arange(0, 4, 0.01)
    whole = np.sin(2 * np.pi * t)[:, None]
    holed = whole.copy()
    holed[150:200] = np.nan
    holed[201:203] = np.nan
    out = low_pass(holed, cutoff_hz=8.0, rate_hz=100.0)
    assert np.isnan(out[150:203]).all()
    assert np.isfinite(np.delete(out, slice(150, 203), axis=0)).all()
    assert np.nanmax(np.abs(out - whole)) < 0.02


def test_cut_off_above_half_the_rate_is_refused() -> None:
    with pytest.raises(InputError, match="needs more than 24 samples/s"):
        low_pass(np.zeros((50, 1)), cutoff_hz=12.0, rate_hz=20.0)


@given(st.integers(0, 1000))
def test_gaps_are_filled_up_to_the_limit_and_no_further(seed: int) -> None:
    rng = np.random.default_rng(seed)
    track = np.cumsum(rng.standard_normal((60, 3)), axis=0)
    length = int(rng.integers(1, 12))
    first = int(rng.integers(4, 60 - length - 4))
    holed = track.copy()
    holed[first : first + length] = np.nan
    out, filled = fill_gaps(holed, longest_frames=5)
    assert filled.sum() == (length if length <= 5 else 0)
    assert np.isfinite(out).all() == (length <= 5)
    assert np.array_equal(out[~filled & np.isfinite(holed).all(axis=1)], holed[np.isfinite(holed).all(axis=1)])
    if length <= 5:
        ends = holed[[first - 1, first + length]]
        inside = out[first : first + length]
        assert (inside >= ends.min(axis=0) - 1e-9).all()
        assert (inside <= ends.max(axis=0) + 1e-9).all()


def test_ends_are_never_extrapolated() -> None:
    track = np.ones((20, 3))
    track[:2] = np.nan
    track[-1] = np.nan
    out, filled = fill_gaps(track, longest_frames=5)
    assert not filled.any()
    assert np.isnan(out[:2]).all()


def test_a_spike_is_an_outlier_and_a_landing_foot_is_not() -> None:
    t = np.arange(0, 1, 0.01)
    landing = np.where(t < 0.5, 1.2 * (0.5 - t), 0.0)[:, None]
    assert not find_outliers(landing, frames=7, mads=3.0).any()
    spiked = landing.copy()
    spiked[30] += 0.15
    assert np.flatnonzero(find_outliers(spiked, frames=7, mads=3.0)).tolist() == [30]


def test_impossible_accelerations_are_found_and_noise_is_not() -> None:
    rng = np.random.default_rng(0)
    noisy = 0.005 * rng.standard_normal((500, 1, 3))
    assert not too_fast(noisy, limit_mps2=150.0, rate_hz=100.0).any()
    thrown = np.zeros((100, 1, 3))
    thrown[50, 0, 0] = 0.2
    assert too_fast(thrown, limit_mps2=150.0, rate_hz=100.0)[50, 0]


def test_strides_interval_matches_theory_for_independent_strides() -> None:
    rng = np.random.default_rng(3)
    ends = [strides_interval("hip_ext_pelvis_peak", rng.normal(10.0, 2.0, 200)) for _ in range(200)]
    assert np.median(np.ptp(ends, axis=1)) / 2 == pytest.approx(1.97 * 2.0 / math.sqrt(200), rel=0.08)
    assert all(math.isnan(v) for v in strides_interval("hip_ext_pelvis_peak", np.array([3.0])))


@pytest.mark.slow
@pytest.mark.parametrize(("n", "r"), [(12, 0.0), (25, 0.0), (25, 0.3), (40, 0.3), (40, 0.45)])
def test_strides_interval_keeps_its_promise(n: int, r: float) -> None:
    """Strides that resemble the one before them by r, as runners' do; 95 % within the chance of 3,000 draws."""
    rng = np.random.default_rng([n, round(100 * r)])
    hits = 0
    for _ in range(3000):
        low, high = strides_interval("hip_ext_pelvis_peak", _strides(n, r, rng))
        hits += low <= 0.0 <= high
    assert 0.93 <= hits / 3000 <= 0.98


def test_interval_of_cadence_holds_its_harmonic_mean() -> None:
    values = np.random.default_rng(7).normal(180.0, 4.0, 30)
    low, high = strides_interval("cadence", values)
    harmonic = 30 / np.sum(1.0 / values)
    assert low < harmonic < high
    plain = strides_interval("stride_time", 1.0 / values)
    assert (low, high) == pytest.approx((1.0 / plain[1], 1.0 / plain[0]))


@pytest.mark.slow
@pytest.mark.parametrize("n", [12, 14, 18, 25, 40])
@pytest.mark.parametrize("r", [0.0, 0.3, 0.6])
def test_where_an_interval_of_the_capture_is_given_it_holds_nine_of_ten(n: int, r: float) -> None:
    rng = np.random.default_rng([n, round(100 * r), 7])
    ends = np.array([strides_interval("knee_flex_at_fs", _strides(n, r, rng)) for _ in range(2500)])
    assert np.isfinite(ends).all()
    assert np.mean((ends[:, 0] <= 0.0) & (ends[:, 1] >= 0.0)) >= 0.90


@given(
    st.integers(0, 100_000), st.integers(6, 40), st.floats(0.0, 0.6), st.sampled_from(["knee_flex_at_fs", "cadence"])
)
def test_the_capture_is_never_less_certain_than_another_day(seed: int, n: int, r: float, metric_id: str) -> None:
    """However little the session adds and however few degrees of freedom the strides leave."""
    values = 3.0 + 0.2 * _strides(n, r, np.random.default_rng(seed))
    session = 10.0 ** np.random.default_rng(seed).uniform(-8.0, 0.0)
    errors = ErrorTable({(metric_id, Tier.T3): SessionError(session, 0.0, 0.0, "lab")})
    side = Side.BOTH if metric_id == "cadence" else Side.RIGHT
    given_values = (StrideValues(metric_id, side, tuple(range(n)), values),)
    metrics = summarise_metrics(
        given_values, {}, tier=Tier.T3, rate_hz=100.0, errors=errors, settings=AnalysisSettings()
    )
    found = next(m for m in metrics if (m.id, m.side) == (metric_id, side))
    assert math.isfinite(found.ci95[0])
    assert math.isfinite(found.ci95_strides[0]) == (n >= MIN_STRIDES_CAPTURE)
    if n >= MIN_STRIDES_CAPTURE:
        assert found.ci95[0] <= found.ci95_strides[0] <= found.mean <= found.ci95_strides[1] <= found.ci95[1]
        assert np.ptp(found.ci95_strides) < 6.5 * found.sd
    else:
        assert "too few independent strides" in capture_note(metrics)["this_capture"]


def test_autocorrelation_of_few_strides_is_not_understated() -> None:
    rng = np.random.default_rng(6)
    found = [lag1_autocorrelation(_strides(40, 0.4, rng)) for _ in range(1000)]
    assert np.mean(found) == pytest.approx(0.4, abs=0.02)
    assert lag1_autocorrelation(_strides(4000, 0.0, rng)) == pytest.approx(0.0, abs=0.05)


def _strides(n: int, r: float, rng: np.random.Generator) -> np.ndarray:
    values = np.empty(n)
    values[0] = rng.standard_normal()
    for i in range(1, n):
        values[i] = r * values[i - 1] + math.sqrt(1 - r * r) * rng.standard_normal()
    return values


def test_total_interval_adds_the_session_error() -> None:
    error = default_error("hip_ext_pelvis_peak", Tier.T3)
    assert error is not None
    low, high = total_interval(0.2, 0.02, 40, 0.3, error)
    strides = 0.02**2 / (40 * 0.7 / 1.3)
    assert (high - low) / 2 == pytest.approx(1.96 * math.sqrt(strides + error.sem**2), rel=0.01)
    learnt = SessionError(error.v_capture, error.v_palpation, error.v_day, "lab", df=9.0)
    wide = total_interval(0.2, 0.02, 40, 0.3, learnt)
    assert wide[1] - wide[0] > high - low
    assert all(math.isnan(v) for v in total_interval(0.2, 0.02, 40, 0.3, None))
    assert all(math.isnan(v) for v in total_interval(0.2, math.nan, 1, math.nan, error))


@pytest.mark.parametrize("values", [{"proximal_cutoff_hz": -1.0}, {"event_cutoff_hz": math.nan}, {"hampel_frames": 6}])
def test_settings_that_make_no_sense_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(values))):
        AnalysisSettings(**values)  # type: ignore[arg-type]  # hampel_frames is an int
