"""Pairs of visits without and with a true change, by the thousand: the verdict's formulas over arrays.

The formulas are those of `labsys.longitudinal`, written once more for arrays; `product_thresholds` asks the product
itself about single pairs, and a test holds the two together.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from labsys.core.measurement_error import SessionError
from labsys.core.skeleton import Side, Tier
from labsys.longitudinal.components import learn_components
from labsys.longitudinal.families import correlated_page_level, holm_levels, page_level, shrunken_correlation
from labsys.longitudinal.nested import RepeatedCapture, RepeatedMeasure
from labsys.longitudinal.values import CaptureMetric
from labsys.longitudinal.verdict import VisitValue, change_between, visit_value

# The simulation of the specification: session SEM 2.5 deg, stride SD 1.5 deg, 40 strides, lag-1 r 0.3.
SEM, STRIDE_SD, N_STRIDES, LAG1 = 2.5, 1.5, 40, 0.3
SPLIT = (0.1, 0.6, 0.3)
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Captures:
    """Means of captures with what their strides say: (...,) each, degrees."""

    mean: Floats
    sd: Floats
    lag1: Floats

    @property
    def n_eff(self) -> Floats:
        """Effective number of strides."""
        return N_STRIDES * (1.0 - self.lag1) / (1.0 + self.lag1)

    @property
    def variance(self) -> Floats:
        """Variance of the mean that comes from strides."""
        return self.sd**2 / self.n_eff


@dataclass(frozen=True, eq=False)
class Learnt:
    """Session variance and its sampling variance, one per lab: (B,)."""

    variance: Floats
    sampling: Floats


def draw_captures(rng: np.random.Generator, session_errors: Floats) -> Captures:
    """Captures around these session errors (...,), from autoregressive strides that are simulated one by one."""
    noise = rng.standard_normal((N_STRIDES, *session_errors.shape))
    for k in range(1, N_STRIDES):
        noise[k] = LAG1 * noise[k - 1] + math.sqrt(1.0 - LAG1**2) * noise[k]
    strides = STRIDE_SD * noise
    mean = strides.mean(axis=0)
    centred = strides - mean
    power = (centred**2).sum(axis=0)
    raw = (centred[1:] * centred[:-1]).sum(axis=0) / power
    # As labsys.biomechanics.summarise.lag1_autocorrelation corrects and clips it.
    lag1 = np.clip((N_STRIDES * raw + 1.0) / (N_STRIDES - 4), 0.0, 0.9)
    return Captures(mean + session_errors, np.sqrt(power / (N_STRIDES - 1)), lag1)


def learn(repeats: Captures) -> Learnt:
    """Session variance from repeats (B, people, 2), one capture a visit."""
    people = repeats.mean.shape[1]
    noise = repeats.variance.mean(axis=2)
    squares = (repeats.mean[..., 1] - repeats.mean[..., 0]) ** 2 / 2.0
    variance = np.maximum((squares - noise).sum(axis=1) / people, 1e-9)
    sampling = 2.0 * ((variance[:, None] + noise) ** 2).sum(axis=1) / people**2
    return Learnt(variance, sampling)


def thresholds(pairs: Captures, learnt: Learnt, *, known: bool = False) -> tuple[Floats, Floats]:
    """Standard error and degrees of freedom of the change of pairs (B, 2)."""
    session = 2.0 * learnt.variance
    of_strides = pairs.variance
    total = session + of_strides.sum(axis=1)
    spread = (of_strides**2 / np.maximum(pairs.n_eff - 1.0, 1.0)).sum(axis=1)
    if not known:
        spread = spread + 4.0 * learnt.sampling / 2.0
    return np.sqrt(total), total**2 / spread


def goal_rates(people: int, *, n_pairs: int, seed: int) -> dict[str, float]:
    """Share of unchanged pairs that each rule calls, with an SEM learnt anew for every pair."""
    called: dict[str, list[Bools]] = {"t": [], "normal": [], "strides": []}
    for pairs, learnt in _labs(people, n_pairs=n_pairs, seed=seed):
        change = np.abs(pairs.mean[:, 1] - pairs.mean[:, 0])
        se, df = thresholds(pairs, learnt)
        called["t"].append(change >= stdtrit(df, 0.975) * se)
        called["normal"].append(change >= 1.959964 * se)
        called["strides"].append(change >= _welch_limit(pairs.sd))
    return {rule: float(np.concatenate(found).mean()) for rule, found in called.items()}


def _labs(people: int, *, n_pairs: int, seed: int) -> Iterator[tuple[Captures, Learnt]]:
    rng = np.random.default_rng(seed)
    for _ in range(0, n_pairs, 1000):
        pairs = draw_captures(rng, SEM * rng.standard_normal((1000, 2)))
        yield pairs, learn(draw_captures(rng, SEM * rng.standard_normal((1000, people, 2))))


def _welch_limit(sd: Floats) -> Floats:
    """The change that Welch's t-test over strides calls at 5 %; sd: (B, 2)."""
    parts = sd**2 / N_STRIDES
    df = parts.sum(axis=1) ** 2 / (parts**2 / (N_STRIDES - 1)).sum(axis=1)
    return np.asarray(stdtrit(df, 0.975) * np.sqrt(parts.sum(axis=1)))


def power(change: float, *, n_captures: int, day_share: float, n_pairs: int, seed: int) -> float:
    """Share of pairs with this change that one goal calls; SEM known; stickers re-placed before every capture."""
    rng = np.random.default_rng(seed)
    rest = SEM**2 * (1.0 - day_share)
    day = SEM * math.sqrt(day_share) * rng.standard_normal((n_pairs, 2, 1))
    errors = day + math.sqrt(rest) * rng.standard_normal((n_pairs, 2, n_captures))
    captures = draw_captures(rng, errors)
    means = captures.mean.mean(axis=2)
    session = 2.0 * (rest / n_captures + SEM**2 * day_share)
    of_strides = captures.variance / n_captures**2
    total = session + of_strides.sum(axis=(1, 2))
    df = total**2 / (of_strides**2 / np.maximum(captures.n_eff - 1.0, 1.0)).sum(axis=(1, 2))
    return float((np.abs(means[:, 1] - means[:, 0] + change) >= stdtrit(df, 0.975) * np.sqrt(total)).mean())


# ---- whole pages


@dataclass(frozen=True)
class PageRates:
    """Shares of unchanged pages that show any larger_than_error, and of those where a goal does."""

    any_row: float
    any_goal: float
    level: float


def page_rates(
    metric_of_row: list[str],
    correlation: Floats,
    *,
    people: int,
    n_goals: int,
    learn_correlation: bool,
    n_labs: int,
    pairs_per_lab: int,
    seed: int,
) -> PageRates:
    """Unchanged pages of labs that learnt every metric's SEM, and the correlation of rows, from the same repeats.

    metric_of_row: sides of one metric share its SEM. correlation: true correlation of session errors of rows (R, R).
    """
    rng = np.random.default_rng(seed)
    root = np.linalg.cholesky(correlation)
    names, place = np.unique(metric_of_row, return_inverse=True)
    noise = STRIDE_SD**2 * (1 + LAG1) / (1 - LAG1) / N_STRIDES
    outcomes, levels = [], []
    for _ in range(n_labs):
        repeats = _differences(rng, root, people, noise)
        per_row = (repeats**2 / 2.0 - noise).mean(axis=0)
        variance = np.maximum([per_row[place == m].mean() for m in range(len(names))], 1e-9)[place]
        sampling = 2.0 * (variance + noise) ** 2 / people
        shown = np.arange(n_goals, len(metric_of_row))
        level = page_level(len(shown))
        if learn_correlation:
            level = correlated_page_level(shrunken_correlation(repeats)[np.ix_(shown, shown)], 0)
        changes = _differences(rng, root, pairs_per_lab, noise)
        total = 2.0 * variance + 2.0 * noise
        df = total**2 / (2.0 * sampling + 2.0 * noise**2 / (N_STRIDES * (1 - LAG1) / (1 + LAG1) - 1.0))
        p = 2.0 * stdtr(df, -np.abs(changes) / np.sqrt(total))
        goals = np.array([_any_goal(row) for row in p[:, :n_goals]]) if n_goals else np.zeros(len(p), bool)
        outcomes.append(np.stack([goals | (p[:, n_goals:] <= level).any(axis=1), goals]))
        levels.append(level)
    both = np.concatenate(outcomes, axis=1).mean(axis=1)
    return PageRates(float(both[0]), float(both[1]), float(np.median(levels)))


def _differences(rng: np.random.Generator, root: Floats, n: int, noise: float) -> Floats:
    """Second minus first visit of n people: correlated session errors and strides. (n, R)."""
    rows = len(root)
    session = SEM * math.sqrt(2.0) * rng.standard_normal((n, rows)) @ root.T
    return np.asarray(session + math.sqrt(2.0 * noise) * rng.standard_normal((n, rows)))


def _any_goal(p_values: Floats) -> bool:
    return any(p <= level for p, level in zip(p_values, holm_levels(list(p_values)), strict=True))


# ---- the product on single pairs


def product_thresholds(pairs: Captures, repeats: Captures, index: int) -> tuple[float, float]:
    """Standard error and degrees of freedom that `labsys.longitudinal` gives to one pair."""
    measures = [
        RepeatedMeasure(
            str(person),
            tuple(
                RepeatedCapture(
                    f"v{v}", "", float(repeats.mean[index, person, v]), float(repeats.variance[index, person, v])
                )
                for v in (0, 1)
            ),
        )
        for person in range(repeats.mean.shape[1])
    ]
    learnt = learn_components(measures, split=SPLIT, fallback=None)
    assert learnt is not None
    pre, post = (_visit(pairs, index, v, learnt.error) for v in (0, 1))
    change = change_between(pre, post, error=learnt.error)
    return change.se, change.df


def _visit(pairs: Captures, index: int, visit: int, error: SessionError) -> VisitValue:
    metric = CaptureMetric(
        "hip_ext_excursion_stance",
        Side.LEFT,
        float(pairs.mean[index, visit]),
        float(pairs.sd[index, visit]),
        N_STRIDES,
        float(pairs.lag1[index, visit]),
        math.nan,
        Tier.T3,
        1,
    )
    return visit_value([metric], error=error, n_placements=1)
