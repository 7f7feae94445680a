"""Blur circles of a picture so that nobody is recognised in them: of a head no more than three spots by three is left.

What is kept of a circle is the mean brightness and colour of a few squares, each about as wide as a face; they run into
each other, so that it looks out of focus. No sharpening brings back what was averaged.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from labsys.biomechanics.points import is_seen
from labsys.core.arrays import FloatArray

Picture = NDArray[np.uint8]
_SPOTS = 3
# Of a whole picture: a head that fills half of it is three spots high.
_SPOTS_OF_ALL = 6


def blur_head(picture: Picture, discs_px: FloatArray) -> Picture:
    """A picture with these circles, (P, 3) as in `blur_discs`, blurred; all of it where none of them is known."""
    return blur_discs(picture, discs_px) if is_seen(discs_px).any() else blur_all(picture)


def blur_discs(picture: Picture, discs_px: FloatArray) -> Picture:
    """A copy of a picture with these circles blurred; what of them lies outside the picture is no matter.

    Args:
        picture: (H, W) or (H, W, channels). discs_px: (P, 3) x, y, radius, px; rows with NaN are none.
    """
    blurred = picture.copy()
    for x, y, radius in discs_px[is_seen(discs_px)]:
        _blur_disc(blurred, float(x), float(y), float(radius))
    return blurred


def blur_all(picture: Picture) -> Picture:
    """A picture of which nothing is left but a few spots of colour."""
    spot = max(min(picture.shape[:2]) / _SPOTS_OF_ALL, 1.0)
    return _smeared(picture, spot)


def _blur_disc(picture: Picture, x: float, y: float, radius: float) -> None:
    (height, width), reach = picture.shape[:2], radius + 0.5
    left, right = max(0, int(np.ceil(x - reach))), min(width, int(np.floor(x + reach)) + 1)
    top, bottom = max(0, int(np.ceil(y - reach))), min(height, int(np.floor(y + reach)) + 1)
    if left >= right or top >= bottom:
        return
    within = (np.arange(top, bottom)[:, None] - y) ** 2 + (np.arange(left, right) - x) ** 2 <= reach**2
    box = picture[top:bottom, left:right]
    box[within] = _smeared(box, 2.0 * radius / _SPOTS)[within]


def _smeared(box: Picture, spot_px: float) -> Picture:
    down, across = (_smear(n, max(1, int(n / spot_px + 1e-6))) for n in box.shape[:2])
    channels = box if box.ndim == 2 else np.moveaxis(box, 2, 0)
    smeared = np.clip(np.rint(down @ channels @ across.T), 0, 255).astype(np.uint8)
    return smeared if box.ndim == 2 else np.moveaxis(smeared, 0, 2)


@lru_cache(maxsize=256)
def _smear(n: int, spots: int) -> FloatArray:
    """(n, n) matrix of rank `spots`: the means of that many stretches of a line, joined by straight lines."""
    edges = np.linspace(0.0, n, spots + 1)
    cells = np.arange(n)
    shares = np.clip(np.minimum(cells + 1, edges[1:, None]) - np.maximum(cells, edges[:-1, None]), 0.0, None)
    means = shares / shares.sum(axis=1, keepdims=True)
    at = np.clip((cells + 0.5) * spots / n - 0.5, 0.0, spots - 1.0)
    joined = np.clip(1.0 - np.abs(at[:, None] - np.arange(spots)), 0.0, None)
    return np.asarray(joined @ means, dtype=np.float64)
