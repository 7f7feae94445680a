"""Landmarks over time, in images and in space. Time first; missing is NaN; confidence is an array of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from labsys.core.arrays import BoolArray, FloatArray, as_bools, as_floats, check_unique
from labsys.core.errors import InputError, UnknownNameError
from labsys.core.point_errors import PointErrors


def _check_times(times_s: FloatArray) -> None:
    if times_s.size > 1 and not (np.diff(times_s) > 0).all():
        raise InputError("times do not increase strictly")


@dataclass(frozen=True, eq=False)
class Landmarks2D:
    """Pixel positions of landmarks in every camera, on one common clock.

    Attributes:
        cameras: C names; landmarks: K names.
        times_s: (T,) s, strictly increasing.
        xy_px: (T, C, K, 2) px in IMAGE, NaN where missing.
        confidence: (T, C, K) in 0..1, 0 where missing.
    """

    cameras: tuple[str, ...]
    landmarks: tuple[str, ...]
    times_s: FloatArray
    xy_px: FloatArray
    confidence: FloatArray

    def __post_init__(self) -> None:
        check_unique("camera names", self.cameras)
        check_unique("landmark names", self.landmarks)
        times = as_floats("times", self.times_s, (None,), finite=True)
        _check_times(times)
        shape = (times.size, len(self.cameras), len(self.landmarks))
        object.__setattr__(self, "times_s", times)
        object.__setattr__(self, "xy_px", as_floats("2D landmarks", self.xy_px, (*shape, 2)))
        object.__setattr__(self, "confidence", as_floats("confidence", self.confidence, shape, finite=True))

    @property
    def rate_hz(self) -> float:
        """Median frame rate, NaN for fewer than two frames."""
        return float(1.0 / np.median(np.diff(self.times_s))) if self.times_s.size > 1 else float("nan")


@dataclass(frozen=True, eq=False)
class Landmarks3D:
    """Positions of landmarks in LAB, with how they were obtained.

    Attributes:
        landmarks: K names, as their source names them.
        times_s: (T,) s, strictly increasing.
        xyz_m: (T, K, 3) m in LAB, NaN where missing.
        residual_px: (T, K) mean reprojection error of the cameras used, px; NaN where unknown (3D markers).
        n_cameras: (T, K) number of cameras used; 0 where missing or unknown.
        covariance_m2: (T, K, 3, 3) m² of all errors that are known, NaN where unknown.
        interpolated: (T, K) True where the position was filled in, not measured.
        errors: how these errors hang together; None where unknown. What is known of the calibration is a part of
            `covariance_m2`.
    """

    landmarks: tuple[str, ...]
    times_s: FloatArray
    xyz_m: FloatArray
    residual_px: FloatArray
    n_cameras: FloatArray
    covariance_m2: FloatArray
    interpolated: BoolArray
    errors: PointErrors | None = None

    def __post_init__(self) -> None:
        check_unique("landmark names", self.landmarks)
        times = as_floats("times", self.times_s, (None,), finite=True)
        _check_times(times)
        shape = (times.size, len(self.landmarks))
        if self.errors is not None and self.errors.steady.size != len(self.landmarks):
            raise InputError(f"errors of {self.errors.steady.size} landmarks for {len(self.landmarks)}")
        object.__setattr__(self, "times_s", times)
        object.__setattr__(self, "xyz_m", as_floats("3D landmarks", self.xyz_m, (*shape, 3)))
        object.__setattr__(self, "residual_px", as_floats("residuals", self.residual_px, shape))
        object.__setattr__(self, "n_cameras", as_floats("camera counts", self.n_cameras, shape, finite=True))
        object.__setattr__(self, "covariance_m2", as_floats("covariance", self.covariance_m2, (*shape, 3, 3)))
        object.__setattr__(self, "interpolated", as_bools("interpolated", self.interpolated, shape))

    @classmethod
    def from_positions(cls, landmarks: tuple[str, ...], times_s: FloatArray, xyz_m: FloatArray) -> Landmarks3D:
        """From positions alone (3D markers of another system): residuals and covariance unknown."""
        shape = (len(times_s), len(landmarks))
        return cls(
            landmarks=landmarks,
            times_s=times_s,
            xyz_m=xyz_m,
            residual_px=np.full(shape, np.nan),
            n_cameras=np.zeros(shape),
            covariance_m2=np.full((*shape, 3, 3), np.nan),
            interpolated=np.zeros(shape, dtype=np.bool_),
        )

    @property
    def rate_hz(self) -> float:
        """Median frame rate, NaN for fewer than two frames."""
        return float(1.0 / np.median(np.diff(self.times_s))) if self.times_s.size > 1 else float("nan")

    def index(self, landmark: str) -> int:
        """Position of a landmark in `landmarks` (UnknownNameError otherwise)."""
        if landmark not in self.landmarks:
            raise UnknownNameError("landmark", landmark, valid=self.landmarks)
        return self.landmarks.index(landmark)

    def point_m(self, landmark: str) -> FloatArray:
        """Track of one landmark, (T, 3) m."""
        track: FloatArray = self.xyz_m[:, self.index(landmark)]
        return track

    def with_positions(self, xyz_m: FloatArray, interpolated: BoolArray | None = None) -> Landmarks3D:
        """The same landmarks at other positions (after filtering or gap filling)."""
        filled = self.interpolated if interpolated is None else interpolated
        return replace(self, xyz_m=xyz_m, interpolated=filled)
