"""A triangle mesh of a smooth union of blobs: naive surface nets over a grid, then drawn onto the surface.

Surface nets: Gibson 1998, "Constrained elastic surface nets", MERL TR99-24. Smooth union: the soft minimum
-k log sum exp(-d / k) of the blobs' distances.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.lens import compiled, compiled_part
from labsys.core.arrays import FloatArray, IntArray
from pipelines.synthetic.pictures.flesh import Blob

_BLEND_M = 0.014
_DRAWING_STEPS = 3
# Of one blob: rotation of its segment (9), origin (3), start (3), end (3), radii (2), stretch (3), smallest stretch.
_BLOB_SIZE = 24


def pack_blobs(
    blobs: Sequence[Blob], rotations: Mapping[str, FloatArray], origins_m: Mapping[str, FloatArray]
) -> FloatArray:
    """Blobs in LAB as rows (B, 24); rotations (3, 3) and origins (3,) m of the segments in one pose."""
    rows = []
    for b in blobs:
        ends = [b.start_m / b.stretch, b.end_m / b.stretch, (b.start_radius_m, b.end_radius_m), b.stretch]
        rows.append(np.concatenate([rotations[b.segment].ravel(), origins_m[b.segment], *ends, [b.stretch.min()]]))
    return np.array(rows)


@compiled_part
def _blob_distance(x, y, z, blob):  # type: ignore[no-untyped-def]  # compiled
    """Distance from one blob's surface, negative inside; exact for round ones, nearly so for stretched ones."""
    dx, dy, dz = x - blob[9], y - blob[10], z - blob[11]
    px = (blob[0] * dx + blob[3] * dy + blob[6] * dz) / blob[20]
    py = (blob[1] * dx + blob[4] * dy + blob[7] * dz) / blob[21]
    pz = (blob[2] * dx + blob[5] * dy + blob[8] * dz) / blob[22]
    bx, by, bz = blob[15] - blob[12], blob[16] - blob[13], blob[17] - blob[14]
    px, py, pz = px - blob[12], py - blob[13], pz - blob[14]
    along = (px * bx + py * by + pz * bz) / max(bx * bx + by * by + bz * bz, 1e-12)
    along = min(max(along, 0.0), 1.0)
    qx, qy, qz = px - along * bx, py - along * by, pz - along * bz
    radius = blob[18] + along * (blob[19] - blob[18])
    return (np.sqrt(qx * qx + qy * qy + qz * qz) - radius) * blob[23]


@compiled
def blob_distances(points_m, blobs, out):  # type: ignore[no-untyped-def]  # compiled
    """Fill out (N, B) m with the distance of every point (N, 3) m from every blob."""
    for i in range(points_m.shape[0]):
        for b in range(blobs.shape[0]):
            out[i, b] = _blob_distance(points_m[i, 0], points_m[i, 1], points_m[i, 2], blobs[b])


@compiled
def skin_distances(points_m, blobs, blend_m, out):  # type: ignore[no-untyped-def]  # compiled
    """Fill out (N,) m with the distance of every point (N, 3) m from the smooth union."""
    for i in range(points_m.shape[0]):
        x, y, z = points_m[i, 0], points_m[i, 1], points_m[i, 2]
        nearest, total = np.inf, 0.0
        for b in range(blobs.shape[0]):
            d = _blob_distance(x, y, z, blobs[b])
            if d < nearest:
                total = total * np.exp((d - nearest) / blend_m) + 1.0 if total > 0.0 else 1.0
                nearest = d
            elif d < nearest + 12.0 * blend_m:
                total += np.exp((nearest - d) / blend_m)
        out[i] = nearest - blend_m * np.log(total)


def mesh_blobs(packed: FloatArray, *, step_m: float) -> tuple[FloatArray, IntArray]:
    """Vertices (V, 3) m and triangles (F, 3) of the smooth union, outward, edges about `step_m` long."""
    low, shape = _grid_of(packed, step_m)
    axes = [low[i] + step_m * np.arange(shape[i]) for i in range(3)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    values = np.empty(len(points))
    skin_distances(points, packed, _BLEND_M, values)
    vertices, triangles = _surface_nets(values.reshape(shape), low, step_m)
    for _ in range(_DRAWING_STEPS):
        vertices = _draw_to_surface(vertices, packed)
    return vertices, triangles


def _grid_of(packed: FloatArray, step_m: float) -> tuple[FloatArray, tuple[int, int, int]]:
    R = packed[:, :9].reshape(-1, 3, 3)
    stretch, reach = packed[:, 20:23], (packed[:, 18:20].max(axis=1) * packed[:, 20:23].max(axis=1))[:, None]
    ends = [np.einsum("bij,bj->bi", R, packed[:, a : a + 3] * stretch) + packed[:, 9:12] for a in (12, 15)]
    low = np.min([e - reach for e in ends], axis=(0, 1)) - 3 * step_m
    high = np.max([e + reach for e in ends], axis=(0, 1)) + 3 * step_m
    nx, ny, nz = np.ceil((high - low) / step_m).astype(int) + 1
    return low, (int(nx), int(ny), int(nz))


def _surface_nets(field: FloatArray, low: FloatArray, step_m: float) -> tuple[FloatArray, IntArray]:
    """One vertex in every cell that the surface passes, two triangles round every edge that it crosses."""
    inside = field < 0
    corners = [field[i : i - 1 or None, j : j - 1 or None, k : k - 1 or None] for i, j, k in np.ndindex(2, 2, 2)]
    signs = np.stack([c < 0 for c in corners])
    crossed = signs.any(axis=0) & ~signs.all(axis=0)
    number = np.full(crossed.shape, -1, dtype=np.int64)
    number[crossed] = np.arange(int(crossed.sum()))
    # The mean of the cell's corners, each counted by how near the surface it lies, is good enough to be drawn closer.
    weight = np.stack([1.0 / (np.abs(c[crossed]) + 1e-6) for c in corners])
    offsets = np.array(list(np.ndindex(2, 2, 2)), dtype=np.float64)
    cell = np.argwhere(crossed) + np.einsum("cn,ci->ni", weight / weight.sum(axis=0), offsets)
    quads = [_quads(inside, number, axis) for axis in range(3)]
    faces = np.concatenate(quads)
    triangles = np.concatenate([faces[:, [0, 1, 2]], faces[:, [0, 2, 3]]])
    return low + step_m * cell, triangles


def _quads(inside: NDArray[Any], number: IntArray, axis: int) -> IntArray:
    """The four cells round every crossed edge along one axis, in the order that faces outward."""
    first = inside.take(range(inside.shape[axis] - 1), axis)
    second = inside.take(range(1, inside.shape[axis]), axis)
    edges = np.argwhere(first != second)
    leaves = first[tuple(edges.T)]
    j, k = np.eye(3, dtype=np.int64)[(axis + 1) % 3], np.eye(3, dtype=np.int64)[(axis + 2) % 3]
    around = [number[tuple((edges - a * j - b * k).T)] for a, b in ((1, 1), (0, 1), (0, 0), (1, 0))]
    quads = np.stack(around, axis=1)
    return np.where(leaves[:, None], quads, quads[:, ::-1])


def _draw_to_surface(vertices: FloatArray, packed: FloatArray) -> FloatArray:
    """One Newton step along the gradient of the distance."""
    step = 1e-4
    probes = np.concatenate([vertices, *(vertices + step * e for e in np.eye(3))])
    values = np.empty(len(probes))
    skin_distances(probes, packed, _BLEND_M, values)
    here, *there = values.reshape(4, -1)
    gradient = np.stack([(t - here) / step for t in there], axis=1)
    length = np.maximum((gradient**2).sum(axis=1), 0.05)
    return np.asarray(vertices - (here / length)[:, None] * gradient)
