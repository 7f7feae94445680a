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
from labsys.core.cameras import Calibration, Camera, CameraRig, Intrinsics, LensModel
from labsys.core.errors import InputError, NewerSchemaError

SCHEMA_VERSION = 1
_FURTHEST_M = 100.0


def parse_toml(text: str, path: Path) -> dict[str, Any]:
    """The document (InputError names the file and the place)."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"calibration is not valid TOML: {error}", where=str(path)) from None


def read_toml_cameras(document: Mapping[str, Any], path: Path) -> tuple[Camera, ...]:
    """Cameras of an Anipose, Pose2Sim or Caliscope document, in file order; poses relative to the file's world."""
    tables = document.get("cameras", document)
    if not isinstance(tables, Mapping):
        raise InputError("'cameras' is not a table of cameras", where=str(path))
    names = [n for n, t in tables.items() if n != "metadata" and isinstance(t, Mapping) and not t.get("ignore", False)]
    cameras = tuple(_read_camera(key, tables[key], path) for key in names)
    if not cameras:
        raise InputError("the file has no camera", where=str(path), remedy="Expected one table per camera")
    return cameras


def read_labsys_metadata(document: Mapping[str, Any], rig: CameraRig, path: Path) -> Calibration | None:
    """The calibration as labsys wrote it, or None for a file that is not labsys's.

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
    if metadata.get("frame") != "LAB":
        raise InputError(f"metadata 'frame' is {metadata.get('frame')!r}, expected 'LAB'", where=str(path))
    return Calibration(
        rig=rig,
        source=str(metadata.get("source", "labsys")),
        heading_known=bool(metadata.get("heading_known", False)),
        grade=str(metadata["grade"]) if metadata.get("grade") else None,
        up_sd_rad=float(metadata.get("up_sd_rad", math.nan)),
        heading_sd_rad=float(metadata.get("heading_sd_rad", math.nan)),
        override_reason=str(metadata.get("override_reason", "")),
    )


def format_anipose(calibration: Calibration) -> str:
    """The calibration as text of Anipose's calibration.toml, world = LAB in metres.

    Numbers are written in full, so that reading gives the same camera to the last few bits.
    """
    cameras = calibration.rig.cameras
    digits = len(str(len(cameras) - 1))  # aniposelib sorts the tables by name
    tables: dict[str, Any] = {f"cam_{i:0{digits}d}": _camera_table(c) for i, c in enumerate(cameras)}
    tables["metadata"] = {
        "labsys_schema": SCHEMA_VERSION,
        "frame": "LAB",
        "source": calibration.source,
        "heading_known": calibration.heading_known,
        "grade": calibration.grade or "",
        "override_reason": calibration.override_reason,
        **_known("up_sd_rad", calibration.up_sd_rad),
        **_known("heading_sd_rad", calibration.heading_sd_rad),
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


def _read_camera(key: str, table: Mapping[str, Any], path: Path) -> Camera:
    name = str(table.get("name", table.get("cam_id", key)))
    fields = CameraFields(table, camera=name, path=path)
    model = LensModel.FISHEYE if table.get("fisheye", False) else LensModel.PINHOLE
    distortion = "distortions" if "distortions" in table or "distortion" not in table else "distortion"
    intrinsics = Intrinsics(fields.matrix(), fields.distortion(distortion, model), fields.size_px(), model)
    translation = fields.floats("translation", (3,))
    rotation = fields.rotation()
    if np.linalg.norm(rotation.T @ translation) > _FURTHEST_M:
        raise fields.fail(
            "'translation'", f"puts it {np.linalg.norm(translation):.0f} m from the origin",
            "Lengths are in metres; this file seems to use millimetres or another unit",
        )  # fmt: skip
    return build_camera(fields, intrinsics=intrinsics, rotation=rotation, translation_m=translation)
