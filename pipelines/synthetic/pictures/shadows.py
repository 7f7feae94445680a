"""The shadow of what moves, on itself and on the ground: what the lamp sees, laid on the plane of the belt."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.lens import compiled
from labsys.core.arrays import FloatArray
from pipelines.synthetic.pictures.raster import Box, Floats32, cover_depth

CELL_M = 0.02
_LOW_M, _SHAPE = np.array([-1.9, -1.5]), (150, 190)
_BIAS_M = 0.035
_SOFT_CELLS = 5
# How dark every cell of the map is, 0 to 1; and the part of it (columns, rows) beyond which nothing is.
Shadow = tuple[Floats32, Box]


def lay_on_belt(points_m: FloatArray, lamp_m: FloatArray) -> FloatArray:
    """Where the lamp throws points (V, 3) m: column and row of the map, and distance from the lamp in m."""
    out = np.empty_like(points_m)
    throw_points(points_m, lamp_m, out)
    return out


@compiled
def throw_points(points_m, lamp_m, out):  # type: ignore[no-untyped-def]  # compiled
    """As `lay_on_belt`, into out (V, 3)."""
    for i in range(points_m.shape[0]):
        x, y, z = lamp_m[0] - points_m[i, 0], lamp_m[1] - points_m[i, 1], lamp_m[2] - points_m[i, 2]
        reach = lamp_m[1] / max(y, 0.05)
        out[i, 0] = (lamp_m[0] - reach * x - _LOW_M[0]) / CELL_M
        out[i, 1] = (lamp_m[2] - reach * z - _LOW_M[1]) / CELL_M
        out[i, 2] = np.sqrt(x * x + y * y + z * z)


def see_from_lamp(thrown: FloatArray, triangles: NDArray[np.int32]) -> FloatArray:
    """Distance from the lamp to the nearest triangle, per cell of the map; inf where there is none."""
    depth = np.full(_SHAPE, np.inf)
    cover_depth(thrown, triangles, depth)
    return depth


def soften(depth: FloatArray) -> Shadow:
    """What the lamp sees as a shadow with a soft edge."""
    covered = np.isfinite(depth)
    edge = cv2.blur(covered.astype(np.float32), (_SOFT_CELLS, _SOFT_CELLS))
    dark = np.asarray(cv2.blur(edge, (3, 3)), dtype=np.float32)
    rows, columns = (np.flatnonzero(covered.any(axis=a)) for a in (1, 0))
    if rows.size == 0:
        return dark, (0, 0, 0, 0)
    reach = _SOFT_CELLS // 2 + 2  # of both means, and of reading between cells
    low, high = (columns[0] - reach, rows[0] - reach), (columns[-1] + 1 + reach, rows[-1] + 1 + reach)
    return dark, (int(low[0]), int(low[1]), int(high[0]), int(high[1]))


@compiled
def light_vertices(thrown, depth, lit):  # type: ignore[no-untyped-def]  # compiled
    """Fill lit (V,) with the share of nine cells round every vertex from which the lamp reaches it."""
    rows, columns = depth.shape
    for i in range(thrown.shape[0]):
        x, y = int(np.floor(thrown[i, 0] + 0.5)), int(np.floor(thrown[i, 1] + 0.5))
        if x < 1 or y < 1 or x >= columns - 1 or y >= rows - 1:
            lit[i] = 1.0
            continue
        free = 0.0
        for b in range(y - 1, y + 2):
            for a in range(x - 1, x + 2):
                free += 1.0 if depth[b, a] + _BIAS_M > thrown[i, 2] else 0.0
        lit[i] = free / 9.0


@compiled
def dim_ground(shadow, ground, places, strength, left, picture):  # type: ignore[no-untyped-def]  # compiled
    """Darken the ground of a picture (H, W, 3) where the shadow falls; returns the part that it falls on.

    Args:
        shadow: read between its cells.
        ground: (M, 2) row and column of pixels; places: (M, 2) their column and row in the map.
        strength: the lamp's share of their light. left: (M,) becomes the share of the light that is left.
    """
    dark, (first, above, last, below) = shadow
    rows, columns = dark.shape
    box_left, box_top, box_right, box_bottom = picture.shape[1], picture.shape[0], 0, 0
    for i in range(places.shape[0]):
        x, y = places[i, 0], places[i, 1]
        left[i] = 1.0
        if not (first <= x < last and above <= y < below):
            continue
        j, k = int(np.floor(y)), int(np.floor(x))
        if not (0 <= j < rows - 1 and 0 <= k < columns - 1):
            continue
        a, b = x - k, y - j
        upper = (1 - a) * dark[j, k] + a * dark[j, k + 1]
        lower = (1 - a) * dark[j + 1, k] + a * dark[j + 1, k + 1]
        left[i] = 1.0 - strength * ((1 - b) * upper + b * lower)
        row, column = ground[i, 0], ground[i, 1]
        for c in range(3):
            picture[row, column, c] *= left[i]
        box_left, box_right = min(box_left, column), max(box_right, column + 1)
        box_top, box_bottom = min(box_top, row), max(box_bottom, row + 1)
    return box_left, box_top, box_right, box_bottom
