"""What speaks for left and right being exchanged: rays of other cameras, and the frames before and after.

Evidence is a difference of truncated squares in units of the noise: what a pair of landmarks costs exchanged less what
it costs as it is. Positive keeps, negative exchanges. The loops are compiled (numba).
"""

from __future__ import annotations

import math

import numpy as np

from calibration.lens import compiled, compiled_part, read_only_floats
from calibration.projection import essential_matrix, undistort
from labsys.core.arrays import FloatArray, IntArray
from labsys.core.cameras import CameraRig
from labsys.core.landmarks import Landmarks2D

_CAP = 9.0  # three standard deviations: what lies beyond says no more
_SAMPLED_FRAMES = 400
_CHI2_1_MEDIAN, _CHI2_2_MEDIAN = 0.4549, 1.3863
_LEAST_PX2 = 1.0
_TAIL = 2.0  # noise of real 2D landmarks has more tail than its median tells


@compiled_part
def _distance2(rays, t, a, i, b, j, E, focal2):  # type: ignore[no-untyped-def]  # compiled
    """Squared Sampson distance, px², of landmark i in camera a to landmark j in camera b; NaN where one is missing."""
    x, y, u, v = rays[t, a, i, 0], rays[t, a, i, 1], rays[t, b, j, 0], rays[t, b, j, 1]
    l0, l1, l2 = (
        E[0, 0] * u + E[0, 1] * v + E[0, 2],
        E[1, 0] * u + E[1, 1] * v + E[1, 2],
        E[2, 0] * u + E[2, 1] * v + E[2, 2],
    )
    m0, m1 = E[0, 0] * x + E[1, 0] * y + E[2, 0], E[0, 1] * x + E[1, 1] * y + E[2, 1]
    miss = x * l0 + y * l1 + l2
    return focal2 * miss * miss / (l0 * l0 + l1 * l1 + m0 * m0 + m1 * m1)


@compiled
def _compare_views(rays, sure, pairs, essential, focal2, noise2, out):  # type: ignore[no-untyped-def]  # compiled
    """out (T, C, C, G): evidence between every two cameras."""
    for t in range(rays.shape[0]):
        for a in range(rays.shape[1]):
            for b in range(a):
                for p in range(len(pairs)):
                    left, right, group = pairs[p, 0], pairs[p, 1], pairs[p, 2]
                    w = min(min(sure[t, a, left], sure[t, a, right]), min(sure[t, b, left], sure[t, b, right]))
                    if w <= 0.0:
                        continue
                    E, f2, n2 = essential[a, b], focal2[a, b], noise2[group]
                    kept = min(_distance2(rays, t, a, left, b, left, E, f2) / n2, _CAP)
                    kept += min(_distance2(rays, t, a, right, b, right, E, f2) / n2, _CAP)
                    turned = min(_distance2(rays, t, a, left, b, right, E, f2) / n2, _CAP)
                    turned += min(_distance2(rays, t, a, right, b, left, E, f2) / n2, _CAP)
                    if math.isfinite(kept + turned):
                        out[t, a, b, group] += w * (turned - kept)
                for g in range(out.shape[3]):
                    out[t, b, a, g] = out[t, a, b, g]


@compiled_part
def _jump2(xy, sure, t0, t1, t2, c, i, j):  # type: ignore[no-untyped-def]  # compiled
    """Squared distance, px², of landmark j in frame t2 from where i headed in frames t0, t1; infinite if unseen."""
    if t0 < 0 or t0 >= len(xy) or sure[t0, c, i] <= 0.0 or sure[t1, c, i] <= 0.0 or sure[t2, c, j] <= 0.0:
        return math.inf
    dx = 2.0 * xy[t1, c, i, 0] - xy[t0, c, i, 0] - xy[t2, c, j, 0]
    dy = 2.0 * xy[t1, c, i, 1] - xy[t0, c, i, 1] - xy[t2, c, j, 1]
    return dx * dx + dy * dy


@compiled
def _compare_times(xy, sure, pairs, noise2, out):  # type: ignore[no-untyped-def]  # compiled
    """out (T, C, G): evidence between each frame and the one before; either side's motion may tell."""
    for t in range(1, xy.shape[0]):
        for c in range(xy.shape[1]):
            for p in range(len(pairs)):
                left, right, group = pairs[p, 0], pairs[p, 1], pairs[p, 2]
                n2 = noise2[c, group]
                kept = turned = math.inf
                for forward in (True, False):
                    t0, t1, t2 = (t - 2, t - 1, t) if forward else (t + 1, t, t - 1)
                    same = min(_jump2(xy, sure, t0, t1, t2, c, left, left) / n2, _CAP)
                    same += min(_jump2(xy, sure, t0, t1, t2, c, right, right) / n2, _CAP)
                    cross = min(_jump2(xy, sure, t0, t1, t2, c, left, right) / n2, _CAP)
                    cross += min(_jump2(xy, sure, t0, t1, t2, c, right, left) / n2, _CAP)
                    kept, turned = min(kept, same), min(turned, cross)
                out[t, c, group] += turned - kept


def compare_views(landmarks: Landmarks2D, rig: CameraRig, pairs: IntArray, n_groups: int) -> FloatArray:
    """Evidence of every two cameras against each other, (T, C, C, G), symmetric.

    pairs: (P, 3) index of the left landmark, of the right one, and their group.
    """
    rays = np.stack([undistort(c.intrinsics, landmarks.xy_px[:, i]) for i, c in enumerate(rig.cameras)], axis=1)
    sure = np.where(np.isfinite(rays).all(axis=-1), landmarks.confidence, 0.0)
    essential, focal2 = _essentials(rig)
    rays = read_only_floats(np.nan_to_num(rays))
    noise2 = _view_noise2(rays, sure, pairs, n_groups, essential, focal2)
    out = np.zeros((len(rays), len(rig.cameras), len(rig.cameras), n_groups))
    _compare_views(rays, read_only_floats(sure), pairs, essential, focal2, noise2, out)
    return out


def compare_times(landmarks: Landmarks2D, pairs: IntArray, n_groups: int) -> FloatArray:
    """Evidence of each frame against the one before, (T, C, G); 0 in the first frame. pairs as in `compare_views`."""
    xy = landmarks.xy_px
    sure = np.where(np.isfinite(xy).all(axis=-1), landmarks.confidence, 0.0)
    noise2 = np.full((xy.shape[1], n_groups), _LEAST_PX2)
    step = max(1, len(xy) // _SAMPLED_FRAMES)
    rows = np.arange(2, len(xy), step)
    jump2 = ((2.0 * xy[rows - 1] - xy[rows - 2] - xy[rows]) ** 2).sum(axis=-1)
    for g in range(n_groups):
        of_group = np.unique(pairs[pairs[:, 2] == g, :2])
        for c in range(xy.shape[1]):
            noise2[c, g] = _noise2(jump2[:, c, of_group], _CHI2_2_MEDIAN)
    out = np.zeros((*xy.shape[:2], n_groups))
    _compare_times(read_only_floats(np.nan_to_num(xy)), read_only_floats(sure), pairs, noise2, out)
    return out


def _noise2(squares: FloatArray, median_of_one: float) -> float:
    known = squares[np.isfinite(squares)]
    return _TAIL * max(float(np.median(known)) / median_of_one, _LEAST_PX2) if known.size else _LEAST_PX2


def _essentials(rig: CameraRig) -> tuple[FloatArray, FloatArray]:
    """(C, C, 3, 3): ray of camera b to its line in camera a; (C, C) squared mean focal length, px²."""
    count = len(rig.cameras)
    essential, focal2 = np.zeros((count, count, 3, 3)), np.ones((count, count))
    for a, first in enumerate(rig.cameras):
        for b, second in enumerate(rig.cameras):
            essential[a, b] = essential_matrix(first, second)
            focal2[a, b] = first.intrinsics.matrix[0, 0] * second.intrinsics.matrix[0, 0]
    return essential, focal2


def _view_noise2(
    rays: FloatArray, sure: FloatArray, pairs: IntArray, n_groups: int, essential: FloatArray, focal2: FloatArray
) -> FloatArray:
    """(G,) px², how far rays to one landmark miss each other, from the median over a sample of frames."""
    rows = np.arange(0, len(rays), max(1, len(rays) // _SAMPLED_FRAMES))
    homogeneous = np.concatenate([rays[rows], np.ones((*rays[rows].shape[:-1], 1))], axis=-1)
    missed2: list[FloatArray] = []
    for a in range(rays.shape[1]):
        for b in range(a):
            line = homogeneous[:, b] @ essential[a, b].T
            back = homogeneous[:, a] @ essential[a, b]
            size = (line[..., :2] ** 2).sum(axis=-1) + (back[..., :2] ** 2).sum(axis=-1)
            missed = focal2[a, b] * (homogeneous[:, a] * line).sum(axis=-1) ** 2 / np.maximum(size, 1e-30)
            missed2.append(np.where((sure[rows, a] > 0) & (sure[rows, b] > 0), missed, np.nan))
    every = np.stack(missed2)
    groups = (np.unique(pairs[pairs[:, 2] == g, :2]) for g in range(n_groups))
    return np.array([_noise2(every[..., of_group], _CHI2_1_MEDIAN) for of_group in groups])
