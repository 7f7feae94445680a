"""The printed sheet of a board, laid into a picture through the true lens, each pixel in several samples.

Numbers are single precision, and where the samples of a pixel lie is worked out in one loop without a branch: vector
units do it.
"""

from __future__ import annotations

import cv2
import numpy as np

from calibration.board.board import make_cv_board
from calibration.lens import compiled
from labsys.core.arrays import FloatArray
from labsys.core.board import Board
from pipelines.synthetic.pictures.raster import Floats32

MARGIN_M = 0.02
_TEXEL_M = 0.001
_BLACK, _WHITE, _BACK = 0.035, 0.80, 0.30
_NEARER_M = 0.02  # a sheet that lies on something wins over it
_GRID = 4  # samples of a pixel along each side, each at its own moment of the exposure
_BESIDE = -1e6  # texels: where a sample that misses the sheet is told to be


def _spread_samples() -> FloatArray:
    """(16, 3): place in the pixel, px from its middle, and in the exposure, -0.5 to 0.5; times mixed over places."""
    at = (np.arange(_GRID) + 0.5) / _GRID - 0.5
    count = _GRID * _GRID
    order = np.argsort((0.5 + 0.618033988749895 * np.arange(count)) % 1.0)
    times = np.empty(count)
    times[order] = (np.arange(count) + 0.5) / count - 0.5
    places = np.stack(np.meshgrid(at, at, indexing="ij"), axis=-1).reshape(-1, 2)
    return np.column_stack([places, times])


SAMPLES = _spread_samples()


def print_board(board: Board) -> Floats32:
    """Albedo (rows, columns) of the board with a margin, one texel per millimetre."""
    shape = round(board.columns * board.square_m / _TEXEL_M), round(board.rows * board.square_m / _TEXEL_M)
    picture = make_cv_board(board).generateImage(shape, marginSize=0, borderBits=1)
    margin = round(MARGIN_M / _TEXEL_M)
    picture = cv2.copyMakeBorder(picture, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=255)
    share = (255 - picture if board.inverted else picture).astype(np.float32) / 255.0
    return np.ascontiguousarray(_BLACK + (_WHITE - _BLACK) * share)


def see_sheet(origin_m: FloatArray, poses: FloatArray) -> Floats32:
    """The sheet as a camera at `origin_m` sees it at every sample, as `lay_sheet` reads it, (14, S).

    Args:
        poses: (S, 12) rotation and place of the sheet in LAB.
    """
    R = poses[:, :9].reshape(-1, 3, 3)
    # The camera in the sheet's axes: along its columns, along its rows, and how far before it.
    along, down, before = np.einsum("sij,si->js", R, origin_m - poses[:, 9:])
    rows = [R[:, :, 0].T / _TEXEL_M, R[:, :, 1].T / _TEXEL_M, R[:, :, 2].T]
    place = [(v + MARGIN_M) / _TEXEL_M - 0.5 for v in (along, down)]
    return np.ascontiguousarray(np.concatenate([*rows, [*place, -before], SAMPLES[:, :2].T]), dtype=np.float32)


@compiled
def lay_sheet(rays, depth, seen, printed, light, box, ground):  # type: ignore[no-untyped-def]  # compiled
    """Lay a printed sheet over a picture where nothing stands before it.

    Args:
        rays: (H, W, 3) of the pixels' middles. depth: (H, W) m of what stands still. seen: see `see_sheet`.
        printed: (rows, columns). light: (2, 3) on face and back. box: left, top, right, bottom.
        ground: (H, W, 3), changed.
    """
    rows, columns = printed.shape
    count = seen.shape[1]
    u, v, facing = np.empty(count, np.float32), np.empty(count, np.float32), np.empty(count, np.float32)
    half, zero, beside, nearer = np.float32(0.5), np.float32(0.0), np.float32(_BESIDE), np.float32(_NEARER_M)
    for y in range(max(box[1], 1), min(box[3], rays.shape[0] - 1)):
        for x in range(max(box[0], 1), min(box[2], rays.shape[1] - 1)):
            r0, r1, r2 = rays[y, x, 0], rays[y, x, 1], rays[y, x, 2]
            a0 = half * (rays[y, x + 1, 0] - rays[y, x - 1, 0])
            a1 = half * (rays[y, x + 1, 1] - rays[y, x - 1, 1])
            a2 = half * (rays[y, x + 1, 2] - rays[y, x - 1, 2])
            b0 = half * (rays[y + 1, x, 0] - rays[y - 1, x, 0])
            b1 = half * (rays[y + 1, x, 1] - rays[y - 1, x, 1])
            b2 = half * (rays[y + 1, x, 2] - rays[y - 1, x, 2])
            wall = depth[y, x] + nearer
            for s in range(count):
                dx, dy = seen[12, s], seen[13, s]
                rx, ry, rz = r0 + dx * a0 + dy * b0, r1 + dx * a1 + dy * b1, r2 + dx * a2 + dy * b2
                towards = rx * seen[6, s] + ry * seen[7, s] + rz * seen[8, s]
                far = seen[11, s] / towards
                column = seen[9, s] + far * (rx * seen[0, s] + ry * seen[1, s] + rz * seen[2, s])
                row = seen[10, s] + far * (rx * seen[3, s] + ry * seen[4, s] + rz * seen[5, s])
                free = (far > zero) & (far < wall)
                u[s] = column if free else beside
                v[s] = row
                facing[s] = towards
            front, back, hits = np.float32(0.0), 0, 0
            for s in range(count):
                if not (-0.5 <= u[s] <= columns - 0.5 and -0.5 <= v[s] <= rows - 0.5):
                    continue
                hits += 1
                if facing[s] <= zero:
                    back += 1
                    continue
                i, j = min(max(int(u[s]), 0), columns - 2), min(max(int(v[s]), 0), rows - 2)
                a = min(max(u[s] - np.float32(i), zero), np.float32(1.0))
                b = min(max(v[s] - np.float32(j), zero), np.float32(1.0))
                upper = printed[j, i] + a * (printed[j, i + 1] - printed[j, i])
                lower = printed[j + 1, i] + a * (printed[j + 1, i + 1] - printed[j + 1, i])
                front += upper + b * (lower - upper)
            if hits > 0:
                for c in range(3):
                    sheet = front * light[0, c] + back * _BACK * light[1, c]
                    ground[y, x, c] = ((count - hits) * ground[y, x, c] + sheet) / count
