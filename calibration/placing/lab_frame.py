"""Into LAB: where the belt, gravity and the direction of running are, from a board, marked points, a level or a plumb.

LAB is right-handed: X forward against belt travel, Y up, Z to the runner's right, origin on the belt. Every way to
find it returns the same value, with what is known about up and heading. `lab_feet` finds it from a run, `lab_checks`
refuses worlds that cannot be.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from calibration.align import place_in_lab
from labsys.core.arrays import BoolArray, FloatArray, as_floats
from labsys.core.cameras import CameraRig
from labsys.core.errors import GateRefusedError, InputError
from labsys.core.rigid import RigidTransform
from labsys.core.units import millimetres

_POINT_TOLERANCE_M = 0.02
LEAST_LYING_FRAMES = 5  # fewer say nothing about whether it lay still
LEAST_LYING_S = 1.0  # a hand that waves a board slowly holds it within the tolerance for shorter
_STILL_M = 0.008  # RMS about the mean place; corners of a lying board scatter by 1 to 3 mm


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
        up_sd_rad: how surely Y is the belt's normal, or up where gravity was measured; heading_sd_rad: how surely X is
            forward; NaN when unknown.
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
        InputError: fewer than six corners, too few frames, or a board that moved.
    """
    mean, some = _lying_corners(points_rig_m, "the board on the belt")
    x = np.array(_ALONG[along])
    # Seen from above, rows run to the right of columns: the board's y is x turned clockwise, its z points down.
    right = np.cross(x, [0.0, 1.0, 0.0])
    model = corners_m[some, 0, None] * x + corners_m[some, 1, None] * right
    return _placement_from_points(mean, model, "board on the belt")


def _lying_corners(points_rig_m: FloatArray, what: str) -> tuple[FloatArray, BoolArray]:
    """Mean places (n, 3) m of the corners that were seen, and which (N,) these are."""
    known: BoolArray = np.asarray(np.isfinite(points_rig_m).all(axis=-1), dtype=np.bool_)
    some: BoolArray = np.asarray(known.any(axis=0), dtype=np.bool_)
    if some.sum() < 6:
        raise InputError(f"{what} shows too few corners", remedy="Lay it where two cameras see all of it")
    frames = int((known.sum(axis=1) >= 6).sum())
    if frames < LEAST_LYING_FRAMES:
        raise InputError(
            f"{what} is seen in {frames} frame{'' if frames == 1 else 's'}: nothing shows that it lay still",
            remedy=f"Lay it down for {LEAST_LYING_S:g} s or longer and give all those frames",
        )
    mean = np.nanmean(points_rig_m[:, some], axis=0)
    spread = np.linalg.norm((points_rig_m[:, some] - mean)[known[:, some]], axis=-1)
    moved_m = float(np.sqrt(np.mean(spread**2)))
    if moved_m > _STILL_M:
        raise InputError(
            f"{what} moved by {millimetres(moved_m):.0f} mm",
            remedy="Lay it down, step back, and use frames where it lies",
        )
    return mean, some


@dataclass(frozen=True, eq=False)
class Gravity:
    """Which way is up in a rig's own world: (3,) of length 1, its standard deviation, and what it was found from."""

    up_rig: FloatArray
    sd_rad: float
    source: str


def up_from_level_board(points_rig_m: FloatArray, corners_m: FloatArray, *, level_sd_rad: float) -> Gravity:
    """Up from a board that lies face up and was levelled.

    Args:
        points_rig_m, corners_m: as for `lab_from_board`. level_sd_rad: of the spirit level.

    Raises:
        InputError: as `lab_from_board`, or corners that do not fit the board.
    """
    mean, some = _lying_corners(points_rig_m, "the levelled board")
    placed = _placement_from_points(mean, corners_m[some], "levelled board")
    # The board's z axis points into it, away from who looks at it.
    up = -placed.T_lab_rig.rotation[2]
    centred = corners_m[some] - corners_m[some].mean(axis=0)
    left = _fit_rotation(mean, corners_m[some])[1]
    sd_m = float(np.sqrt((left**2).sum() / max(3 * len(mean) - 6, 1)))
    tilt = sd_m / np.sqrt((centred[:, :2] ** 2).sum(axis=0))
    return Gravity(up, float(np.hypot(np.linalg.norm(tilt), level_sd_rad)), "levelled board")


def up_from_plumb_line(top_rig_m: FloatArray, bottom_rig_m: FloatArray, *, end_sd_m: float) -> Gravity:
    """Up along a plumb line between two marked points, (3,) m each, known to `end_sd_m` in every direction.

    Raises:
        InputError: the points are less than 0.2 m apart.
    """
    line = top_rig_m - bottom_rig_m
    length = float(np.linalg.norm(line))
    if not length > 0.2:
        raise InputError(
            f"the plumb line is {millimetres(length):.0f} mm long", remedy="Mark ends at least 0.2 m apart"
        )
    return Gravity(line / length, float(np.sqrt(2.0) * end_sd_m / length), "plumb line")


def lab_from_points(
    points_rig_m: FloatArray, points_lab_m: FloatArray, *, source: str = "surveyed points"
) -> LabPlacement:
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
    return _placement_from_points(found, known, source)


def _placement_from_points(rig_m: FloatArray, lab_m: FloatArray, source: str) -> LabPlacement:
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
    return LabPlacement(T, up, sd_m / max(lever[1], 1e-9), True, source)


def _fit_rotation(points_m: FloatArray, model_m: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The rotation that lays points on a model (Kabsch), and what is left, (N, 3) m."""
    centred, target = points_m - points_m.mean(axis=0), model_m - model_m.mean(axis=0)
    U, _, Vt = np.linalg.svd(centred.T @ target)
    R = (Vt.T * [1.0, 1.0, np.sign(np.linalg.det(Vt.T @ U.T))]) @ U.T
    return np.asarray(R, dtype=np.float64), np.asarray(centred @ R.T - target, dtype=np.float64)


def lab_from_gravity(gravity: Gravity) -> LabPlacement:
    """LAB with Y up and X in an arbitrary horizontal direction: that of the rig's own x, or z where x is upright."""
    towards = np.eye(3)[0] if abs(gravity.up_rig[0]) < 0.7 else np.eye(3)[2]
    x = towards - (towards @ gravity.up_rig) * gravity.up_rig
    x /= np.linalg.norm(x)
    T = RigidTransform(np.stack([x, gravity.up_rig, np.cross(x, gravity.up_rig)]), np.zeros(3))
    return LabPlacement(T, gravity.sd_rad, float("nan"), False, gravity.source)


def with_gravity(placement: LabPlacement, gravity: Gravity) -> LabPlacement:
    """The same placement with Y along gravity; X stays as near as it can, and the origin stays."""
    up = placement.T_lab_rig.rotation @ gravity.up_rig
    x = np.array([1.0, 0.0, 0.0]) - up[0] * up
    x /= np.linalg.norm(x)
    T = RigidTransform(np.stack([x, up, np.cross(x, up)]), np.zeros(3))
    source = f"{placement.source}, gravity from {gravity.source}"
    return replace(placement, T_lab_rig=T @ placement.T_lab_rig, up_sd_rad=gravity.sd_rad, source=source)


def with_level(placement: LabPlacement, level_sd_rad: float) -> LabPlacement:
    """The same placement, its belt known to be level within this standard deviation; NaN where nobody says."""
    return replace(placement, up_sd_rad=float(np.hypot(placement.up_sd_rad, level_sd_rad)))


def tilt_between(placement: LabPlacement, gravity: Gravity) -> float:
    """Angle between a placement's Y and gravity, rad."""
    return float(np.arccos(np.clip((placement.T_lab_rig.rotation @ gravity.up_rig)[1], -1.0, 1.0)))
