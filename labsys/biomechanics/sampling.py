"""Reading sampled series between their samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from scipy.interpolate import CubicSpline, PPoly

from labsys.biomechanics.treadmill import bridge
from labsys.core.arrays import FloatArray

Key = TypeVar("Key")


@dataclass(frozen=True, eq=False)
class SeriesReader:
    """A series as a cubic spline, one column of those made with it, that knows where it has no samples."""

    times_s: FloatArray
    finite: FloatArray
    splines: CubicSpline | None
    column: int = 0

    @cached_property
    def _spline(self) -> PPoly:
        """Of the one column, laid out on its own when it is first read: of many series few are."""
        assert self.splines is not None
        own = np.ascontiguousarray(self.splines.c[:, :, self.column])
        return PPoly.construct_fast(own, self.splines.x, extrapolate=False)

    @cached_property
    def _is_whole(self) -> bool:
        return bool(self.finite.all())

    def read(self, at_s: FloatArray) -> FloatArray:
        """Values (...,) at times (...,) s; NaN outside the series and next to missing samples."""
        at = np.asarray(at_s, dtype=np.float64)
        if self.splines is None:
            return np.full(at.shape, np.nan)
        if self._is_whole:
            return np.asarray(self._spline(at))  # NaN outside, as it does not extrapolate
        certain = np.interp(at, self.times_s, self.finite) > 1.0 - 1e-9
        return np.where(certain, self._spline(at), np.nan)


def make_readers(times_s: FloatArray, series: Mapping[Key, FloatArray]) -> dict[Key, SeriesReader]:
    """Readers of several series (T,) at once: making one spline of many columns takes hardly longer than of one."""
    known = {key: np.isfinite(values) for key, values in series.items()}
    bridged = {key: bridge(values) for key, values in series.items() if known[key].any()}
    columns = {key: i for i, key in enumerate(bridged)}
    splines = CubicSpline(times_s, np.stack(list(bridged.values()), axis=1), extrapolate=False) if bridged else None
    return {
        key: SeriesReader(times_s, finite.astype(np.float64), splines if key in columns else None, columns.get(key, 0))
        for key, finite in known.items()
    }
