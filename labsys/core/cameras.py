"""Cameras as values. Projection and triangulation live in `calibration/`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np

from labsys.core.arrays import FloatArray, as_floats, check_unique
from labsys.core.errors import InputError, UnknownNameError
from labsys.core.fingerprint import CameraFingerprint
from labsys.core.rigid import RigidTransform


class LensModel(StrEnum):
    """OpenCV's two lens models."""

    PINHOLE = "pinhole"
    FISHEYE = "fisheye"


@dataclass(frozen=True, eq=False)
class Intrinsics:
    """How one camera maps its own frame to pixels (OpenCV's model).

    Attributes:
        matrix: (3, 3) camera matrix, px.
        distortion: (5,) k1 k2 p1 p2 k3 for PINHOLE, (4,) k1..k4 for FISHEYE.
        size_px: (width, height) of the image that the matrix belongs to.
    """

    matrix: FloatArray
    distortion: FloatArray
    size_px: tuple[int, int]
    model: LensModel = LensModel.PINHOLE

    def __post_init__(self) -> None:
        matrix = as_floats("camera matrix", self.matrix, (3, 3), finite=True)
        count = 5 if self.model is LensModel.PINHOLE else 4
        distortion = np.ravel(np.asarray(self.distortion, dtype=np.float64))
        if self.model is LensModel.PINHOLE and distortion.size == 4:
            distortion = np.append(distortion, 0.0)
        if matrix[0, 0] <= 0 or matrix[1, 1] <= 0:
            raise InputError(f"focal length is not positive: fx={matrix[0, 0]:g}, fy={matrix[1, 1]:g} px")
        if min(self.size_px) <= 0:
            raise InputError(f"image size is not positive: {self.size_px[0]}x{self.size_px[1]}")
        object.__setattr__(self, "matrix", matrix)
        object.__setattr__(self, "distortion", as_floats("distortion", distortion, (count,), finite=True))


@dataclass(frozen=True, eq=False)
class Camera:
    """A calibrated camera: a name, its lens, and where it stands.

    Attributes:
        T_cam_lab: takes LAB points (m) into the CAMERA frame.
    """

    name: str
    intrinsics: Intrinsics
    T_cam_lab: RigidTransform

    @property
    def centre_lab_m(self) -> FloatArray:
        """Optical centre in LAB, (3,) m."""
        return self.T_cam_lab.inverse().translation_m


@dataclass(frozen=True, eq=False)
class CameraRig:
    """Calibrated cameras of one rig, in a fixed order, with unique names."""

    cameras: tuple[Camera, ...]

    def __post_init__(self) -> None:
        if not self.cameras:
            raise InputError("a rig needs at least one camera")
        check_unique("camera names", self.names)

    @property
    def names(self) -> tuple[str, ...]:
        """Camera names in order."""
        return tuple(c.name for c in self.cameras)

    def select(self, names: tuple[str, ...]) -> CameraRig:
        """The same rig with these cameras, in this order (UnknownNameError otherwise)."""
        by_name = {c.name: c for c in self.cameras}
        for name in names:
            if name not in by_name:
                raise UnknownNameError("camera", name, valid=self.names)
        return CameraRig(tuple(by_name[n] for n in names))


# Of one camera in a `RigCovariance`: turn (3) rad, shift (3) m, lens (9).
POSE_PARAMETERS, CAMERA_PARAMETERS = 6, 15


@dataclass(frozen=True, eq=False)
class RigCovariance:
    """How surely the cameras of a rig are known, in the rig's order.

    The world's own place has no error here: the first camera's pose is held. A pose is off by turn and shift where
    R = exp(turn) R_true and t = t_true + shift. Lens: fx, fy, cx, cy and five of distortion, zero where it was given
    and is taken to be exact.

    Attributes:
        matrix: (15 C, 15 C).
    """

    matrix: FloatArray

    def __post_init__(self) -> None:
        matrix = as_floats("covariance of the cameras", self.matrix, (None, None), finite=True)
        if matrix.shape[0] != matrix.shape[1] or matrix.shape[0] % CAMERA_PARAMETERS:
            raise InputError(f"covariance of the cameras has shape {matrix.shape}, expected (15 C, 15 C)")
        object.__setattr__(self, "matrix", matrix)

    def select(self, cameras: Sequence[int]) -> RigCovariance:
        """Of these cameras, by place in the rig."""
        rows = (np.asarray(cameras)[:, None] * CAMERA_PARAMETERS + np.arange(CAMERA_PARAMETERS)).ravel()
        return RigCovariance(self.matrix[np.ix_(rows, rows)])

    def moved(self, before: CameraRig, after: CameraRig) -> RigCovariance:
        """The same after the rig was placed in another world: turns stay, and take a part of every shift.

        t_after = t_before + R_before t_world, so a camera's turn moves t_after by what it moves R_before t_world.
        """
        L = np.eye(len(self.matrix))
        for c, (old, new) in enumerate(zip(before.cameras, after.cameras, strict=True)):
            x, y, z = new.T_cam_lab.translation_m - old.T_cam_lab.translation_m
            at = c * CAMERA_PARAMETERS
            L[at + 3 : at + 6, at : at + 3] = [[0.0, z, -y], [-z, 0.0, x], [y, -x, 0.0]]
        return RigCovariance(L @ self.matrix @ L.T)


@dataclass(frozen=True, eq=False)
class Calibration:
    """A rig placed in LAB, with what is known about how well.

    Attributes:
        rig: cameras with `T_cam_lab`.
        source: which engine or file format it came from ("labsys", "anipose", "qualisys", …).
        heading_known: False when LAB's X was never tied to the belt or the run direction; transverse angles are then
            relative to an arbitrary heading.
        grade: "A", "B", "C", or None when nobody graded it (imported calibrations).
        up_sd_rad, heading_sd_rad: uncertainty of gravity and heading, NaN when unknown.
        override_reason: why a refused calibration is used all the same; empty when it was not refused. Results made
            from an overridden calibration are not for comparison.
        fingerprint: camera -> how it was set when it was calibrated; empty where nobody wrote it down.
        covariance: of the cameras, None when unknown (imported calibrations): intervals then leave its error out.
    """

    rig: CameraRig
    source: str
    heading_known: bool = True
    grade: str | None = None
    up_sd_rad: float = float("nan")
    heading_sd_rad: float = float("nan")
    override_reason: str = ""
    fingerprint: Mapping[str, CameraFingerprint] = field(default_factory=dict)
    covariance: RigCovariance | None = None

    def __post_init__(self) -> None:
        if self.covariance is not None and len(self.covariance.matrix) != CAMERA_PARAMETERS * len(self.rig.cameras):
            raise InputError(f"covariance of other cameras than the {len(self.rig.cameras)} of the rig")

    def select(self, names: tuple[str, ...]) -> Calibration:
        """The same calibration with these cameras, in this order (UnknownNameError otherwise)."""
        rig, covariance = self.rig.select(names), self.covariance
        if covariance is not None:
            covariance = covariance.select([self.rig.names.index(name) for name in names])
        return replace(self, rig=rig, covariance=covariance)
