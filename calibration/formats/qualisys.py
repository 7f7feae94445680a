"""Qualisys .qca.txt, read and written: XML with positions in mm and image quantities in 1/64 px.

Distortion coefficients are dimensionless and are read as they stand, although one public converter divides them by 64
with the rest of the image quantities (docs/adr/ on Qualisys distortion holds the measurements).
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np

from calibration.formats.fields import CameraFields, build_camera
from labsys.core.cameras import Camera, CameraRig, Intrinsics, LensModel
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


def format_qualisys(rig: CameraRig) -> str:
    """The rig as text of a .qca.txt, cameras named by their serials; numbers are written in full.

    Raises:
        InputError: a fisheye lens or skew, which the format cannot hold; names the camera.
    """
    root = ET.Element("calibration", source="labsys", type="regular")
    cameras = ET.SubElement(root, "cameras")
    for camera in rig.cameras:
        cameras.append(_camera_element(camera))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _camera_element(camera: Camera) -> ET.Element:
    lens = camera.intrinsics
    if lens.model is LensModel.FISHEYE:
        raise InputError(
            f"camera {camera.name} has a fisheye lens, which Qualisys' format cannot hold",
            remedy="Write it as anipose, caliscope or opencv",
        )
    if lens.matrix[0, 1] != 0.0:
        raise InputError(f"camera {camera.name} has skew, which labsys does not write into Qualisys' format")
    element = ET.Element("camera", active="1", serial=camera.name, viewrotation="0")
    width, height = lens.size_px
    for tag in ("fov_marker", "fov_marker_max", "fov_video", "fov_video_max"):
        ET.SubElement(element, tag, left="0", top="0", right=str(width - 1), bottom=str(height - 1))
    ET.SubElement(element, "transform", _numbers(_transform(camera)))
    ET.SubElement(element, "intrinsic", _numbers(_lens_numbers(lens)))
    return element


def _transform(camera: Camera) -> dict[str, float]:
    rows = _FLIP @ camera.T_cam_lab.rotation
    centre_mm = dict(zip("xyz", 1000.0 * camera.centre_lab_m, strict=True))
    return centre_mm | {f"r{i + 1}{j + 1}": rows[i, j] for i in range(3) for j in range(3)}


def _lens_numbers(lens: Intrinsics) -> dict[str, float]:
    K, (k1, k2, p1, p2, k3), (width, height) = lens.matrix, lens.distortion, lens.size_px
    in_subpixels = {
        "focalLengthU": K[0, 0], "focalLengthV": K[1, 1], "centerPointU": K[0, 2], "centerPointV": K[1, 2],
        "sensorMinU": 0.0, "sensorMaxU": width - 1, "sensorMinV": 0.0, "sensorMaxV": height - 1,
    }  # fmt: skip
    distortion = {
        "radialDistortion1": k1, "radialDistortion2": k2, "radialDistortion3": k3,
        "tangentalDistortion1": p1, "tangentalDistortion2": p2,
    }  # fmt: skip
    return {key: _SUBPIXELS * value for key, value in in_subpixels.items()} | {"skew": 0.0} | distortion


def _numbers(values: dict[str, float]) -> dict[str, str]:
    return {key: repr(float(value)) for key, value in values.items()}
