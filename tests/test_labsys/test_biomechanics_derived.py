"""Differences, drifts and spreads of a whole trial, and extremes that noise does not push outward."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labsys.biomechanics.derived import asymmetry, derive_metrics_of_trial
from labsys.biomechanics.instants import expected_peak, highest, mid_stance_s, spread
from labsys.biomechanics.metric_source import MetricSource, StrideTimes
from labsys.biomechanics.notes import flight_note
from labsys.biomechanics.settings import AnalysisSettings
from labsys.biomechanics.summarise import missing_metric, summarise_metrics
from labsys.core.arrays import FloatArray
from labsys.core.catalogue import METRICS, find_metric
from labsys.core.derived_metrics import symmetry_index
from labsys.core.measurement_error import default_error_table
from labsys.core.motion import Metric, Stride, StrideCurves, StrideValues
from labsys.core.session import TrialKind
from labsys.core.skeleton import Side, Tier
from labsys.core.units import Unit

N, STRIDE_S = 40, 0.72
ERRORS = default_error_table(tuple(m.id for m in METRICS))


def derived(values: dict[tuple[str, Side], FloatArray], n: int = N) -> dict[tuple[str, Side], Metric]:
    """What is derived from values per stride; all other metrics are missing."""
    given = tuple(StrideValues(i, side, tuple(range(n)), v) for (i, side), v in values.items())
    reasons = {(m.id, s): "not made" for m in METRICS for s in m.sided.sides if (m.id, s) not in values}
    single = summarise_metrics(given, reasons, tier=Tier.T3, rate_hz=100.0, errors=ERRORS, settings=AnalysisSettings())
    strides = tuple(
        Stride(i, s, i * STRIDE_S, i * STRIDE_S + 0.25, (i + 1) * STRIDE_S, i * STRIDE_S + 0.36)
        for s in (Side.LEFT, Side.RIGHT)
        for i in range(n)
    )
    curves = (StrideCurves("hip_flexion", Side.LEFT, tuple(range(n)), np.outer(np.linspace(-1, 1, n), np.ones(101))),)
    return {(m.id, m.side): m for m in derive_metrics_of_trial(single, given, curves, strides, {})}


def test_right_minus_left_in_degrees_and_share_for_all_else() -> None:
    rng = np.random.default_rng(1)
    noise = 0.02 * rng.standard_normal((4, N))
    found = derived(
        {
            ("hip_ext_pelvis_peak", Side.RIGHT): 0.30 + noise[0], ("hip_ext_pelvis_peak", Side.LEFT): 0.20 + noise[1],
            ("contact_time", Side.RIGHT): 0.26 + 0.1 * noise[2], ("contact_time", Side.LEFT): 0.24 + 0.1 * noise[3],
        }
    )  # fmt: skip
    hip = found["hip_ext_pelvis_peak_asym", Side.BOTH]
    assert hip.mean == pytest.approx(0.10 + noise[0].mean() - noise[1].mean())
    assert hip.sem_measurement == pytest.approx(math.sqrt(2) * ERRORS.find("hip_ext_pelvis_peak", Tier.T3).sem)  # type: ignore[union-attr]
    assert hip.ci95[0] < hip.ci95_strides[0] < 0.10 < hip.ci95_strides[1] < hip.ci95[1]
    assert hip.provisional
    assert found["contact_time_asym", Side.BOTH].mean == pytest.approx(0.08, abs=0.02)
    assert found["cadence_drift", Side.BOTH].reason == "not made"
    assert found["hip_ext_excursion_stance_asym", Side.BOTH].reason == "not made"


@given(st.floats(0.1, 5.0), st.floats(0.1, 5.0), st.sampled_from([Unit.DEG, Unit.MM]))
def test_exchanging_the_sides_turns_a_difference_round(right: float, left: float, unit: Unit) -> None:
    there, here = asymmetry(right, left, unit), asymmetry(left, right, unit)
    assert there[0] == pytest.approx(-here[0])
    step = 1e-6
    slope = (asymmetry(right + step, left, unit)[0] - there[0]) / step
    assert there[1] == pytest.approx(slope, rel=1e-3, abs=1e-4)
    assert there[2] == pytest.approx(-here[1])


@given(st.floats(-5.0, 5.0), st.floats(-5.0, 5.0))
def test_a_share_tells_which_side_is_above_also_below_zero(right: float, left: float) -> None:
    share = symmetry_index(right, left)
    if right * left <= 0.0:
        assert math.isnan(share), "the mean of both may be anything, zero too"
    else:
        assert np.sign(share) == np.sign(right - left)
        assert abs(share) <= 2.0
        assert asymmetry(right, left, Unit.MM)[0] == share


def test_a_share_near_zero_is_not_given() -> None:
    """Feet that land under the body: 3 mm ahead and 1 mm, each known to 10 mm, are no difference of 100 %."""
    noise = 0.001 * np.random.default_rng(1).standard_normal((2, N))

    def found(right_m: float, left_m: float) -> Metric:
        sides = {Side.RIGHT: right_m + noise[0], Side.LEFT: left_m + noise[1]}
        return derived({("ahead_at_fs", s): v for s, v in sides.items()})["ahead_at_fs_asym", Side.BOTH]

    for near_zero in (found(0.003, 0.001), found(0.040, -0.040), found(0.200, 0.001)):
        assert math.isnan(near_zero.mean)
        assert "may as well be zero" in (near_zero.reason or "")
    assert found(0.220, 0.180).mean == pytest.approx(0.20, abs=0.005)
    assert found(-0.220, -0.180).mean == pytest.approx(-0.20, abs=0.005)


def test_a_drift_is_found_and_its_interval_holds_it() -> None:
    per_minute = math.radians(-3.0)
    held = 0
    for seed in range(60):
        rng = np.random.default_rng([seed, 5])
        values = 0.3 + per_minute / 60.0 * STRIDE_S * np.arange(N) + math.radians(1.0) * rng.standard_normal(N)
        drift = derived({("hip_ext_pelvis_peak", Side.LEFT): values})["hip_ext_pelvis_peak_drift", Side.LEFT]
        held += drift.ci95_strides[0] <= per_minute / 60.0 <= drift.ci95_strides[1]
    assert held >= 53, "an interval of 95 % holds 57 of 60"
    assert find_metric("hip_ext_pelvis_peak_drift").unit is Unit.DEG_PER_MIN


@pytest.mark.slow
def test_the_interval_of_a_drift_holds_it_where_strides_resemble_their_neighbours() -> None:
    """As if they were independent, a drift of nothing would be called one in every fourth capture and more."""
    held, n = 0, 40
    for seed in range(80):
        steps = np.random.default_rng([seed, 9]).standard_normal(n)
        values = np.zeros(n)
        for i in range(n):
            values[i] = 0.6 * values[i - 1] * (i > 0) + steps[i]
        drift = derived({("hip_ext_pelvis_peak", Side.LEFT): 0.3 + 0.02 * values})[
            "hip_ext_pelvis_peak_drift", Side.LEFT
        ]
        held += drift.ci95_strides[0] <= 0.0 <= drift.ci95_strides[1]
    assert held >= 70, "without autocorrelation it holds 59 of 80"


def test_spreads_and_what_is_too_short_for_a_drift() -> None:
    values = 0.72 + 0.01 * np.random.default_rng(2).standard_normal(N)
    found = derived({("stride_time", Side.BOTH): values})
    assert found["stride_time_cv", Side.BOTH].mean == pytest.approx(values.std(ddof=1) / values.mean())
    assert found["hip_flexion_curve_sd", Side.LEFT].mean == pytest.approx(np.linspace(-1, 1, N).std(ddof=1))
    assert "no curve" in (found["hip_flexion_curve_sd", Side.RIGHT].reason or "")
    short = derived({("stride_time", Side.BOTH): values[:12]}, n=12)["stride_time_drift", Side.BOTH]
    assert "at least 10 strides over 20 s" in (short.reason or "")


def test_a_flight_that_the_body_did_not_make_is_pointed_out() -> None:
    def metric(metric_id: str, side: Side, mean: float) -> Metric:
        return replace(missing_metric(metric_id, side, None, "-"), mean=mean)

    flights = tuple(metric("flight_time", s, 0.30) for s in (Side.LEFT, Side.RIGHT))
    assert (
        "110 mm, and 60 mm were seen"
        in flight_note((*flights, metric("vertical_oscillation", Side.BOTH, 0.06)))["flight"]
    )
    assert flight_note((*flights, metric("vertical_oscillation", Side.BOTH, 0.12))) == {}


# ---- extremes


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_equal_strides_have_their_own_extremes(seed: int) -> None:
    curve = np.random.default_rng(seed).standard_normal(50).cumsum()
    curves = np.repeat(curve[None], 7, axis=0)
    assert np.allclose(spread(curves), np.ptp(curve))
    assert np.allclose(highest(curves[:1]), curve.max())


def test_noise_does_not_widen_a_range() -> None:
    """The plain range of a curve of 10 with noise of 1 comes out 2.6 too wide; this one within a tenth of the noise."""
    share = np.linspace(0.0, 2 * np.pi, 201)
    rng = np.random.default_rng(3)
    noise = np.stack([np.interp(share, share[::10], rng.standard_normal(21)) for _ in range(400)])
    curves = 5.0 * np.sin(share) + noise
    assert np.ptp(curves, axis=1).mean() > 11.5
    assert spread(curves).mean() == pytest.approx(10.0, abs=0.15)


def test_a_stride_that_is_not_seen_has_no_extreme_and_no_say() -> None:
    curves = np.tile(np.array([0.0, 1.0, 0.0]), (3, 1))
    curves[1, 0] = np.nan
    curves[1, 2] = 99.0
    assert np.array_equal(highest(curves), [1.0, np.nan, 1.0], equal_nan=True)
    assert np.array_equal(spread(curves), [1.0, np.nan, 1.0], equal_nan=True)
    # Where every stride has a gap, nothing is known: no range of zero.
    assert np.isnan(spread(curves[[1, 1]])).all()
    assert expected_peak(curves).tolist() == [1, 1, 1]


def test_mid_stance_is_each_stride_s_own() -> None:
    """Other quantities are read there on a slope: what other strides do must not move them."""
    strikes = 0.7 * np.arange(5.0)
    lowest = strikes + 0.13 + np.array([0.0, 0.004, -0.003, 0.006, -0.002])

    class Pelvis:
        kind = TrialKind.RUN

        def place(self, _name: str, _axis: int, at_s: FloatArray) -> FloatArray:
            return 6.0 * np.min((at_s[..., None] - lowest) ** 2, axis=-1)

    times = StrideTimes(Side.LEFT, strikes, strikes + 0.26, strikes + 0.7, strikes + 0.35)
    found = mid_stance_s(cast(MetricSource, Pelvis()), times)
    assert found == pytest.approx(lowest, abs=1e-5)
