"""How far observations of a body are to be believed: by confidence, by landmark and camera, and one by one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.drift.views import BodyViews
from labsys.core.arrays import FloatArray

_CLASSES = (0.0, 0.5, 0.7, 0.85)  # lower bounds of confidence
_FEWEST_IN_CLASS = 50
_LARGEST_RATIO = 4.0
_TAIL = 4.0  # degrees of freedom of Student's t: errors of detectors have heavy tails
_BORROWED = 30.0  # how many observations' worth the pooled noise counts against a landmark's own in one camera
_LEAST_PX = 0.1
_RAYLEIGH_MEDIAN = 1.1774  # median distance of a plane Gaussian of unit variance


@dataclass(frozen=True, eq=False)
class ViewNoise:
    """How far each observation is to be believed.

    Attributes:
        ratio: (F, K, C) error against that of confident observations; noise and bias alike.
        weight: (F, K, C) inverse variance, px^-2, robust; 0 where not seen.
    """

    ratio: FloatArray
    weight: FloatArray


def estimate_noise(views: BodyViews, left_px: FloatArray) -> ViewNoise:
    """Noise from what is left unexplained.

    Args:
        left_px: (F, K, C, 2) px left of the residuals.
    """
    ratio = _ratio_by_confidence(views, left_px)
    distance = np.where(views.seen, np.linalg.norm(left_px, axis=-1) / ratio, np.nan)
    count = views.seen.sum(axis=0)
    pooled = float(np.nanmedian(distance)) / _RAYLEIGH_MEDIAN
    own = np.where(count > 0, _median_over_frames(distance), pooled * _RAYLEIGH_MEDIAN) / _RAYLEIGH_MEDIAN
    spread = np.maximum(np.sqrt((count * own**2 + _BORROWED * pooled**2) / (count + _BORROWED)), _LEAST_PX)
    # The point follows its observations: with n cameras 2n - 3 of 2n residuals are left.
    n_views = views.seen.sum(axis=-1, keepdims=True)
    shrunk = np.sqrt(2.0 * n_views / np.maximum(2.0 * n_views - 3.0, 1.0))
    typical = float(np.median(shrunk[n_views > 0])) if (n_views > 0).any() else 1.0
    z = np.where(views.seen, distance, 0.0) * shrunk / spread
    weight = (_TAIL + 2.0) / (_TAIL + z**2) / (typical * spread * ratio) ** 2
    weight /= _repetition(views, left_px)
    return ViewNoise(ratio, np.where(views.seen, weight, 0.0))


def remove_medians(views: BodyViews) -> FloatArray:
    """Residuals less their median over time: what noise looks like before anything was fitted, (F, K, C, 2) px."""
    known = np.where(views.seen[..., None], views.residual_px, np.nan)
    middle = _median_over_frames(known)
    return np.where(views.seen[..., None], views.residual_px - np.nan_to_num(middle), 0.0)


def _median_over_frames(values: FloatArray) -> FloatArray:
    """Median over the first axis, NaN where nothing is known."""
    empty = ~np.isfinite(values).any(axis=0)
    return np.where(empty, np.nan, np.nanmedian(np.where(empty, 0.0, values), axis=0))


def _ratio_by_confidence(views: BodyViews, left_px: FloatArray) -> FloatArray:
    """Detectors err more where they say that they are unsure; by how much is measured, never below 1."""
    which = np.searchsorted(_CLASSES, views.confidence, side="right") - 1
    distance = np.linalg.norm(left_px, axis=-1)
    count = np.array([(views.seen & (which == i)).sum() for i in range(len(_CLASSES))])
    enough = count >= _FEWEST_IN_CLASS
    if not enough.any():
        return np.ones(views.confidence.shape)
    middle = np.array(
        [np.median(distance[views.seen & (which == i)]) if enough[i] else np.nan for i in range(len(count))]
    )
    best = np.flatnonzero(count >= max(_FEWEST_IN_CLASS, 0.1 * count.sum()))
    reference = middle[best[-1] if best.size else np.flatnonzero(enough)[-1]]
    ratio = np.clip(np.where(enough, middle / max(reference, 1e-9), 1.0), 1.0, _LARGEST_RATIO)
    falling = np.maximum.accumulate(ratio[::-1])[::-1]
    return np.asarray(falling[which], dtype=np.float64)


def _repetition(views: BodyViews, left_px: FloatArray) -> float:
    """How many sampled frames say the same thing, at least 1, from the correlation of neighbouring frames."""
    both = (views.seen[1:] & views.seen[:-1])[..., None]
    size = max(float(np.median(np.abs(left_px[views.seen]))), 1e-9) if views.seen.any() else 1.0
    bounded = np.clip(left_px / size, -5.0, 5.0)
    products = np.where(both, bounded[1:] * bounded[:-1], 0.0).sum()
    squares = np.where(both, 0.5 * (bounded[1:] ** 2 + bounded[:-1] ** 2), 0.0).sum()
    correlation = float(np.clip(products / max(float(squares), 1e-9), 0.0, 0.9))
    return (1.0 + correlation) / (1.0 - correlation)
