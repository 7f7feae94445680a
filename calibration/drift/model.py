"""A linear mixed model of what the cameras see: moved cameras, biased landmarks, noise.

Unknown are every landmark's position in every frame, turn, shift and lag of every camera, and a bias per landmark and
camera, constant and along the landmark's main motions. Positions are projected out exactly; biases are random effects
whose spread is estimated from the same data (fixed-point restricted likelihood, MacKay 1992,
doi:10.1162/neco.1992.4.3.415). What they cannot explain must be a camera's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.drift.noise import ViewNoise
from calibration.drift.views import UNKNOWNS, BodyViews
from labsys.core.arrays import FloatArray

_ROUNDS = 8


@dataclass(frozen=True, eq=False)
class LandmarkBlocks:
    """Normal equations of every landmark with its positions projected out; P unknowns of cameras, Q of biases.

    Attributes:
        cameras: (K, P, P). cross: (K, P, Q). biases: (K, Q, Q). camera_side: (K, P). bias_side: (K, Q).
        to_point: (F, K, 3, 2C) from residuals to the landmark's position.
    """

    cameras: FloatArray
    cross: FloatArray
    biases: FloatArray
    camera_side: FloatArray
    bias_side: FloatArray
    to_point: FloatArray


@dataclass(frozen=True, eq=False)
class CameraEvidence:
    """What each landmark says about the cameras, its own unknowns eliminated: information (K, P, P), side (K, P)."""

    information: FloatArray
    side: FloatArray


@dataclass(frozen=True, eq=False)
class MixedFit:
    """A solution: cameras (P,), biases (K, Q) px and their variance (K, Q) px², and the evidence about cameras."""

    cameras: FloatArray
    biases_px: FloatArray
    bias_variance: FloatArray
    evidence: CameraEvidence


def build_blocks(views: BodyViews, noise: ViewNoise) -> LandmarkBlocks:
    """Sum over the frames, landmark by landmark."""
    parts = [_landmark_block(views, noise, k) for k in range(views.seen.shape[1])]
    cameras, cross, biases, camera_side, bias_side, to_point = (np.stack(p) for p in zip(*parts, strict=True))
    return LandmarkBlocks(cameras, cross, biases, camera_side, bias_side, np.moveaxis(to_point, 0, 1))


def _landmark_block(views: BodyViews, noise: ViewNoise, k: int) -> tuple[FloatArray, ...]:
    n_frames, _, n_cameras = views.seen.shape
    wide = 2 * n_cameras
    projector, to_point = _projector(views, noise, k)
    ratio, motion = np.repeat(noise.ratio[:, k], 2, axis=1), views.motion[:, k]
    n_motions = motion.shape[1]
    pairs = (motion[:, :, None] * motion[:, None, :]).reshape(n_frames, n_motions**2)
    scaled = (ratio[:, :, None] * projector * ratio[:, None, :]).reshape(n_frames, wide**2)
    biases = (pairs.T @ scaled).reshape(n_motions, n_motions, wide, wide).transpose(0, 2, 1, 3)
    left = (projector @ views.residual_px[:, k].reshape(n_frames, wide, 1))[..., 0]
    J = views.by_camera[:, k]
    JP = np.swapaxes(J, 2, 3) @ projector.reshape(n_frames, n_cameras, 2, wide)
    JP = JP.reshape(n_frames, n_cameras * UNKNOWNS, wide)
    cross = np.tensordot(JP * ratio[:, None, :], motion, axes=(0, 0)).transpose(0, 2, 1)
    cameras = np.concatenate(
        [np.tensordot(JP[:, :, 2 * c : 2 * c + 2], J[:, c], axes=((0, 2), (0, 1))) for c in range(n_cameras)], axis=1
    )
    camera_side = np.einsum("fcip,fci->cp", J, left.reshape(n_frames, n_cameras, 2)).ravel()
    q = n_motions * wide
    return (
        cameras,
        cross.reshape(-1, q),
        biases.reshape(q, q),
        camera_side,
        (motion.T @ (ratio * left)).ravel(),
        to_point,
    )


def _projector(views: BodyViews, noise: ViewNoise, k: int) -> tuple[FloatArray, FloatArray]:
    """Weights with the landmark's position projected out (F, 2C, 2C), and from residuals to position (F, 3, 2C)."""
    n_frames, _, n_cameras = views.seen.shape
    A = views.by_point[:, k].reshape(n_frames, 2 * n_cameras, 3)
    weight = np.repeat(noise.weight[:, k], 2, axis=1)
    WA = A * weight[..., None]
    curvature = np.swapaxes(A, 1, 2) @ WA
    # A landmark that too few cameras see has no position; the ridge, m^-2, then leaves it where it is.
    solved = np.linalg.solve(curvature + 1e-6 * np.eye(3), np.swapaxes(WA, 1, 2))
    to_point = np.asarray(solved, dtype=np.float64)
    projector = -WA @ to_point
    diagonal = np.arange(2 * n_cameras)
    projector[:, diagonal, diagonal] += weight
    return projector, to_point


def fit_blocks(blocks: LandmarkBlocks, bias_spread_px: FloatArray, camera_sd: FloatArray) -> MixedFit:
    """Solve for cameras and biases.

    Args:
        bias_spread_px: (B,) prior spread of the constant bias and of the biases along motions.
        camera_sd: (P,) prior spread of the cameras' unknowns.
    """
    q = blocks.biases.shape[1]
    inverse = np.linalg.inv(blocks.biases + np.diag(np.repeat(bias_spread_px**-2.0, q // bias_spread_px.size)))
    reach = blocks.cross @ inverse
    information = blocks.cameras - reach @ np.swapaxes(blocks.cross, 1, 2)
    side = blocks.camera_side - np.einsum("kpq,kq->kp", reach, blocks.bias_side)
    spread = np.linalg.inv(information.sum(axis=0) + np.diag(camera_sd**-2.0))
    cameras = spread @ side.sum(axis=0)
    left = blocks.bias_side - np.einsum("kpq,p->kq", blocks.cross, cameras)
    variance = np.einsum("kqq->kq", inverse) + np.einsum("kpq,pr,krq->kq", reach, spread, reach, optimize=True)
    biases = np.einsum("kqr,kr->kq", inverse, left)
    return MixedFit(cameras, biases, variance, CameraEvidence(information, side))


def estimate_bias_spread(
    blocks: LandmarkBlocks,
    bias_spread_px: FloatArray,
    camera_sd: FloatArray,
    *,
    least_px: FloatArray | float,
) -> FloatArray:
    """Spread (B,) px of the biases under which the observations are most likely, whatever the cameras did.

    Args:
        least_px: what it cannot be less than, for each of the biases or for all.
    """
    spread = bias_spread_px
    n_landmarks, q = blocks.bias_side.shape
    shape = (n_landmarks, spread.size, q // spread.size)
    for _ in range(_ROUNDS):
        fit = fit_blocks(blocks, spread, camera_sd)
        squares = (fit.biases_px.reshape(shape) ** 2).sum(axis=(0, 2))
        count = shape[0] * shape[2]
        known = count - fit.bias_variance.reshape(shape).sum(axis=(0, 2)) / spread**2
        spread = np.sqrt(np.maximum(squares / np.maximum(known, 1e-3 * count), least_px**2))
    return spread


def left_unexplained(views: BodyViews, noise: ViewNoise, blocks: LandmarkBlocks, fit: MixedFit) -> FloatArray:
    """What a solution leaves of the residuals, (F, K, C, 2) px."""
    n_frames, n_landmarks, n_cameras = views.seen.shape
    biases = fit.biases_px.reshape(n_landmarks, -1, n_cameras, 2)
    left = views.residual_px - np.einsum("fkcip,cp->fkci", views.by_camera, fit.cameras.reshape(n_cameras, UNKNOWNS))
    left = left - noise.ratio[..., None] * np.einsum("fkm,kmci->fkci", views.motion, biases)
    flat = left.reshape(n_frames, n_landmarks, 2 * n_cameras, 1)
    moved = (blocks.to_point @ flat)[..., 0]
    left = left - np.einsum("fkcij,fkj->fkci", views.by_point, moved)
    return np.where(views.seen[..., None], left, 0.0)
