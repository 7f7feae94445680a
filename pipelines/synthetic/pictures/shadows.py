"""The shadow of what moves, on itself and on the ground: what the lamp sees, laid on the plane of the belt."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.lens import compiled
from labsys.core.arrays import FloatArray
from pipelines.synthetic.pictures.raster import cover_depth

CELL_M = 0.02
_LOW_M, _SHAPE = np.array([-1.9, -1.5]), (150, 190)
_BIAS_M = 0.035
_SOFT_CELLS = 5


def lay_on_belt(points_m: FloatArray, lamp_m: FloatArray) -> FloatArray:
    """Where the lamp throws points (V, 3) m: column and row of the map, and distance from the lamp in m."""
    gone = lamp_m - points_m
    reach = lamp_m[1] / np.maximum(gone[:, 1], 0.05)
    out = np.empty_like(points_m)
    out[:, :2] = ((lamp_m - reach[:, None] * gone)[:, [0, 2]] - _LOW_M) / CELL_M
    out[:, 2] = np.linalg.norm(gone, axis=1)
    return out


def see_from_lamp(thrown: FloatArray, triangles: NDArray[np.int32]) -> FloatArray:
    """Distance from the lamp to the nearest triangle, per cell of the map; inf where there is none."""
    depth = np.full(_SHAPE, np.inf)
    cover_depth(thrown, triangles, depth)
    return depth


def light_left(depth: FloatArray, places: FloatArray, strength: FloatArray) -> FloatArray:
    """What is left of the light at ground points: places (M, 2) column and row, strength (M,) the lamp's share."""
    dark = cv2.blur(np.isfinite(depth).astype(np.float32), (_SOFT_CELLS, _SOFT_CELLS))
    dark = cv2.blur(dark, (3, 3))
    out = np.empty(len(places))
    darken(dark, places, strength, out)
    return out


@compiled
def darken(dark, places, strength, out):  # type: ignore[no-untyped-def]  # compiled
    """Fill out (M,) with one minus strength times `dark` (N, K), read between its cells; outside nothing is dark."""
    rows, columns = dark.shape
    for i in range(places.shape[0]):
        x, y = places[i, 0], places[i, 1]
        j, k = int(np.floor(y)), int(np.floor(x))
        out[i] = 1.0
        if 0 <= j < rows - 1 and 0 <= k < columns - 1:
            a, b = x - k, y - j
            upper = (1 - a) * dark[j, k] + a * dark[j, k + 1]
            lower = (1 - a) * dark[j + 1, k] + a * dark[j + 1, k + 1]
            out[i] = 1.0 - strength[i] * ((1 - b) * upper + b * lower)


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
def dim_ground(places, left, picture):  # type: ignore[no-untyped-def]  # compiled
    """Leave the share `left` (M,) of the light of pixels (M, 2) row, column of a picture (H, W, 3)."""
    for i in range(places.shape[0]):
        for c in range(3):
            picture[places[i, 0], places[i, 1], c] *= left[i]
