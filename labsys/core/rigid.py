"""Rigid transforms: `T_a_b` takes points in b to points in a, so inner letters cancel: `T_a_c = T_a_b @ T_b_c`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from labsys.core.arrays import FloatArray, as_floats
from labsys.core.errors import InputError

_ORTHONORMAL_TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class RigidTransform:
    """One rotation and translation, `p_to = R p_from + t`.

    Attributes:
        rotation: (3, 3), orthonormal, determinant +1.
        translation_m: (3,), m.
    """

    rotation: FloatArray
    translation_m: FloatArray

    def __post_init__(self) -> None:
        R = as_floats("rotation", self.rotation, (3, 3), finite=True)
        if np.abs(R @ R.T - np.eye(3)).max() > _ORTHONORMAL_TOLERANCE or np.linalg.det(R) < 0:
            raise InputError(
                "rotation is not a proper rotation matrix", remedy="Mirrored and scaled axes are not accepted"
            )
        object.__setattr__(self, "rotation", R)
        object.__setattr__(self, "translation_m", as_floats("translation", self.translation_m, (3,), finite=True))

    @classmethod
    def identity(cls) -> RigidTransform:
        """The transform that changes nothing."""
        return cls(np.eye(3), np.zeros(3))

    @classmethod
    def from_rotvec(cls, rotvec_rad: ArrayLike, translation_m: ArrayLike) -> RigidTransform:
        """From a rotation vector (3,) in rad (OpenCV's Rodrigues vector) and a translation (3,) in m."""
        return cls(_rotation(rotvec_rad), np.asarray(translation_m, dtype=np.float64))

    def as_rotvec(self) -> FloatArray:
        """Rotation vector (3,), rad."""
        from scipy.spatial.transform import Rotation  # when needed, as it takes longer to import than all else here

        return np.asarray(Rotation.from_matrix(self.rotation).as_rotvec(), dtype=np.float64)

    def apply(self, points: ArrayLike) -> FloatArray:
        """Transform points (..., 3); NaN stays NaN."""
        return np.asarray(points, dtype=np.float64) @ self.rotation.T + self.translation_m

    def inverse(self) -> RigidTransform:
        """`T_from_to`."""
        return RigidTransform(self.rotation.T, -self.rotation.T @ self.translation_m)

    def __matmul__(self, other: RigidTransform) -> RigidTransform:
        return RigidTransform(self.rotation @ other.rotation, self.apply(other.translation_m))


def _rotation(rotvec_rad: ArrayLike) -> FloatArray:
    from scipy.spatial.transform import Rotation

    return np.asarray(Rotation.from_rotvec(np.asarray(rotvec_rad, dtype=np.float64)).as_matrix())


def look_at(centre_m: FloatArray, target_m: FloatArray, *, roll_rad: float = 0.0) -> RigidTransform:
    """Pose T_cam_lab of a camera at a place that looks at another, its picture level (LAB's +y up) before it rolls.

    Raises:
        InputError: it would look straight up or down, where no picture is level.
    """
    z = np.asarray(target_m) - np.asarray(centre_m)
    z = z / np.linalg.norm(z)
    x = np.cross(z, [0.0, 1.0, 0.0])
    if np.linalg.norm(x) < _ORTHONORMAL_TOLERANCE:
        raise InputError("a camera that looks straight up or down has no level picture")
    x = x / np.linalg.norm(x)
    R = _rotation([0.0, 0.0, roll_rad]) @ np.stack([x, np.cross(z, x), z])
    return RigidTransform(R, -R @ np.asarray(centre_m))
