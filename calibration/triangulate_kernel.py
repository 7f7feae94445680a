"""The compiled heart of triangulation (numba): blocks of points, one lane per point, so that loops use vector units.

Every camera gives each point a ray and a 2x2 matrix: how far a pixel moves per unit of the normalised image at the
observed pixel, lens included. Errors in pixels are taken through that matrix: exact where the error is zero, and for
any lens model at the cost of a pinhole. A point starts from a linear solution and is refined by Gauss-Newton steps
(Hartley & Zisserman, Multiple View Geometry, 12.2 and A6.2). Where cameras disagree, pairs of cameras propose points,
scored by truncated squares (MSAC: Torr & Zisserman 2000, doi:10.1006/cviu.1999.0832), and the cameras that agree with
the best are refined together. A weight of zero takes a camera out; what is singular becomes NaN and stays NaN.

Lane arrays: rays u, v (C, B); scales (C, 4, B); seen and w (C, B), weights of the cameras that saw the point and of
those it rests on; point (3, B); inverse (6, B), the covariance per px² as xx, xy, xz, yy, yz, zz; error (C, B) px².
numba recompiles this file when it changes, not when lens.py does: touch both.
"""

from __future__ import annotations

import math

import numpy as np

from calibration.lens import compiled, is_fisheye, refine_rays, undistort_point, unpack_lens

_LANES = 256
_STEPS = 2  # per round; from the linear start two steps end within nanometres unless cameras disagree
_SMALL_STEP_M2 = 1e-10  # squared: after a step of 10 micrometres the next is about 10 nanometres
_ROUNDS = 12  # and as many more as there are cameras
_SINGULAR = 1e-13
_MAX_PAIRS = 24  # bounds the search at 16 cameras; up to 7 cameras it is every pair
_SURE_FROM = 5  # a proposal that all cameras but one support ends the search from this many cameras on
_CONVERGED = 1e-11  # of the normalised image; 1e-8 px


@compiled
def _make_lanes(n_cameras):  # type: ignore[no-untyped-def]  # compiled
    """Room for one block: u, v, scales, seen, w, point, inverse, step², error, sums."""
    return (
        np.zeros((n_cameras, _LANES)),
        np.zeros((n_cameras, _LANES)),
        np.zeros((n_cameras, 4, _LANES)),
        np.zeros((n_cameras, _LANES)),
        np.zeros((n_cameras, _LANES)),
        np.zeros((3, _LANES)),
        np.zeros((6, _LANES)),
        np.zeros(_LANES),
        np.zeros((n_cameras, _LANES)),
        np.zeros((9, _LANES)),
    )


@compiled
def _observe(xy, weights, min_weight, lenses, lanes):  # type: ignore[no-untyped-def]  # compiled
    """Fill rays, scales and weights; a pixel that is missing, doubted or beyond the lens gets weight 0."""
    u, v, scales, seen, w, _, _, missed, _, _ = lanes
    n = len(xy)
    for c in range(len(lenses)):
        lens = unpack_lens(lenses[c])
        fx, skew, cx, fy, cy = lens[0], lens[1], lens[2], lens[3], lens[4]
        for i in range(n):
            v[c, i] = (xy[i, c, 1] - cy) / fy
            u[c, i] = (xy[i, c, 0] - cx - skew * v[c, i]) / fx
        if is_fisheye(lens):
            missed[:n] = math.inf
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


@compiled
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


@compiled
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


@compiled
def _start(lanes, weights, R, t, cameras, n):  # type: ignore[no-untyped-def]  # compiled
    """Put each lane's point nearest to the rays of the given cameras, in the linear sense."""
    u, v, _, _, _, point, inverse, _, _, sums = lanes
    sums[:, :n] = 0.0
    for c in cameras:
        r00, r01, r02, r10, r11, r12 = R[c, 0, 0], R[c, 0, 1], R[c, 0, 2], R[c, 1, 0], R[c, 1, 1], R[c, 1, 2]
        r20, r21, r22, t0, t1, t2 = R[c, 2, 0], R[c, 2, 1], R[c, 2, 2], t[c, 0], t[c, 1], t[c, 2]
        for i in range(n):
            x, y, w = u[c, i], v[c, i], weights[c, i]
            _add_row(sums, i, w, x * r20 - r00, x * r21 - r01, x * r22 - r02, t0 - x * t2)
            _add_row(sums, i, w, y * r20 - r10, y * r21 - r11, y * r22 - r12, t1 - y * t2)
    _solve(sums, n, point, inverse)


@compiled
def _step(lanes, R, t, n):  # type: ignore[no-untyped-def]  # compiled
    """One Gauss-Newton step of every lane towards the least weighted squared pixel error."""
    u, v, scales, _, weights, point, inverse, step2, _, sums = lanes
    sums[:, :n] = 0.0
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
    _solve(sums, n, move, inverse)
    for i in range(n):
        x, y, z = move[0, i], move[1, i], move[2, i]
        point[0, i] += x
        point[1, i] += y
        point[2, i] += z
        step2[i] = x * x + y * y + z * z


@compiled
def _measure(lanes, R, t, n):  # type: ignore[no-untyped-def]  # compiled
    """Squared pixel error of every camera; infinite behind it and where there is no point."""
    u, v, scales, _, _, point, _, _, error, _ = lanes
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


@compiled
def _mark_parallax(lanes, weights, R, pair, max_cosine, n, found):  # type: ignore[no-untyped-def]  # compiled
    """Mark the lanes in which both cameras count and their rays differ enough; facing rays count as parallel."""
    u, v = lanes[0], lanes[1]
    i, j = pair
    turn = np.zeros((3, 3))  # rotation between the cameras: rays meet in the first one's frame
    for row in range(3):
        for column in range(3):
            for k in range(3):
                turn[row, column] += R[i, row, k] * R[j, column, k]
    q00, q01, q02, q10, q11, q12 = turn[0, 0], turn[0, 1], turn[0, 2], turn[1, 0], turn[1, 1], turn[1, 2]
    q20, q21, q22 = turn[2, 0], turn[2, 1], turn[2, 2]
    limit = max_cosine * max_cosine
    for k in range(n):
        a, b, x, y = u[i, k], v[i, k], u[j, k], v[j, k]
        dot = a * (q00 * x + q01 * y + q02) + b * (q10 * x + q11 * y + q12) + q20 * x + q21 * y + q22
        apart = dot * dot <= limit * (1.0 + a * a + b * b) * (1.0 + x * x + y * y)
        found[k] |= apart & (weights[i, k] > 0.0) & (weights[j, k] > 0.0)


@compiled
def _have_parallax(lanes, R, max_cosine, n):  # type: ignore[no-untyped-def]  # compiled
    """Whether two of the rays that each point rests on differ enough."""
    apart = np.zeros(n, dtype=np.bool_)
    for i in range(len(R)):
        for j in range(i):
            if not apart.all():
                _mark_parallax(lanes, lanes[4], R, (i, j), max_cosine, n, apart)
    return apart


@compiled
def _count(lanes, weights, max_px2, n, counts):  # type: ignore[no-untyped-def]  # compiled
    """Per lane: cameras that count, how many of them agree with the point, and their truncated square sum."""
    error = lanes[8]
    counts[:, :n] = 0.0
    for c in range(len(error)):
        for i in range(n):
            w, e = weights[c, i], error[c, i]
            counts[0, i] += 1.0 if w > 0.0 else 0.0
            counts[1, i] += 1.0 if (w > 0.0) & (e <= max_px2) & (e < math.inf) else 0.0
            counts[2, i] += w * min(e, max_px2) if w > 0.0 else 0.0


@compiled
def _search(lanes, R, t, limits, n, tried, best):  # type: ignore[no-untyped-def]  # compiled
    """Replace the point of each searching lane by the pair proposal that most of its cameras support.

    Pairs are taken round the ring of cameras, neighbours first, so that the first 24 involve every camera evenly.

    Args:
        tried: (B,) pairs tried so far; a lane that does not search holds the most. best: (4, B) point and score.
    """
    max_px2, max_cosine = limits
    seen, point, n_cameras = lanes[3], lanes[5], len(R)
    counts, apart = np.zeros((3, n)), np.zeros(n, dtype=np.bool_)
    for i in range(n):
        for k in range(3):
            best[k, i] = point[k, i] if tried[i] >= _MAX_PAIRS else math.nan
        best[3, i] = math.inf
    for rank in range(n_cameras * (n_cameras - 1) // 2):
        if tried[:n].min() >= _MAX_PAIRS:
            break
        pair = (rank % n_cameras, (rank % n_cameras + rank // n_cameras + 1) % n_cameras)
        apart[:] = False
        _mark_parallax(lanes, seen, R, pair, max_cosine, n, apart)
        _start(lanes, seen, R, t, pair, n)
        _measure(lanes, R, t, n)
        _count(lanes, seen, max_px2, n, counts)
        for i in range(n):
            if tried[i] >= _MAX_PAIRS or not apart[i]:
                continue
            tried[i] += 1
            if counts[1, i] >= 2.0 and counts[2, i] < best[3, i]:
                best[0, i], best[1, i], best[2, i], best[3, i] = point[0, i], point[1, i], point[2, i], counts[2, i]
                if counts[0, i] >= _SURE_FROM and counts[1, i] >= counts[0, i] - 1.0:
                    tried[i] = _MAX_PAIRS
    point[:, :n] = best[:3, :n]


@compiled
def _update_cameras(lanes, max_px2, may_add, n, changed):  # type: ignore[no-untyped-def]  # compiled
    """Rest each point on the cameras that agree with it, and mark where that changed anything."""
    seen, w, error = lanes[3], lanes[4], lanes[8]
    changed[:n] = False
    for c in range(len(seen)):
        for i in range(n):
            agrees = (seen[c, i] > 0.0) & (error[c, i] <= max_px2) & (error[c, i] < math.inf)
            switch = (agrees != (w[c, i] > 0.0)) & (may_add | (not agrees))
            changed[i] |= switch
            w[c, i] = (seen[c, i] if agrees else 0.0) if switch else w[c, i]


@compiled
def _write(lanes, R, limits, n, done, rows, out):  # type: ignore[no-untyped-def]  # compiled
    """Write the finished lanes, except those whose cameras are too few or see the point from one side."""
    _, _, _, _, w, point, inverse, _, error, _ = lanes
    _, _, min_cameras, max_cosine = limits
    xyz, residual, used, cofactor, squares = out
    apart = _have_parallax(lanes, R, max_cosine, n)
    for i in range(n):
        if not (done[i] and apart[i]):
            continue
        count, total, square_sum = 0, 0.0, 0.0
        for c in range(len(R)):
            if w[c, i] > 0.0:
                count += 1
                total += math.sqrt(error[c, i])
                square_sum += w[c, i] * error[c, i]
        if count < min_cameras:
            continue
        row = rows[i]
        for c in range(len(R)):
            used[row, c] = w[c, i] > 0.0
        for k in range(3):
            xyz[row, k] = point[k, i]
        residual[row], squares[row] = total / count, square_sum
        cofactor[row, 0, 0], cofactor[row, 1, 1], cofactor[row, 2, 2] = inverse[0, i], inverse[3, i], inverse[5, i]
        cofactor[row, 0, 1] = cofactor[row, 1, 0] = inverse[1, i]
        cofactor[row, 0, 2] = cofactor[row, 2, 0] = inverse[2, i]
        cofactor[row, 1, 2] = cofactor[row, 2, 1] = inverse[4, i]


@compiled
def _gather(source, picked, target):  # type: ignore[no-untyped-def]  # compiled
    """Copy what is known of the picked lanes into the first lanes of another block."""
    u, v, scales, seen, w, point, _, _, _, _ = source
    u2, v2, scales2, seen2, w2, point2, _, _, _, _ = target
    for j in range(len(picked)):
        i = picked[j]
        for c in range(len(u)):
            u2[c, j], v2[c, j], seen2[c, j], w2[c, j] = u[c, i], v[c, i], seen[c, i], w[c, i]
            for k in range(4):
                scales2[c, k, j] = scales[c, k, i]
        for k in range(3):
            point2[k, j] = point[k, i]


@compiled
def _settle(lanes, R, t, limits, n, rows, out):  # type: ignore[no-untyped-def]  # compiled
    """Refine lanes and the set of cameras each rests on, until both stay; write those that do."""
    max_px2, step2 = limits[1] * limits[1], lanes[7]
    active, changed, done = np.ones(n, dtype=np.bool_), np.ones(n, dtype=np.bool_), np.zeros(n, dtype=np.bool_)
    for turn in range(_ROUNDS + len(R)):
        _measure(lanes, R, t, n)
        _update_cameras(lanes, max_px2, turn < 3, n, changed)
        for i in range(n):
            done[i] = active[i] and turn > 0 and not changed[i] and step2[i] < _SMALL_STEP_M2
            active[i] = active[i] and not done[i]
        if done.any():
            _write(lanes, R, limits, n, done, rows, out)
        if not active.any():
            return
        for _ in range(_STEPS):
            _step(lanes, R, t, n)


@compiled
def _triangulate_block(xy, weights, rig, limits, rows, spare, out):  # type: ignore[no-untyped-def]  # compiled
    """Triangulate up to 256 points: all cameras first, then a search where they disagree."""
    lenses, R, t = rig
    min_weight, max_px, min_cameras, max_cosine = limits
    max_px2 = max_px * max_px
    lanes, hard, counts, done, tried, best = spare
    n = len(xy)
    _observe(xy, weights, min_weight, lenses, lanes)
    _start(lanes, lanes[4], R, t, range(len(R)), n)
    for _ in range(_STEPS):
        _step(lanes, R, t, n)
    _measure(lanes, R, t, n)
    _count(lanes, lanes[3], max_px2, n, counts)
    picked = np.empty(n, dtype=np.int64)
    n_hard = 0
    for i in range(n):
        united = counts[1, i] == counts[0, i]
        done[i] = united and lanes[7][i] < _SMALL_STEP_M2
        if not done[i] and counts[0, i] >= min_cameras and (united or counts[0, i] > 2.0 or max_px2 == math.inf):
            picked[n_hard] = i
            tried[n_hard] = _MAX_PAIRS if united or max_px2 == math.inf else 0
            n_hard += 1
    _write(lanes, R, limits, n, done, rows, out)
    if n_hard > 0:
        _gather(lanes, picked[:n_hard], hard)
        _search(hard, R, t, (max_px2, max_cosine), n_hard, tried, best)
        _settle(hard, R, t, limits, n_hard, rows[picked[:n_hard]], out)


@compiled
def triangulate_points(xy, weights, rig, limits, out):  # type: ignore[no-untyped-def]  # compiled
    """Triangulate N points.

    Args:
        xy: (N, C, 2) px. weights: (N, C).
        rig: lenses (C, 11), rotations (C, 3, 3), translations (C, 3) of T_cam_lab.
        limits: least weight, largest error in px (infinite: no camera is ever left out), fewest cameras, largest
            |cosine| between the two most different rays.
        out: xyz (N, 3), mean error (N,), used (N, C), covariance per px² (N, 3, 3), weighted square sum (N,); holds
            NaN and False beforehand, and keeps them where there is no point.
    """
    n_cameras = len(rig[0])
    lanes, hard = _make_lanes(n_cameras), _make_lanes(n_cameras)
    counts, done = np.zeros((3, _LANES)), np.zeros(_LANES, dtype=np.bool_)
    tried, best = np.zeros(_LANES, dtype=np.int64), np.zeros((4, _LANES))
    spare = (lanes, hard, counts, done, tried, best)
    for begin in range(0, len(xy), _LANES):
        end = min(begin + _LANES, len(xy))
        _triangulate_block(xy[begin:end], weights[begin:end], rig, limits, np.arange(begin, end), spare, out)
