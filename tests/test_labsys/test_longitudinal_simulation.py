"""False verdicts and power over simulated pairs; `make accept` runs twenty thousand of each.

The pairs are judged by formulas over arrays, and single ones by the functions that clinicians' pages call: both must
agree to rounding, verdict by verdict. Source of the bars: the acceptance of the statistics in docs/conventions.md.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from labsys.core.catalogue import METRICS
from labsys.core.measurement_error import ErrorTable, RowCorrelation, SessionError
from labsys.core.session import Conditions, Goal, GoalDirection, Surface, TrialKind, TrialName
from labsys.core.skeleton import Side, Tier
from labsys.longitudinal import (
    Capture,
    CaptureMetric,
    Comparison,
    Family,
    Verdict,
    Visit,
    compare_visits,
    plan_captures,
)
from labsys.longitudinal.families import correlated_page_level, holm_levels, page_level
from labsys.longitudinal.verdict import quantile
from tests.accept.verdicts import (
    N_STRIDES,
    SEM,
    SPLIT,
    STRIDE_SD,
    Captures,
    Floats,
    Learnt,
    draw_captures,
    goal_rates,
    learn,
    page_rates,
    power,
    product_thresholds,
    thresholds,
)

HIP = ("hip_ext_excursion_stance", Side.LEFT)
ROWS = tuple((m.id, side) for m in METRICS for side in m.sided.sides)[:43]
GOALS = tuple(Goal(metric, side, GoalDirection.TOWARD_HIGHER, "2026-01-01") for metric, side in (HIP, ROWS[5], ROWS[9]))


def _error(sem: float = SEM, *, df: float = math.inf) -> SessionError:
    capture, palpation, day = (share * sem**2 for share in SPLIT)
    return SessionError(capture, palpation, day, "default" if math.isinf(df) else "lab", df)


def _visit(name: str, captures: Captures, pair: int, visit: int) -> Visit:
    """A visit with the first rows of the catalogue; captures: (pairs, rows, 2)."""
    metrics = tuple(
        CaptureMetric(
            metric,
            side,
            float(captures.mean[pair, row, visit]),
            float(captures.sd[pair, row, visit]),
            N_STRIDES,
            float(captures.lag1[pair, row, visit]),
            math.nan,
            Tier.T3,
            1,
        )
        for row, (metric, side) in enumerate(ROWS)
    )
    conditions = Conditions(Surface.TREADMILL, 3.0)
    capture = Capture(TrialName("S", name, "r"), TrialKind.RUN, conditions, True, None, metrics)
    return Visit(name, name, None, (capture,))


def _page(captures: Captures, pair: int, errors: ErrorTable, goals: tuple[Goal, ...]) -> Comparison:
    pre, post = (_visit(name, captures, pair, k) for k, name in enumerate(("2026-01-01", "2026-03-01")))
    return compare_visits(pre, post, goals=goals, errors=errors, subject="S")


@pytest.mark.slow
@pytest.mark.parametrize("people", [10, 20, 40])
def test_a_goal_errs_at_its_rate_with_an_error_learnt_from_few_people(people: int) -> None:
    rates = goal_rates(people, n_pairs=4000, seed=people)
    assert 0.035 <= rates["t"] <= 0.065, f"{rates['t']:.3f} of the unchanged pairs were called"
    assert rates["t"] < rates["normal"], "a quantile without degrees of freedom would call more"
    assert rates["strides"] > 0.8, "why strides are not independent samples"


def test_a_known_error_gives_five_percent() -> None:
    rng = np.random.default_rng(1)
    pairs = draw_captures(rng, SEM * rng.standard_normal((4000, 2)))
    se, df = thresholds(pairs, Learnt(np.full(4000, SEM**2), np.zeros(4000)), known=True)
    called = np.abs(pairs.mean[:, 1] - pairs.mean[:, 0]) >= [
        quantile(0.975, d) * s for d, s in zip(df, se, strict=True)
    ]
    assert 0.04 <= float(np.mean(called)) <= 0.06


def test_the_product_gives_single_pairs_the_same_threshold() -> None:
    rng = np.random.default_rng(3)
    pairs = draw_captures(rng, SEM * rng.standard_normal((12, 2)))
    repeats = draw_captures(rng, SEM * rng.standard_normal((12, 10, 2)))
    se, df = thresholds(pairs, learn(repeats))
    found = [product_thresholds(pairs, repeats, k) for k in range(12)]
    np.testing.assert_allclose([f[0] for f in found], se, rtol=1e-12)
    np.testing.assert_allclose([f[1] for f in found], df, rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("correlated", [False, True])
@pytest.mark.parametrize("n_goals", [0, 1, 3])
def test_the_product_gives_whole_pages_the_same_verdicts(n_goals: int, correlated: bool) -> None:
    rng = np.random.default_rng(n_goals)
    # Errors three times too large, so that pages show every verdict.
    captures = draw_captures(rng, 3.0 * SEM * rng.standard_normal((10, len(ROWS), 2)))
    shared = np.full((len(ROWS), len(ROWS)), 0.7) + 0.3 * np.eye(len(ROWS))
    correlation = RowCorrelation(ROWS, shared) if correlated else None
    errors = ErrorTable({(metric, Tier.T3): _error(df=12.0) for metric, _ in ROWS}, correlation=correlation)
    wanted = [ROWS.index((g.metric, g.side)) for g in GOALS[:n_goals]]
    others = [k for k in range(len(ROWS)) if k not in wanted]
    level = page_level(len(others))
    if correlated:
        level = correlated_page_level(shared[np.ix_(others, others)], 0)
        assert level > 1.3 * page_level(len(others)), "rows that go together ask for less"
    for pair in range(10):
        page = _page(captures, pair, errors, GOALS[:n_goals])
        assert page.n_exploratory >= 40
        rows = {(r.id, r.side): r for r in page.rows}
        p_values = _p_values(captures, pair)
        goal_levels = holm_levels([p_values[k] for k in wanted])
        expected = {k: p_values[k] <= level for k in others}
        expected |= {k: p_values[k] <= a for k, a in zip(wanted, goal_levels, strict=True)}
        for k, row in enumerate(ROWS):
            assert (rows[row].verdict is Verdict.LARGER_THAN_ERROR) is expected[k], (pair, row)
            assert rows[row].family is (Family.GOAL if k in wanted else Family.EXPLORATORY)


def _p_values(captures: Captures, pair: int) -> list[float]:
    """Of every row of a page, by hand: session error known with 12 degrees of freedom."""
    from scipy.stats import t

    own = captures.variance[pair]
    total = 2 * SEM**2 + own.sum(axis=1)
    spread = (2 * SEM**2) ** 2 / 12.0 + (own**2 / np.maximum(captures.n_eff[pair] - 1.0, 1.0)).sum(axis=1)
    change: Floats = captures.mean[pair, :, 1] - captures.mean[pair, :, 0]
    return [float(p) for p in 2 * t.sf(np.abs(change) / np.sqrt(total), total**2 / spread)]


@pytest.mark.slow
@pytest.mark.parametrize(("n_goals", "shared"), [(0, 0.0), (1, 0.4), (3, 0.0), (3, 0.5)])
def test_a_whole_page_without_change_rarely_shows_one(n_goals: int, shared: float) -> None:
    rates = page_rates(
        [f"m{k // 2}" for k in range(44)],
        np.full((44, 44), shared) + (1.0 - shared) * np.eye(44),
        people=20,
        n_goals=n_goals,
        learn_correlation=shared > 0.0,
        n_labs=30,
        pairs_per_lab=100,
        seed=100 + n_goals,
    )
    assert rates.any_row <= 0.10
    assert rates.any_goal <= 0.065
    assert rates.any_row >= 0.02, "a page that never shows anything proves nothing"


@pytest.mark.parametrize(("n_captures", "day_share"), [(1, 0.3), (2, 0.5)])
def test_the_detectable_change_is_called_in_eighty_percent_of_pairs(n_captures: int, day_share: float) -> None:
    rest = SEM**2 * (1.0 - day_share)
    error = SessionError(0.2 * rest, 0.8 * rest, SEM**2 * day_share, "lab")
    strides = STRIDE_SD**2 * 1.3 / 0.7 / N_STRIDES
    plan = plan_captures(error, 5.0, strides_variance=strides)
    option = next(o for o in plan.options if o.n_captures == n_captures and o.replaced is (n_captures > 1))
    called = power(option.detectable, n_captures=n_captures, day_share=day_share, n_pairs=4000, seed=7)
    assert called == pytest.approx(0.80, abs=0.025)


def test_the_interval_of_a_change_covers_it() -> None:
    rng = np.random.default_rng(11)
    learnt = learn(draw_captures(rng, SEM * rng.standard_normal((4000, 10, 2))))
    pairs = draw_captures(rng, SEM * rng.standard_normal((4000, 2)))
    se, df = thresholds(pairs, learnt)
    change = pairs.mean[:, 1] + 4.0 - pairs.mean[:, 0]
    half = np.array([quantile(0.975, d) for d in df]) * se
    assert 0.935 <= float((np.abs(change - 4.0) <= half).mean()) <= 0.965
