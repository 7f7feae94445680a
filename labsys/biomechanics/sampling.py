"""Reading sampled series between their samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline

from labsys.biomechanics.treadmill import bridge
from labsys.core.arrays import FloatArray


@dataclass(frozen=True, eq=False)
class SeriesReader:
    """A series as a cubic spline that knows where it has no samples."""

    times_s: FloatArray
    finite: FloatArray
    spline: CubicSpline | None

    def read(self, at_s: FloatArray) -> FloatArray:
        """Values (...,) at times (...,) s; NaN outside the series and next to missing samples."""
        at = np.asarray(at_s, dtype=np.float64)
        if self.spline is None:
            return np.full(at.shape, np.nan)
        certain = np.interp(at, self.times_s, self.finite) > 1.0 - 1e-9
        return np.where(certain, self.spline(at), np.nan)


def make_reader(times_s: FloatArray, values: FloatArray) -> SeriesReader:
    """A reader of a series (T,)."""
    finite = np.isfinite(values)
    spline = CubicSpline(times_s, bridge(values), extrapolate=False) if finite.any() else None
    return SeriesReader(times_s, finite.astype(np.float64), spline)
