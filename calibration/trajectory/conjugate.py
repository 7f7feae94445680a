"""Compiled loops of conjugate gradients on a trajectory's normal equations, the factors left out.

Loops take chunks of frames, `first` to `last`, and write to these frames alone: threads then share no line of memory
that any of them writes to. Sums are kept by chunk, so that they do not depend on how many threads there are. Arrays are
(T, 3, K), as in `kernel`; symmetric 3x3 matrices are rows xx, xy, xz, yy, yz, zz.
"""

from __future__ import annotations

import numpy as np

from calibration.trajectory.lanes import compiled, inlined
from labsys.core.arrays import FloatArray, IntArray

CHUNK = 64  # frames
# `whole`, weights and stencil of `kernel.add_smoothness`.
Smoothness = tuple[FloatArray, FloatArray, FloatArray]
# Landmarks (B, 2) of the limbs; `pulls` of `kernel.add_limbs`; the derivative (T, B) of their residuals by the expected
# length, of unit norm over time; and (B,) what of the limbs' change along a direction other lengths explain. The last
# two are empty where lengths are fixed.
Limbs = tuple[IntArray, FloatArray, FloatArray, FloatArray]


def count_chunks(n_frames: int) -> int:
    """How many chunks there are, the last one perhaps shorter."""
    return -(-n_frames // CHUNK)


@inlined
def _each(first: int, last: int) -> range:
    """As in `band`: unsigned, so that nothing counts from the end."""
    return range(np.uintp(first), np.uintp(last))


@inlined
def _pull(points: FloatArray, smoothness: Smoothness, pull: FloatArray, f: int) -> None:
    """Set pull (3, K) to the weighted differences that start in frame f, 0 where the trial ends before."""
    whole, weights, stencil = smoothness
    fits = f + len(stencil) <= len(points)
    for axis in range(3):
        own = pull[axis]
        for k in range(len(own)):
            own[k] = 0.0
        if fits:
            for m in range(len(stencil)):
                row, factor = points[f + m, axis], stencil[m]
                for k in range(len(own)):
                    own[k] += factor * row[k]
            on = whole[f]
            for k in range(len(own)):
                own[k] *= weights[k] * on[k]


@inlined
def _multiply_own(normal: FloatArray, damping: float, points: FloatArray, out: FloatArray) -> None:
    """Each landmark's own matrix, of one frame."""
    for k in _each(0, points.shape[1]):
        x, y, z = points[0, k], points[1, k], points[2, k]
        out[0, k] = (normal[0, k] + damping) * x + normal[1, k] * y + normal[2, k] * z
        out[1, k] = normal[1, k] * x + (normal[3, k] + damping) * y + normal[4, k] * z
        out[2, k] = normal[2, k] * x + normal[4, k] * y + (normal[5, k] + damping) * z


@inlined
def _couple(limbs: Limbs, points: FloatArray, out: FloatArray, f: int) -> None:
    """Add the limbs' coupling of their two ends, less what other expected lengths explain, of one frame."""
    ends, pulls, by_length, explained = limbs
    pull = pulls[f]
    for b in _each(0, len(ends)):
        i, j = np.uintp(ends[b, 0]), np.uintp(ends[b, 1])
        x, y, z = pull[0, b], pull[1, b], pull[2, b]
        less = explained[b] * by_length[f, b] if len(explained) > 0 else 0.0
        at_i = x * points[0, i] + y * points[1, i] + z * points[2, i] - less
        at_j = x * points[0, j] + y * points[1, j] + z * points[2, j] + less
        out[0, i] -= x * at_j
        out[1, i] -= y * at_j
        out[2, i] -= z * at_j
        out[0, j] -= x * at_i
        out[1, j] -= y * at_i
        out[2, j] -= z * at_i


@compiled
def multiply(
    matrix: tuple[FloatArray, float],
    smoothness: Smoothness,
    limbs: Limbs,
    points: FloatArray,
    out: tuple[FloatArray, FloatArray],
    first: int,
    last: int,
) -> None:
    """Set `out` to the whole normal matrix times points, (T, 3, K), and to the scalar products of both, by chunk.

    matrix: (T, 6, K), limbs' own part included, and what is added to its diagonal. limbs: `explained` by `turn`.
    """
    (normal, damping), (image, products) = matrix, out
    stencil = smoothness[2]
    n = len(stencil)
    recent = np.zeros((n, 3, points.shape[2]))  # the weighted differences that still have a say in the frames ahead
    for chunk in range(first, last):
        begin, total = chunk * CHUNK, 0.0
        for f in range(max(0, begin - n + 1), min(begin + CHUNK, len(points))):
            _pull(points, smoothness, recent[f % n], f)
            if f < begin:
                continue
            _multiply_own(normal[f], damping, points[f], image[f])
            for m in range(min(n - 1, f), -1, -1):
                for axis in range(3):
                    target, pull, factor = image[f, axis], recent[(f - m) % n, axis], stencil[m]
                    for k in range(len(pull)):
                        target[k] += factor * pull[k]
            _couple(limbs, points[f], image[f], f)
            for axis in range(3):
                left, right = points[f, axis], image[f, axis]
                for k in range(len(left)):
                    total += left[k] * right[k]
        products[chunk] = total


@compiled
def go_along(
    ahead: float,
    direction: FloatArray,
    image: FloatArray,
    step: FloatArray,
    residual: FloatArray,
    first: int,
    last: int,
) -> None:
    """Go `ahead` along a direction, whose image the residual loses."""
    for f in range(first * CHUNK, min(last * CHUNK, len(step))):
        for axis in range(3):
            own, by, left, less = step[f, axis], direction[f, axis], residual[f, axis], image[f, axis]
            for k in range(len(own)):
                own[k] += ahead * by[k]
            for k in range(len(left)):
                left[k] -= ahead * less[k]


@compiled
def turn(
    share: float, solved: FloatArray, direction: FloatArray, limbs: Limbs, explained: FloatArray, first: int, last: int
) -> None:
    """Keep a share of the direction and add what was solved for.

    explained: set to what other lengths explain of the limbs' change by that, by chunk; or empty.
    """
    ends, pulls, by_length, _ = limbs
    for chunk in range(first, last):
        for b in range(explained.shape[1]):
            explained[chunk, b] = 0.0
        for f in range(chunk * CHUNK, min(chunk * CHUNK + CHUNK, len(solved))):
            for axis in range(3):
                own, more = direction[f, axis], solved[f, axis]
                for k in range(len(own)):
                    own[k] = share * own[k] + more[k]
            here, pull = solved[f], pulls[f]
            for b in _each(0, explained.shape[1]):
                i, j = np.uintp(ends[b, 0]), np.uintp(ends[b, 1])
                change = pull[0, b] * (here[0, i] - here[0, j])
                change += pull[1, b] * (here[1, i] - here[1, j])
                change += pull[2, b] * (here[2, i] - here[2, j])
                explained[chunk, b] += by_length[f, b] * change


@compiled
def sum_products(a: FloatArray, b: FloatArray, products: FloatArray, first: int, last: int) -> None:
    """Set products (K,), landmarks `first` to `last`, to the scalar products of a and b over time and axes."""
    for k in range(first, last):
        products[k] = 0.0
    total = products[first:last]
    for f in range(len(a)):
        for axis in range(3):
            left, right = a[f, axis, first:last], b[f, axis, first:last]
            for k in range(len(total)):
                total[k] += left[k] * right[k]
