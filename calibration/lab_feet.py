"""Into LAB from a run on the treadmill: feet that stand move with the belt, and lie on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_erosion
from scipy.spatial import KDTree

from calibration.lab_frame import LabPlacement
from labsys.core.arrays import FloatArray
from labsys.core.errors import InputError
from labsys.core.rigid import RigidTransform

_LEAST_BELT_MPS = 0.3
_TOGETHER_MPS = 0.25
_STANCE_MARGIN_S = 0.03
_LEAST_SAMPLES = 60


def lab_from_feet(forefoot_m: FloatArray, times_s: FloatArray, *, up_hint_rig: FloatArray) -> LabPlacement:
    """LAB from a run on the treadmill: feet in mid-stance lie on the belt and move with it, against X.

    Args:
        forefoot_m: (T, K, 3) m in the rig's world, forefoot landmarks of both feet, NaN where missing.
        times_s: (T,). up_hint_rig: (3,) roughly up, as from the cameras or gravity; only its side is used.

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
    middle, normal, widths = _fit_plane(points)
    up = normal * np.sign(normal @ hint)
    forward = forward - (forward @ up) * up
    x = forward / np.linalg.norm(forward)
    R = np.stack([x, up, np.cross(x, up)])
    count = len(points)
    up_sd = float(widths[2] / widths[1] / np.sqrt(count / 10.0))
    heading_sd = float(np.std(motion @ R[2]) / np.linalg.norm(forward) / np.sqrt(count / 10.0))
    T = RigidTransform(R, -R @ middle)
    return LabPlacement(T, up_sd, heading_sd, True, "forefoot in mid-stance")


@dataclass(frozen=True, eq=False)
class Stance:
    """Samples in which a foot stands on the belt: places (n, 3) m and velocities (n, 3) m/s."""

    points_m: FloatArray
    velocity_mps: FloatArray


def find_stance(forefoot_m: FloatArray, times_s: FloatArray) -> Stance:
    """The samples of a run in which a foot stands on the belt, (T, K, 3) m of forefeet at (T,) s; maybe none.

    Feet that stand all move with the belt; swinging feet each move otherwise. So the belt's velocity is where most
    velocities lie together, and stance is whatever moves so.
    """
    velocity = np.gradient(forefoot_m, times_s, axis=0)
    speed = np.linalg.norm(velocity, axis=-1)
    moving = velocity[np.nan_to_num(speed) > _LEAST_BELT_MPS]
    if not len(moving):
        return Stance(np.zeros((0, 3)), np.zeros((0, 3)))
    neighbours = KDTree(moving).query_ball_point(moving, _TOGETHER_MPS, return_length=True)
    belt = moving[int(np.argmax(neighbours))]
    for _ in range(5):
        belt = np.median(moving[np.linalg.norm(moving - belt, axis=1) < 1.5 * _TOGETHER_MPS], axis=0)
    stands = np.nan_to_num(np.linalg.norm(velocity - belt, axis=-1), nan=np.inf) < 1.5 * _TOGETHER_MPS
    # Touch-down and push-off move almost with the belt too: only what is well inside a stance counts.
    inside = np.asarray(binary_erosion(stands, np.ones((1 + 2 * _stance_margin(times_s), 1))), dtype=np.bool_)
    return Stance(forefoot_m[inside], velocity[inside])


def _stance_margin(times_s: FloatArray) -> int:
    return max(1, round(_STANCE_MARGIN_S / float(np.median(np.diff(times_s)))))


def _fit_plane(points_m: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Middle, normal and spreads (3,) of points in a plane, less those that lie far from it."""
    kept = points_m
    for _ in range(6):
        middle = kept.mean(axis=0)
        _, widths, axes = np.linalg.svd(kept - middle, full_matrices=False)
        off = np.abs((points_m - middle) @ axes[2])
        kept = points_m[off <= max(2.5 * 1.4826 * float(np.median(off)), 1e-6)]
    return middle, axes[2], widths
