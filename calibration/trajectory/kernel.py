"""Compiled loops over the terms of the trajectory objective that join points: smoothness and limb lengths.

Everything is laid out with time first and landmark last, so that loops over landmarks run along memory and vector
units do many landmarks at once: points (T, 3, K) m. Loops take landmarks `first` to `last`, or frames, so that threads
can share them. Symmetric 3x3 matrices are rows xx, xy, xz, yy, yz, zz.
"""

from __future__ import annotations

import math

import numpy as np

from calibration.trajectory.lanes import compiled, inlined
from labsys.core.arrays import BoolArray, FloatArray, IntArray

UNKNOWN_M2 = 1e4  # variance of what nothing determines


@compiled
def add_smoothness(
    points: FloatArray,
    whole: FloatArray,
    weights: FloatArray,
    stencil: FloatArray,
    out: FloatArray,
    cost: FloatArray,
    first: int,
    last: int,
) -> None:
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
def smoothness_band(whole: FloatArray, weights: FloatArray, stencil: FloatArray, band: FloatArray) -> None:
    """Set band (T, n + 1, K) to what couples a frame with the one m frames before it in `add_smoothness`."""
    n = len(stencil)
    band[:] = 0.0
    for f in range(len(whole) - n + 1):
        for i in range(n):
            for j in range(i + 1):
                for k in range(whole.shape[1]):
                    band[f + i, i - j, k] += weights[k] * whole[f, k] * stencil[i] * stencil[j]


@compiled
def add_limbs(
    points: FloatArray,
    limbs: IntArray,
    lengths_m: FloatArray,
    gains: FloatArray,
    there: BoolArray,
    pulls: FloatArray,
    first: int,
    last: int,
) -> None:
    """Set what each limb contributes in frames `first` to `last`; r = gain (length / expected - 1) is its residual.

    limbs: (B, 2) landmarks. lengths_m, gains: (B,). there: (T, K) whether a landmark is solved for.
    pulls: (T, 5, B) dr/da (3), r and length.
    """
    for f in range(first, last):
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


@compiled
def spread_limbs(
    limbs: IntArray, pulls: FloatArray, normal: FloatArray, slope: FloatArray, first: int, last: int
) -> None:
    """Add the limbs' own part to the normal matrices (T, 6, K) and slopes (T, 3, K) of both ends, in frames
    `first` to `last`."""
    for f in range(first, last):
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
def add_limb_information(
    limbs: IntArray, pulls: FloatArray, variance: FloatArray, normal: FloatArray, out: FloatArray, first: int, last: int
) -> None:
    """Add to out (T, 6, K), frames `first` to `last`, what limbs say about each end, were they measurements from the
    other: the variance (B, 2) m² of a limb's length for its two ends, and that of the other end along the limb, as its
    normal matrix (T, 6, K) has it. pulls: (T, 5, B) of `add_limbs`."""
    for f in range(first, last):
        for b in range(len(limbs)):
            length = pulls[f, 4, b]
            x, y, z = pulls[f, 0, b], pulls[f, 1, b], pulls[f, 2, b]
            norm = math.sqrt(x * x + y * y + z * z)
            if not (length > 0.0 and norm > 0.0):
                continue
            x, y, z = x / norm, y / norm, z / norm
            for end in range(2):
                near, far = limbs[b, end], limbs[b, 1 - end]
                total = variance[b, end] + _variance_along(normal[f, :, far], x, y, z)
                if not total > 0.0:
                    continue
                out[f, 0, near] += x * x / total
                out[f, 1, near] += x * y / total
                out[f, 2, near] += x * z / total
                out[f, 3, near] += y * y / total
                out[f, 4, near] += y * z / total
                out[f, 5, near] += z * z / total


@inlined
def _variance_along(normal: FloatArray, x: float, y: float, z: float) -> float:
    """u' N^-1 u of a normal matrix (6,) and a unit vector; huge where it determines nothing."""
    a, b, c, d, e, f = normal[0], normal[1], normal[2], normal[3], normal[4], normal[5]
    c00, c01, c02 = d * f - e * e, c * e - b * f, b * e - c * d
    c11, c12, c22 = a * f - c * c, b * c - a * e, a * d - b * b
    determinant = a * c00 + b * c01 + c * c02
    size = a + d + f
    if not determinant > 1e-9 * size * size * size:
        return UNKNOWN_M2
    form: float = c00 * x * x + c11 * y * y + c22 * z * z + 2.0 * (c01 * x * y + c02 * x * z + c12 * y * z)
    return form / determinant if form < UNKNOWN_M2 * determinant else UNKNOWN_M2
