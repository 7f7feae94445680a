"""Where in its image a camera saw boards."""

from __future__ import annotations

import cv2
import numpy as np

from labsys.core.arrays import BoolArray, FloatArray

_MAP_COLUMNS, _MAP_ROWS = 32, 18


def map_coverage(xy_px: FloatArray, size_px: tuple[int, int]) -> BoolArray:
    """Where in its image a camera saw boards: (18, 32) True for cells inside the outline of some board's corners.

    Args:
        xy_px: (T, N, 2) px, NaN where not seen.
    """
    canvas = np.zeros((_MAP_ROWS, _MAP_COLUMNS), dtype=np.uint8)
    scale = np.array([_MAP_COLUMNS / size_px[0], _MAP_ROWS / size_px[1]])
    for corners in xy_px:
        seen = corners[np.isfinite(corners).all(axis=1)]
        if len(seen) >= 3:
            outline = cv2.convexHull((seen * scale).astype(np.float32))
            cv2.fillConvexPoly(canvas, np.floor(outline).astype(np.int32), 1)
    return np.asarray(canvas > 0, dtype=np.bool_)
