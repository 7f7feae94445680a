"""Which landmarks a camera sees: compared with the depth of what was drawn, sample by sample."""

from __future__ import annotations

import numpy as np

from calibration.lens import compiled
from calibration.projection import project
from labsys.core.arrays import FloatArray
from labsys.core.cameras import Camera
from labsys.core.skeleton import LABSYS_RUN_37
from pipelines.synthetic.pictures.raster import Floats32
from pipelines.synthetic.pictures.skin import INSIDE, STICKERS
from pipelines.synthetic.pictures.tailor import RIM, STICKER_VERTICES

_DISC = 1 + RIM
_ROWS = np.array([LABSYS_RUN_37.landmarks.index(n) for n in STICKERS])
_INSIDE = LABSYS_RUN_37.landmarks.index(INSIDE)
_GRAZING = 0.17  # cosine of 80 degrees: flatter than that nobody finds a sticker
_RING = 0.6  # of the disc's radius, where it is looked for besides its middle
_SLACK_M, _WIDEST_SLACK_M = 0.005, 0.03
_HEAD_M = 0.125  # the middle of the head lies this far behind its skin, or less


def see_landmarks(
    camera: Camera, landmarks_m: FloatArray, normals: FloatArray, points: FloatArray, depth: Floats32
) -> FloatArray:
    """Share (37,) of every sticker that one sample of a picture shows; the head's middle shows where the head does.

    Args:
        landmarks_m: (37, 3) m. normals: (V, 3), and points: (V, 3) px of the sample's own grid and m, of all vertices,
            stickers last. depth: (H, W) m of what was drawn.
    """
    facing = normals[-STICKER_VERTICES::_DISC]
    sight = camera.centre_lab_m - landmarks_m
    sight = sight / np.linalg.norm(sight, axis=1, keepdims=True)
    cosine = np.sum(facing * sight[_ROWS], axis=1)
    pixel_m = points[-STICKER_VERTICES::_DISC, 2] / camera.intrinsics.matrix[0, 0]
    slope = np.sqrt(np.clip(1.0 - cosine**2, 0.0, 1.0)) / np.maximum(cosine, 0.05)
    slack = np.minimum(_SLACK_M + 0.75 * pixel_m * slope, _WIDEST_SLACK_M)
    shown = np.zeros(len(STICKERS))
    count_shown(points[-STICKER_VERTICES:], slack, depth, shown)
    out = np.zeros(len(landmarks_m))
    out[_ROWS] = np.where(cosine > _GRAZING, shown, 0.0)
    out[_INSIDE] = _see_inside(camera, landmarks_m[_INSIDE], depth)
    return out


def _see_inside(camera: Camera, point_m: FloatArray, depth: Floats32) -> float:
    xy = project(camera, point_m)
    if not np.isfinite(xy).all():
        return 0.0
    column, row = np.round(xy).astype(int)
    if not (0 <= row < depth.shape[0] and 0 <= column < depth.shape[1]):
        return 0.0
    return float(depth[row, column] > camera.T_cam_lab.apply(point_m)[2] - _HEAD_M)


@compiled
def count_shown(points, slack, depth, shown):  # type: ignore[no-untyped-def]  # compiled
    """Fill shown (N,) with the share of places on every disc that lie no further than what was drawn."""
    height, width = depth.shape
    for k in range(shown.shape[0]):
        first, count = k * _DISC, 0
        for i in range(_DISC):
            reach = 0.0 if i == 0 else _RING
            x = points[first, 0] + reach * (points[first + i, 0] - points[first, 0])
            y = points[first, 1] + reach * (points[first + i, 1] - points[first, 1])
            z = points[first, 2] + reach * (points[first + i, 2] - points[first, 2])
            if not (np.isfinite(x) and np.isfinite(y)):
                continue
            column, row = int(np.floor(x + 0.5)), int(np.floor(y + 0.5))
            if 0 <= row < height and 0 <= column < width and z <= depth[row, column] + slack[k]:
                count += 1
        shown[k] = count / _DISC
