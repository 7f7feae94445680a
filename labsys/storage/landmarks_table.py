"""3D landmarks as Parquet: one row per time and landmark, in metres and pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from labsys.core.errors import InputError
from labsys.core.landmarks import Landmarks3D
from labsys.core.point_errors import PointErrors
from labsys.storage.columns import (
    bool_column,
    cycled_column,
    float_column,
    float_text,
    floats,
    read_table,
    text_float,
    write_table,
)

_TABLE = "landmarks3d"
_AXES = ("x", "y", "z")
_ERROR_ARRAYS = ("steady", "repeating", "fade_s", "centre_m", "shapes_m")
_COVARIANCES = tuple(f"cov_{a}{b}" for a in _AXES for b in _AXES)


def write_landmarks3d(path: Path, landmarks: Landmarks3D) -> None:
    """Write 3D landmarks, one row per time and landmark.

    Raises:
        InputError: there are no landmarks, or the folder cannot be written.
    """
    names, n_frames = landmarks.landmarks, landmarks.times_s.size
    if not names:
        raise InputError("there are no 3D landmarks to write", where=str(path))
    covariance = landmarks.covariance_m2.reshape(n_frames, len(names), 9)
    columns = [
        float_column("time_s", np.repeat(landmarks.times_s, len(names)), "s"),
        cycled_column("landmark", names, n_frames),
        *(float_column(axis, landmarks.xyz_m[..., i], "m") for i, axis in enumerate(_AXES)),
        float_column("residual", landmarks.residual_px, "px"),
        float_column("n_cameras", landmarks.n_cameras, "1"),
        bool_column("interpolated", landmarks.interpolated),
        *(float_column(name, covariance[..., i], "m2") for i, name in enumerate(_COVARIANCES)),
    ]
    about = {"landmarks": list(names), "frame": "lab", "errors": _errors_document(landmarks.errors)}
    write_table(path, _TABLE, columns, about)


def read_landmarks3d(path: Path) -> Landmarks3D:
    """Read what `write_landmarks3d` wrote, equal in every value (InputError; NewerSchemaError)."""
    content, about = read_table(path, _TABLE)
    names = tuple(about["landmarks"])
    shape = (content.num_rows // len(names), len(names))
    return Landmarks3D(
        landmarks=names,
        times_s=floats(content, "time_s").reshape(shape)[:, 0],
        xyz_m=np.stack([floats(content, axis).reshape(shape) for axis in _AXES], axis=-1),
        residual_px=floats(content, "residual").reshape(shape),
        n_cameras=floats(content, "n_cameras").reshape(shape),
        covariance_m2=np.stack([floats(content, c) for c in _COVARIANCES], axis=-1).reshape(*shape, 3, 3),
        interpolated=content.column("interpolated").to_numpy().reshape(shape),
        errors=_errors(about.get("errors")),
    )


def _errors_document(errors: PointErrors | None) -> dict[str, Any] | None:
    if errors is None:
        return None
    arrays = {name: getattr(errors, name) for name in _ERROR_ARRAYS}
    return {
        **{name: {"shape": list(a.shape), "values": [float_text(v) for v in a.ravel()]} for name, a in arrays.items()},
        "period_s": float_text(errors.period_s),
        "calibration_included": errors.calibration_included,
        "calibration": errors.calibration,
    }


def _errors(document: dict[str, Any] | None) -> PointErrors | None:
    if document is None:
        return None
    arrays = {
        name: np.array([text_float(v) for v in document[name]["values"]]).reshape(document[name]["shape"])
        for name in _ERROR_ARRAYS
    }
    return PointErrors(
        **arrays,
        period_s=text_float(document["period_s"]),
        calibration_included=document["calibration_included"],
        calibration=document["calibration"],
    )
