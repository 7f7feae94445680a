"""Drawing triangles into a picture, one sample per pixel, with a depth buffer.

Every attribute runs linearly over a triangle in the image: triangles are a few pixels wide, so neither perspective nor
the bending of the lens within one shows. First it is found which triangle is nearest, and where within it a sample
lies; colours are worked out afterwards, of what shows alone.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from calibration.lens import compiled

Floats32 = NDArray[np.float32]
# Left, top, right, bottom of a part of a picture, px, right and bottom excluded.
Box = tuple[int, int, int, int]


class Layer(NamedTuple):
    """One sample of every pixel: what is nearest there.

    depth: (H, W) m along the optical axis. face: (H, W) number of the triangle, -1 where none was drawn.
    first, second: (H, W) weights of its first two corners, where one was drawn.
    """

    depth: Floats32
    face: NDArray[np.int32]
    first: Floats32
    second: Floats32


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
    shape = size_px[::-1]
    depth, first, second = (np.zeros(shape, np.float32) for _ in range(3))
    return Layer(depth, np.full(shape, -1, np.int32), first, second)


@compiled
def clear_layer(layer, depth, box):  # type: ignore[no-untyped-def]  # compiled
    """Empty the part (left, top, right, bottom) of a layer down to what stands still at `depth` (H, W) m."""
    for y in range(box[1], box[3]):
        for x in range(box[0], box[2]):
            layer.depth[y, x] = depth[y, x]
            layer.face[y, x] = -1


@compiled
def draw_mesh(points, triangles, shift, layer, box):  # type: ignore[no-untyped-def]  # compiled
    """Draw what faces the camera.

    Args:
        points: (V, 3) px, px and depth in m; NaN where a vertex has no image. triangles: (F, 3).
        shift: (2,) where in the pixel the sample lies, px from its middle.
        box: left, top, right, bottom, beyond which nothing is drawn.
    """
    for f in range(triangles.shape[0]):
        a, b, c = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        cx, cy, cz = points[c, 0] - shift[0], points[c, 1] - shift[1], points[c, 2]
        # From the third corner on, which makes every weight a sum of two products.
        ax, ay = points[a, 0] - shift[0] - cx, points[a, 1] - shift[1] - cy
        bx, by = points[b, 0] - shift[0] - cx, points[b, 1] - shift[1] - cy
        area = ax * by - ay * bx
        if not area < -1e-9:  # seen from behind, or without an image
            continue
        left = max(int(np.ceil(cx + min(ax, bx, 0.0))), box[0])
        right = min(int(np.floor(cx + max(ax, bx, 0.0))), box[2] - 1)
        top = max(int(np.ceil(cy + min(ay, by, 0.0))), box[1])
        bottom = min(int(np.floor(cy + max(ay, by, 0.0))), box[3] - 1)
        if left > right or top > bottom:
            continue
        inverse = 1.0 / area
        ax, ay, bx, by = ax * inverse, ay * inverse, bx * inverse, by * inverse
        za, zb = points[a, 2] - cz, points[b, 2] - cz
        for y in range(top, bottom + 1):
            dx, dy = left - cx, y - cy
            wa, wb = by * dx - bx * dy, ax * dy - ay * dx
            for x in range(left, right + 1):
                if wa >= 0.0 and wb >= 0.0 and wa + wb <= 1.0:
                    depth = cz + wa * za + wb * zb
                    if depth < layer.depth[y, x]:
                        layer.depth[y, x] = depth
                        layer.face[y, x] = f
                        layer.first[y, x] = wa
                        layer.second[y, x] = wb
                wa += by
                wb -= ay


@compiled
def add_layer(layer, light, mesh, box, total, hits):  # type: ignore[no-untyped-def]  # compiled
    """Add the colours of what was drawn to `total` (H, W, 3) within the box, and count it in `hits` (H, W).

    light: (V, 3) on every vertex.
    """
    size = mesh.atlas.shape[1]
    for y in range(box[1], box[3]):
        for x in range(box[0], box[2]):
            f = layer.face[y, x]
            if f < 0:
                continue
            hits[y, x] += 1
            a, b, c, tile = mesh.triangles[f, 0], mesh.triangles[f, 1], mesh.triangles[f, 2], mesh.tile[f]
            wa, wb = layer.first[y, x], layer.second[y, x]
            wc = np.float32(1.0) - wa - wb
            u = wa * mesh.texels[f, 0, 0] + wb * mesh.texels[f, 1, 0] + wc * mesh.texels[f, 2, 0]
            v = wa * mesh.texels[f, 0, 1] + wb * mesh.texels[f, 1, 1] + wc * mesh.texels[f, 2, 1]
            u0, v0 = int(np.floor(u)), int(np.floor(v))
            su, sv = u - np.float32(u0), v - np.float32(v0)
            # Columns lie within a turn of the tile: dividing by its size would cost more than all else here.
            i0 = u0 + size if u0 < 0 else (u0 - size if u0 >= size else u0)
            i1 = i0 + 1 if i0 + 1 < size else 0
            j0, j1 = min(max(v0, 0), size - 1), min(max(v0 + 1, 0), size - 1)
            for k in range(3):
                upper = mesh.atlas[tile, j0, i0, k] + su * (mesh.atlas[tile, j0, i1, k] - mesh.atlas[tile, j0, i0, k])
                lower = mesh.atlas[tile, j1, i0, k] + su * (mesh.atlas[tile, j1, i1, k] - mesh.atlas[tile, j1, i0, k])
                here = wa * light[a, k] + wb * light[b, k] + wc * light[c, k]
                total[y, x, k] += here * (upper + sv * (lower - upper))


@compiled
def lay_over(total, hits, count, ground, box):  # type: ignore[no-untyped-def]  # compiled
    """Lay the mean of `count` samples over `ground` (H, W, 3) within the box; empties `total` and `hits` there."""
    for y in range(box[1], box[3]):
        for x in range(box[0], box[2]):
            if hits[y, x] == 0:
                continue
            free = count - hits[y, x]
            for k in range(3):
                ground[y, x, k] = (total[y, x, k] + free * ground[y, x, k]) / count
                total[y, x, k] = 0.0
            hits[y, x] = 0


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


def box_of(points: NDArray[Any], size_px: tuple[int, int], margin_px: float) -> Box:
    """The part of the picture round the points (V, 2+) px that have an image."""
    width, height = size_px
    low, high = np.array([np.inf, np.inf]), np.array([-np.inf, -np.inf])
    bound_points(points, low, high)
    if not (low <= high).all():
        return 0, 0, 0, 0
    low, high = low - margin_px, high + margin_px
    left, top = (int(max(v, 0)) for v in np.floor(low))
    return min(left, width), min(top, height), int(np.clip(high[0] + 1, 0, width)), int(np.clip(high[1] + 1, 0, height))


@compiled
def bound_points(points, low, high):  # type: ignore[no-untyped-def]  # compiled
    """Widen low and high (2,) to the points (V, 2+) that are numbers."""
    for i in range(points.shape[0]):
        if np.isfinite(points[i, 0]):
            for k in range(2):
                low[k], high[k] = min(low[k], points[i, k]), max(high[k], points[i, k])


def whole_box(picture: NDArray[Any]) -> Box:
    """All of a picture (H, W, …)."""
    return 0, 0, int(picture.shape[1]), int(picture.shape[0])


def grow_box(box: Box, margin_px: int, picture: NDArray[Any]) -> Box:
    """A part of a picture (H, W, …) and so many px more on every side; nothing round an empty one."""
    left, top, right, bottom = box
    if left >= right or top >= bottom:
        return 0, 0, 0, 0
    height, width = picture.shape[:2]
    return (
        max(left - margin_px, 0),
        max(top - margin_px, 0),
        min(right + margin_px, width),
        min(bottom + margin_px, height),
    )
