"""Files of points that a person marked in the images: where the belt is, and a plumb line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from calibration.match import match_cameras
from calibration.placing.lab_frame import Gravity, LabPlacement, lab_from_points, up_from_plumb_line
from calibration.rig.quality import triangulate_corners
from labsys.capture.strict_yaml import Section, parse_section, read_mapping
from labsys.core.arrays import FloatArray
from labsys.core.cameras import CameraRig
from labsys.core.errors import InputError

_MARKED_SD_PX = 1.0  # how well a person hits a point with the mouse

_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Pixel = Annotated[list[_Finite], Field(min_length=2, max_length=2)]
_Views = Annotated[dict[str, _Pixel], Field(min_length=2)]


class MarkedPoint(Section):
    """One point: where it is in LAB, and where two cameras or more show it."""

    section: ClassVar[str] = "points"
    lab_m: Annotated[list[_Finite], Field(min_length=3, max_length=3)]
    px: _Views


class LabPointsFile(Section):
    """Points of the belt or the floor whose places in LAB were measured with a tape."""

    section: ClassVar[str] = "LAB points"
    points: Annotated[dict[str, MarkedPoint], Field(min_length=3)]


class PlumbLineFile(Section):
    """The upper and the lower end of a hanging line in two cameras or more."""

    section: ClassVar[str] = "plumb line"
    top_px: _Views
    bottom_px: _Views


@dataclass(frozen=True, eq=False)
class LabPoints:
    """Marked points: names, places (N, 3) m in LAB, and camera -> (N, 2) px, NaN where not marked."""

    names: tuple[str, ...]
    lab_m: FloatArray
    px: Mapping[str, FloatArray]


@dataclass(frozen=True, eq=False)
class PlumbLine:
    """A plumb line: camera -> (2, 2) px of its upper and lower end, NaN where not marked."""

    px: Mapping[str, FloatArray]


def load_lab_points(path: Path) -> LabPoints:
    """Read marked points (InputError: unreadable, fewer than three, or a point in one camera alone)."""
    written = parse_section(LabPointsFile, read_mapping(path), path=path).points
    px = _by_camera([point.px for point in written.values()])
    return LabPoints(tuple(written), np.array([p.lab_m for p in written.values()], dtype=np.float64), px)


def load_plumb_line(path: Path) -> PlumbLine:
    """Read a plumb line (InputError: unreadable, or an end that one camera alone shows)."""
    written = parse_section(PlumbLineFile, read_mapping(path), path=path)
    return PlumbLine(_by_camera([written.top_px, written.bottom_px]))


def _by_camera(marks: list[dict[str, list[float]]]) -> dict[str, FloatArray]:
    cameras = sorted({camera for mark in marks for camera in mark})
    nowhere = [float("nan")] * 2
    return {c: np.array([mark.get(c, nowhere) for mark in marks], dtype=np.float64) for c in cameras}


def place_by_points(points: LabPoints, rig: CameraRig) -> LabPlacement:
    """LAB from marked points.

    Raises:
        InputError: a point that cannot be triangulated, or that lies elsewhere than the tape says; names it.
        GateRefusedError: points that fit only a mirrored world.
    """
    found = _triangulate(points.px, rig, points.names)
    try:
        return lab_from_points(found, points.lab_m, source="marked points")
    except InputError as error:
        named = "".join(f"point {i} is '{n}'; " for i, n in enumerate(points.names) if f"point {i} " in error.what)
        raise InputError(error.what, where=named.rstrip("; ") or error.where, remedy=error.remedy) from error


def up_from_marks(line: PlumbLine, rig: CameraRig) -> Gravity:
    """Gravity along a marked plumb line (InputError: an end that cannot be triangulated, or too short a line)."""
    top, bottom = _triangulate(line.px, rig, ("upper end", "lower end"))
    # How far an end moves when each of its marks moves by the hand's error.
    moved = []
    for camera in line.px:
        for axis in range(2):
            shifted = {c: xy + (_MARKED_SD_PX * np.eye(2)[axis] if c == camera else 0.0) for c, xy in line.px.items()}
            moved.append(_triangulate(shifted, rig, ("upper end", "lower end")) - [top, bottom])
    end_sd_m = float(np.sqrt((np.stack(moved) ** 2).sum(axis=0).max()))
    return up_from_plumb_line(top, bottom, end_sd_m=end_sd_m)


def _triangulate(px: Mapping[str, FloatArray], rig: CameraRig, names: tuple[str, ...]) -> FloatArray:
    match = match_cameras(rig.names, px)
    xy = np.full((1, len(rig.cameras), len(names), 2), np.nan)
    for camera, marks in px.items():
        xy[0, rig.names.index(match[camera])] = marks
    points: FloatArray = triangulate_corners(xy, rig)[0]
    for name, point in zip(names, points, strict=True):
        if not np.isfinite(point).all():
            raise InputError(f"'{name}' cannot be triangulated", remedy="Mark it in two cameras that see it well")
    return points
