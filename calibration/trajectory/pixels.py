"""Compiled loops over the pixels of a trajectory objective: cost, slope and curvature, and what the residuals are.

Everything is laid out with time first and landmark last: points (T, 3, K) m, pixels (T, C, 2, K), weights (T, C, K).
One frame's landmarks are copied into rows of one small array (`lanes`), where the compiler knows that no row overlaps
another: only then do vector units do many landmarks at once. Symmetric 3x3 matrices are rows xx, xy, xz, yy, yz, zz.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from calibration import lens as lens_source
from calibration.lens import distort_fisheye, distort_pinhole, is_fisheye, source_digest
from calibration.trajectory import lanes as lanes_source
from calibration.trajectory.lanes import compiled, inlined, load_rows, store_rows, whole_vectors
from labsys.core.arrays import FloatArray

ANIPOSE_LOSS = 0  # aniposelib's "soft_l1", on each coordinate by itself: grows in proportion far out
FADING_LOSS = 1  # Geman-McClure on the distance: far out it does not grow, and the observation does not pull
_NO_IMAGE_COST = 1e9  # of a point behind a camera that saw it
_NO_DEPTH_M = 1e-9
_LANES = 64

# Rows of the lanes: the point, what the camera saw, the ray, the bent ray with its Jacobian, and sums over cameras.
_X, _Y, _Z, _PIXEL_U, _PIXEL_V, _WEIGHT, _RAY_U, _RAY_V, _PER_DEPTH = range(9)
_BENT = 9  # six rows
_SUMS = 15  # ten rows: normal matrix, slope, cost
_N_ROWS = 25

Rig = tuple[FloatArray, FloatArray, FloatArray]
Camera = tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]


@inlined
def _camera(rig: Rig, c: int) -> Camera:
    """A camera's numbers as tuples, which loops keep in registers."""
    lenses, R, t = rig
    turn = (R[c, 0, 0], R[c, 0, 1], R[c, 0, 2], R[c, 1, 0], R[c, 1, 1], R[c, 1, 2], R[c, 2, 0], R[c, 2, 1], R[c, 2, 2])
    k = lenses[c]
    return turn, (t[c, 0], t[c, 1], t[c, 2]), (k[0], k[1], k[2], k[3], k[4], k[5], k[6], k[7], k[8], k[9], k[10])


@inlined
def _bend_rays(lanes: FloatArray, camera: Camera, n: int) -> None:
    """Set the rays of n points and how the lens bends them; one loop per lens model, so that neither branches."""
    R, t, lens = camera
    for k in range(n):
        x, y, z = lanes[_X, k], lanes[_Y, k], lanes[_Z, k]
        depth = R[6] * x + R[7] * y + R[8] * z + t[2]
        # A landmark that nobody saw lies in the origin, and so may a camera: it has no image there, and no number less.
        s = 1.0 / depth if abs(depth) > _NO_DEPTH_M else -1.0
        lanes[_RAY_U, k] = (R[0] * x + R[1] * y + R[2] * z + t[0]) * s
        lanes[_RAY_V, k] = (R[3] * x + R[4] * y + R[5] * z + t[1]) * s
        lanes[_PER_DEPTH, k] = s
    if is_fisheye(lens):
        for k in range(n):
            u, v, a, b, d, e = distort_fisheye(lanes[_RAY_U, k], lanes[_RAY_V, k], lens)
            lanes[_BENT, k], lanes[_BENT + 1, k], lanes[_BENT + 2, k] = u, v, a
            lanes[_BENT + 3, k], lanes[_BENT + 4, k], lanes[_BENT + 5, k] = b, d, e
    else:
        for k in range(n):
            u, v, a, b, d, e = distort_pinhole(lanes[_RAY_U, k], lanes[_RAY_V, k], lens)
            lanes[_BENT, k], lanes[_BENT + 1, k], lanes[_BENT + 2, k] = u, v, a
            lanes[_BENT + 3, k], lanes[_BENT + 4, k], lanes[_BENT + 5, k] = b, d, e


@inlined
def _image(lanes: FloatArray, k: int, camera: Camera) -> tuple[Any, ...]:
    """Pixel of a bent ray, its derivatives by the point, and whether the camera has an image of it at all."""
    R, _, lens = camera
    u, v, s = lanes[_RAY_U, k], lanes[_RAY_V, k], lanes[_PER_DEPTH, k]
    a, b, d, e = lanes[_BENT + 2, k], lanes[_BENT + 3, k], lanes[_BENT + 4, k], lanes[_BENT + 5, k]
    visible = (s > 0.0) & (a * e - b * d > 0.0) & (a + e > 0.0)
    a, b, d, e = (lens[0] * a + lens[1] * d) * s, (lens[0] * b + lens[1] * e) * s, lens[3] * d * s, lens[3] * e * s
    g, h = -(a * u + b * v), -(d * u + e * v)
    by_u = (a * R[0] + b * R[3] + g * R[6], a * R[1] + b * R[4] + g * R[7], a * R[2] + b * R[5] + g * R[8])
    by_v = (d * R[0] + e * R[3] + h * R[6], d * R[1] + e * R[4] + h * R[7], d * R[2] + e * R[5] + h * R[8])
    bent_u, bent_v = lanes[_BENT, k], lanes[_BENT + 1, k]
    return lens[0] * bent_u + lens[1] * bent_v + lens[2], lens[3] * bent_v + lens[4], by_u, by_v, visible


@inlined
def _soften(error: float, threshold: float) -> tuple[float, float, float]:
    """Cost, slope and curvature of half the square of 2 p (sqrt(1 + |e| / p) - 1), where p is the threshold."""
    root = math.sqrt(1.0 + abs(error) / threshold)
    softened = 2.0 * threshold * (root - 1.0)
    slope = softened / root
    return 0.5 * softened * softened, slope if error >= 0.0 else -slope, 1.0 / (root * root * root)


@inlined
def _fade(du: float, dv: float, weight: float, scale: float) -> tuple[float, float]:
    """Cost of a residual, and what curvature and slope per pixel it keeps."""
    far = weight * (du * du + dv * dv) / (scale * scale)
    share = 1.0 / (1.0 + far)
    return 0.5 * scale * scale * far * share, weight * share * share


@inlined
def _sum_up(
    lanes: FloatArray,
    k: int,
    by_u: tuple[Any, ...],
    by_v: tuple[Any, ...],
    bend: tuple[Any, ...],
    slope: tuple[Any, ...],
) -> None:
    """Add one observation's curvature and slope, of u and v, to the sums of its point."""
    a, b, d = by_u
    e, g, h = by_v
    lanes[_SUMS, k] += bend[0] * a * a + bend[1] * e * e
    lanes[_SUMS + 1, k] += bend[0] * a * b + bend[1] * e * g
    lanes[_SUMS + 2, k] += bend[0] * a * d + bend[1] * e * h
    lanes[_SUMS + 3, k] += bend[0] * b * b + bend[1] * g * g
    lanes[_SUMS + 4, k] += bend[0] * b * d + bend[1] * g * h
    lanes[_SUMS + 5, k] += bend[0] * d * d + bend[1] * h * h
    lanes[_SUMS + 6, k] += slope[0] * a + slope[1] * e
    lanes[_SUMS + 7, k] += slope[0] * b + slope[1] * g
    lanes[_SUMS + 8, k] += slope[0] * d + slope[1] * h


@inlined
def _add_camera(lanes: FloatArray, camera: Camera, loss: tuple[int, float], n: int) -> None:
    """Add what one camera saw of n points to their sums; one loop per loss, so that neither branches."""
    kind, scale = loss
    _bend_rays(lanes, camera, n)
    if kind == ANIPOSE_LOSS:
        for k in range(n):
            u, v, by_u, by_v, visible = _image(lanes, k, camera)
            pixel_u, pixel_v, weight = lanes[_PIXEL_U, k], lanes[_PIXEL_V, k], lanes[_WEIGHT, k]
            on = 1.0 if visible & (weight > 0.0) else 0.0
            cost_u, slope_u, bend_u = _soften(u - pixel_u, scale)
            cost_v, slope_v, bend_v = _soften(v - pixel_v, scale)
            cost = cost_u + cost_v if on > 0.0 else 0.0
            lanes[_SUMS + 9, k] += cost + (0.0 if visible | (weight <= 0.0) else _NO_IMAGE_COST)
            _sum_up(lanes, k, by_u, by_v, (on * bend_u, on * bend_v), (on * slope_u, on * slope_v))
    else:
        for k in range(n):
            u, v, by_u, by_v, visible = _image(lanes, k, camera)
            pixel_u, pixel_v, weight = lanes[_PIXEL_U, k], lanes[_PIXEL_V, k], lanes[_WEIGHT, k]
            on = 1.0 if visible & (weight > 0.0) else 0.0
            du, dv = u - pixel_u, v - pixel_v
            cost, bend = _fade(du, dv, on * weight, scale)
            lanes[_SUMS + 9, k] += cost + (0.0 if visible | (weight <= 0.0) else _NO_IMAGE_COST)
            _sum_up(lanes, k, by_u, by_v, (bend, bend), (bend * du, bend * dv))


@inlined
def _load_pixels(lanes: FloatArray, pixels: FloatArray, weights: FloatArray, begin: int, end: int) -> None:
    """Take what a camera saw of landmarks `begin` to `end`: pixels (2, K) and weights (K,)."""
    load_rows(pixels, lanes[_PIXEL_U : _PIXEL_V + 1], begin, end)
    weight, target = weights[begin:end], lanes[_WEIGHT]
    for k in range(len(weight)):
        target[k] = weight[k]


def _compile_pixels(source: str) -> Callable[..., None]:
    """Closing over `source` lets numba's cache follow the functions of other files too."""

    @compiled
    def add_pixels(
        points: FloatArray,
        pixels: FloatArray,
        weights: FloatArray,
        rig: Rig,
        loss: tuple[int, float],
        out: tuple[FloatArray, FloatArray, FloatArray],
        first: int,
        last: int,
    ) -> None:
        """Set `out` to what pixels say at these points: normal matrices (T, 6, K), slope (T, 3, K), cost (K,)."""
        normal, slope, cost = out
        lanes = np.zeros((_N_ROWS, _LANES))
        for k in range(first, last if len(source) > 0 else first):
            cost[k] = 0.0
        for f in range(len(points)):
            for begin in range(first, last, _LANES):
                end = min(begin + _LANES, last)
                load_rows(points[f], lanes[_X:], begin, end)
                lanes[_SUMS:] = 0.0
                for c in range(pixels.shape[1]):
                    _load_pixels(lanes, pixels[f, c], weights[f, c], begin, end)
                    _add_camera(lanes, _camera(rig, c), loss, whole_vectors(end - begin))
                store_rows(lanes[_SUMS : _SUMS + 6], normal[f], begin, end)
                store_rows(lanes[_SUMS + 6 : _SUMS + 9], slope[f], begin, end)
                total, row = cost[begin:end], lanes[_SUMS + 9]
                for k in range(len(total)):
                    total[k] += row[k]

    return add_pixels


def _compile_residuals(source: str) -> Callable[..., None]:
    """As `_compile_pixels`."""

    @compiled
    def measure_pixels(
        points: FloatArray,
        covariance: FloatArray,
        pixels: FloatArray,
        weights: FloatArray,
        rig: Rig,
        out: tuple[FloatArray, FloatArray],
        first: int,
        last: int,
    ) -> None:
        """Set `out` to squared errors (T, C, K) px² and to the part of them that the uncertainty of the point explains
        (T, C, K) px²; NaN where a camera did not see the point. covariance: (T, 6, K) m²."""
        squares, spread = out
        lanes = np.zeros((_N_ROWS, _LANES))
        for f in range(len(points) if len(source) > 0 else 0):
            for begin in range(first, last, _LANES):
                end = min(begin + _LANES, last)
                load_rows(points[f], lanes[_X:], begin, end)
                load_rows(covariance[f], lanes[_SUMS:], begin, end)
                for c in range(pixels.shape[1]):
                    _load_pixels(lanes, pixels[f, c], weights[f, c], begin, end)
                    _measure_camera(lanes, _camera(rig, c), whole_vectors(end - begin))
                    store_rows(lanes[_SUMS + 6 : _SUMS + 7], squares[f, c : c + 1], begin, end)
                    store_rows(lanes[_SUMS + 7 : _SUMS + 8], spread[f, c : c + 1], begin, end)

    return measure_pixels


@inlined
def _measure_camera(lanes: FloatArray, camera: Camera, n: int) -> None:
    """Set the rows after the covariance to squared errors and to what the covariance explains of them."""
    _bend_rays(lanes, camera, n)
    for k in range(n):
        u, v, by_u, by_v, visible = _image(lanes, k, camera)
        du, dv, weight = u - lanes[_PIXEL_U, k], v - lanes[_PIXEL_V, k], lanes[_WEIGHT, k]
        nothing = 0.0 if visible & (weight > 0.0) else math.nan
        lanes[_SUMS + 6, k] = du * du + dv * dv + nothing
        lanes[_SUMS + 7, k] = _quadratic(lanes, k, by_u) + _quadratic(lanes, k, by_v) + nothing


@inlined
def _quadratic(lanes: FloatArray, k: int, i: tuple[Any, ...]) -> float:
    """i' P i, where the covariance P stands in the lanes' sums."""
    xx, xy, xz = lanes[_SUMS, k], lanes[_SUMS + 1, k], lanes[_SUMS + 2, k]
    yy, yz, zz = lanes[_SUMS + 3, k], lanes[_SUMS + 4, k], lanes[_SUMS + 5, k]
    diagonal: float = xx * i[0] * i[0] + yy * i[1] * i[1] + zz * i[2] * i[2]
    beside: float = 2.0 * (xy * i[0] * i[1] + xz * i[0] * i[2] + yz * i[1] * i[2])
    return diagonal + beside


_SOURCE = source_digest(lens_source.__file__, lanes_source.__file__)
add_pixels = _compile_pixels(_SOURCE)
measure_pixels = _compile_residuals(_SOURCE)
