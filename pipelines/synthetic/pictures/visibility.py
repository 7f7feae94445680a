"""Which landmarks a camera sees: compared with the depth of what was drawn, sample by sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.lens import compiled
from calibration.projection import project
from labsys.core.arrays import BoolArray, FloatArray
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


@dataclass(frozen=True, eq=False)
class Sought:
    """What of a picture tells whether its landmarks show.

    Attributes:
        slack_m: (36,) by which what was drawn may lie before each sticker; faces: (36,) whether a sticker turns so far
            to the camera that it can show.
        head_px: column and row of the head's middle, None outside the picture; head_m: how deep its skin may lie.
    """

    slack_m: FloatArray
    faces: BoolArray
    head_px: tuple[int, int] | None
    head_m: float


def seek_landmarks(camera: Camera, landmarks_m: FloatArray, normals: FloatArray, points: FloatArray) -> Sought:
    """What to compare with the depth of what will be drawn.

    Args:
        landmarks_m: (37, 3) m. normals: (V, 3), and points: (V, 3) px, px and m, of all vertices, stickers last.
    """
    facing = normals[-STICKER_VERTICES::_DISC]
    sight = camera.centre_lab_m - landmarks_m[_ROWS]
    cosine = np.einsum("ij,ij->i", facing, sight) / np.sqrt(np.einsum("ij,ij->i", sight, sight))
    pixel_m = points[-STICKER_VERTICES::_DISC, 2] / camera.intrinsics.matrix[0, 0]
    slope = np.sqrt(np.clip(1.0 - cosine**2, 0.0, 1.0)) / np.maximum(cosine, 0.05)
    slack = np.minimum(_SLACK_M + 0.75 * pixel_m * slope, _WIDEST_SLACK_M)
    head = landmarks_m[_INSIDE]
    return Sought(slack, cosine > _GRAZING, _pixel_of(camera, head), camera.T_cam_lab.apply(head)[2] - _HEAD_M)


def see_landmarks(sought: Sought, points: FloatArray, depth: Floats32) -> FloatArray:
    """Share (37,) of every sticker that one sample of a picture shows; the head's middle shows where the head does.

    Args:
        points: (V, 3) px of the sample's own grid and m, stickers last. depth: (H, W) m of what was drawn.
    """
    shown = np.zeros(len(STICKERS))
    count_shown(points[-STICKER_VERTICES:], sought.slack_m, depth, shown)
    out = np.zeros(len(STICKERS) + 1)
    out[_ROWS] = np.where(sought.faces, shown, 0.0)
    if sought.head_px is not None:
        out[_INSIDE] = depth[sought.head_px[::-1]] > sought.head_m
    return out


def _pixel_of(camera: Camera, point_m: FloatArray) -> tuple[int, int] | None:
    xy = project(camera, point_m)
    width, height = camera.intrinsics.size_px
    if not np.isfinite(xy).all():
        return None
    column, row = (int(v) for v in np.round(xy))
    return (column, row) if 0 <= row < height and 0 <= column < width else None


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
