"""Banded Cholesky factors of many landmarks at once, their solutions, and the part of the inverse inside the band.

A landmark's normal matrix has 3 T rows; smoothness of order n couples each row with the 3 n + 2 before it. Arrays have
the landmark last, so that the innermost loops run along memory.
Selected inverse: Takahashi, Fagan & Chen 1973; Rue & Held, Gaussian Markov Random Fields (2005), section 2.4.
"""

from __future__ import annotations

import math

import numpy as np

from calibration.trajectory.lanes import compiled, inlined
from labsys.core.arrays import FloatArray


@inlined
def _each(first: int, last: int) -> range:
    """Indices `first` to `last`, unsigned: with signed ones the compiler must reckon with counting from the end, and
    leaves the loop to scalar units."""
    return range(np.uintp(first), np.uintp(last))


@inlined
def _set_rows(
    normal: FloatArray, band: FloatArray, damping: float, factor: FloatArray, f: int, first: int, last: int
) -> None:
    """Rows 3 f to 3 f + 2 of the matrix: entry (i, i - j) stands in factor[i, j]."""
    n = band.shape[1] - 1
    for c in range(3):
        row = factor[3 * f + c]
        for j in range(3 * n + 3):
            for k in _each(first, last):
                row[j, k] = 0.0
        for m in range(min(n, f) + 1):
            for k in _each(first, last):
                row[3 * m, k] = band[f, m, k]
        for k in _each(first, last):
            row[0, k] += normal[f, (0, 3, 5)[c], k] + damping
    for k in _each(first, last):
        factor[3 * f + 1, 1, k] = normal[f, 1, k]
        factor[3 * f + 2, 1, k] = normal[f, 4, k]
        factor[3 * f + 2, 2, k] = normal[f, 2, k]


@compiled
def factorise(normal: FloatArray, band: FloatArray, damping: float, factor: FloatArray, first: int, last: int) -> None:
    """Set factor (3 T, 3 n + 3, K) to the Cholesky factors; in place of each diagonal entry stands its inverse.

    normal: (T, 6, K). band: (T, n + 1, K). damping: added to the diagonal.
    """
    width = factor.shape[1] - 1
    for f in range(len(normal)):
        _set_rows(normal, band, damping, factor, f, first, last)
        for i in range(3 * f, 3 * f + 3):
            row = factor[i]
            for j in range(min(width, i), -1, -1):
                above = factor[i - j]
                for m in range(1, min(width, i) - j + 1):
                    for k in _each(first, last):
                        row[j, k] -= row[j + m, k] * above[m, k]
                if j > 0:
                    for k in _each(first, last):
                        row[j, k] *= above[0, k]
                else:
                    for k in _each(first, last):
                        row[0, k] = 1.0 / math.sqrt(row[0, k])


@compiled
def solve_factored(factor: FloatArray, right: FloatArray, out: FloatArray, first: int, last: int) -> None:
    """Set out (3 T, K) to the solution for the right side (3 T, K)."""
    n_rows, width = len(factor), factor.shape[1] - 1
    own = np.empty(last - first)  # a row of its own, which no other row overlaps: vector units need to know
    for i in range(n_rows):
        begin, inverse, target = right[i, first:last], factor[i, 0, first:last], out[i, first:last]
        for k in range(len(own)):
            own[k] = begin[k]
        for j in range(1, min(width, i) + 1):
            below, known = factor[i, j, first:last], out[i - j, first:last]
            for k in range(len(own)):
                own[k] -= below[k] * known[k]
        for k in range(len(own)):
            target[k] = own[k] * inverse[k]
    for i in range(n_rows - 1, -1, -1):
        inverse, target = factor[i, 0, first:last], out[i, first:last]
        for k in range(len(own)):
            own[k] = target[k] * inverse[k]
            target[k] = own[k]
        for j in range(1, min(width, i) + 1):
            below, open_row = factor[i, j, first:last], out[i - j, first:last]
            for k in range(len(own)):
                open_row[k] -= below[k] * own[k]


@inlined
def _inverse_row(factor: FloatArray, ring: FloatArray, i: int, first: int, last: int) -> None:
    """Set the ring's row of i to the inverse's entries (i, i + j)."""
    n_rows, width = len(factor), factor.shape[1] - 1
    own = ring[i % len(ring)]
    ahead = min(width, n_rows - 1 - i)
    for j in range(width, -1, -1):
        for k in _each(first, last):
            own[j, k] = 0.0
        if j > ahead:
            continue
        for m in range(1, ahead + 1):
            # Entry (i + m, i + j) of the inverse: for j = 0 it is (i, i + m), which is known by then.
            low, gap = (i, m) if j == 0 else ((i + m, j - m) if j >= m else (i + j, m - j))
            known = ring[low % len(ring)]
            for k in _each(first, last):
                own[j, k] -= factor[i + m, m, k] * known[gap, k]
        for k in _each(first, last):
            own[j, k] *= factor[i, 0, k]
            if j == 0:
                own[0, k] += factor[i, 0, k] * factor[i, 0, k]


@compiled
def invert_band(
    factor: FloatArray,
    stencil: FloatArray,
    ring: FloatArray,
    covariance: FloatArray,
    roughness: FloatArray,
    first: int,
    last: int,
) -> None:
    """Set covariance (T, 6, K) to each frame's block of the inverse.

    roughness: (T, K) variance, over the three axes, of the difference that starts in a frame.
    ring: (3 n + 3, 3 n + 3, K), room to work in.
    """
    n, width, size = len(stencil), factor.shape[1] - 1, len(ring)
    for f in range(len(covariance) - 1, -1, -1):
        for i in range(3 * f + 2, 3 * f - 1, -1):
            _inverse_row(factor, ring, i, first, last)
        x, y, z = ring[(3 * f) % size], ring[(3 * f + 1) % size], ring[(3 * f + 2) % size]
        for k in _each(first, last):
            covariance[f, 0, k], covariance[f, 1, k], covariance[f, 2, k] = x[0, k], x[1, k], x[2, k]
            covariance[f, 3, k], covariance[f, 4, k], covariance[f, 5, k] = y[0, k], y[1, k], z[0, k]
            roughness[f, k] = 0.0
        if f + n > len(covariance):
            continue
        for p in range(n):
            for q in range(p, n):
                twice = stencil[p] * stencil[q] * (1.0 if p == q else 2.0)
                for c in range(3):
                    entry = ring[(3 * (f + p) + c) % size]
                    for k in _each(first, last):
                        roughness[f, k] += twice * entry[3 * (q - p), k] if 3 * (q - p) <= width else 0.0
