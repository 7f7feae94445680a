"""How errors of 3D landmarks hang together: over frames, over strides, and through the calibration.

Every landmark's own error has the covariance of its frame and is made of three independent parts, given as shares of
its variance: one that stays all through the trial, one that repeats with every stride, and a rest that fades. Errors
of the calibration move all landmarks together and are given as shapes, smooth displacements of the whole volume.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labsys.core.arrays import FloatArray, as_floats
from labsys.core.errors import InputError

N_TERMS = 10


@dataclass(frozen=True, eq=False)
class PointErrors:
    """Errors of K landmarks.

    Attributes:
        steady: (K,) share of a landmark's own variance that stays all through the trial.
        repeating: (K, H) shares that repeat with the stride, by harmonic 1 to H of `period_s`.
        fade_s: (K,) s after which the correlation of the rest has fallen to 1/e; 0 for white noise.
        period_s: stride period, NaN where nothing repeats.
        shapes_m: (M, 10, 3) m, independent displacements of the volume, each with a standard normal factor: weights of
            `volume_terms` about `centre_m`.
        calibration_included: whether the shapes hold the error of the cameras' poses, not that of up and heading alone.
        calibration: names what the shapes came from: trials of one calibration share the factors of their shapes.
    """

    steady: FloatArray
    repeating: FloatArray
    fade_s: FloatArray
    period_s: float
    centre_m: FloatArray
    shapes_m: FloatArray
    calibration_included: bool
    calibration: str = ""

    def __post_init__(self) -> None:
        steady = as_floats("steady share", self.steady, (None,), finite=True)
        repeating = as_floats("repeating shares", self.repeating, (steady.size, None), finite=True)
        total = steady + repeating.sum(axis=1)
        if min(steady.min(initial=0.0), repeating.min(initial=0.0)) < 0.0 or total.max(initial=0.0) > 1.0 + 1e-9:
            raise InputError("shares of variance are negative or add up to more than 1")
        object.__setattr__(self, "steady", steady)
        object.__setattr__(self, "repeating", repeating)
        object.__setattr__(self, "fade_s", as_floats("fading time", self.fade_s, (steady.size,), finite=True))
        object.__setattr__(self, "centre_m", as_floats("centre", self.centre_m, (3,), finite=True))
        object.__setattr__(self, "shapes_m", as_floats("shapes", self.shapes_m, (None, N_TERMS, 3), finite=True))

    def common_covariance_m2(self, xyz_m: FloatArray) -> FloatArray:
        """Covariance (..., 3, 3) m² of points (..., 3) m by all shapes together."""
        terms = volume_terms(xyz_m, self.centre_m)
        out = np.empty((*terms.shape[:-1], 3, 3))
        for i in range(3):
            for j in range(i + 1):
                both = self.shapes_m[:, :, i].T @ self.shapes_m[:, :, j]
                out[..., i, j] = out[..., j, i] = ((terms @ both) * terms).sum(axis=-1)
        return out

    def displacement_m(self, xyz_m: FloatArray, factors: FloatArray) -> FloatArray:
        """What the shapes with these factors (M,) do to points (..., 3) m: (..., 3) m."""
        weights = np.tensordot(factors, self.shapes_m, axes=(0, 0))
        return np.asarray(volume_terms(xyz_m, self.centre_m) @ weights)


def volume_terms(xyz_m: FloatArray, centre_m: FloatArray) -> FloatArray:
    """Polynomials of degree two of points (..., 3) about a centre, (..., 10): 1, x, y, z, xx, yy, zz, xy, yz, zx."""
    x, y, z = np.moveaxis(np.asarray(xyz_m) - centre_m, -1, 0)
    return np.stack([np.ones_like(x), x, y, z, x * x, y * y, z * z, x * y, y * z, z * x], axis=-1)
