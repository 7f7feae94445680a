"""Into LAB: where the belt, gravity and the direction of running are, and whether that can be true.

LAB is right-handed: X forward against belt travel, Y up, Z to the runner's right, origin on the belt. Every way to
find it returns the same value, with what is known about up and heading; the checks refuse worlds that cannot be, each
with its own message, however small the pixel error is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from scipy.ndimage import binary_erosion
from scipy.spatial import KDTree

from calibration.align import place_in_lab
from labsys.core.arrays import BoolArray, FloatArray, as_floats
from labsys.core.cameras import CameraRig
from labsys.core.errors import GateRefusedError, InputError
from labsys.core.rigid import RigidTransform
from labsys.core.units import degrees, millimetres

_UP_TOLERANCE_RAD = np.radians(20.0)
_FEET_TOLERANCE_M = 0.05
_BELT_TOLERANCE_RAD = np.radians(15.0)
_POINT_TOLERANCE_M = 0.02
_LEAST_BELT_MPS = 0.3
_TOGETHER_MPS = 0.25
_STANCE_MARGIN_S = 0.03


class BoardDirection(StrEnum):
    """Which way the board's columns run (its printed x axis, left to right) when it lies on the belt."""

    FORWARD = "forward"
    BACKWARD = "backward"
    LEFT = "left"
    RIGHT = "right"


_ALONG: dict[BoardDirection, tuple[float, float, float]] = {
    BoardDirection.FORWARD: (1.0, 0.0, 0.0),
    BoardDirection.BACKWARD: (-1.0, 0.0, 0.0),
    BoardDirection.LEFT: (0.0, 0.0, -1.0),
    BoardDirection.RIGHT: (0.0, 0.0, 1.0),
}


@dataclass(frozen=True, eq=False)
class LabPlacement:
    """How a rig's own world lies in LAB.

    Attributes:
        T_lab_rig: takes points of the rig's world to LAB.
        up_sd_rad, heading_sd_rad: how surely Y is up and X is forward; NaN when unknown.
        heading_known: False when X is an arbitrary horizontal direction.
        source: what it was found from.
    """

    T_lab_rig: RigidTransform
    up_sd_rad: float
    heading_sd_rad: float
    heading_known: bool
    source: str

    def place(self, rig: CameraRig) -> CameraRig:
        """The rig in LAB."""
        return place_in_lab(rig, self.T_lab_rig)


def lab_from_board(points_rig_m: FloatArray, corners_m: FloatArray, *, along: BoardDirection) -> LabPlacement:
    """LAB from a board that lies face up on the belt; its first corner becomes the origin.

    Args:
        points_rig_m: (T, N, 3) m, corners of the lying board in the rig's world, NaN where not seen.
        corners_m: (N, 3) m of the board, x along its columns, y along its rows.

    Raises:
        InputError: fewer than six corners, or a board that moved.
    """
    known: BoolArray = np.asarray(np.isfinite(points_rig_m).all(axis=-1), dtype=np.bool_)
    some: BoolArray = np.asarray(known.any(axis=0), dtype=np.bool_)
    if some.sum() < 6:
        raise InputError("the board on the belt shows too few corners", remedy="Lay it where two cameras see all of it")
    mean = np.nanmean(points_rig_m[:, some], axis=0)
    spread = np.linalg.norm((points_rig_m - np.nanmean(points_rig_m, axis=0, keepdims=True))[known], axis=-1)
    if np.sqrt(np.mean(spread**2)) > _POINT_TOLERANCE_M:
        raise InputError("the board on the belt moved", remedy="Lay it down, step back, and use frames where it lies")
    x = np.array(_ALONG[along])
    # Seen from above, rows run to the right of columns: the board's y is x turned clockwise, its z points down.
    right = np.cross(x, [0.0, 1.0, 0.0])
    model = corners_m[some, 0, None] * x + corners_m[some, 1, None] * right
    return _placement_from_points(mean, model, "board on the belt", gravity_sd_rad=float("nan"))


def lab_from_points(points_rig_m: FloatArray, points_lab_m: FloatArray) -> LabPlacement:
    """LAB from marked points of belt, floor or surveyed tags whose places in LAB are known.

    Args:
        points_rig_m, points_lab_m: (N, 3) m, three or more that do not lie in one line.

    Raises:
        InputError: too few points, points in a line, or distances that do not agree.
        GateRefusedError: the points fit only a mirrored world.
    """
    found = as_floats("points in the rig's world", points_rig_m, (None, 3), finite=True)
    known = as_floats("points in LAB", points_lab_m, (len(found), 3), finite=True)
    spread = np.linalg.svd(known - known.mean(axis=0), compute_uv=False)
    if len(found) < 3 or spread[1] < 0.05:
        raise InputError("the points do not fix a frame", remedy="Mark three or more, not in one line, wide apart")
    return _placement_from_points(found, known, "surveyed points", gravity_sd_rad=0.0)


def _placement_from_points(rig_m: FloatArray, lab_m: FloatArray, source: str, *, gravity_sd_rad: float) -> LabPlacement:
    R, left = _fit_rotation(rig_m, lab_m)
    sd_m = float(np.sqrt((left**2).sum() / max(3 * len(rig_m) - 6, 1)))
    if np.sqrt((left**2).sum(axis=1).mean()) > _POINT_TOLERANCE_M:
        mirrored = np.sqrt((_fit_rotation(rig_m * [1, 1, -1], lab_m)[1] ** 2).sum(axis=1).mean())
        if mirrored < _POINT_TOLERANCE_M / 2:
            raise GateRefusedError(
                f"the points from {source} fit only a mirrored world",
                remedy="Two of them are exchanged, or a camera's image is mirrored",
            )
        worst = int(np.argmax(np.linalg.norm(left, axis=1)))
        off_mm = millimetres(float(np.linalg.norm(left[worst])))
        raise InputError(
            f"point {worst} of {source} lies {off_mm:.0f} mm from where it should", remedy="Mark or measure it again"
        )
    T = RigidTransform(R, lab_m.mean(axis=0) - R @ rig_m.mean(axis=0))
    centred = lab_m - lab_m.mean(axis=0)
    # Turning about an axis moves a point by its distance from it: about Z and X for up, about Y for heading.
    lever = [np.sqrt((np.delete(centred, axis, axis=1) ** 2).sum()) for axis in range(3)]
    up = float(np.hypot(sd_m / max(lever[0], 1e-9), sd_m / max(lever[2], 1e-9)))
    return LabPlacement(T, float(np.hypot(up, gravity_sd_rad)), sd_m / max(lever[1], 1e-9), True, source)


def _fit_rotation(points_m: FloatArray, model_m: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The rotation that lays points on a model (Kabsch), and what is left, (N, 3) m."""
    centred, target = points_m - points_m.mean(axis=0), model_m - model_m.mean(axis=0)
    U, _, Vt = np.linalg.svd(centred.T @ target)
    R = (Vt.T * [1.0, 1.0, np.sign(np.linalg.det(Vt.T @ U.T))]) @ U.T
    return np.asarray(R, dtype=np.float64), np.asarray(centred @ R.T - target, dtype=np.float64)


def lab_from_feet(forefoot_m: FloatArray, times_s: FloatArray, *, up_hint_rig: FloatArray) -> LabPlacement:
    """LAB from a run on the treadmill: feet in mid-stance lie on the belt and move with it, against X.

    Args:
        forefoot_m: (T, K, 3) m in the rig's world, forefoot landmarks of both feet, NaN where missing.
        times_s: (T,). up_hint_rig: (3,) roughly up, as from the cameras or gravity; only its side is used.

    Raises:
        InputError: too little mid-stance to tell the belt.
    """
    hint = up_hint_rig / np.linalg.norm(up_hint_rig)
    points, motion = _in_stance(forefoot_m, times_s)
    if len(points) < 60:
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


def _in_stance(forefoot_m: FloatArray, times_s: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Places (n, 3) m and velocities (n, 3) m/s of the samples in which a foot stands on the belt.

    Feet that stand all move with the belt; swinging feet each move otherwise. So the belt's velocity is where most
    velocities lie together, and stance is whatever moves so.
    """
    velocity = np.gradient(forefoot_m, times_s, axis=0)
    speed = np.linalg.norm(velocity, axis=-1)
    moving = velocity[np.nan_to_num(speed) > _LEAST_BELT_MPS]
    if not len(moving):
        return np.zeros((0, 3)), np.zeros((0, 3))
    neighbours = KDTree(moving).query_ball_point(moving, _TOGETHER_MPS, return_length=True)
    belt = moving[int(np.argmax(neighbours))]
    for _ in range(5):
        belt = np.median(moving[np.linalg.norm(moving - belt, axis=1) < 1.5 * _TOGETHER_MPS], axis=0)
    stands = np.nan_to_num(np.linalg.norm(velocity - belt, axis=-1), nan=np.inf) < 1.5 * _TOGETHER_MPS
    # Touch-down and push-off move almost with the belt too: only what is well inside a stance counts.
    inside = np.asarray(binary_erosion(stands, np.ones((1 + 2 * _stance_margin(times_s), 1))), dtype=np.bool_)
    return forefoot_m[inside], velocity[inside]


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


def with_gravity(placement: LabPlacement, up_rig: FloatArray, *, sd_rad: float) -> LabPlacement:
    """The same placement with Y along a plumb line or the normal of a levelled board; X stays as near as it can.

    Args:
        up_rig: (3,) against gravity in the rig's world. sd_rad: of the plumb line or level.
    """
    up = placement.T_lab_rig.rotation @ (up_rig / np.linalg.norm(up_rig))
    x = np.array([1.0, 0.0, 0.0]) - up[0] * up
    x /= np.linalg.norm(x)
    T = RigidTransform(np.stack([x, up, np.cross(x, up)]), np.zeros(3))
    return replace(placement, T_lab_rig=T @ placement.T_lab_rig, up_sd_rad=sd_rad)


def check_lab(
    rig: CameraRig,
    *,
    up_lab: FloatArray | None = None,
    feet_m: FloatArray | None = None,
    belt_velocity_mps: FloatArray | None = None,
) -> None:
    """Refuse a LAB that cannot be.

    Args:
        rig: in LAB.
        up_lab: (3,) against gravity as measured by something else.
        feet_m: (N, 3) m, places of feet in stance. belt_velocity_mps: (3,) their mean velocity there.

    Raises:
        GateRefusedError: cameras below the belt, up against gravity, feet off the belt, belt moving the wrong way.
    """
    below = [c.name for c in rig.cameras if c.centre_lab_m[1] < -_FEET_TOLERANCE_M]
    if below:
        raise GateRefusedError(
            f"the world is upside down: {', '.join(below)} would stand below the belt",
            remedy="Check which side of the board was up, and the sign of the up axis",
        )
    if up_lab is not None:
        tilt = float(np.arccos(np.clip(up_lab[1] / np.linalg.norm(up_lab), -1.0, 1.0)))
        if tilt > _UP_TOLERANCE_RAD:
            raise GateRefusedError(
                f"up is {degrees(tilt):.0f} degrees away from against gravity", remedy="Level the board, or plumb again"
            )
    if feet_m is not None:
        height = float(np.nanmedian(feet_m[..., 1]))
        if abs(height) > _FEET_TOLERANCE_M:
            raise GateRefusedError(
                f"feet in stance are {millimetres(height):+.0f} mm above the belt",
                remedy="The calibration does not belong to this take, or its origin was not on the belt",
            )
    if belt_velocity_mps is not None:
        _check_belt(belt_velocity_mps)


def _check_belt(velocity_mps: FloatArray) -> None:
    speed = float(np.linalg.norm(velocity_mps))
    if speed < _LEAST_BELT_MPS:
        return
    off = float(np.arccos(np.clip(-velocity_mps[0] / speed, -1.0, 1.0)))
    if off > np.pi - _BELT_TOLERANCE_RAD:
        raise GateRefusedError("the belt moves forward: X points backward", remedy="Turn the board's direction round")
    if off > _BELT_TOLERANCE_RAD:
        raise GateRefusedError(
            f"the belt moves {degrees(off):.0f} degrees off -X", remedy="Lay the board along the belt, or mark its edge"
        )
