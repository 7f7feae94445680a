"""Drawing triangles into a picture, one sample per pixel, with a depth buffer.

Every attribute runs linearly over a triangle in the image: triangles are a few pixels wide, so neither perspective nor
the bending of the lens within one shows.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from calibration.lens import compiled

Floats32 = NDArray[np.float32]


class Layer(NamedTuple):
    """One sample of every pixel.

    depth: (H, W) m along the optical axis. colour: (H, W, 3) linear. drawn: (H, W) 1 where something was drawn.
    """

    depth: Floats32
    colour: Floats32
    drawn: NDArray[np.uint8]


class Mesh(NamedTuple):
    """Triangles with what they look like.

    triangles: (F, 3). texels: (F, 3, 2) px within the tile. tile: (F,). atlas: (tiles, N, N, 3) linear.
    """

    triangles: NDArray[np.int32]
    texels: Floats32
    tile: NDArray[np.int32]
    atlas: Floats32


def make_layer(size_px: tuple[int, int]) -> Layer:
    """An empty layer for pictures of (width, height)."""
    width, height = size_px
    return Layer(
        np.zeros((height, width), np.float32),
        np.zeros((height, width, 3), np.float32),
        np.zeros((height, width), np.uint8),
    )


@compiled
def clear_layer(layer, depth, box):  # type: ignore[no-untyped-def]  # compiled
    """Empty the part (left, top, right, bottom) of a layer down to what stands still at `depth` (H, W) m."""
    for y in range(box[1], box[3]):
        for x in range(box[0], box[2]):
            layer.depth[y, x] = depth[y, x]
            layer.drawn[y, x] = 0


@compiled
def draw_mesh(points, light, mesh, shift, layer, box):  # type: ignore[no-untyped-def]  # compiled
    """Draw what faces the camera.

    Args:
        points: (V, 3) px, px and depth in m; NaN where a vertex has no image. light: (V, 3).
        shift: (2,) where in the pixel the sample lies, px from its middle.
        box: left, top, right, bottom, beyond which nothing is drawn.
    """
    size = mesh.atlas.shape[1]
    for f in range(mesh.triangles.shape[0]):
        a, b, c = mesh.triangles[f, 0], mesh.triangles[f, 1], mesh.triangles[f, 2]
        ax, ay = points[a, 0] - shift[0], points[a, 1] - shift[1]
        bx, by = points[b, 0] - shift[0], points[b, 1] - shift[1]
        cx, cy = points[c, 0] - shift[0], points[c, 1] - shift[1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if not area < -1e-9:  # seen from behind, or without an image
            continue
        left = max(int(np.ceil(min(ax, bx, cx))), box[0])
        right = min(int(np.floor(max(ax, bx, cx))), box[2] - 1)
        top = max(int(np.ceil(min(ay, by, cy))), box[1])
        bottom = min(int(np.floor(max(ay, by, cy))), box[3] - 1)
        if left > right or top > bottom:
            continue
        inverse = 1.0 / area
        tile = mesh.tile[f]
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                wa = ((bx - x) * (cy - y) - (by - y) * (cx - x)) * inverse
                wb = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) * inverse
                wc = 1.0 - wa - wb
                if wa < 0.0 or wb < 0.0 or wc < 0.0:
                    continue
                depth = wa * points[a, 2] + wb * points[b, 2] + wc * points[c, 2]
                if depth >= layer.depth[y, x]:
                    continue
                layer.depth[y, x] = depth
                layer.drawn[y, x] = 1
                u = wa * mesh.texels[f, 0, 0] + wb * mesh.texels[f, 1, 0] + wc * mesh.texels[f, 2, 0]
                v = wa * mesh.texels[f, 0, 1] + wb * mesh.texels[f, 1, 1] + wc * mesh.texels[f, 2, 1]
                u0, v0 = int(np.floor(u)), int(np.floor(v))
                su, sv = u - u0, v - v0
                i0, i1 = u0 % size, (u0 + 1) % size
                j0, j1 = min(max(v0, 0), size - 1), min(max(v0 + 1, 0), size - 1)
                for k in range(3):
                    upper = (1.0 - su) * mesh.atlas[tile, j0, i0, k] + su * mesh.atlas[tile, j0, i1, k]
                    lower = (1.0 - su) * mesh.atlas[tile, j1, i0, k] + su * mesh.atlas[tile, j1, i1, k]
                    here = wa * light[a, k] + wb * light[b, k] + wc * light[c, k]
                    layer.colour[y, x, k] = here * ((1.0 - sv) * upper + sv * lower)


@compiled
def add_layer(total, layer, ground, box):  # type: ignore[no-untyped-def]  # compiled
    """Add a layer to `total` (H, W, 3) within the box: what was drawn, else what lies behind it."""
    for y in range(box[1], box[3]):
        for x in range(box[0], box[2]):
            if layer.drawn[y, x]:
                for k in range(3):
                    total[y, x, k] += layer.colour[y, x, k]
            else:
                for k in range(3):
                    total[y, x, k] += ground[y, x, k]


@compiled
def cover_depth(points_uvw, triangles, depth):  # type: ignore[no-untyped-def]  # compiled
    """Lower `depth` (N, M) to the nearest triangle over every cell; points (V, 3) column, row, distance."""
    rows, columns = depth.shape
    for f in range(triangles.shape[0]):
        a, b, c = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        ax, ay, bx, by = points_uvw[a, 0], points_uvw[a, 1], points_uvw[b, 0], points_uvw[b, 1]
        cx, cy = points_uvw[c, 0], points_uvw[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area < 1e-9:  # one of the two faces of a closed body is enough
            continue
        for y in range(max(int(np.ceil(min(ay, by, cy))), 0), min(int(np.floor(max(ay, by, cy))), rows - 1) + 1):
            for x in range(max(int(np.ceil(min(ax, bx, cx))), 0), min(int(np.floor(max(ax, bx, cx))), columns - 1) + 1):
                wa = ((bx - x) * (cy - y) - (by - y) * (cx - x)) / area
                wb = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) / area
                if wa >= 0.0 and wb >= 0.0 and wa + wb <= 1.0:
                    far = wa * points_uvw[a, 2] + wb * points_uvw[b, 2] + (1.0 - wa - wb) * points_uvw[c, 2]
                    depth[y, x] = min(depth[y, x], far)


def box_of(points: NDArray[Any], size_px: tuple[int, int], margin_px: float) -> tuple[int, int, int, int]:
    """Left, top, right, bottom (exclusive) round the points (V, 2+) px that have an image, within the picture."""
    width, height = size_px
    seen = points[np.isfinite(points[:, 0])]
    if len(seen) == 0:
        return 0, 0, 0, 0
    low, high = seen[:, :2].min(axis=0) - margin_px, seen[:, :2].max(axis=0) + margin_px
    left, top = (int(max(v, 0)) for v in np.floor(low))
    return min(left, width), min(top, height), int(np.clip(high[0] + 1, 0, width)), int(np.clip(high[1] + 1, 0, height))
