"""The corners of a tag from its edges: straight lines through where black turns white, and where these lines meet.

A corner itself is a poor place to look: it is rounded by blur, and the markers beside it are near. An edge has dozens
of pixels.
"""

from __future__ import annotations

import cv2
import numpy as np

from calibration.board.detector import Gray
from labsys.core.arrays import FloatArray

_SAMPLES = 24
_INSIDE = (0.12, 0.88)  # of an edge; its ends are bent by the neighbours
_REACH = 0.08  # of an edge to either side, less than one cell of any dictionary
_STEPS = 13
_ROUNDS = 3
_LEAST_CONTRAST = 20.0


def refine_corners(picture: Gray, corners_px: FloatArray) -> FloatArray:
    """Corners (4, 2) px of a dark square on white, refined; as they were where no edge can be told."""
    corners = corners_px
    for _ in range(_ROUNDS):
        lines = [_edge_line(picture, corners[k], corners[(k + 1) % 4]) for k in range(4)]
        found = [line for line in lines if line is not None]
        if len(found) < 4:
            return corners_px
        corners = np.stack([_meet(found[k - 1], found[k]) for k in range(4)])
    reach = np.linalg.norm(corners_px[0] - corners_px[2])
    moved = np.linalg.norm(corners - corners_px, axis=1).max()
    return corners if np.isfinite(corners).all() and moved < _REACH * reach else corners_px


def _edge_line(picture: Gray, a: FloatArray, b: FloatArray) -> FloatArray | None:
    """The line (3,) with n.x + d = 0 through the steps from black to white along one edge, None without contrast."""
    length = float(np.linalg.norm(b - a))
    along = (b - a) / max(length, 1e-9)
    # Corners run clockwise in the image, so this points out of the square.
    outward = np.array([along[1], -along[0]])
    reach = max(1.5, _REACH * length)
    offsets = np.linspace(-reach, reach, _STEPS)
    shares = np.linspace(*_INSIDE, _SAMPLES)
    at = a + shares[:, None] * (b - a)
    grid = (at[:, None] + offsets[None, :, None] * outward).astype(np.float32)
    values = cv2.remap(picture, grid[..., 0], grid[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    rise = np.maximum(np.diff(values.astype(np.float64), axis=1), 0.0)
    total = rise.sum(axis=1)
    clear = total > _LEAST_CONTRAST
    if clear.sum() < _SAMPLES // 2:
        return None
    middle = (offsets[1:] + offsets[:-1]) / 2.0
    step = (rise[clear] @ middle) / total[clear]
    points = at[clear] + step[:, None] * outward
    return _fit_line(points)


def _fit_line(points: FloatArray) -> FloatArray:
    """Total least squares, without the points that lie far from the first fit."""
    kept = points
    for _ in range(2):
        centre = kept.mean(axis=0)
        normal = np.linalg.svd(kept - centre)[2][1]
        off = np.abs((points - centre) @ normal)
        kept = points[off <= max(3.0 * float(np.median(off)), 0.1)]
    return np.array([*normal, -normal @ centre])


def _meet(line: FloatArray, other: FloatArray) -> FloatArray:
    x, y, w = np.cross(line, other)
    return np.array([x / w, y / w]) if abs(w) > 1e-9 else np.full(2, np.nan)
