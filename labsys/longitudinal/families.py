"""How rows share an error rate: Holm among declared goals, a page-wise rate over all other rows."""

from __future__ import annotations

from collections.abc import Sequence

FAMILY_RATE = 0.05


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
