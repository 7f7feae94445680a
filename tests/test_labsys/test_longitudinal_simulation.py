"""False verdicts and power over simulated pairs, through the function that clinicians' pages call.

Source of the bars: the acceptance of the statistics in docs/conventions.md. Here a few thousand pairs; the acceptance
suite runs more.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from labsys.core.catalogue import METRICS
from labsys.core.measurement_error import ErrorTable, SessionError
from labsys.core.session import Conditions, Goal, GoalDirection, Surface, TrialKind, TrialName
from labsys.core.skeleton import Side, Tier
from labsys.longitudinal import Capture, CaptureMetric, Comparison, Family, Verdict, Visit, compare_visits

SEM, STRIDE_SD, N_STRIDES, LAG1 = 2.5, 1.5, 40, 0.3
SPLIT = (0.1, 0.6, 0.3)
HIP = ("hip_ext_excursion_stance", Side.LEFT)
ROWS = tuple((m.id, side) for m in METRICS for side in m.sided.sides)[:43]
GOALS = tuple(
    Goal(metric, side, GoalDirection.TOWARD_HIGHER, "2026-01-01")
    for metric, side in (HIP, ("cadence", Side.BOTH), ("trunk_lean_stance_mean", Side.LEFT))
)
Floats = NDArray[np.float64]


def _error(sem: float = SEM, *, df: float = math.inf) -> SessionError:
    capture, palpation, day = (share * sem**2 for share in SPLIT)
    return SessionError(capture, palpation, day, "default" if math.isinf(df) else "lab", df)


def _strides(rng: np.random.Generator, means: Floats) -> Floats:
    """First-order autoregressive strides around each mean, (..., N_STRIDES)."""
    noise = rng.normal(size=(*means.shape, N_STRIDES))
    series = np.empty_like(noise)
    series[..., 0] = noise[..., 0]
    for k in range(1, N_STRIDES):
        series[..., k] = LAG1 * series[..., k - 1] + math.sqrt(1 - LAG1**2) * noise[..., k]
    return means[..., None] + STRIDE_SD * series


def _visit_means(rng: np.random.Generator, n_pairs: int, n_rows: int, correlation: float) -> Floats:
    """Session errors (pairs, 2, rows); a shared part makes the errors of rows correlate."""
    shared = rng.normal(size=(n_pairs, 2, 1))
    own = rng.normal(size=(n_pairs, 2, n_rows))
    return SEM * (math.sqrt(correlation) * shared + math.sqrt(1 - correlation) * own)


def _visit(name: str, rows: tuple[tuple[str, Side], ...], strides: Floats) -> Visit:
    means, sds = strides.mean(axis=1), strides.std(axis=1, ddof=1)
    centred = strides - means[:, None]
    lag1 = (centred[:, 1:] * centred[:, :-1]).sum(axis=1) / (centred**2).sum(axis=1)
    metrics = tuple(
        CaptureMetric(metric, side, float(m), float(s), N_STRIDES, float(r), math.nan, Tier.T3, 1)
        for (metric, side), m, s, r in zip(rows, means, sds, lag1, strict=True)
    )
    conditions = Conditions(Surface.TREADMILL, 3.0)
    return Visit(
        name, name, None, (Capture(TrialName("S", name, "r"), TrialKind.RUN, conditions, True, None, metrics),)
    )


def _compare(
    rows: tuple[tuple[str, Side], ...], strides: Floats, error: SessionError, goals: tuple[Goal, ...]
) -> Comparison:
    errors = ErrorTable({(metric, Tier.T3): error for metric, _ in rows})
    pre, post = (_visit(name, rows, strides[k]) for k, name in enumerate(("2026-01-01", "2026-03-01")))
    return compare_visits(pre, post, goals=goals, errors=errors, subject="S")


def _called(comparison: Comparison, family: Family) -> bool:
    return any(r.verdict is Verdict.LARGER_THAN_ERROR and r.family is family for r in comparison.rows)


@pytest.mark.slow
@pytest.mark.parametrize("people", [10, 20, 40])
def test_a_goal_errs_at_its_rate_with_an_error_learnt_from_few_people(people: int) -> None:
    rng = np.random.default_rng(people)
    n_pairs = 4000
    strides = _strides(rng, _visit_means(rng, n_pairs, 1, 0.0))
    # Two untreated visits of each person; the stride noise of a visit's mean is removed.
    repeats = _strides(rng, _visit_means(rng, n_pairs, people, 0.0)).mean(axis=-1)
    stride_variance = STRIDE_SD**2 * (1 + LAG1) / (1 - LAG1) / N_STRIDES
    variances = ((repeats[:, 1] - repeats[:, 0]) ** 2).mean(axis=1) / 2.0 - stride_variance
    false = [
        _called(
            _compare((HIP,), strides[k], _error(math.sqrt(max(variances[k], 1e-6)), df=people), GOALS[:1]), Family.GOAL
        )
        for k in range(n_pairs)
    ]
    rate = float(np.mean(false))
    assert rate <= 0.065, f"{rate:.3f} of {n_pairs} unchanged pairs were called"
    assert rate >= 0.035, f"{rate:.3f}: a rule that never calls proves nothing"


@pytest.mark.slow
def test_a_known_error_gives_five_percent_and_a_stride_test_would_not() -> None:
    rng = np.random.default_rng(1)
    n_pairs = 4000
    strides = _strides(rng, _visit_means(rng, n_pairs, 1, 0.0))
    rate = np.mean([_called(_compare((HIP,), s, _error(), GOALS[:1]), Family.GOAL) for s in strides])
    assert 0.04 <= rate <= 0.06
    means, variances = strides.mean(axis=-1)[:, :, 0], strides.var(axis=-1, ddof=1)[:, :, 0]
    t_values = (means[:, 1] - means[:, 0]) / np.sqrt(variances.sum(axis=1) / N_STRIDES)
    assert np.mean(np.abs(t_values) > 1.99) > 0.8, "why strides are not independent samples"


@pytest.mark.slow
@pytest.mark.parametrize(("n_goals", "correlation"), [(0, 0.0), (1, 0.4), (3, 0.0), (3, 0.5)])
def test_a_whole_page_without_change_rarely_shows_one(n_goals: int, correlation: float) -> None:
    rng = np.random.default_rng(100 + n_goals)
    n_pairs = 2000
    strides = _strides(rng, _visit_means(rng, n_pairs, len(ROWS), correlation))
    pages = [_compare(ROWS, s, _error(), GOALS[:n_goals]) for s in strides]
    assert pages[0].n_exploratory >= 40
    any_called = np.mean([_called(p, Family.GOAL) or _called(p, Family.EXPLORATORY) for p in pages])
    goal_called = np.mean([_called(p, Family.GOAL) for p in pages])
    assert any_called <= 0.10, f"{any_called:.3f} of the pages"
    assert goal_called <= 0.065, f"{goal_called:.3f} of the pages"


@pytest.mark.slow
def test_the_detectable_change_is_called_in_eighty_percent_of_pairs() -> None:
    rng = np.random.default_rng(7)
    means = _visit_means(rng, 2000, 1, 0.0)
    detectable = _compare((HIP,), _strides(rng, means[:1])[0], _error(), GOALS[:1]).rows[0].detectable_change
    means[:, 1] += detectable
    strides = _strides(rng, means)
    called = np.mean([_called(_compare((HIP,), s, _error(), GOALS[:1]), Family.GOAL) for s in strides])
    assert called == pytest.approx(0.80, abs=0.03)


@pytest.mark.slow
def test_the_interval_of_a_change_covers_it() -> None:
    rng = np.random.default_rng(11)
    means = _visit_means(rng, 2000, 1, 0.0)
    means[:, 1] += 4.0
    rows = [_compare((HIP,), s, _error(), ()).rows[0] for s in _strides(rng, means)]
    covered = np.mean([r.ci95[0] <= 4.0 <= r.ci95[1] for r in rows])
    assert 0.93 <= covered <= 0.97
