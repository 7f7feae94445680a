"""TOML calibrations with one table per camera: Anipose's, Pose2Sim's variant, Caliscope's, and labsys's own.

All give world-to-camera rotation (Rodrigues vector or matrix) and translation in metres. labsys's own is Anipose's,
with LAB as the world and what only labsys knows in the metadata table; aniposelib loads it and ignores that.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import toml

from calibration.formats.fields import CameraFields, build_camera
from labsys.core.cameras import (
    CAMERA_PARAMETERS,
    POSE_PARAMETERS,
    Calibration,
    Camera,
    CameraRig,
    Intrinsics,
    LensModel,
    RigCovariance,
)
from labsys.core.errors import InputError, NewerSchemaError
from labsys.core.fingerprint import CameraFingerprint

SCHEMA_VERSION = 1
_LAB, _RIG = "LAB", "RIG"  # RIG: the frame of the first camera, when nobody said how it lies in the room
_FURTHEST_M = 100.0
_CAMERA_KEYS = ("matrix", "distortions", "distortion", "rotation", "translation")


def parse_toml(text: str, path: Path) -> dict[str, Any]:
    """The document (InputError names the file and the place)."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"calibration is not valid TOML: {error}", where=str(path)) from None


def read_toml_cameras(document: Mapping[str, Any], path: Path) -> tuple[Camera, ...]:
    """Cameras of an Anipose, Pose2Sim or Caliscope document, in file order; poses relative to the file's world."""
    return tuple(_read_camera(key, table, path) for key, table in _camera_tables(document, path).items())


def read_toml_lenses(document: Mapping[str, Any], path: Path) -> dict[str, Intrinsics]:
    """Camera name -> lens of such a document; poses may be missing and are not looked at."""
    lenses: dict[str, Intrinsics] = {}
    for key, table in _camera_tables(document, path).items():
        fields = _fields(key, table, path)
        lenses[fields.camera] = _read_lens(fields, table)
    return lenses


def _camera_tables(document: Mapping[str, Any], path: Path) -> dict[str, Mapping[str, Any]]:
    tables = document.get("cameras", document)
    if not isinstance(tables, Mapping):
        raise InputError("'cameras' is not a table of cameras", where=str(path))
    used = {n: t for n, t in tables.items() if _is_camera(n, t) and not t.get("ignore", False)}
    if not used:
        raise InputError("the file has no camera", where=str(path), remedy="Expected one table per camera")
    return used


def name_toml_source(document: Mapping[str, Any]) -> str:
    """Which program's layout a foreign document has: Caliscope numbers its cameras, Anipose names them."""
    tables = [t for n, t in document.get("cameras", document).items() if _is_camera(n, t)]
    return "caliscope" if all("cam_id" in t or "port" in t for t in tables) else "anipose"


def _is_camera(key: str, table: Any) -> bool:
    """Caliscope's config.toml holds its board and its session beside the cameras."""
    return key != "metadata" and isinstance(table, Mapping) and any(word in table for word in _CAMERA_KEYS)


def read_labsys_metadata(document: Mapping[str, Any], rig: CameraRig, path: Path) -> Calibration | None:
    """The calibration as labsys wrote it, or None for a file that is not labsys's.

    Its rig is in LAB only where `is_in_lab` says so.

    Raises:
        InputError: the metadata table is damaged.
        NewerSchemaError: a newer labsys wrote it.
    """
    metadata = document.get("metadata")
    if not isinstance(metadata, Mapping) or "labsys_schema" not in metadata:
        return None
    if int(metadata["labsys_schema"]) > SCHEMA_VERSION:
        raise NewerSchemaError(
            f"a newer labsys wrote this calibration (schema {metadata['labsys_schema']})",
            where=str(path),
            remedy="Update labsys",
        )
    if metadata.get("frame") not in (_LAB, _RIG):
        raise InputError(
            f"metadata 'frame' is {metadata.get('frame')!r}, expected '{_LAB}' or '{_RIG}'", where=str(path)
        )
    return Calibration(
        rig=rig,
        source=str(metadata.get("source", "labsys")),
        heading_known=bool(metadata.get("heading_known", False)),
        grade=str(metadata["grade"]) if metadata.get("grade") else None,
        up_sd_rad=float(metadata.get("up_sd_rad", math.nan)),
        heading_sd_rad=float(metadata.get("heading_sd_rad", math.nan)),
        override_reason=str(metadata.get("override_reason", "")),
        fingerprint=_fingerprint(metadata),
        covariance=_covariance(metadata, len(rig.cameras), path),
    )


def _covariance(metadata: Mapping[str, Any], n_cameras: int, path: Path) -> RigCovariance | None:
    """The cameras' covariance, None where the file has none: written as the upper triangle, row by row."""
    table = metadata.get("covariance")
    if not isinstance(table, Mapping):
        return None
    per_camera, values = table.get("parameters_per_camera"), table.get("upper_triangle")
    known = per_camera if per_camera in (POSE_PARAMETERS, CAMERA_PARAMETERS) else 0
    size = n_cameras * known
    if not size or not isinstance(values, list) or len(values) != size * (size + 1) // 2:
        raise InputError(f"metadata 'covariance' does not fit {n_cameras} cameras", where=str(path))
    upper = np.zeros((size, size))
    upper[np.triu_indices(size)] = values
    at = (np.arange(n_cameras)[:, None] * CAMERA_PARAMETERS + np.arange(known)).ravel()
    matrix = np.zeros((n_cameras * CAMERA_PARAMETERS,) * 2)
    matrix[np.ix_(at, at)] = upper + np.triu(upper, 1).T
    return RigCovariance(matrix)


def _covariance_table(covariance: RigCovariance | None) -> dict[str, Any]:
    if covariance is None:
        return {}
    n_cameras = len(covariance.matrix) // CAMERA_PARAMETERS
    columns = np.arange(n_cameras)[:, None] * CAMERA_PARAMETERS + np.arange(CAMERA_PARAMETERS)
    lenses_known = not covariance.matrix[columns[:, POSE_PARAMETERS:].ravel()].any()
    per_camera = POSE_PARAMETERS if lenses_known else CAMERA_PARAMETERS
    at = columns[:, :per_camera].ravel()
    upper = covariance.matrix[np.ix_(at, at)][np.triu_indices(at.size)]
    return {"covariance": {"parameters_per_camera": per_camera, "upper_triangle": upper.tolist()}}


def _fingerprint(metadata: Mapping[str, Any]) -> dict[str, CameraFingerprint]:
    tables = metadata.get("fingerprint")
    if not isinstance(tables, Mapping):
        return {}
    return {str(n): CameraFingerprint.from_table(t) for n, t in tables.items() if isinstance(t, Mapping)}


def is_in_lab(document: Mapping[str, Any]) -> bool:
    """Whether labsys wrote the file with LAB as its world."""
    metadata = document.get("metadata")
    return isinstance(metadata, Mapping) and metadata.get("frame") == _LAB


def format_anipose(calibration: Calibration, *, in_lab: bool = True) -> str:
    """The calibration as text of Anipose's calibration.toml, in metres.

    Numbers are written in full, so that reading gives the same camera to the last few bits.

    Args:
        in_lab: False for a rig that was never placed; its world is then some camera's frame, the file says so, and
            whoever reads it must name its axes.
    """
    cameras = calibration.rig.cameras
    digits = len(str(len(cameras) - 1))  # aniposelib sorts the tables by name
    tables: dict[str, Any] = {f"cam_{i:0{digits}d}": _camera_table(c) for i, c in enumerate(cameras)}
    tables["metadata"] = {
        "labsys_schema": SCHEMA_VERSION,
        "frame": _LAB if in_lab else _RIG,
        "source": str(calibration.source),  # toml takes an Enum for a list of letters
        "heading_known": in_lab and calibration.heading_known,
        "grade": calibration.grade or "",
        "override_reason": calibration.override_reason,
        **_known("up_sd_rad", calibration.up_sd_rad),
        **_known("heading_sd_rad", calibration.heading_sd_rad),
        **(
            {"fingerprint": {n: f.as_table() for n, f in calibration.fingerprint.items()}}
            if calibration.fingerprint
            else {}
        ),
        **_covariance_table(calibration.covariance),
    }
    return str(toml.dumps(tables))


def _known(key: str, value: float) -> dict[str, float]:
    return {key: float(value)} if math.isfinite(value) else {}


def _camera_table(camera: Camera) -> dict[str, Any]:
    lens = camera.intrinsics
    if lens.matrix[0, 1] != 0.0:
        raise InputError(f"camera {camera.name} has skew, which Anipose's format cannot hold")
    table: dict[str, Any] = {
        "name": camera.name,
        "size": [int(s) for s in lens.size_px],
        "matrix": lens.matrix.tolist(),
        "distortions": lens.distortion.tolist(),
        "rotation": camera.T_cam_lab.as_rotvec().tolist(),
        "translation": camera.T_cam_lab.translation_m.tolist(),
    }
    return {**table, "fisheye": True} if lens.model is LensModel.FISHEYE else table


def _fields(key: str, table: Mapping[str, Any], path: Path) -> CameraFields:
    return CameraFields(table, camera=str(table.get("name", table.get("cam_id", key))), path=path)


def _read_lens(fields: CameraFields, table: Mapping[str, Any]) -> Intrinsics:
    model = LensModel.FISHEYE if table.get("fisheye", False) else LensModel.PINHOLE
    distortion = "distortions" if "distortions" in table or "distortion" not in table else "distortion"
    return Intrinsics(fields.matrix(), fields.distortion(distortion, model), fields.size_px(), model)


def _read_camera(key: str, table: Mapping[str, Any], path: Path) -> Camera:
    fields = _fields(key, table, path)
    intrinsics = _read_lens(fields, table)
    translation = fields.floats("translation", (3,))
    rotation = fields.rotation()
    if np.linalg.norm(rotation.T @ translation) > _FURTHEST_M:
        raise fields.fail(
            "'translation'", f"puts it {np.linalg.norm(translation):.0f} m from the origin",
            "Lengths are in metres; this file seems to use millimetres or another unit",
        )  # fmt: skip
    return build_camera(fields, intrinsics=intrinsics, rotation=rotation, translation_m=translation)
