"""Calibration files of other systems and our own, one file each, all to the same value."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from calibration.align import WorldAxes, place_in_lab
from calibration.formats.anipose import (
    format_anipose,
    is_in_lab,
    name_toml_source,
    parse_toml,
    read_labsys_metadata,
    read_toml_cameras,
    read_toml_lenses,
)
from calibration.formats.export import CalibrationFormat, format_calibration, not_carried
from calibration.formats.opencv import read_opencv_cameras, read_opencv_lenses
from calibration.formats.qualisys import read_qualisys_cameras
from labsys.core.cameras import Calibration, Camera, CameraRig, Intrinsics
from labsys.core.errors import InputError

__all__ = [
    "CalibrationFormat",
    "format_anipose",
    "format_calibration",
    "not_carried",
    "read_as_written",
    "read_calibration",
    "read_lenses",
    "write_anipose",
]

_READABLE = "Anipose, Pose2Sim or Caliscope .toml, Qualisys .qca.txt, or OpenCV FileStorage .yml, .xml or .json"


def read_calibration(path: Path, *, axes: WorldAxes | None = None) -> Calibration:
    """Read a calibration file, recognised by its content.

    Args:
        axes: what the axes of the file's world mean; needed for files that do not say. labsys's own files mostly say
            that their world is LAB, and `axes` must not be given for those.

    Raises:
        InputError: unreadable, incomplete or impossible, naming the camera and the key; or a file whose axes nobody
            named; or axes for a file that needs none.
        NewerSchemaError: a newer labsys wrote it.
    """
    found, in_lab = read_as_written(path)
    if not in_lab:
        return _place(found, axes, path)
    if axes is not None:
        raise InputError(
            "this calibration is labsys's own and already in LAB", where=str(path), remedy="Leave --world-axes out"
        )
    return found


def read_as_written(path: Path) -> tuple[Calibration, bool]:
    """The calibration in the world of its file, and whether that is LAB.

    Raises:
        As `read_calibration`, but no axes are needed.
    """
    text = _read_text(path)
    if text.lstrip().startswith(("<", "%YAML", "{")):
        source, foreign = _read_xml_or_storage(text, path)
        return Calibration(rig=_rig(foreign, path), source=source), False
    document = parse_toml(text, path)
    rig = _rig(read_toml_cameras(document, path), path)
    own = read_labsys_metadata(document, rig, path)
    if own is None:
        return Calibration(rig=rig, source=name_toml_source(document)), False
    return own, is_in_lab(document)


def read_lenses(path: Path) -> dict[str, Intrinsics]:
    """Read camera name -> lens from any calibration file, recognised by its content; poses may be missing.

    Raises:
        InputError: unreadable, incomplete or impossible, naming the camera and the key.
    """
    text = _read_text(path)
    if not text.lstrip().startswith(("<", "%YAML", "{")):
        return read_toml_lenses(parse_toml(text, path), path)
    if "<calibration" in text and "<intrinsic" in text:
        return {c.name: c.intrinsics for c in read_qualisys_cameras(text, path)}
    return read_opencv_lenses(path)


def write_anipose(path: Path, calibration: Calibration) -> None:
    """Write a calibration as Anipose's calibration.toml, with what only labsys knows in its metadata table."""
    path.write_text(format_anipose(calibration), encoding="utf-8")


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError("calibration file does not exist", where=str(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"calibration cannot be read: {error}", where=str(path), remedy=_READABLE) from None


def _read_xml_or_storage(text: str, path: Path) -> tuple[str, tuple[Camera, ...]]:
    if "<calibration" in text and "<intrinsic" in text:
        return "qualisys", read_qualisys_cameras(text, path)
    return "opencv", read_opencv_cameras(path)


def _rig(cameras: tuple[Camera, ...], path: Path) -> CameraRig:
    try:
        return CameraRig(cameras)
    except InputError as error:
        raise InputError(error.what, where=str(path), remedy=error.remedy) from None


def _place(found: Calibration, axes: WorldAxes | None, path: Path) -> Calibration:
    if axes is None:
        raise InputError(
            "this calibration does not say how its world lies in the room",
            where=str(path),
            remedy="Name its axes with --world-axes, such as forward=+x,up=+z, or up=+z alone if forward is unknown",
        )
    placed = place_in_lab(found.rig, axes.T_lab_world)
    covariance = None if found.covariance is None else found.covariance.moved(found.rig, placed)
    return replace(found, rig=placed, heading_known=axes.heading_known, covariance=covariance)
