"""Medians over time, one landmark at a time: sorting all columns at once would copy the whole trial."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from labsys.core.arrays import FloatArray


def median_over_time(columns: Iterable[FloatArray], *, otherwise: float) -> FloatArray:
    """(N,) medians of N columns (T,) without their NaN; `otherwise` where a column holds nothing else."""
    known = (column[np.isfinite(column)] for column in columns)
    return np.array([np.median(values) if values.size else otherwise for values in known], dtype=np.float64)
