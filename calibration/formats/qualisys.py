"""Qualisys .qca.txt: XML with positions in mm and image quantities in 1/64 px.

Distortion coefficients are dimensionless and are read as they stand, although one public converter divides them by 64
with the rest of the image quantities (docs/adr/ on Qualisys distortion holds the measurements).
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np

from calibration.formats.fields import CameraFields, build_camera
from labsys.core.cameras import Camera, Intrinsics
from labsys.core.errors import InputError

_SUBPIXELS = 64.0
# Qualisys' camera looks along -z with y up; OpenCV's along +z with y down.
_FLIP = np.diag([1.0, -1.0, -1.0])


def read_qualisys_cameras(text: str, path: Path) -> tuple[Camera, ...]:
    """Active cameras in file order, named by serial; poses relative to the Qualisys world, in metres."""
    try:
        root = ET.fromstring(text)
    except ET.ParseError as error:
        raise InputError(f"calibration is not valid XML: {error}", where=str(path)) from None
    cameras = tuple(_read_camera(e, path) for e in root.iter("camera") if e.get("active", "1") != "0")
    if not cameras:
        raise InputError("the file has no active camera", where=str(path))
    return cameras


def _read_camera(element: ET.Element, path: Path) -> Camera:
    name = element.get("serial")
    if not name:
        raise InputError("a camera has no serial", where=str(path))
    if element.get("viewrotation", "0") != "0":
        raise InputError(
            f"camera {name} has a rotated view ({element.get('viewrotation')} degrees)",
            where=str(path),
            remedy="Export the calibration with unrotated views",
        )
    fields = CameraFields(_attributes(element), camera=name, path=path)
    rows = [[float(fields.floats(f"r{i}{j}", ())) for j in (1, 2, 3)] for i in (1, 2, 3)]
    rotation = _FLIP @ fields.proper_rotation("transform r11..r33", np.array(rows))
    centre_m = np.array([float(fields.floats(axis, ())) for axis in "xyz"]) / 1000.0
    return build_camera(fields, intrinsics=_read_lens(fields), rotation=rotation, translation_m=-rotation @ centre_m)


def _attributes(element: ET.Element) -> dict[str, float | str]:
    """Attributes of <transform>, <intrinsic> and the video field of view, numbers where they are numbers."""
    merged: dict[str, float | str] = {}
    for tag in ("fov_video", "transform", "intrinsic"):
        child = element.find(tag)
        for key, value in (child.attrib if child is not None else {}).items():
            try:
                merged[key] = float(value)
            except ValueError:
                merged[key] = value
    return merged


def _read_lens(fields: CameraFields) -> Intrinsics:
    def number(key: str) -> float:
        return float(fields.floats(key, ()))

    fx, fy = number("focalLengthU") / _SUBPIXELS, number("focalLengthV") / _SUBPIXELS
    if min(fx, fy) <= 0:
        raise fields.fail("'focalLengthU', 'focalLengthV'", f"are {fx:g} and {fy:g} px, expected positive ones")
    if number("skew") != 0.0:
        raise fields.fail("'skew'", "is not zero", "Lenses with skew are not supported")
    left, top = number("left"), number("top")
    size = (round(number("right") - left + 1), round(number("bottom") - top + 1))
    cx, cy = number("centerPointU") / _SUBPIXELS - left, number("centerPointV") / _SUBPIXELS - top
    distortion = [number(f"radialDistortion{i}") for i in (1, 2)]
    distortion += [number(f"tangentalDistortion{i}") for i in (1, 2)] + [number("radialDistortion3")]
    return Intrinsics(np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]), np.array(distortion), size)
