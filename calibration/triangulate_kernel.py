"""The compiled heart of triangulation: one point at a time, without Python objects (numba).

For each point every camera gives a ray, and a 2x2 matrix that says how far a pixel moves per unit of the normalised
image at the observed pixel, lens included. Errors in pixels are taken through that matrix: exact where the error is
zero, and for any lens model at the cost of a pinhole. A fit is a linear solution refined by Gauss-Newton steps
(Hartley & Zisserman, Multiple View Geometry, 12.2 and A6.2). The search for a set of cameras that agree takes its
hypotheses from pairs of cameras and scores them by truncated squares (MSAC: Torr & Zisserman 2000,
doi:10.1006/cviu.1999.0832).
"""

from __future__ import annotations

import math

from calibration.lens import compiled, undistort_point

_MAX_STEPS = 12
_SMALL_STEP_M2 = 1e-10  # squared: after a step of 10 micrometres the next is about 10 nanometres
_SINGULAR = 1e-13
_MAX_PAIRS = 24  # bounds the search at 16 cameras; up to 7 cameras it is every pair
_SURE_FROM = 5  # a hypothesis that all cameras but one support ends the search from this many cameras on


@compiled
def _invert_symmetric(h):  # type: ignore[no-untyped-def]  # compiled
    """Inverse of a symmetric 3x3 matrix, both as (xx, xy, xz, yy, yz, zz); not ok where it is singular."""
    a, b, c, d, e, f = h
    c00, c01, c02 = d * f - e * e, c * e - b * f, b * e - c * d
    det = a * c00 + b * c01 + c * c02
    trace = a + d + f
    if not det > _SINGULAR * trace * trace * trace:
        return False, h
    s = 1.0 / det
    return True, (c00 * s, c01 * s, c02 * s, (a * f - c * c) * s, (b * c - a * e) * s, (a * d - b * b) * s)


@compiled
def _times(m, v):  # type: ignore[no-untyped-def]  # compiled
    """Symmetric matrix (xx, xy, xz, yy, yz, zz) times vector."""
    a, b, c, d, e, f = m
    x, y, z = v
    return a * x + b * y + c * z, b * x + d * y + e * z, c * x + e * y + f * z


@compiled
def _error_px2(views, c, point):  # type: ignore[no-untyped-def]  # compiled
    """Squared pixel distance in camera c between observation and point; infinite behind the camera."""
    rays, scales, _, R, t = views
    x, y, z = point
    pz = R[c, 2, 0] * x + R[c, 2, 1] * y + R[c, 2, 2] * z + t[c, 2]
    if pz <= 0.0:
        return math.inf
    du = (R[c, 0, 0] * x + R[c, 0, 1] * y + R[c, 0, 2] * z + t[c, 0]) / pz - rays[c, 0]
    dv = (R[c, 1, 0] * x + R[c, 1, 1] * y + R[c, 1, 2] * z + t[c, 1]) / pz - rays[c, 1]
    ex = scales[c, 0] * du + scales[c, 1] * dv
    ey = scales[c, 2] * du + scales[c, 3] * dv
    return ex * ex + ey * ey


@compiled
def _fit_linear(views, keep):  # type: ignore[no-untyped-def]  # compiled
    """The point nearest to the kept rays in the linear sense."""
    rays, _, w, R, t = views
    a = b = c = d = e = f = g0 = g1 = g2 = 0.0
    for i in range(len(keep)):
        if not keep[i]:
            continue
        for axis in range(2):
            r0 = rays[i, axis] * R[i, 2, 0] - R[i, axis, 0]
            r1 = rays[i, axis] * R[i, 2, 1] - R[i, axis, 1]
            r2 = rays[i, axis] * R[i, 2, 2] - R[i, axis, 2]
            rhs = w[i] * (t[i, axis] - rays[i, axis] * t[i, 2])
            a, b, c = a + w[i] * r0 * r0, b + w[i] * r0 * r1, c + w[i] * r0 * r2
            d, e, f = d + w[i] * r1 * r1, e + w[i] * r1 * r2, f + w[i] * r2 * r2
            g0, g1, g2 = g0 + r0 * rhs, g1 + r1 * rhs, g2 + r2 * rhs
    ok, inverse = _invert_symmetric((a, b, c, d, e, f))
    return ok, _times(inverse, (g0, g1, g2))


@compiled
def _normal_equations(views, keep, point):  # type: ignore[no-untyped-def]  # compiled
    """Gauss-Newton's matrix and right side in pixels at a point; not ok where the point lies behind a kept camera."""
    rays, scales, w, R, t = views
    x, y, z = point
    a = b = c = d = e = f = g0 = g1 = g2 = 0.0
    for i in range(len(keep)):
        if not keep[i]:
            continue
        pz = R[i, 2, 0] * x + R[i, 2, 1] * y + R[i, 2, 2] * z + t[i, 2]
        if pz <= 0.0:
            return False, (a, b, c, d, e, f), (g0, g1, g2)
        u = (R[i, 0, 0] * x + R[i, 0, 1] * y + R[i, 0, 2] * z + t[i, 0]) / pz
        v = (R[i, 1, 0] * x + R[i, 1, 1] * y + R[i, 1, 2] * z + t[i, 1]) / pz
        du, dv = rays[i, 0] - u, rays[i, 1] - v
        for axis in range(2):
            s0, s1 = scales[i, 2 * axis] / pz, scales[i, 2 * axis + 1] / pz
            s2 = -(s0 * u + s1 * v)
            j0 = s0 * R[i, 0, 0] + s1 * R[i, 1, 0] + s2 * R[i, 2, 0]
            j1 = s0 * R[i, 0, 1] + s1 * R[i, 1, 1] + s2 * R[i, 2, 1]
            j2 = s0 * R[i, 0, 2] + s1 * R[i, 1, 2] + s2 * R[i, 2, 2]
            miss = w[i] * (scales[i, 2 * axis] * du + scales[i, 2 * axis + 1] * dv)
            a, b, c = a + w[i] * j0 * j0, b + w[i] * j0 * j1, c + w[i] * j0 * j2
            d, e, f = d + w[i] * j1 * j1, e + w[i] * j1 * j2, f + w[i] * j2 * j2
            g0, g1, g2 = g0 + j0 * miss, g1 + j1 * miss, g2 + j2 * miss
    return True, (a, b, c, d, e, f), (g0, g1, g2)


@compiled
def _fit(views, keep):  # type: ignore[no-untyped-def]  # compiled
    """The point with the least weighted squared pixel error in the kept cameras, and its covariance per px²."""
    inverse = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    ok, point = _fit_linear(views, keep)
    for _ in range(_MAX_STEPS):
        if not ok:
            break
        ok, h, g = _normal_equations(views, keep, point)
        if not ok:
            break
        ok, inverse = _invert_symmetric(h)
        dx, dy, dz = _times(inverse, g)
        point = (point[0] + dx, point[1] + dy, point[2] + dz)
        if dx * dx + dy * dy + dz * dz < _SMALL_STEP_M2:
            break
    return ok, point, inverse


@compiled
def _cosine_between(views, i, j):  # type: ignore[no-untyped-def]  # compiled
    """Cosine of the angle between the rays of two cameras."""
    rays, _, _, R, _ = views
    dot = 0.0
    for k in range(3):
        a = R[i, 0, k] * rays[i, 0] + R[i, 1, k] * rays[i, 1] + R[i, 2, k]
        b = R[j, 0, k] * rays[j, 0] + R[j, 1, k] * rays[j, 1] + R[j, 2, k]
        dot += a * b
    norm_i = 1.0 + rays[i, 0] * rays[i, 0] + rays[i, 1] * rays[i, 1]
    norm_j = 1.0 + rays[j, 0] * rays[j, 0] + rays[j, 1] * rays[j, 1]
    return dot / math.sqrt(norm_i * norm_j)


@compiled
def _has_parallax(views, keep, max_cosine):  # type: ignore[no-untyped-def]  # compiled
    """Whether two of the kept rays differ enough; rays that face each other differ no more than parallel ones."""
    for i in range(len(keep)):
        for j in range(i):
            if keep[i] and keep[j] and abs(_cosine_between(views, i, j)) <= max_cosine:
                return True
    return False


@compiled
def _support(views, seen, point, max_px2):  # type: ignore[no-untyped-def]  # compiled
    """Truncated weighted square sum of a hypothesis over the cameras that saw the point, and how many agree."""
    weights = views[2]
    score, agreeing = 0.0, 0
    for c in seen:
        error = _error_px2(views, c, point)
        score += weights[c] * min(error, max_px2)
        agreeing += error <= max_px2
    return score, agreeing


@compiled
def _best_pair(views, seen, limits, pair):  # type: ignore[no-untyped-def]  # compiled
    """The point of the pair of cameras that most of the others support; not ok where no pair gives one.

    Pairs are taken round the ring of cameras, neighbours first, so that the first 24 involve every camera evenly.
    """
    max_px2, max_cosine = limits
    n = len(seen)
    best_score, best_point, tried = math.inf, (0.0, 0.0, 0.0), 0
    for gap in range(1, n // 2 + 1):
        for first in range(gap if 2 * gap == n else n):
            i, j = seen[first], seen[(first + gap) % n]
            if tried >= _MAX_PAIRS or abs(_cosine_between(views, i, j)) > max_cosine:
                continue
            tried += 1
            pair[i], pair[j] = True, True
            ok, point = _fit_linear(views, pair)
            pair[i], pair[j] = False, False
            score, agreeing = _support(views, seen, point, max_px2)
            if ok and agreeing >= 2 and score < best_score:
                best_score, best_point = score, point
                if n >= _SURE_FROM and agreeing >= n - 1:
                    return True, best_point
    return best_score < math.inf, best_point


@compiled
def _settle(views, seen, start, max_px2, keep):  # type: ignore[no-untyped-def]  # compiled
    """Fit to the cameras that agree with a point until they stay the same; later rounds only drop cameras."""
    ok, point, inverse = True, start, (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    keep[:] = False
    for turn in range(len(seen) + 3):
        changed = False
        for c in seen:
            agrees = _error_px2(views, c, point) <= max_px2
            if agrees != keep[c] and (turn < 3 or not agrees):
                keep[c] = agrees
                changed = True
        if not changed:
            return ok, point, inverse
        ok, point, inverse = _fit(views, keep)
        if not ok:
            break
    return False, point, inverse


@compiled
def _observe(xy, min_weight, lenses, views, cameras, keep):  # type: ignore[no-untyped-def]  # compiled
    """Fill rays and scales of the cameras that saw the point; returns how many did, listed in `cameras`."""
    rays, scales, weights, _, _ = views
    n = 0
    for c in range(len(weights)):
        keep[c] = False
        if not (weights[c] >= min_weight and weights[c] > 0.0):
            continue
        u, v, a, b, d, e = undistort_point(xy[c, 0], xy[c, 1], lenses[c])
        if math.isnan(u):
            continue
        rays[c, 0], rays[c, 1] = u, v
        scales[c, 0] = lenses[c, 0] * a + lenses[c, 1] * d
        scales[c, 1] = lenses[c, 0] * b + lenses[c, 1] * e
        scales[c, 2], scales[c, 3] = lenses[c, 3] * d, lenses[c, 3] * e
        cameras[n] = c
        keep[c] = True
        n += 1
    return n


@compiled
def _find(views, seen, limits, keep, pair):  # type: ignore[no-untyped-def]  # compiled
    """The point and its covariance per px², and in `keep` the cameras it rests on."""
    max_px2 = limits[0]
    ok, point, inverse = _fit(views, keep)
    if max_px2 == math.inf or (ok and _support(views, seen, point, max_px2)[1] == len(seen)):
        return ok, point, inverse
    if len(seen) < 3:
        return False, point, inverse
    ok, point = _best_pair(views, seen, limits, pair)
    if not ok:
        return False, point, inverse
    return _settle(views, seen, point, max_px2, keep)


@compiled
def _mean_error(views, keep, point):  # type: ignore[no-untyped-def]  # compiled
    """Mean error in px and weighted sum of its squares over the kept cameras."""
    weights = views[2]
    total, squares, used = 0.0, 0.0, 0
    for c in range(len(keep)):
        if keep[c]:
            error = _error_px2(views, c, point)
            total += math.sqrt(error)
            squares += weights[c] * error
            used += 1
    return total / used, squares


@compiled
def triangulate_points(xy, weights, rig, limits, work, out):  # type: ignore[no-untyped-def]  # compiled
    """Triangulate N points.

    Inside, `views` is what is known of one point: rays (C, 2), scales (C, 4), weights (C,), and R, t of the cameras.

    Args:
        xy: (N, C, 2) px. weights: (N, C).
        rig: lenses (C, 11), rotations (C, 3, 3), translations (C, 3) of T_cam_lab.
        limits: least weight, largest error in px (infinite: no camera is ever left out), fewest cameras, largest
            |cosine| between the two most different rays.
        work: rays (C, 2), scales (C, 4), cameras (C,) int, pair (C,) bool False, to be reused from point to point.
        out: xyz (N, 3), mean error (N,), used (N, C), covariance per px² (N, 3, 3), weighted square sum (N,); holds
            NaN and False beforehand, and keeps them where there is no point.
    """
    lenses, R, t = rig
    min_weight, max_px, min_cameras, max_cosine = limits
    rays, scales, cameras, pair = work
    xyz, residual, used, cofactor, squares = out
    inner = (max_px * max_px, max_cosine)
    for i in range(len(xy)):
        keep = used[i]
        views = (rays, scales, weights[i], R, t)
        n = _observe(xy[i], min_weight, lenses, views, cameras, keep)
        ok, point, inverse = False, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        if n >= min_cameras:
            ok, point, inverse = _find(views, cameras[:n], inner, keep, pair)
        if not (ok and keep.sum() >= min_cameras and _has_parallax(views, keep, max_cosine)):
            keep[:] = False
            continue
        xyz[i, 0], xyz[i, 1], xyz[i, 2] = point
        residual[i], squares[i] = _mean_error(views, keep, point)
        a, b, c, d, e, f = inverse
        cofactor[i, 0, 0], cofactor[i, 1, 1], cofactor[i, 2, 2] = a, d, f
        cofactor[i, 0, 1] = cofactor[i, 1, 0] = b
        cofactor[i, 0, 2] = cofactor[i, 2, 0] = c
        cofactor[i, 1, 2] = cofactor[i, 2, 1] = e
