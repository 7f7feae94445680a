"""Reading the fields of one camera, with messages that name the file, the camera and the key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from labsys.core.arrays import FloatArray
from labsys.core.cameras import Camera, Intrinsics, LensModel
from labsys.core.errors import InputError
from labsys.core.rigid import RigidTransform

_ORTHONORMAL_TOLERANCE = 1e-4  # files print six digits or more


class CameraFields:
    """The fields of one camera in one file; every access checks, and complains by name."""

    def __init__(self, fields: Mapping[str, Any], *, camera: str, path: Path) -> None:
        self._fields = fields
        self.camera = camera
        self._path = path

    def fail(self, key: str, what: str, remedy: str = "") -> InputError:
        """The error for one key of this camera."""
        return InputError(f"{key} of camera {self.camera} {what}", where=str(self._path), remedy=remedy)

    def require(self, key: str) -> Any:
        """The value of a key (InputError when it is missing)."""
        if key not in self._fields:
            known = ", ".join(sorted(self._fields))
            raise self.fail(f"key '{key}'", "is missing", f"The file gives {known or 'nothing'} for this camera")
        return self._fields[key]

    def floats(self, key: str, *lengths: tuple[int, ...]) -> FloatArray:
        """Finite numbers in one of the given shapes."""
        value = self.require(key)
        try:
            array = np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError):
            raise self.fail(f"'{key}'", f"is not numeric: {value!r}") from None
        array = np.squeeze(array) if array.ndim > 1 and array.shape not in lengths else array
        if array.shape not in lengths:
            expected = " or ".join(str(s) for s in lengths)
            raise self.fail(f"'{key}'", f"has shape {array.shape}, expected {expected}")
        if not np.isfinite(array).all():
            raise self.fail(f"'{key}'", "contains NaN or infinite values", "This calibration failed; calibrate again")
        return array

    def size_px(self, key: str = "size") -> tuple[int, int]:
        """(width, height), whole and positive."""
        size = self.floats(key, (2,))
        if (size <= 0).any() or (size != np.round(size)).any():
            raise self.fail(f"'{key}'", f"is {size.tolist()}, expected width and height in pixels")
        return int(size[0]), int(size[1])

    def matrix(self, key: str = "matrix") -> FloatArray:
        """A camera matrix with positive focal lengths, no skew, and 0 0 1 in the last row."""
        K = self.floats(key, (3, 3))
        if K[0, 0] <= 0 or K[1, 1] <= 0:
            raise self.fail(f"'{key}'", f"has focal lengths {K[0, 0]:g} and {K[1, 1]:g} px, expected positive ones")
        if abs(K[0, 1]) > 1e-9 * K[0, 0] or np.abs(K[[1, 2, 2, 2], [0, 0, 1, 2]] - (0, 0, 0, 1)).max() > 1e-9:
            raise self.fail(f"'{key}'", "is not fx 0 cx / 0 fy cy / 0 0 1", "Lenses with skew are not supported")
        return K

    def rotation(self, key: str = "rotation") -> FloatArray:
        """A rotation matrix, from a Rodrigues vector (3,) or a matrix (3, 3)."""
        value = self.floats(key, (3,), (3, 3))
        if value.shape == (3,):
            return np.asarray(Rotation.from_rotvec(value).as_matrix())
        return self.proper_rotation(key, value)

    def proper_rotation(self, key: str, matrix: FloatArray) -> FloatArray:
        """The nearest exact rotation to a printed one (InputError when it is mirrored, scaled or none at all)."""
        if np.abs(matrix @ matrix.T - np.eye(3)).max() > _ORTHONORMAL_TOLERANCE:
            raise self.fail(f"'{key}'", "is not a rotation: its rows are not orthonormal")
        if np.linalg.det(matrix) < 0:
            raise self.fail(f"'{key}'", "mirrors the world (determinant -1)", "A mirrored calibration is refused")
        U, _, Vt = np.linalg.svd(matrix)
        return np.asarray(U @ Vt)

    def distortion(self, key: str, model: LensModel) -> FloatArray:
        """Distortion in OpenCV's order: 4 or 5 numbers for a pinhole, 4 for a fisheye lens.

        Further numbers (OpenCV's rational and thin-prism terms) are accepted only where they are zero.
        """
        count = 4 if model is LensModel.FISHEYE else 5
        values = self.floats(key, *((n,) for n in (4, 5, 8, 12, 14)))
        if np.any(values[count:]):
            raise self.fail(
                f"'{key}'", f"has {values.size} coefficients, labsys's {model} lens has {count}", "Calibrate with fewer"
            )
        return values[:count]


def build_camera(fields: CameraFields, *, intrinsics: Intrinsics, rotation: FloatArray, translation_m: Any) -> Camera:
    """A camera whose pose takes the file's world to CAMERA; lab placement follows later."""
    return Camera(fields.camera, intrinsics, RigidTransform(rotation, np.asarray(translation_m, dtype=np.float64)))
