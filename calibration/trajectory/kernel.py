"""Compiled loops over the terms of the trajectory objective: pixels, smoothness and limb lengths.

Everything is laid out with time first and landmark last, so that loops over landmarks run along memory and vector
units do many landmarks at once: points (T, 3, K) m, pixels (T, C, 2, K), weights (T, C, K). The loops take landmarks
`first` to `last`, so that threads can share them. Symmetric 3x3 matrices are rows xx, xy, xz, yy, yz, zz.
"""

from __future__ import annotations

import math

import numpy as np

from calibration import lens as lens_source
from calibration.lens import compiled, compiled_part, distort, source_digest, unpack_lens

ANIPOSE_LOSS = 0  # aniposelib's "soft_l1", on each coordinate by itself: grows in proportion far out
FADING_LOSS = 1  # Geman-McClure on the distance: far out it does not grow, and the observation does not pull
_NO_IMAGE_COST = 1e9  # of a point behind a camera that saw it


@compiled_part
def _soften(error, threshold):  # type: ignore[no-untyped-def]  # compiled
    """Cost, slope and curvature of half the square of 2 p (sqrt(1 + |e| / p) - 1), where p is the threshold."""
    root = math.sqrt(1.0 + abs(error) / threshold)
    softened = 2.0 * threshold * (root - 1.0)
    slope = softened / root
    return 0.5 * softened * softened, slope if error >= 0.0 else -slope, 1.0 / (root * root * root)


@compiled_part
def _image(x, y, z, R, t, lens):  # type: ignore[no-untyped-def]  # compiled
    """Pixel of a point, its derivatives by the point, and whether the camera has an image of it at all."""
    depth = R[6] * x + R[7] * y + R[8] * z + t[2]
    s = 1.0 / depth
    u, v = (R[0] * x + R[1] * y + R[2] * z + t[0]) * s, (R[3] * x + R[4] * y + R[5] * z + t[1]) * s
    bent_u, bent_v, a, b, d, e = distort(u, v, lens)
    visible = (depth > 0.0) & (a * e - b * d > 0.0) & (a + e > 0.0)
    a, b, d, e = (lens[0] * a + lens[1] * d) * s, (lens[0] * b + lens[1] * e) * s, lens[3] * d * s, lens[3] * e * s
    g, h = -(a * u + b * v), -(d * u + e * v)
    by_u = (a * R[0] + b * R[3] + g * R[6], a * R[1] + b * R[4] + g * R[7], a * R[2] + b * R[5] + g * R[8])
    by_v = (d * R[0] + e * R[3] + h * R[6], d * R[1] + e * R[4] + h * R[7], d * R[2] + e * R[5] + h * R[8])
    return lens[0] * bent_u + lens[1] * bent_v + lens[2], lens[3] * bent_v + lens[4], by_u, by_v, visible


@compiled_part
def _camera(rig, c):  # type: ignore[no-untyped-def]  # compiled
    """A camera's numbers as tuples, which loops keep in registers."""
    lenses, R, t = rig
    turn = (R[c, 0, 0], R[c, 0, 1], R[c, 0, 2], R[c, 1, 0], R[c, 1, 1], R[c, 1, 2], R[c, 2, 0], R[c, 2, 1], R[c, 2, 2])
    return turn, (t[c, 0], t[c, 1], t[c, 2]), unpack_lens(lenses[c])


@compiled_part
def _add_camera(points, pixels, weights, camera, loss, out, first, last):  # type: ignore[no-untyped-def]  # compiled
    """Add one camera's pixels in one frame: points (3, K), pixels (2, K), weights (K,); `out` as in `add_pixels`."""
    R, t, lens = camera
    kind, scale = loss
    normal, slope, cost = out
    for k in range(first, last):
        weight = weights[k]
        u, v, by_u, by_v, visible = _image(points[0, k], points[1, k], points[2, k], R, t, lens)
        counts = visible & (weight > 0.0)
        du, dv = (u - pixels[0, k] if counts else 0.0), (v - pixels[1, k] if counts else 0.0)
        if kind == ANIPOSE_LOSS:
            cost_u, slope_u, bend_u = _soften(du, scale)
            cost_v, slope_v, bend_v = _soften(dv, scale)
            value = cost_u + cost_v
        else:
            far = weight * (du * du + dv * dv) / (scale * scale)
            share = 1.0 / (1.0 + far)
            value = 0.5 * scale * scale * far * share
            bend_u = bend_v = weight * share * share
            slope_u, slope_v = bend_u * du, bend_v * dv
        a, b, d = (by_u[0], by_u[1], by_u[2]) if counts else (0.0, 0.0, 0.0)
        e, g, h = (by_v[0], by_v[1], by_v[2]) if counts else (0.0, 0.0, 0.0)
        cost[k] += value if visible | (weight <= 0.0) else _NO_IMAGE_COST
        normal[0, k] += bend_u * a * a + bend_v * e * e
        normal[1, k] += bend_u * a * b + bend_v * e * g
        normal[2, k] += bend_u * a * d + bend_v * e * h
        normal[3, k] += bend_u * b * b + bend_v * g * g
        normal[4, k] += bend_u * b * d + bend_v * g * h
        normal[5, k] += bend_u * d * d + bend_v * h * h
        slope[0, k] += slope_u * a + slope_v * e
        slope[1, k] += slope_u * b + slope_v * g
        slope[2, k] += slope_u * d + slope_v * h


def _compile_pixels(source: str):  # type: ignore[no-untyped-def]  # compiled
    """Closing over `source` lets numba's cache follow the lens functions too."""

    @compiled
    def add_pixels(points, pixels, weights, rig, loss, out, first, last):  # type: ignore[no-untyped-def]  # compiled
        """Set `out` to the pixel part of the objective: normal matrices (T, 6, K), slopes (T, 3, K), costs (K,)."""
        normal, slope, cost = out
        for k in range(first if len(source) > 0 else last, last):
            cost[k] = 0.0
        for c in range(pixels.shape[1]):
            camera = _camera(rig, c)
            for f in range(len(points)):
                if c == 0:
                    normal[f, :, first:last] = 0.0
                    slope[f, :, first:last] = 0.0
                row = (normal[f], slope[f], cost)
                _add_camera(points[f], pixels[f, c], weights[f, c], camera, loss, row, first, last)

    return add_pixels


def _compile_residuals(source: str):  # type: ignore[no-untyped-def]  # compiled
    """As `_compile_pixels`."""

    @compiled
    def measure_pixels(points, covariance, pixels, weights, rig, out):  # type: ignore[no-untyped-def]  # compiled
        """Set `out` to squared errors (T, C, K) px² and to the part of them that the uncertainty of the point explains
        (T, C, K) px²; NaN where a camera did not see the point. covariance: (T, 6, K) m²."""
        squares, spread = out
        for c in range(pixels.shape[1] if len(source) > 0 else 0):
            R, t, lens = _camera(rig, c)
            for f in range(len(points)):
                for k in range(points.shape[2]):
                    u, v, i, j, visible = _image(points[f, 0, k], points[f, 1, k], points[f, 2, k], R, t, lens)
                    du, dv = u - pixels[f, c, 0, k], v - pixels[f, c, 1, k]
                    seen = visible & (weights[f, c, k] > 0.0)
                    P = covariance[f, :, k]
                    variance = _quadratic(P, i) + _quadratic(P, j)
                    squares[f, c, k] = du * du + dv * dv if seen else math.nan
                    spread[f, c, k] = variance if seen else math.nan

    return measure_pixels


@compiled_part
def _quadratic(P, i):  # type: ignore[no-untyped-def]  # compiled
    """i' P i of a symmetric matrix in six numbers."""
    return (
        P[0] * i[0] * i[0] + P[3] * i[1] * i[1] + P[5] * i[2] * i[2]
        + 2.0 * (P[1] * i[0] * i[1] + P[2] * i[0] * i[2] + P[4] * i[1] * i[2])
    )  # fmt: skip


_SOURCE = source_digest(lens_source.__file__)
add_pixels = _compile_pixels(_SOURCE)
measure_pixels = _compile_residuals(_SOURCE)


@compiled
def add_smoothness(points, whole, weights, stencil, out, cost, first, last):  # type: ignore[no-untyped-def]  # compiled
    """Add the slope of half the weighted squared differences of points (T, 3, K) to `out`; cost (K,) grows alike.

    whole: (T, K) 1 where a difference that starts in this frame has all its points, else 0. weights: (K,) 1/m².
    stencil: (n + 1,) coefficients of the nth difference.
    """
    n = len(stencil)
    difference, pull = np.empty(last - first), np.empty(last - first)
    own, total = weights[first:last], cost[first:last]
    for f in range(len(points) - n + 1):
        on = whole[f, first:last]
        for axis in range(3):
            for k in range(len(pull)):
                difference[k] = 0.0
            for m in range(n):
                row, factor = points[f + m, axis, first:last], stencil[m]
                for k in range(len(pull)):
                    difference[k] += factor * row[k]
            for k in range(len(pull)):
                pull[k] = own[k] * on[k] * difference[k]
                total[k] += 0.5 * pull[k] * difference[k]
            for m in range(n):
                target, factor = out[f + m, axis, first:last], stencil[m]
                for k in range(len(pull)):
                    target[k] += factor * pull[k]


@compiled
def smoothness_band(whole, weights, stencil, band):  # type: ignore[no-untyped-def]  # compiled
    """Set band (T, n + 1, K) to what couples a frame with the one m frames before it in `add_smoothness`."""
    n = len(stencil)
    band[:] = 0.0
    for f in range(len(whole) - n + 1):
        for i in range(n):
            for j in range(i + 1):
                for k in range(whole.shape[1]):
                    band[f + i, i - j, k] += weights[k] * whole[f, k] * stencil[i] * stencil[j]


@compiled
def add_limbs(points, limbs, lengths_m, gains, there, pulls, cost):  # type: ignore[no-untyped-def]  # compiled
    """Set what each limb contributes in each frame; r = gain (length / expected - 1) is its residual.

    limbs: (B, 2) landmarks. lengths_m, gains: (B,). there: (T, K) whether a landmark is solved for.
    pulls: (T, 5, B) dr/da (3), r and length. cost: (B,).
    """
    for b in range(len(limbs)):
        cost[b] = 0.0
    for f in range(len(points)):
        for b in range(len(limbs)):
            i, j = limbs[b, 0], limbs[b, 1]
            x, y = points[f, 0, i] - points[f, 0, j], points[f, 1, i] - points[f, 1, j]
            z = points[f, 2, i] - points[f, 2, j]
            length = math.sqrt(x * x + y * y + z * z)
            on = there[f, i] & there[f, j] & (length > 0.0)
            factor = gains[b] / (lengths_m[b] * length) if on else 0.0
            residual = gains[b] * (length / lengths_m[b] - 1.0) if on else 0.0
            pulls[f, 0, b], pulls[f, 1, b], pulls[f, 2, b] = factor * x, factor * y, factor * z
            pulls[f, 3, b], pulls[f, 4, b] = residual, length if on else 0.0
            cost[b] += 0.5 * residual * residual


@compiled
def spread_limbs(limbs, pulls, normal, slope):  # type: ignore[no-untyped-def]  # compiled
    """Add the limbs' own part to the normal matrices (T, 6, K) and slopes (T, 3, K) of both ends."""
    for f in range(len(pulls)):
        for b in range(len(limbs)):
            x, y, z, r = pulls[f, 0, b], pulls[f, 1, b], pulls[f, 2, b], pulls[f, 3, b]
            for end in range(2):
                k = limbs[b, end]
                sign = r if end == 0 else -r
                normal[f, 0, k] += x * x
                normal[f, 1, k] += x * y
                normal[f, 2, k] += x * z
                normal[f, 3, k] += y * y
                normal[f, 4, k] += y * z
                normal[f, 5, k] += z * z
                slope[f, 0, k] += sign * x
                slope[f, 1, k] += sign * y
                slope[f, 2, k] += sign * z


@compiled
def multiply_points(normal, points, out, first, last):  # type: ignore[no-untyped-def]  # compiled
    """Set out (T, 3, K) to the normal matrices (T, 6, K) times points (T, 3, K)."""
    for f in range(len(points)):
        for k in range(first, last):
            x, y, z = points[f, 0, k], points[f, 1, k], points[f, 2, k]
            out[f, 0, k] = normal[f, 0, k] * x + normal[f, 1, k] * y + normal[f, 2, k] * z
            out[f, 1, k] = normal[f, 1, k] * x + normal[f, 3, k] * y + normal[f, 4, k] * z
            out[f, 2, k] = normal[f, 2, k] * x + normal[f, 4, k] * y + normal[f, 5, k] * z


@compiled
def multiply_limbs(limbs, pulls, by_length, points, out):  # type: ignore[no-untyped-def]  # compiled
    """Add the limbs' coupling of their two ends to out (T, 3, K), their own part being in the normal matrices.

    by_length: (T, B) derivative of the residuals by the expected length, of unit norm over time; zero where lengths
    are fixed. It takes out of the residuals what another expected length would explain.
    """
    explained = np.zeros(len(limbs))
    for f in range(len(points)):
        for b in range(len(limbs)):
            i, j = limbs[b, 0], limbs[b, 1]
            change = pulls[f, 0, b] * (points[f, 0, i] - points[f, 0, j])
            change += pulls[f, 1, b] * (points[f, 1, i] - points[f, 1, j])
            change += pulls[f, 2, b] * (points[f, 2, i] - points[f, 2, j])
            explained[b] += by_length[f, b] * change
    for f in range(len(points)):
        for b in range(len(limbs)):
            i, j = limbs[b, 0], limbs[b, 1]
            x, y, z = pulls[f, 0, b], pulls[f, 1, b], pulls[f, 2, b]
            less = explained[b] * by_length[f, b]
            at_i = x * points[f, 0, i] + y * points[f, 1, i] + z * points[f, 2, i] - less
            at_j = x * points[f, 0, j] + y * points[f, 1, j] + z * points[f, 2, j] + less
            out[f, 0, i] -= x * at_j
            out[f, 1, i] -= y * at_j
            out[f, 2, i] -= z * at_j
            out[f, 0, j] -= x * at_i
            out[f, 1, j] -= y * at_i
            out[f, 2, j] -= z * at_i
