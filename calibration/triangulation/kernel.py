"""The compiled loops of triangulation (numba): one lane per point, so that they use vector units.

Every camera gives each point a ray and a 2x2 matrix: how far a pixel moves per unit of the normalised image at the
observed pixel, lens included. Errors in pixels are taken through that matrix: exact where the error is zero, and for
any lens model at the cost of a pinhole (Hartley & Zisserman, Multiple View Geometry, 12.2 and A6.2). A weight of zero
takes a camera out; what is singular becomes NaN and stays NaN. `triangulate_blocks` calls these loops in their order.
Loops are spelled out where numpy has a word for them: each such word costs a second of compilation.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from calibration.lens import compiled_part, is_fisheye, refine_rays, undistort_point, unpack_lens
from labsys.core.arrays import BoolArray, FloatArray, IntArray

_SINGULAR = 1e-13
MAX_PAIRS = 24  # bounds the search at 16 cameras; up to 7 cameras it is every pair
_SURE_FROM = 5  # a proposal that all cameras but one support ends the search from this many cameras on
_CONVERGED = 1e-11  # of the normalised image; 1e-8 px


class Lanes(NamedTuple):
    """What is known of B points, one lane each, and room to work in.

    Attributes:
        u, v: (C, B) rays. scales: (C, 4, B) px per unit of the ray, row-major.
        seen, w: (C, B) weights of the cameras that saw the point, and of those that it rests on.
        point: (3, B) m in LAB. inverse: (6, B) m² per px², its covariance as xx, xy, xz, yy, yz, zz.
        step2: (B,) m², last step squared. error: (C, B) px², infinite behind a camera. sums: (9, B).
        counts: (3, B) cameras that saw the point, that agree with it, and their truncated square sum.
        best: (4, B) best proposal and its square sum. tried: (B,) proposals so far.
        rows: (B,) where the result belongs. done, changed, apart: (B,) flags.
        cameras: (C,) 0, 1, …. pair: (2,) two cameras.
    """

    u: FloatArray
    v: FloatArray
    scales: FloatArray
    seen: FloatArray
    w: FloatArray
    point: FloatArray
    inverse: FloatArray
    step2: FloatArray
    error: FloatArray
    sums: FloatArray
    counts: FloatArray
    best: FloatArray
    tried: IntArray
    rows: IntArray
    done: BoolArray
    changed: BoolArray
    apart: BoolArray
    cameras: IntArray
    pair: IntArray


def make_lanes(n_cameras: int, n_lanes: int) -> Lanes:
    """Room for one block."""
    u, v, seen, w, error = (np.zeros((n_cameras, n_lanes)) for _ in range(5))
    point, inverse, sums, counts, best = (np.zeros((k, n_lanes)) for k in (3, 6, 9, 3, 4))
    tried, rows = (np.zeros(n_lanes, dtype=np.int64) for _ in range(2))
    done, changed, apart = (np.zeros(n_lanes, dtype=np.bool_) for _ in range(3))
    return Lanes(
        u=u, v=v, scales=np.zeros((n_cameras, 4, n_lanes)), seen=seen, w=w, point=point, inverse=inverse,
        step2=np.zeros(n_lanes), error=error, sums=sums, counts=counts, best=best, tried=tried, rows=rows, done=done,
        changed=changed, apart=apart, cameras=np.arange(n_cameras), pair=np.zeros(2, dtype=np.int64),
    )  # fmt: skip


@compiled_part
def _clear(rows, n):  # type: ignore[no-untyped-def]  # compiled
    """Zero the first n lanes of every row."""
    for k in range(len(rows)):
        for i in range(n):
            rows[k, i] = 0.0


@compiled_part
def observe(xy, weights, min_weight, lenses, lanes):  # type: ignore[no-untyped-def]  # compiled
    """Fill rays, scales and weights; a pixel that is missing, doubted or beyond the lens gets weight 0."""
    u, v, scales, seen, w, missed = lanes.u, lanes.v, lanes.scales, lanes.seen, lanes.w, lanes.step2
    n = len(xy)
    for c in range(len(lenses)):
        lens = unpack_lens(lenses[c])
        fx, skew, cx, fy, cy = lens[0], lens[1], lens[2], lens[3], lens[4]
        for i in range(n):
            v[c, i] = (xy[i, c, 1] - cy) / fy
            u[c, i] = (xy[i, c, 0] - cx - skew * v[c, i]) / fx
        if is_fisheye(lens):
            for i in range(n):
                missed[i] = math.inf
        else:
            refine_rays(u[c], v[c], scales[c], missed, lens, n)
        for i in range(n):
            weight = weights[i, c]
            if not missed[i] < _CONVERGED:
                x, y, j0, j1, j2, j3 = undistort_point(xy[i, c, 0], xy[i, c, 1], lens)
                if math.isnan(x):
                    x = y = j0 = j1 = j2 = j3 = weight = 0.0
                u[c, i], v[c, i] = x, y
                scales[c, 0, i], scales[c, 1, i], scales[c, 2, i], scales[c, 3, i] = j0, j1, j2, j3
            seen[c, i] = w[c, i] = weight if weight >= min_weight else 0.0
        for i in range(n):
            j0, j1, j2, j3 = scales[c, 0, i], scales[c, 1, i], scales[c, 2, i], scales[c, 3, i]
            scales[c, 0, i], scales[c, 1, i] = fx * j0 + skew * j2, fx * j1 + skew * j3
            scales[c, 2, i], scales[c, 3, i] = fy * j2, fy * j3


@compiled_part
def _solve(sums, n, out, inverse):  # type: ignore[no-untyped-def]  # compiled
    """Solve the symmetric 3x3 systems of `sums` (xx, xy, xz, yy, yz, zz, right side); NaN where singular."""
    for i in range(n):
        a, b, c, d, e, f = sums[0, i], sums[1, i], sums[2, i], sums[3, i], sums[4, i], sums[5, i]
        c00, c01, c02 = d * f - e * e, c * e - b * f, b * e - c * d
        det = a * c00 + b * c01 + c * c02
        trace = a + d + f
        s = 1.0 / det if det > _SINGULAR * trace * trace * trace else math.nan
        i0, i1, i2 = c00 * s, c01 * s, c02 * s
        i3, i4, i5 = (a * f - c * c) * s, (b * c - a * e) * s, (a * d - b * b) * s
        inverse[0, i], inverse[1, i], inverse[2, i] = i0, i1, i2
        inverse[3, i], inverse[4, i], inverse[5, i] = i3, i4, i5
        x, y, z = sums[6, i], sums[7, i], sums[8, i]
        out[0, i] = i0 * x + i1 * y + i2 * z
        out[1, i] = i1 * x + i3 * y + i4 * z
        out[2, i] = i2 * x + i4 * y + i5 * z


@compiled_part
def _add_row(sums, i, w, j0, j1, j2, right):  # type: ignore[no-untyped-def]  # compiled
    """Add one weighted equation j . x = right to the normal equations of a lane."""
    w0, w1, w2 = w * j0, w * j1, w * j2
    sums[0, i] += w0 * j0
    sums[1, i] += w0 * j1
    sums[2, i] += w0 * j2
    sums[3, i] += w1 * j1
    sums[4, i] += w1 * j2
    sums[5, i] += w2 * j2
    sums[6, i] += w0 * right
    sums[7, i] += w1 * right
    sums[8, i] += w2 * right


@compiled_part
def _start(lanes, weights, R, t, cameras, n):  # type: ignore[no-untyped-def]  # compiled
    """Put each lane's point nearest to the rays of the given cameras, in the linear sense."""
    u, v, sums = lanes.u, lanes.v, lanes.sums
    _clear(sums, n)
    for c in cameras:
        r00, r01, r02, r10, r11, r12 = R[c, 0, 0], R[c, 0, 1], R[c, 0, 2], R[c, 1, 0], R[c, 1, 1], R[c, 1, 2]
        r20, r21, r22, t0, t1, t2 = R[c, 2, 0], R[c, 2, 1], R[c, 2, 2], t[c, 0], t[c, 1], t[c, 2]
        for i in range(n):
            x, y, w = u[c, i], v[c, i], weights[c, i]
            _add_row(sums, i, w, x * r20 - r00, x * r21 - r01, x * r22 - r02, t0 - x * t2)
            _add_row(sums, i, w, y * r20 - r10, y * r21 - r11, y * r22 - r12, t1 - y * t2)
    _solve(sums, n, lanes.point, lanes.inverse)


@compiled_part
def _step(lanes, R, t, n):  # type: ignore[no-untyped-def]  # compiled
    """One Gauss-Newton step of every lane towards the least weighted squared pixel error."""
    u, v, scales, weights, point, sums, step2 = (
        lanes.u, lanes.v, lanes.scales, lanes.w, lanes.point, lanes.sums, lanes.step2,
    )  # fmt: skip
    _clear(sums, n)
    for c in range(len(R)):
        r00, r01, r02, r10, r11, r12 = R[c, 0, 0], R[c, 0, 1], R[c, 0, 2], R[c, 1, 0], R[c, 1, 1], R[c, 1, 2]
        r20, r21, r22, t0, t1, t2 = R[c, 2, 0], R[c, 2, 1], R[c, 2, 2], t[c, 0], t[c, 1], t[c, 2]
        for i in range(n):
            x, y, z, w = point[0, i], point[1, i], point[2, i], weights[c, i]
            depth = r20 * x + r21 * y + r22 * z + t2
            s = 1.0 / depth if depth > 0.0 else 0.0  # behind a camera: no pull, and an infinite error later
            px, py = (r00 * x + r01 * y + r02 * z + t0) * s, (r10 * x + r11 * y + r12 * z + t1) * s
            dx, dy = u[c, i] - px, v[c, i] - py
            a, b, d, e = scales[c, 0, i], scales[c, 1, i], scales[c, 2, i], scales[c, 3, i]
            g0, g1, k0, k1 = a * s, b * s, d * s, e * s
            g2, k2 = -(g0 * px + g1 * py), -(k0 * px + k1 * py)
            j0, j1, j2 = g0 * r00 + g1 * r10 + g2 * r20, g0 * r01 + g1 * r11 + g2 * r21, g0 * r02 + g1 * r12 + g2 * r22
            _add_row(sums, i, w, j0, j1, j2, a * dx + b * dy)
            j0, j1, j2 = k0 * r00 + k1 * r10 + k2 * r20, k0 * r01 + k1 * r11 + k2 * r21, k0 * r02 + k1 * r12 + k2 * r22
            _add_row(sums, i, w, j0, j1, j2, d * dx + e * dy)
    move = sums[6:]
    _solve(sums, n, move, lanes.inverse)
    for i in range(n):
        x, y, z = move[0, i], move[1, i], move[2, i]
        point[0, i] += x
        point[1, i] += y
        point[2, i] += z
        step2[i] = x * x + y * y + z * z


@compiled_part
def _measure(lanes, R, t, n):  # type: ignore[no-untyped-def]  # compiled
    """Squared pixel error of every camera; infinite behind it and where there is no point."""
    u, v, scales, point, error = lanes.u, lanes.v, lanes.scales, lanes.point, lanes.error
    for c in range(len(R)):
        r00, r01, r02, r10, r11, r12 = R[c, 0, 0], R[c, 0, 1], R[c, 0, 2], R[c, 1, 0], R[c, 1, 1], R[c, 1, 2]
        r20, r21, r22, t0, t1, t2 = R[c, 2, 0], R[c, 2, 1], R[c, 2, 2], t[c, 0], t[c, 1], t[c, 2]
        for i in range(n):
            x, y, z = point[0, i], point[1, i], point[2, i]
            depth = r20 * x + r21 * y + r22 * z + t2
            s = 1.0 / depth
            dx = (r00 * x + r01 * y + r02 * z + t0) * s - u[c, i]
            dy = (r10 * x + r11 * y + r12 * z + t1) * s - v[c, i]
            ex = scales[c, 0, i] * dx + scales[c, 1, i] * dy
            ey = scales[c, 2, i] * dx + scales[c, 3, i] * dy
            error[c, i] = ex * ex + ey * ey if depth > 0.0 else math.inf


@compiled_part
def _turn(R, i, j, row, column):  # type: ignore[no-untyped-def]  # compiled
    """One number of the rotation from camera j to camera i."""
    return R[i, row, 0] * R[j, column, 0] + R[i, row, 1] * R[j, column, 1] + R[i, row, 2] * R[j, column, 2]


@compiled_part
def mark_parallax(lanes, weights, R, i, j, max_cosine, n):  # type: ignore[no-untyped-def]  # compiled
    """Mark as apart the lanes where both cameras count and their rays differ; facing rays count as parallel."""
    u, v, apart = lanes.u, lanes.v, lanes.apart
    q00, q01, q02 = _turn(R, i, j, 0, 0), _turn(R, i, j, 0, 1), _turn(R, i, j, 0, 2)
    q10, q11, q12 = _turn(R, i, j, 1, 0), _turn(R, i, j, 1, 1), _turn(R, i, j, 1, 2)
    q20, q21, q22 = _turn(R, i, j, 2, 0), _turn(R, i, j, 2, 1), _turn(R, i, j, 2, 2)
    limit = max_cosine * max_cosine
    for k in range(n):
        a, b, x, y = u[i, k], v[i, k], u[j, k], v[j, k]
        dot = a * (q00 * x + q01 * y + q02) + b * (q10 * x + q11 * y + q12) + q20 * x + q21 * y + q22
        differ = dot * dot <= limit * (1.0 + a * a + b * b) * (1.0 + x * x + y * y)
        apart[k] |= differ & (weights[i, k] > 0.0) & (weights[j, k] > 0.0)


@compiled_part
def _count(lanes, max_px2, n):  # type: ignore[no-untyped-def]  # compiled
    """Per lane: cameras that saw the point, how many of them agree with it, and their truncated square sum."""
    error, weights, counts = lanes.error, lanes.seen, lanes.counts
    _clear(counts, n)
    for c in range(len(error)):
        for i in range(n):
            w, e = weights[c, i], error[c, i]
            counts[0, i] += 1.0 if w > 0.0 else 0.0
            counts[1, i] += 1.0 if (w > 0.0) & (e <= max_px2) & (e < math.inf) else 0.0
            counts[2, i] += w * min(e, max_px2) if w > 0.0 else 0.0


@compiled_part
def fit_all(lanes, R, t, n_steps, max_px2, n):  # type: ignore[no-untyped-def]  # compiled
    """Fit each point to all cameras that saw it, and count who agrees."""
    _start(lanes, lanes.w, R, t, lanes.cameras, n)
    for _ in range(n_steps):
        _step(lanes, R, t, n)
    _measure(lanes, R, t, n)
    _count(lanes, max_px2, n)


@compiled_part
def propose(lanes, R, t, max_px2, max_cosine, n):  # type: ignore[no-untyped-def]  # compiled
    """Let the pair of cameras propose points, and keep them where they have more support than those before."""
    point, counts, apart, tried, best = lanes.point, lanes.counts, lanes.apart, lanes.tried, lanes.best
    for i in range(n):
        apart[i] = False
    mark_parallax(lanes, lanes.seen, R, lanes.pair[0], lanes.pair[1], max_cosine, n)
    _start(lanes, lanes.seen, R, t, lanes.pair, n)
    _measure(lanes, R, t, n)
    _count(lanes, max_px2, n)
    for i in range(n):
        if tried[i] >= MAX_PAIRS or not apart[i]:
            continue
        tried[i] += 1
        if counts[1, i] >= 2.0 and counts[2, i] < best[3, i]:
            best[0, i], best[1, i], best[2, i], best[3, i] = point[0, i], point[1, i], point[2, i], counts[2, i]
            if counts[0, i] >= _SURE_FROM and counts[1, i] >= counts[0, i] - 1.0:
                tried[i] = MAX_PAIRS


@compiled_part
def _update_cameras(lanes, max_px2, may_add, n):  # type: ignore[no-untyped-def]  # compiled
    """Rest each point on the cameras that agree with it, and mark where that changed anything."""
    seen, w, error, changed = lanes.seen, lanes.w, lanes.error, lanes.changed
    for i in range(n):
        changed[i] = False
    for c in range(len(seen)):
        for i in range(n):
            agrees = (seen[c, i] > 0.0) & (error[c, i] <= max_px2) & (error[c, i] < math.inf)
            switch = (agrees != (w[c, i] > 0.0)) & (may_add | (not agrees))
            changed[i] |= switch
            w[c, i] = (seen[c, i] if agrees else 0.0) if switch else w[c, i]


@compiled_part
def refine(lanes, R, t, max_px2, may_add, n_steps, n):  # type: ignore[no-untyped-def]  # compiled
    """Take steps with the cameras each point rests on, then decide anew which those are; mark where that changed."""
    for _ in range(n_steps):
        _step(lanes, R, t, n)
    _measure(lanes, R, t, n)
    _update_cameras(lanes, max_px2, may_add, n)


@compiled_part
def write(lanes, min_cameras, n, out):  # type: ignore[no-untyped-def]  # compiled
    """Write the lanes that are done, have parallax and rest on enough cameras to their rows of `out`."""
    w, point, inverse, error, rows = lanes.w, lanes.point, lanes.inverse, lanes.error, lanes.rows
    xyz, residual, used, cofactor, squares = out
    for i in range(n):
        if not (lanes.done[i] and lanes.apart[i]):
            continue
        count, total, square_sum = 0, 0.0, 0.0
        for c in range(len(w)):
            if w[c, i] > 0.0:
                count += 1
                total += math.sqrt(error[c, i])
                square_sum += w[c, i] * error[c, i]
        if count < min_cameras:
            continue
        row = rows[i]
        for c in range(len(w)):
            used[row, c] = w[c, i] > 0.0
        for k in range(3):
            xyz[row, k] = point[k, i]
        residual[row], squares[row] = total / count, square_sum
        cofactor[row, 0, 0], cofactor[row, 1, 1], cofactor[row, 2, 2] = inverse[0, i], inverse[3, i], inverse[5, i]
        cofactor[row, 0, 1] = cofactor[row, 1, 0] = inverse[1, i]
        cofactor[row, 0, 2] = cofactor[row, 2, 0] = inverse[2, i]
        cofactor[row, 1, 2] = cofactor[row, 2, 1] = inverse[4, i]


@compiled_part
def copy_lane(source, i, target, j):  # type: ignore[no-untyped-def]  # compiled
    """Copy what is known of one lane into a lane of another block."""
    for c in range(len(source.u)):
        target.u[c, j], target.v[c, j] = source.u[c, i], source.v[c, i]
        target.seen[c, j], target.w[c, j] = source.seen[c, i], source.w[c, i]
        for k in range(4):
            target.scales[c, k, j] = source.scales[c, k, i]
    for k in range(3):
        target.point[k, j] = source.point[k, i]
    target.rows[j] = source.rows[i]
