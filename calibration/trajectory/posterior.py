"""How well each point of a solved trajectory is known: the blocks of the inverse normal matrix, without optimism.

The exact inverse would let limbs carry certainty between landmarks that move together. Here a limb counts for one of
its ends as a measurement whose variance holds the uncertainty of the other end, as its own pixels in that frame give
it: less than the truth allows, never more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.trajectory import band as band_kernel
from calibration.trajectory import kernel
from calibration.trajectory.pixels import measure_pixels
from calibration.trajectory.solve import Objective, Point, band_of, make_factor, share_landmarks
from labsys.core.arrays import FloatArray

_LEAST = 1e-6  # 1/m², keeps what nothing determines invertible


@dataclass(frozen=True, eq=False)
class Posterior:
    """What the solution and its uncertainty say.

    Attributes:
        covariance: (T, 6, K) m² as xx, xy, xz, yy, yz, zz. roughness: (T, K) m², variance of the difference over time.
        squares: (T, C, K) px², squared errors. spread: (T, C, K) px², what the covariance explains of them. Both NaN
            where a camera did not see the point.
    """

    covariance: FloatArray
    roughness: FloatArray
    squares: FloatArray
    spread: FloatArray


def posterior(objective: Objective, best: Point, *, information: FloatArray, n_threads: int) -> Posterior:
    """Covariance of every point, pixel noise being white and as the weights say.

    information: (K,) 1/m² that a frame holds per axis.
    """
    normal = best.normal_of_pixels.copy()
    n_frames, n_landmarks = objective.there.shape
    factor, width = make_factor(objective), 3 * objective.order + 3
    covariance, roughness = np.empty((n_frames, 6, n_landmarks)), np.empty((n_frames, n_landmarks))
    ring = np.zeros((width, width, n_landmarks))
    limbs = (objective.limbs, best.pulls, _limb_variances(objective, information))
    with share_landmarks(n_landmarks, n_threads) as each:
        each.over_frames(kernel.add_limb_information, *limbs, best.normal_of_pixels, normal, n_frames=n_frames)
        each(band_kernel.factorise, normal, band_of(objective), _LEAST, factor)
        each(band_kernel.invert_band, factor, objective.stencil, ring, covariance, roughness)
    squares, spread = measure_errors(objective, best.points, covariance, n_threads=n_threads)
    return Posterior(covariance, roughness, squares, spread)


def measure_errors(
    objective: Objective, points: FloatArray, covariance: FloatArray, *, n_threads: int
) -> tuple[FloatArray, FloatArray]:
    """`squares` and `spread` of a `Posterior` anew, from points (T, 3, K) m and their covariance (T, 6, K) m²."""
    squares, spread = np.empty(objective.weights.shape), np.empty(objective.weights.shape)
    rig = (objective.rig.lenses, objective.rig.R, objective.rig.t)
    with share_landmarks(points.shape[2], n_threads) as each:
        each(measure_pixels, points, covariance, objective.pixels, objective.weights, rig, (squares, spread))
    return squares, spread


def _limb_variances(objective: Objective, information: FloatArray) -> FloatArray:
    """(B, 2) m² of each limb's length, as its two ends may take it.

    A wrong limb length is wrong in all the frames over which smoothness averages: it counts once per so many frames.
    """
    half = 0.5 * (information / objective.stiffness) ** (0.5 / objective.order)
    frames_held = 0.5 * np.pi / np.arcsin(np.clip(half, 1e-3, 1.0))
    own = (objective.lengths_m / np.maximum(objective.gains, 1e-12)) ** 2
    return np.asarray(own[:, None] * frames_held[objective.limbs])
