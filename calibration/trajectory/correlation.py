"""How long the noise of pixels lasts: autocorrelation of residuals over time, where some are missing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.processors import n_processors
from calibration.projection import project_rig
from calibration.trajectory.lanes import compiled
from calibration.trajectory.sample import Observed
from calibration.trajectory.solve import share_landmarks
from calibration.trajectory.tuning import Tuning
from labsys.core.arrays import FloatArray
from labsys.core.cameras import CameraRig

_MOST_FRAMES = 6000  # from the middle of a longer trial


@dataclass(frozen=True, eq=False)
class StartResiduals:
    """Residuals (T, C, 2, K) px of triangulated points, which no smoothness has touched, with their confidence
    (T, C, K)."""

    residuals_px: FloatArray
    confidence: FloatArray
    n_lags: int
    fade_sigmas: float

    @classmethod
    def of(cls, rig: CameraRig, trial: Observed, *, n_lags: int, fade_sigmas: float) -> StartResiduals:
        """Those of a trial's triangulated points; NaN counts as absent."""
        first = max(0, (trial.n_frames - _MOST_FRAMES) // 2)
        last = min(trial.n_frames, first + _MOST_FRAMES)
        track = trial.part(first, last)
        residuals = track.pixels - np.moveaxis(project_rig(rig, trial.start_m[first:last]), 1, 3)
        return cls(residuals, track.confidence, n_lags, fade_sigmas)

    def correlation(self, tuning: Tuning) -> FloatArray:
        """Autocorrelation (K, L) of how observations pull: residuals in standard deviations, less the further off."""
        weights = tuning.weights(self.confidence)[:, :, None]
        roots = np.sqrt(weights)
        pulls = roots * self.residuals_px
        far = np.sum(pulls**2, axis=2, keepdims=True) / self.fade_sigmas**2
        pulls = np.where(weights > 0.0, pulls / (1.0 + far) ** 2, np.nan)
        return residual_correlation(pulls.reshape(len(pulls), -1, pulls.shape[3]), self.n_lags, n_processors())


def residual_correlation(residuals: FloatArray, n_lags: int, n_threads: int) -> FloatArray:
    """Autocorrelation (K, L) of residuals (T, M, K) at lag 0 to L - 1; NaN counts as absent, few pairs as none."""
    known = np.isfinite(residuals)
    n_frames, n_columns = len(residuals), residuals.shape[1] * residuals.shape[2]
    values = np.where(known, residuals, 0.0).reshape(n_frames, n_columns)
    there = known.astype(np.float64).reshape(n_frames, n_columns)
    products, pairs = np.zeros((n_lags, n_columns)), np.zeros((n_lags, n_columns))
    with share_landmarks(n_columns, n_threads) as each:
        each(_lag_products, values, products)
        each(_lag_products, there, pairs)
    products, pairs = (sums.reshape(n_lags, *residuals.shape[1:]).sum(axis=1) for sums in (products, pairs))
    out = (products / np.maximum(pairs, 1.0)).T
    power = out[:, :1]
    return np.asarray(np.where(power > 0.0, out / np.where(power > 0.0, power, 1.0), np.eye(1, n_lags)))


@compiled
def _lag_products(values: FloatArray, products: FloatArray, first: int, last: int) -> None:
    """Add to products (L, N) those of values (T, N) with the ones of each lag before."""
    for f in range(len(values)):
        for lag in range(min(len(products), f + 1)):
            total, own, before = products[lag, first:last], values[f, first:last], values[f - lag, first:last]
            for k in range(len(total)):
                total[k] += own[k] * before[k]
