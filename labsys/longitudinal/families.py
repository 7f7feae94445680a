"""How rows share an error rate: Holm among declared goals, a page-wise rate over all other rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from labsys.core.arrays import FloatArray
from labsys.longitudinal.distributions import normal_cdf

FAMILY_RATE = 0.05
# Fixed, so that the same page gets the same level every time; 40,000 draws know a level of 0.001 to 2 % of itself.
_SEED, _DRAWS = 20_240_601, 40_000


def holm_levels(p_values: Sequence[float], *, rate: float = FAMILY_RATE) -> tuple[float, ...]:
    """The level at which each p-value is judged under Holm's step-down rule, in the order given.

    A row is called exactly when p <= its level: rows after the first failure keep the level of that failure, which they
    exceed. Source: Holm 1979, Scand J Stat 6:65-70.
    """
    m = len(p_values)
    levels = [0.0] * m
    stopped_at: float | None = None
    for rank, row in enumerate(sorted(range(m), key=lambda k: p_values[k])):
        level = rate / (m - rank)
        levels[row] = level if stopped_at is None else stopped_at
        if stopped_at is None and p_values[row] > level:
            stopped_at = level
    return tuple(levels)


def page_level(n_rows: int, *, rate: float = FAMILY_RATE) -> float:
    """Per-row level at which a page of independent rows shows any false call with this rate (Šidák)."""
    return -((1.0 - rate) ** (1.0 / n_rows) - 1.0) if n_rows else rate


def correlated_page_level(correlation: FloatArray, n_independent: int, *, rate: float = FAMILY_RATE) -> float:
    """Per-row level of a page of rows with correlated errors: the `rate` quantile of the smallest p-value.

    correlation: (R, R) of the rows whose errors go together; n_independent: further rows, taken as independent. By
    simulation with fixed draws; never below the level of `page_level`, which holds for any correlation (Šidák 1967,
    doi:10.1080/01621459.1967.10482935), and p-values keep unequal degrees of freedom out of it.
    """
    values, vectors = np.linalg.eigh(correlation)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    draws = np.random.default_rng(_SEED).standard_normal((_DRAWS, len(values))) @ root.T
    largest = np.abs(draws).max(axis=1, initial=0.0)
    smallest_p = 2.0 * normal_cdf(-largest)
    others = 1.0 - (1.0 - np.random.default_rng(_SEED + 1).random(_DRAWS)) ** (1.0 / max(n_independent, 1))
    if n_independent:
        smallest_p = np.minimum(smallest_p, others)
    n_rows = len(values) + n_independent
    return max(float(np.quantile(smallest_p, rate)), page_level(n_rows, rate=rate))


def shrunken_correlation(differences: FloatArray) -> FloatArray:
    """Correlation (R, R) of rows from differences (N people, R rows), drawn to independence as far as N asks for.

    Few people show correlations that are not there, and a page would be judged too easily. Source: Schäfer & Strimmer
    2005, doi:10.2202/1544-6115.1175.
    """
    n = len(differences)
    z = differences - differences.mean(axis=0)
    z = z / np.where(z.std(axis=0) > 0.0, z.std(axis=0), 1.0)
    mean = z.T @ z / n
    of_mean = ((z**2).T @ z**2 / n - mean**2) * n**2 / (n - 1) ** 3
    apart = ~np.eye(z.shape[1], dtype=bool)
    seen = float((mean[apart] ** 2).sum())
    weight = min(1.0, float(of_mean[apart].sum()) / seen) if seen > 0.0 else 1.0
    shrunk = (1.0 - weight) * mean
    np.fill_diagonal(shrunk, 1.0)
    return np.asarray(shrunk)
