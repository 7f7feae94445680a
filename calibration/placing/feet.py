"""Into LAB from a run on the treadmill: feet that stand move with the belt, and lie on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from calibration.placing.lab_frame import LabPlacement
from labsys.core.arrays import BoolArray, FloatArray, IntArray
from labsys.core.errors import InputError
from labsys.core.rigid import RigidTransform

_LEAST_BELT_MPS = 0.3
_TOGETHER_MPS = 0.25
_SHORTEST_S = 0.06  # a stance; what is shorter only passes by
_MIDDLE = 0.6  # of a stance
# A foot that stands still rolls: on synthetic runners the forefoot sinks or rises by millimetres through mid-stance.
_ROLL_SD_RAD = float(np.radians(1.5))
_WINDOW_S = 0.06  # short against a stance, long enough for a pixel of noise to vanish
_LEAST_SAMPLES = 60


def lab_from_feet(
    forefoot_m: FloatArray, times_s: FloatArray, *, up_hint_rig: FloatArray, kinds: tuple[str, ...] | None = None
) -> LabPlacement:
    """LAB from a run on the treadmill: feet in mid-stance lie on the belt and move with it, against X.

    Args:
        forefoot_m: (T, K, 3) m in the rig's world, forefoot landmarks of both feet, NaN where missing.
        times_s: (T,).
        kinds: K names of what the landmarks are, equal for left and right: each lies at its own height over the belt.
            None takes all for the same.
        up_hint_rig: (3,) roughly up, as from the cameras or gravity; only its side is used.

    Raises:
        InputError: too little mid-stance to tell the belt.
    """
    hint = up_hint_rig / np.linalg.norm(up_hint_rig)
    stance = find_stance(forefoot_m, times_s)
    points, motion = stance.points_m, stance.velocity_mps
    if len(points) < _LEAST_SAMPLES:
        raise InputError(
            f"only {len(points)} mid-stance samples", remedy="Use a run of at least 10 s with both feet seen"
        )
    forward = -np.median(motion, axis=0)
    # Feet touch the belt along the track and across the stance width: the least spread is the belt's normal.
    names = kinds or ("forefoot",) * forefoot_m.shape[1]
    kind = np.unique(names, return_inverse=True)[1][stance.landmark]
    normal, widths = _fit_plane(_from_own_middle(points, kind))
    up = normal * np.sign(normal @ hint)
    forward = forward - (forward @ up) * up
    x = forward / np.linalg.norm(forward)
    R = np.stack([x, up, np.cross(x, up)])
    count = len(points)
    up_sd = float(np.hypot(widths[2] / widths[1] / np.sqrt(count / 10.0), _ROLL_SD_RAD))
    heading_sd = float(np.std(motion @ R[2]) / np.linalg.norm(forward) / np.sqrt(count / 10.0))
    middle = points.mean(axis=0)
    middle = middle + float(np.median((points - middle) @ up)) * up
    T = RigidTransform(R, -R @ middle)
    return LabPlacement(T, up_sd, heading_sd, True, "forefoot in mid-stance")


@dataclass(frozen=True, eq=False)
class Stance:
    """Samples in which a foot stands on the belt: places (n, 3) m, velocities (n, 3) m/s and landmark numbers (n,)."""

    points_m: FloatArray
    velocity_mps: FloatArray
    landmark: IntArray


def find_stance(forefoot_m: FloatArray, times_s: FloatArray) -> Stance:
    """The samples of a run in which a foot stands on the belt, (T, K, 3) m of forefeet at (T,) s; maybe none.

    Feet that stand all move with the belt; swinging feet each move otherwise. So the belt's velocity is where most
    velocities lie together, and stance is whatever moves so.
    """
    velocity = _velocity(forefoot_m, times_s)
    speed = np.linalg.norm(velocity, axis=-1)
    moving = velocity[np.nan_to_num(speed) > _LEAST_BELT_MPS]
    if not len(moving):
        return Stance(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0, dtype=np.int64))
    neighbours = KDTree(moving).query_ball_point(moving, _TOGETHER_MPS, return_length=True)
    belt = moving[int(np.argmax(neighbours))]
    for _ in range(5):
        belt = np.median(moving[np.linalg.norm(moving - belt, axis=1) < 1.5 * _TOGETHER_MPS], axis=0)
    stands = np.nan_to_num(np.linalg.norm(velocity - belt, axis=-1), nan=np.inf) < 1.5 * _TOGETHER_MPS
    inside = np.stack([_middles(column, times_s) for column in stands.T], axis=1)
    return Stance(forefoot_m[inside], velocity[inside], np.nonzero(inside)[1].astype(np.int64))


def _velocity(points_m: FloatArray, times_s: FloatArray) -> FloatArray:
    """Slope of the line through the samples of a short window around each (T, K, 3) m/s; NaN where one is missing."""
    half = max(1, round(_WINDOW_S / 2.0 / float(np.median(np.diff(times_s)))))
    if len(times_s) < 2 * half + 1:
        return np.full(points_m.shape, np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(points_m, 2 * half + 1, axis=0)
    t = np.lib.stride_tricks.sliding_window_view(times_s, 2 * half + 1)
    t = t - t.mean(axis=1, keepdims=True)
    velocity = np.full(points_m.shape, np.nan)
    velocity[half:-half] = np.einsum("tkcw,tw->tkc", windows, t) / (t**2).sum(axis=1)[:, None, None]
    return velocity


def _middles(stands: BoolArray, times_s: FloatArray) -> BoolArray:
    """The middle part of every stance, (T,): at touch-down and push-off a foot rolls, moving almost with the belt."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], stands, [False]]).astype(np.int8)))
    inside = np.zeros(stands.shape, dtype=np.bool_)
    for first, end in edges.reshape(-1, 2):
        if times_s[end - 1] - times_s[first] >= _SHORTEST_S:
            cut = round((1.0 - _MIDDLE) / 2.0 * (end - first))
            inside[first + cut : end - cut] = True
    return inside


def _from_own_middle(points_m: FloatArray, kind: IntArray) -> FloatArray:
    """Points relative to the mean of their kind, which stands at a height of its own."""
    middles = np.stack([points_m[kind == k].mean(axis=0) if (kind == k).any() else np.zeros(3)
                        for k in range(int(kind.max()) + 1)])  # fmt: skip
    return np.asarray(points_m - middles[kind], dtype=np.float64)


def _fit_plane(points_m: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Normal and spreads (3,) of points in a plane, less those that lie far from it."""
    kept = points_m
    for _ in range(6):
        middle = kept.mean(axis=0)
        _, widths, axes = np.linalg.svd(kept - middle, full_matrices=False)
        off = np.abs((points_m - middle) @ axes[2])
        kept = points_m[off <= max(2.5 * 1.4826 * float(np.median(off)), 1e-6)]
    return axes[2], widths
