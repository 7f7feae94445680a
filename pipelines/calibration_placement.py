"""How a calibrated rig comes into LAB: by its first camera's axes, or by the board lying on the belt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.align import WorldAxes, place_in_lab
from calibration.detect import BoardCorners
from calibration.lab_frame import BoardDirection, check_lab, lab_from_board
from calibration.quality import triangulate_corners
from labsys.core.arrays import BoolArray
from labsys.core.cameras import CameraRig
from labsys.core.errors import InputError


@dataclass(frozen=True)
class BeltBoard:
    """The board lies face up on the belt in these frames (first and last, counted from 0); `along`: its columns."""

    along: BoardDirection
    first_frame: int
    last_frame: int


LabSource = WorldAxes | BeltBoard


@dataclass(frozen=True, eq=False)
class PlacedRig:
    """A rig, and what is known about where it is.

    Attributes:
        in_lab: False for a rig in the frame of its first camera.
        up_sd_rad, heading_sd_rad: NaN when unknown. how: what it was placed by, "" when it was not.
    """

    rig: CameraRig
    in_lab: bool
    heading_known: bool
    up_sd_rad: float
    heading_sd_rad: float
    how: str


def place_rig(rig: CameraRig, corners: BoardCorners, source: LabSource | None) -> PlacedRig:
    """Place a rig that is solved in the frame of its first camera.

    Raises:
        InputError: frames in which two cameras do not see the board lie still.
        GateRefusedError: a world that cannot be, such as cameras below the belt.
    """
    nan = float("nan")
    if source is None:
        return PlacedRig(rig, False, False, nan, nan, "")
    if isinstance(source, WorldAxes):
        placed = place_in_lab(rig, source.T_lab_world)
        return PlacedRig(placed, True, source.heading_known, nan, nan, f"axes of {rig.names[0]}: {source.text}")
    found = lab_from_board(
        triangulate_corners(corners.at_frames(_frames(corners, source)).xy_px, rig),
        corners.board.corners_m,
        along=source.along,
    )
    placed = found.place(rig)
    check_lab(placed)
    return PlacedRig(placed, True, found.heading_known, found.up_sd_rad, found.heading_sd_rad, found.source)


def _frames(corners: BoardCorners, source: BeltBoard) -> BoolArray:
    count = len(corners.times_s)
    if not 0 <= source.first_frame <= source.last_frame < count:
        raise InputError(
            f"frames {source.first_frame} to {source.last_frame} are not in the videos",
            remedy=f"There are {count} frames, 0 to {count - 1}",
        )
    index = np.arange(count)
    return np.asarray((index >= source.first_frame) & (index <= source.last_frame), dtype=np.bool_)
