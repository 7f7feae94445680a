"""The two lens models as scalar functions, compiled once (numba), for everything that maps pixels to rays and back.

A lens is a row of eleven numbers (`pack_lens`): fx, skew, cx, fy, cy, five distortion coefficients, model. Scalars and
rows rather than objects, because compiled loops over millions of observations call these functions.

Models: https://docs.opencv.org/4.x/d9/d0c/group__calib3d.html (pinhole) and .../d3/d0b (fisheye, Kannala-Brandt).
"""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from labsys.core.arrays import FloatArray
from labsys.core.cameras import Intrinsics, LensModel

LENS_SIZE = 11
# Sums may be reordered and fused; NaN and infinity keep their meaning (no `nnan`, no `ninf`), division never raises.
COMPILED_OPTIONS: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"contract", "reassoc", "arcp", "nsz"},
}
# `compiled` is for what Python calls: its code is kept on disk. `compiled_part` is for what compiled code calls: kept
# within its callers only, or numba would link an old part into a new caller (its cache watches one file at a time).
compiled = njit(cache=True, **COMPILED_OPTIONS)
compiled_part = njit(**COMPILED_OPTIONS)

_MAX_ITERATIONS = 50
_BRANCHLESS_STEPS = 4
_CONVERGED = 1e-7  # Newton's error after a step is about its square: 1e-14 of the normalised image, 1e-11 px
_FISHEYE = 1.0


def source_digest(*paths: str) -> str:
    """Hash of source files: a compiled function that closes over it is compiled anew when one of them changes."""
    return hashlib.sha256(b"".join(Path(p).read_bytes() for p in paths)).hexdigest()


def read_only_floats(values: ArrayLike) -> FloatArray:
    """Contiguous float64 values, not to be written to.

    numba compiles anew for each kind of array; with every input read-only there is one kind.
    """
    array = np.ascontiguousarray(values, dtype=np.float64).view()
    array.flags.writeable = False
    return array


def pack_lens(intrinsics: Intrinsics) -> FloatArray:
    """One lens as a row (11,) for the compiled functions."""
    K = intrinsics.matrix
    row = np.zeros(LENS_SIZE)
    row[:5] = K[0, 0], K[0, 1], K[0, 2], K[1, 1], K[1, 2]
    row[5 : 5 + intrinsics.distortion.size] = intrinsics.distortion
    row[10] = _FISHEYE if intrinsics.model is LensModel.FISHEYE else 0.0
    return read_only_floats(row)


@compiled_part
def distort_pinhole(x, y, lens):  # type: ignore[no-untyped-def]  # compiled
    """As `distort`, of a pinhole lens: without a branch."""
    k1, k2, p1, p2, k3 = lens[5], lens[6], lens[7], lens[8], lens[9]
    r2 = x * x + y * y
    radial = 1.0 + r2 * (k1 + r2 * (k2 + r2 * k3))
    slope = 2.0 * (k1 + r2 * (2.0 * k2 + 3.0 * r2 * k3))
    xd = x * radial + 2.0 * p1 * x * y + p2 * (r2 + 2.0 * x * x)
    yd = y * radial + p1 * (r2 + 2.0 * y * y) + 2.0 * p2 * x * y
    cross = x * y * slope + 2.0 * p1 * x + 2.0 * p2 * y
    j00 = radial + x * x * slope + 2.0 * p1 * y + 6.0 * p2 * x
    j11 = radial + y * y * slope + 6.0 * p1 * y + 2.0 * p2 * x
    return xd, yd, j00, cross, cross, j11


@compiled_part
def distort_fisheye(x, y, lens):  # type: ignore[no-untyped-def]  # compiled
    """As `distort`, of a fisheye lens."""
    k1, k2, k3, k4 = lens[5], lens[6], lens[7], lens[8]
    r = math.sqrt(x * x + y * y)
    if r < 1e-12:
        return x, y, 1.0, 0.0, 0.0, 1.0
    theta = math.atan(r)
    t2 = theta * theta
    bent = theta * (1.0 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4))))
    bent_slope = (1.0 + t2 * (3.0 * k1 + t2 * (5.0 * k2 + t2 * (7.0 * k3 + t2 * 9.0 * k4)))) / (1.0 + r * r)
    scale = bent / r
    radial = (bent_slope - scale) / (r * r)
    cross = x * y * radial
    return x * scale, y * scale, scale + x * x * radial, cross, cross, scale + y * y * radial


@compiled_part
def distort(x, y, lens):  # type: ignore[no-untyped-def]  # compiled
    """Bend a normalised point; returns it and its Jacobian (row-major): xd, yd, dxd/dx, dxd/dy, dyd/dx, dyd/dy."""
    if lens[10] == _FISHEYE:
        return distort_fisheye(x, y, lens)
    return distort_pinhole(x, y, lens)


@compiled_part
def _undistort_fisheye(xd, yd, lens):  # type: ignore[no-untyped-def]  # compiled
    """Newton on the angle; NaN at and beyond 90 degrees, which no normalised point can express."""
    k1, k2, k3, k4 = lens[5], lens[6], lens[7], lens[8]
    bent = math.sqrt(xd * xd + yd * yd)
    if bent < 1e-12:
        return xd, yd
    theta = min(bent, 1.5)
    for _ in range(_MAX_ITERATIONS):
        t2 = theta * theta
        value = theta * (1.0 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4)))) - bent
        slope = 1.0 + t2 * (3.0 * k1 + t2 * (5.0 * k2 + t2 * (7.0 * k3 + t2 * 9.0 * k4)))
        if slope <= 0.0:
            break
        step = value / slope
        theta -= step
        if abs(step) < _CONVERGED:
            if theta <= 0.0 or theta >= 0.5 * math.pi:
                break
            scale = math.tan(theta) / bent
            return xd * scale, yd * scale
    return math.nan, math.nan


@compiled_part
def _undistort_pinhole(xd, yd, lens):  # type: ignore[no-untyped-def]  # compiled
    """Newton in the plane from the bent point outwards; NaN beyond the fold, where no ray or several would answer."""
    x, y = xd, yd
    for _ in range(_MAX_ITERATIONS):
        xb, yb, a, b, c, d = distort_pinhole(x, y, lens)
        det = a * d - b * c
        if det <= 0.0 or a + d <= 0.0:
            break
        ex, ey = xb - xd, yb - yd
        dx = (d * ex - b * ey) / det
        dy = (a * ey - c * ex) / det
        x -= dx
        y -= dy
        if abs(dx) + abs(dy) < _CONVERGED * (1.0 + abs(x) + abs(y)):
            return x, y, a, b, c, d
    return math.nan, math.nan, math.nan, math.nan, math.nan, math.nan


@compiled_part
def undistort_point(u, v, lens):  # type: ignore[no-untyped-def]  # compiled
    """Pixel to normalised point, and the Jacobian (row-major) of the bent point in it; NaN in gives NaN out."""
    if not (math.isfinite(u) and math.isfinite(v)):
        return math.nan, math.nan, math.nan, math.nan, math.nan, math.nan
    yd = (v - lens[4]) / lens[3]
    xd = (u - lens[2] - lens[1] * yd) / lens[0]
    if lens[10] == _FISHEYE:
        x, y = _undistort_fisheye(xd, yd, lens)
        _, _, a, b, c, d = distort_fisheye(x, y, lens)
        return x, y, a, b, c, d
    return _undistort_pinhole(xd, yd, lens)


@compiled_part
def unpack_lens(lens):  # type: ignore[no-untyped-def]  # compiled
    """A packed lens as a tuple, whose numbers compiled loops keep in registers."""
    return (lens[0], lens[1], lens[2], lens[3], lens[4], lens[5], lens[6], lens[7], lens[8], lens[9], lens[10])


@compiled_part
def is_fisheye(lens):  # type: ignore[no-untyped-def]  # compiled
    """Whether a lens is a fisheye."""
    return lens[10] == _FISHEYE


@compiled_part
def refine_rays(x, y, jacobian, missed, lens, n):  # type: ignore[no-untyped-def]  # compiled
    """Undistort n bent pinhole points in place, in four Newton steps without a branch, so that vector units do it.

    Args:
        x, y: (B,) bent points, become rays.
        jacobian: (4, B), row-major, of the bent point in the ray.
        missed: (B,) by how much the bent point is missed in the end; where that is not small (far from the axis,
            beyond the fold), `undistort_point` must decide.
    """
    for i in range(n):
        xd, yd = x[i], y[i]
        u, v = xd, yd
        for _ in range(_BRANCHLESS_STEPS):
            ub, vb, a, b, c, d = distort_pinhole(u, v, lens)
            s = 1.0 / (a * d - b * c)
            u, v = u - (d * (ub - xd) - b * (vb - yd)) * s, v - (a * (vb - yd) - c * (ub - xd)) * s
        ub, vb, a, b, c, d = distort_pinhole(u, v, lens)
        x[i], y[i] = u, v
        jacobian[0, i], jacobian[1, i], jacobian[2, i], jacobian[3, i] = a, b, c, d
        folded = (a * d - b * c <= 0.0) | (a + d <= 0.0)
        missed[i] = math.inf if folded else abs(ub - xd) + abs(vb - yd)


@compiled
def undistort_points(xy_px, lens, out):  # type: ignore[no-untyped-def]  # compiled
    """Fill out (N, 2) with the normalised points of xy_px (N, 2)."""
    for i in range(xy_px.shape[0]):
        out[i, 0], out[i, 1], _, _, _, _ = undistort_point(xy_px[i, 0], xy_px[i, 1], lens)


@compiled
def project_points(points_cam_m, lens, out):  # type: ignore[no-untyped-def]  # compiled
    """Fill out (N, 2) px with the images of points_cam_m (N, 3); NaN behind the camera and beyond the lens's fold."""
    for i in range(points_cam_m.shape[0]):
        z = points_cam_m[i, 2]
        out[i, 0], out[i, 1] = math.nan, math.nan
        if z > 0.0:
            xd, yd, a, b, c, d = distort(points_cam_m[i, 0] / z, points_cam_m[i, 1] / z, lens)
            if a * d - b * c > 0.0 and a + d > 0.0:
                out[i, 0] = lens[0] * xd + lens[1] * yd + lens[2]
                out[i, 1] = lens[3] * yd + lens[4]
