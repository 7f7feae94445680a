"""OpenCV FileStorage (yml, xml, json), read and written, flat or one map per camera.

There is no standard for the keys. Accepted spellings are in `_KEYS`; cameras are top-level maps, or numbered keys
(`K_1`, `R_1` …, as EasyMocap and others write), or the file itself is one camera. A string `name` is the camera's name,
as keys cannot hold every name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from calibration.formats.fields import CameraFields, build_camera
from labsys.core.cameras import Camera, CameraRig, Intrinsics, LensModel
from labsys.core.errors import InputError

_KEYS: dict[str, tuple[str, ...]] = {
    "matrix": ("camera_matrix", "cameramatrix", "intrinsic_matrix", "intrinsics", "intrinsic", "matrix", "k", "m"),
    "distortion": (
        "distortion_coefficients", "distortioncoefficients", "distortion", "distortions", "dist_coeffs", "distcoeffs",
        "dist", "d",
    ),
    "rotation": ("rotation", "rotation_matrix", "rvec", "r", "rot"),
    "translation": ("translation", "translation_vector", "tvec", "t"),
    "width": ("image_width", "imagewidth", "width"),
    "height": ("image_height", "imageheight", "height"),
    "size": ("image_size", "imagesize", "size", "resolution"),
    "fisheye": ("fisheye",),
}  # fmt: skip


def read_opencv_cameras(path: Path) -> tuple[Camera, ...]:
    """Cameras in file order; poses relative to the file's world, world to camera, in metres.

    Raises:
        InputError: unreadable, or a camera lacks its matrix, distortion, image size, rotation or translation.
    """
    return tuple(_read_camera(name, table, path) for name, table in _camera_tables(path).items())


def read_opencv_lenses(path: Path) -> dict[str, Intrinsics]:
    """Camera name -> lens; poses may be missing and are not looked at (InputError as `read_opencv_cameras`)."""
    return {name: _read_lens(name, table, path)[1] for name, table in _camera_tables(path).items()}


def _camera_tables(path: Path) -> dict[str, Mapping[str, Any]]:
    document = _read_storage(path)
    nested = {k: v for k, v in document.items() if isinstance(v, Mapping)}
    tables = nested or _split_numbered(document) or {path.stem: document}
    named: dict[str, Mapping[str, Any]] = {}
    for key, table in tables.items():
        name = str(table.get("name", key))
        if name in named:
            raise InputError(f"two cameras are called {name}", where=str(path))
        named[name] = table
    return named


def _read_storage(path: Path) -> dict[str, Any]:
    try:
        storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_READ)
    except (cv2.error, SystemError) as error:  # the binding wraps some parser errors in SystemError
        raise InputError("OpenCV cannot read this calibration", where=str(path)) from error
    if not storage.isOpened():
        raise InputError("OpenCV cannot read this calibration", where=str(path))
    try:
        return _read_map(storage.root())
    finally:
        storage.release()


def _read_map(node: Any) -> dict[str, Any]:
    names = node.keys()
    return {name: _read_node(node.getNode(name)) for name in names}


def _read_node(node: Any) -> Any:
    if node.isMap():
        return np.asarray(node.mat()) if {"dt", "data"} <= set(node.keys()) else _read_map(node)
    if node.isSeq():
        return [_read_node(node.at(i)) for i in range(node.size())]
    return node.string() if node.isString() else node.real()


def _split_numbered(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """`K_1`, `dist_1`, `R_1` … to one table per number."""
    tables: dict[str, dict[str, Any]] = {}
    for key, value in document.items():
        match = re.fullmatch(r"([A-Za-z_]+?)_?(\d+)", key)
        if match and any(match[1].lower() in spellings for spellings in _KEYS.values()):
            tables.setdefault(match[2], {})[match[1]] = value
    return tables


def _read_camera(name: str, table: Mapping[str, Any], path: Path) -> Camera:
    fields, intrinsics = _read_lens(name, table, path)
    return build_camera(
        fields, intrinsics=intrinsics, rotation=fields.rotation(), translation_m=fields.floats("translation", (3,))
    )


def _read_lens(name: str, table: Mapping[str, Any], path: Path) -> tuple[CameraFields, Intrinsics]:
    fields = CameraFields(_canonical(table), camera=name, path=path)
    known = _canonical(table)
    if "size" not in known and {"width", "height"} <= set(known):
        fields = CameraFields({**known, "size": [known["width"], known["height"]]}, camera=name, path=path)
    model = LensModel.FISHEYE if known.get("fisheye") else LensModel.PINHOLE
    return fields, Intrinsics(fields.matrix(), fields.distortion("distortion", model), fields.size_px(), model)


def _canonical(table: Mapping[str, Any]) -> dict[str, Any]:
    """The table with its keys in one spelling; a matrix wins over a vector where a file gives both."""
    lowered = {k.lower(): v for k, v in table.items()}
    return {word: lowered[s] for word, spellings in _KEYS.items() for s in reversed(spellings) if s in lowered}


def format_opencv(rig: CameraRig, *, suffix: str) -> str:
    """The rig as text of a FileStorage, one map per camera; a fisheye lens is marked by `fisheye: 1`.

    Args:
        suffix: ".yml", ".yaml", ".xml" or ".json".

    Raises:
        InputError: a lens with skew, which OpenCV's projection passes over; names the camera.
    """
    storage = cv2.FileStorage(suffix, cv2.FILE_STORAGE_WRITE | cv2.FILE_STORAGE_MEMORY)
    for key, camera in zip(_storage_keys(rig.names), rig.cameras, strict=True):
        storage.startWriteStruct(key, cv2.FileNode_MAP)
        for word, value in _storage_values(camera).items():
            storage.write(word, value)
        storage.endWriteStruct()
    return str(storage.releaseAndGetString())


def _storage_keys(names: tuple[str, ...]) -> list[str]:
    """Keys that every kind of storage takes: the names themselves where all of them do, else numbered ones."""
    plain = all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) for name in names)
    return list(names) if plain else [f"camera_{i}" for i in range(len(names))]


def _storage_values(camera: Camera) -> dict[str, Any]:
    lens = camera.intrinsics
    if lens.matrix[0, 1] != 0.0:
        raise InputError(f"camera {camera.name} has skew, which OpenCV's projection does not know")
    return {
        "name": camera.name,
        "image_width": int(lens.size_px[0]),
        "image_height": int(lens.size_px[1]),
        "fisheye": int(lens.model is LensModel.FISHEYE),
        "camera_matrix": np.array(lens.matrix),
        "distortion_coefficients": np.array(lens.distortion.reshape(1, -1)),
        "R": np.array(camera.T_cam_lab.rotation),
        "T": np.array(camera.T_cam_lab.translation_m.reshape(3, 1)),
    }
