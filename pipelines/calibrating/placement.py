"""How a calibrated rig comes into LAB: what says where the belt, gravity and the direction of running are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.align import WorldAxes
from calibration.board.detect import BoardCorners
from calibration.placing.checks import check_lab
from calibration.placing.lab_frame import (
    LEAST_LYING_S,
    BoardDirection,
    Gravity,
    LabPlacement,
    lab_from_board,
    lab_from_gravity,
    tilt_between,
    up_from_level_board,
    with_gravity,
    with_level,
)
from calibration.placing.tags import TagViews, lab_from_tags
from calibration.rig.quality import triangulate_corners
from labsys.capture.tags import TagSet
from labsys.core.arrays import FloatArray
from labsys.core.cameras import CameraRig
from labsys.core.errors import InputError
from labsys.core.units import degrees
from pipelines.calibrating.feet import FeetRun, check_feet, place_by_feet
from pipelines.calibrating.marked_points import LabPoints, PlumbLine, place_by_points, up_from_marks

LEVEL_SD_RAD = float(np.radians(0.1))  # of a good spirit level


@dataclass(frozen=True)
class Frames:
    """First and last frame, counted from 0."""

    first: int
    last: int


@dataclass(frozen=True)
class BeltBoard:
    """The board lies face up on the belt in these frames (first and last, counted from 0); `along`: its columns."""

    along: BoardDirection
    first_frame: int
    last_frame: int


@dataclass(frozen=True)
class LevelBoard:
    """The board lies face up, levelled, in these frames."""

    frames: Frames


LabSource = WorldAxes | BeltBoard | LabPoints | TagSet
GravitySource = LevelBoard | PlumbLine


@dataclass(frozen=True, eq=False)
class LabRequest:
    """What says how the rig lies in LAB; all None leaves it in the frame of its first camera.

    Attributes:
        source: of the whole frame. gravity: of up, overruling the source's. belt_level_sd_rad: how surely the belt is
            level where nothing measures gravity; None where nobody says.
        feet: a run in the same cameras: places the rig where there is no source, else checks it.
    """

    source: LabSource | None = None
    gravity: GravitySource | None = None
    belt_level_sd_rad: float | None = None
    feet: FeetRun | None = None

    @property
    def gravity_is_belts(self) -> bool:
        """Whether gravity rests on the very frames that the belt rests on, so that neither can check the other."""
        if not isinstance(self.source, BeltBoard) or not isinstance(self.gravity, LevelBoard):
            return False
        frames = self.gravity.frames
        return frames.first <= self.source.last_frame and self.source.first_frame <= frames.last

    @property
    def knows_belt(self) -> bool:
        """Whether the origin will be on the belt, so that cameras must stand above it."""
        if self.source is None:
            return self.feet is not None
        return not isinstance(self.source, WorldAxes)


@dataclass(frozen=True, eq=False)
class PlacedRig:
    """A rig, and what is known about where it is.

    Attributes:
        in_lab: False for a rig in the frame of its first camera.
        up_sd_rad, heading_sd_rad: NaN when unknown. how: what it was placed by, "" when it was not.
        tilt_rad: of the belt or the tags against gravity, NaN unless both were measured, each from its own.
    """

    rig: CameraRig
    in_lab: bool
    heading_known: bool
    up_sd_rad: float
    heading_sd_rad: float
    how: str
    tilt_rad: float = float("nan")


def place_rig(
    rig: CameraRig, corners: BoardCorners, request: LabRequest, *, tag_views: TagViews | None = None
) -> PlacedRig:
    """Place a rig that is solved in the frame of its first camera, and check that the world can be.

    Args:
        tag_views: what the cameras see of the treadmill's tags, where these are the source.

    Raises:
        InputError: frames, points, tags or a run that cannot say what they are asked.
        GateRefusedError: a world that cannot be: mirrored, upside down, not level, feet off the belt.
    """
    gravity = _find_gravity(rig, corners, request.gravity)
    found = _find_placement(rig, corners, request, tag_views)
    tilt = float("nan")
    if found is None:
        if gravity is None:
            return PlacedRig(rig, False, False, float("nan"), float("nan"), "")
        found = lab_from_gravity(gravity)
    elif gravity is not None:
        if not request.gravity_is_belts:
            tilt = tilt_between(found, gravity)
        check_lab(found.place(rig), up_lab=found.T_lab_rig.rotation @ gravity.up_rig)
        found = with_gravity(found, gravity)
    elif not isinstance(request.source, TagSet | WorldAxes):
        level = request.belt_level_sd_rad
        found = with_level(found, float("nan") if level is None else level)
    placed = found.place(rig)
    if request.knows_belt:
        check_lab(placed)
    if request.feet is not None:
        check_feet(request.feet, placed)
    return PlacedRig(placed, True, found.heading_known, found.up_sd_rad, found.heading_sd_rad, found.source, tilt)


def _find_placement(
    rig: CameraRig, corners: BoardCorners, request: LabRequest, tag_views: TagViews | None
) -> LabPlacement | None:
    """Where LAB is, if anything says."""
    match request.source:
        case None:
            return None if request.feet is None else place_by_feet(request.feet, rig)
        case WorldAxes():
            nan = float("nan")
            how = f"axes of {rig.names[0]}: {request.source.text}"
            return LabPlacement(request.source.T_lab_world, nan, nan, request.source.heading_known, how)
        case BeltBoard(along, first, last):
            points = _board_points(rig, corners, Frames(first, last))
            return lab_from_board(points, corners.board.corners_m, along=along)
        case LabPoints():
            return place_by_points(request.source, rig)
        case TagSet():
            if tag_views is None:
                raise InputError("nobody looked for the tags", where=request.source.name)
            return lab_from_tags(tag_views, rig, request.source)


def _find_gravity(rig: CameraRig, corners: BoardCorners, source: GravitySource | None) -> Gravity | None:
    match source:
        case None:
            return None
        case LevelBoard(frames):
            points = _board_points(rig, corners, frames)
            return up_from_level_board(points, corners.board.corners_m, level_sd_rad=LEVEL_SD_RAD)
        case PlumbLine():
            return up_from_marks(source, rig)


def _board_points(rig: CameraRig, corners: BoardCorners, frames: Frames) -> FloatArray:
    """Corners (T, N, 3) m in the rig's world at some frames."""
    count = len(corners.times_s)
    if not 0 <= frames.first <= frames.last < count:
        raise InputError(
            f"frames {frames.first} to {frames.last} are not in the videos",
            remedy=f"There are {count} frames, 0 to {count - 1}",
        )
    lasted_s = float(corners.times_s[frames.last] - corners.times_s[frames.first])
    if lasted_s < LEAST_LYING_S - 1e-6:
        raise InputError(
            f"frames {frames.first} to {frames.last} last {lasted_s:.2f} s: too short to show that the board lay still",
            remedy=f"Lay it down for {LEAST_LYING_S:g} s or longer and give all those frames",
        )
    index = np.arange(count)
    chosen = np.asarray((index >= frames.first) & (index <= frames.last), dtype=np.bool_)
    return triangulate_corners(corners.at_frames(chosen).xy_px, rig)


def placement_remarks(request: LabRequest, placed: PlacedRig) -> tuple[str, ...]:
    """What a person should know about where the rig was placed."""
    if not placed.in_lab:
        return (
            "the calibration is not placed in LAB: up and heading are unknown, its world is the frame of "
            f"{placed.rig.names[0]}; 'labsys import' asks for --world-axes",
        )
    remarks = []
    if not np.isfinite(placed.up_sd_rad) and not isinstance(request.source, WorldAxes):
        remarks.append(
            "up is the belt's normal, gravity was not measured: give --level-board or --plumb-line, or say with "
            "--belt-level-sd how well the belt is levelled"
        )
    if request.gravity_is_belts:
        remarks.append(
            "belt and gravity rest on the same frames of one board, so neither checks the other: that it lay on the "
            "belt and was level is taken from you; --plumb-line, or --feet TRIAL, would check it"
        )
    if np.isfinite(placed.tilt_rad):
        remarks.append(f"the belt or its tags lean {degrees(placed.tilt_rad):.2f} degrees against gravity")
    if not placed.heading_known:
        remarks.append("heading unknown: transverse angles are relative to an arbitrary direction")
    return tuple(remarks)
