"""Reading sampled series between their samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    """A series as a cubic spline that knows where it has no samples."""

    times_s: FloatArray
    finite: FloatArray
    spline: PPoly | None

    @cached_property
    def _is_whole(self) -> bool:
        return bool(self.finite.all())

    def read(self, at_s: FloatArray) -> FloatArray:
        """Values (...,) at times (...,) s; NaN outside the series and next to missing samples."""
        at = np.asarray(at_s, dtype=np.float64)
        if self.spline is None:
            return np.full(at.shape, np.nan)
        if self._is_whole:
            return np.asarray(self.spline(at))  # NaN outside, as it does not extrapolate
        certain = np.interp(at, self.times_s, self.finite) > 1.0 - 1e-9
        return np.where(certain, self.spline(at), np.nan)


def make_readers(times_s: FloatArray, series: Mapping[Key, FloatArray]) -> dict[Key, SeriesReader]:
    """Readers of several series (T,) at once: making one spline of many columns takes hardly longer than of one."""
    known = {key: np.isfinite(values) for key, values in series.items()}
    bridged = [bridge(values) for key, values in series.items() if known[key].any()]
    splines = iter(_columns(CubicSpline(times_s, np.stack(bridged, axis=1), extrapolate=False)) if bridged else ())
    return {
        key: SeriesReader(times_s, finite.astype(np.float64), next(splines) if finite.any() else None)
        for key, finite in known.items()
    }


def _columns(splines: CubicSpline) -> Iterator[PPoly]:
    for j in range(splines.c.shape[2]):
        yield PPoly.construct_fast(np.ascontiguousarray(splines.c[:, :, j]), splines.x, extrapolate=False)


def make_reader(times_s: FloatArray, values: FloatArray) -> SeriesReader:
    """A reader of a series (T,)."""
    finite = np.isfinite(values)
    spline = CubicSpline(times_s, bridge(values), extrapolate=False) if finite.any() else None
    return SeriesReader(times_s, finite.astype(np.float64), spline)
