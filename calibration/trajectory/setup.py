"""The default trajectory objective before the trial has spoken: its terms, its limbs, and where tuning begins."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from calibration.trajectory.medians import median_over_time
from calibration.trajectory.pixels import FADING_LOSS
from calibration.trajectory.sample import Track
from calibration.trajectory.solve import Objective
from calibration.trajectory.tuning import CONFIDENCE_EDGES, Tuning
from calibration.triangulation.blocks import PackedRig
from calibration.triangulation.triangulate import Triangulation
from labsys.core.arrays import FloatArray, IntArray

ORDER = 3  # of the difference over time that is penalised
_FIRST_CUTOFF_HZ, _FIRST_LIMB_SD_M = 15.0, 0.02


def make_objective(rig: PackedRig, track: Track, limbs: IntArray, *, fade_sigmas: float) -> Objective:
    """The objective without its weights, which tuning applies."""
    n_landmarks = track.there.shape[1]
    return Objective(
        rig=rig,
        pixels=track.pixels,
        weights=track.confidence,
        there=track.there,
        order=ORDER,
        stiffness=np.ones(n_landmarks),
        limbs=limbs,
        gains=np.ones(len(limbs)),
        lengths_m=np.ones(len(limbs)),
        free_lengths=False,
        loss=FADING_LOSS,
        scale=fade_sigmas,
    )


def usable_limbs(bones: Sequence[tuple[int, int]], xyz_m: FloatArray) -> IntArray:
    """(B, 2) bones whose ends were ever triangulated together, of points (T, K, 3) m."""
    limbs = np.array(bones, dtype=np.int64).reshape(-1, 2)
    known = np.isfinite(xyz_m[..., 0])
    return np.ascontiguousarray(limbs[[bool((known[:, i] & known[:, j]).any()) for i, j in limbs]])


def first_tuning(start: Triangulation, limbs: IntArray, *, rate_hz: float, noise_floor_px: float) -> Tuning:
    """Where tuning begins: residuals and covariance of triangulation, and a smoothness that passes 15 Hz."""
    noise = np.maximum(median_over_time(start.residual_px.T, otherwise=1.0), noise_floor_px)
    traces = (np.trace(own, axis1=-2, axis2=-1) / 3.0 for own in np.moveaxis(start.covariance_m2, 1, 0))
    variance = median_over_time(traces, otherwise=1.0)
    stiffness = 1.0 / variance / (2.0 * math.pi * _FIRST_CUTOFF_HZ / rate_hz) ** (2 * ORDER)
    lengths = (np.linalg.norm(start.xyz_m[:, i] - start.xyz_m[:, j], axis=-1) for i, j in limbs)
    return Tuning(
        noise_px=noise,
        factors=np.ones(len(CONFIDENCE_EDGES) - 1),
        stiffness=stiffness,
        motion=stiffness,
        lengths_m=median_over_time(lengths, otherwise=1.0),
        limb_sd_m=np.full(len(limbs), _FIRST_LIMB_SD_M),
        information=1.0 / variance,
    )
