"""Position and velocity of one camera's landmarks at any moment, from the measurements around it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labsys.core.arrays import FloatArray

HALF_WINDOW_S = 0.033  # with a cubic, about a 25 Hz low-pass
_FEWEST_AROUND = 6


@dataclass(frozen=True, eq=False)
class SmoothTrack:
    """Measurements to draw smooth positions from: (N,) s, (N, K, 2) px, (N, K)."""

    times_s: FloatArray
    xy_px: FloatArray
    confidence: FloatArray
    period_s: float

    def at(self, moments: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Positions (Q, K, 2) px, velocities (Q, K, 2) px/s and confidence (Q, K) by a cubic through the neighbours.

        NaN and confidence 0 where fewer than six measurements lie around the moment.
        """
        half = max(3, round(HALF_WINDOW_S / self.period_s))
        first = np.searchsorted(self.times_s, moments) - half
        rows = np.clip(first[:, None] + np.arange(2 * half), 0, max(self.times_s.size - 1, 0))
        away = (self.times_s[rows] - moments[:, None]) / ((half + 0.5) * self.period_s)
        inside = (np.abs(away) < 1.0) & (first >= 0)[:, None] & (first + 2 * half <= self.times_s.size)[:, None]
        xy, confidence = self.xy_px[rows], self.confidence[rows]
        kernel = np.where(inside, (1.0 - np.minimum(np.abs(away), 1.0) ** 3) ** 3, 0.0)
        weight = kernel[..., None] * (np.isfinite(xy).all(axis=-1) & (confidence > 0.0))
        return self._fit(away, weight, np.nan_to_num(xy), confidence, half)

    def _fit(
        self, away: FloatArray, weight: FloatArray, xy: FloatArray, confidence: FloatArray, half: int
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        powers = away[..., None] ** np.arange(4)
        normal = np.einsum("qnk,qna,qnb->qkab", weight, powers, powers, optimize=True)
        right = np.einsum("qnk,qna,qnki->qkai", weight, powers, xy, optimize=True)
        enough = (weight > 0.0).sum(axis=1) >= _FEWEST_AROUND
        normal[~enough] = np.eye(4)
        coefficients = np.linalg.solve(normal, right)
        coefficients[~enough] = np.nan
        sure = np.where(weight > 0.0, confidence, 1.0).min(axis=1)
        velocity = coefficients[..., 1, :] / ((half + 0.5) * self.period_s)
        return coefficients[..., 0, :], velocity, np.where(enough, sure, 0.0)
