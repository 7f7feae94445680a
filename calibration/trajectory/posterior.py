"""How well each point of a solved trajectory is known: the blocks of the inverse normal matrix, without optimism.

The exact inverse would let limbs carry certainty between landmarks that move together. Here a limb counts for one of
its ends as a measurement whose variance holds the uncertainty of the other end, as its own pixels in that frame give
it: less than the truth allows, never more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.trajectory import band as band_kernel
from calibration.trajectory.solve import Objective, Point, band_of, make_factor, share_landmarks
from labsys.core.arrays import FloatArray

_UNKNOWN_M2 = 1e4  # variance of what nothing determines
_LEAST = 1e-6  # 1/m², keeps what nothing determines invertible


@dataclass(frozen=True, eq=False)
class Posterior:
    """Covariance (T, 6, K) m² as xx, xy, xz, yy, yz, zz, and the variance (T, K) m² of the difference over time."""

    covariance: FloatArray
    roughness: FloatArray


def posterior(objective: Objective, best: Point, *, information: FloatArray, n_threads: int) -> Posterior:
    """Covariance of every point, pixel noise being white and as the weights say.

    information: (K,) 1/m² that a frame holds per axis.
    """
    normal = best.normal_of_pixels.copy()
    _add_limbs(objective, best, normal, _frames_held(objective, information))
    n_frames, n_landmarks = objective.there.shape
    factor, width = make_factor(objective), 3 * objective.order + 3
    covariance, roughness = np.empty((n_frames, 6, n_landmarks)), np.empty((n_frames, n_landmarks))
    ring = np.zeros((width, width, n_landmarks))
    with share_landmarks(n_landmarks, n_threads) as each:
        each(band_kernel.factorise, normal, band_of(objective), _LEAST, factor)
        each(band_kernel.invert_band, factor, objective.stencil, ring, covariance, roughness)
    return Posterior(covariance, roughness)


def _frames_held(objective: Objective, information: FloatArray) -> FloatArray:
    """(K,) over how many frames smoothness averages: a wrong limb length is wrong in all of them, so that limbs count
    once per so many frames."""
    half = 0.5 * (information / objective.stiffness) ** (0.5 / objective.order)
    return np.asarray(0.5 * np.pi / np.arcsin(np.clip(half, 1e-3, 1.0)))


def _add_limbs(objective: Objective, best: Point, normal: FloatArray, frames_held: FloatArray) -> None:
    for b, (i, j) in enumerate(objective.limbs):
        length = best.pulls[:, 4, b]
        on = length > 0.0
        pull = best.pulls[:, :3, b]
        unit = pull / np.where(on, np.linalg.norm(pull, axis=1), 1.0)[:, None]
        own = (objective.lengths_m[b] / max(objective.gains[b], 1e-12)) ** 2
        x, y, z = unit.T
        outer = np.stack([x * x, x * y, x * z, y * y, y * z, z * z], axis=1)
        for near, far in ((i, j), (j, i)):
            variance = frames_held[near] * own + _variance_along(best.normal_of_pixels[:, :, far], unit)
            information = np.divide(1.0, variance, out=np.zeros_like(variance), where=on & (variance > 0.0))
            normal[:, :, near] += information[:, None] * outer


def _variance_along(normal: FloatArray, unit: FloatArray) -> FloatArray:
    """unit' N^-1 unit (T,) of normal matrices (T, 6); huge where they determine nothing."""
    a, b, c, d, e, f = (normal[:, m] for m in range(6))
    c00, c01, c02 = d * f - e * e, c * e - b * f, b * e - c * d
    c11, c12, c22 = a * f - c * c, b * c - a * e, a * d - b * b
    determinant = a * c00 + b * c01 + c * c02
    x, y, z = unit.T
    form = c00 * x * x + c11 * y * y + c22 * z * z + 2.0 * (c01 * x * y + c02 * x * z + c12 * y * z)
    known = determinant > 1e-9 * (a + d + f) ** 3
    return np.where(known, np.minimum(form / np.where(known, determinant, 1.0), _UNKNOWN_M2), _UNKNOWN_M2)
