"""Whether a camera moved during the take, which one, when and how far.

For every camera the board is placed by the other cameras alone. What the camera then sees, against what its solved pose
predicts, is summed over time; a pose that changed shows as two different corrections before and after some instant. All
splits are tried; the spread between instants says how much difference chance makes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.detect import BoardCorners
from calibration.lens_jacobian import pack_lenses, project_with_jacobian
from calibration.quality import find_rays, triangulate_rays
from labsys.core.arrays import FloatArray, IntArray
from labsys.core.cameras import CameraRig
from labsys.core.errors import GateRefusedError
from labsys.core.units import degrees, millimetres

_LEAST_INSTANTS = 8  # on either side of a split
_CHANCE = 80.0  # squared Mahalanobis distance, 6 degrees of freedom, the best of all splits
_LEAST_PX = 0.8
_MOST_SPLITS = 40
_ROBUST_PX = 1.0


@dataclass(frozen=True)
class CameraMove:
    """A change of one camera's pose: from which instant, by how much, and how far it shifts the image.

    Attributes:
        score: squared change over its spread by chance. explained: share of the squared residuals that it explains.
    """

    camera: str
    at_s: float
    turn_rad: float
    shift_m: float
    image_px: float
    score: float
    explained: float


def find_moved_camera(corners: BoardCorners, rig: CameraRig) -> CameraMove | None:
    """The camera whose pose changed most surely during the take, None when none did.

    Args:
        corners: with lags taken out, as the lag of a moving board looks like a move.
        rig: cameras in the order of `corners.cameras`.
    """
    rays = find_rays(corners.xy_px, rig)
    moves = [m for i in range(len(rig.cameras)) if (m := _best_split(corners, rig, rays, i)) is not None]
    found = [m for m in moves if m.score > _CHANCE and m.image_px > _LEAST_PX]
    return max(found, key=lambda m: m.score, default=None)


def check_unmoved(corners: BoardCorners, rig: CameraRig) -> None:
    """Refuse a take in which a camera moved.

    Raises:
        GateRefusedError: names the camera, the moment and the amount.
    """
    move = find_moved_camera(corners, rig)
    if move is None:
        return
    pair = " (of two cameras it cannot be told which one)" if len(rig.cameras) == 2 else ""
    raise GateRefusedError(
        f"{move.camera} moved during the take{pair}: {degrees(move.turn_rad):.2f} degrees and "
        f"{millimetres(move.shift_m):.0f} mm, about {move.at_s:.1f} s after its beginning",
        where=f"camera {move.camera}",
        remedy="Fasten the camera and record the board again, or cut the take before that moment",
    )


def _best_split(corners: BoardCorners, rig: CameraRig, rays: FloatArray, index: int) -> CameraMove | None:
    instants, H, g, arm, squares = _normal_per_instant(corners, rig, rays, index)
    if len(instants) < 2 * _LEAST_INSTANTS:
        return None
    best: CameraMove | None = None
    for split in _splits(len(instants)):
        change, spread, gain = _change(H, g, split)
        score = float(change @ np.linalg.lstsq(spread, change, rcond=None)[0])
        if best is None or score > best.score:
            # What the change does to the image: its effect on the corners after the split, RMS.
            after, weight = H[split:].sum(axis=0), arm[split:].sum()
            image = float(np.sqrt(max(change @ after @ change, 0.0) / max(weight, 1e-9)))
            turn, shift = np.linalg.norm(change[:3]), _centre_shift(rig, index, change)
            moment = float(corners.times_s[instants[split]] - corners.times_s[0])
            best = CameraMove(
                rig.names[index], moment, float(turn), shift, image, score, gain / max(float(squares.sum()), 1e-9)
            )
    return best


def _splits(count: int) -> IntArray:
    """Where the take is parted; a move between two of them is found at the nearer one."""
    tries = np.linspace(_LEAST_INSTANTS, count - _LEAST_INSTANTS, min(_MOST_SPLITS, count - 2 * _LEAST_INSTANTS + 1))
    return np.unique(tries.round()).astype(np.int64)


def _centre_shift(rig: CameraRig, index: int, change: FloatArray) -> float:
    t = rig.cameras[index].T_cam_lab.translation_m
    return float(np.linalg.norm(change[3:] - np.cross(change[:3], t)))


def _change(H: FloatArray, g: FloatArray, split: int) -> tuple[FloatArray, FloatArray, float]:
    """Difference of the two corrections, its covariance, and by how much the two lower the cost more than one does.

    The covariance comes from the spread of all instants, a cluster each, around their own side's correction (sandwich
    estimate): around a common one a move would hide itself, and a few instants of one side would belittle theirs.
    """
    parts = (slice(None, split), slice(split, None))
    corrections = [_correction(H[part], g[part]) for part in parts]
    left = np.concatenate([g[p] - np.einsum("tij,j->ti", H[p], c) for p, c in zip(parts, corrections, strict=True)])
    spread_of_one = left.T @ left / max(len(H) - 12, 1)
    spread = np.zeros((6, 6))
    for part in parts:
        inverse = np.linalg.pinv(H[part].sum(axis=0), hermitian=True)
        spread += inverse @ spread_of_one @ inverse * len(H[part])
    gain = sum(float(g[p].sum(axis=0) @ c) for p, c in zip(parts, corrections, strict=True))
    return corrections[1] - corrections[0], spread, gain - float(g.sum(axis=0) @ _correction(H, g))


def _correction(H: FloatArray, g: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.pinv(H.sum(axis=0), hermitian=True) @ g.sum(axis=0), dtype=np.float64)


def _normal_per_instant(
    corners: BoardCorners, rig: CameraRig, rays: FloatArray, index: int
) -> tuple[IntArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Instants, and for each the normal matrix (6, 6), its right side (6,), the weights and the squared residuals."""
    camera = rig.cameras[index]
    points = _points_of_others(rig, rays, index)
    arm = points @ camera.T_cam_lab.rotation.T
    lens = pack_lenses([camera.intrinsics])
    image = project_with_jacobian(arm + camera.T_cam_lab.translation_m, lens.values[0], lens.fisheye)
    J = np.concatenate([np.cross(arm[..., None, :], image.by_point), image.by_point], axis=-1)
    residual = corners.xy_px[:, index] - image.xy_px
    good = np.isfinite(residual).all(axis=-1) & np.isfinite(J).all(axis=(-1, -2)) & image.in_front
    residual, J = np.where(good[..., None], residual, 0.0), np.where(good[..., None, None], J, 0.0)
    weight = np.where(good, 1.0 / np.sqrt(1.0 + (residual**2).sum(axis=-1) / _ROBUST_PX**2), 0.0)
    H = np.einsum("tn,tnki,tnkj->tij", weight, J, J)
    g = np.einsum("tn,tnki,tnk->ti", weight, J, residual)
    instants = np.flatnonzero(good.sum(axis=1) >= 4).astype(np.int64)
    squares = (weight * (residual**2).sum(axis=-1)).sum(axis=1)
    return instants, H[instants], g[instants], weight[instants].sum(axis=1), squares[instants]


def _points_of_others(rig: CameraRig, rays: FloatArray, index: int) -> FloatArray:
    """Board corners (T, N, 3) m as the other cameras alone place them; with two cameras, as both do."""
    if len(rig.cameras) == 2:
        return triangulate_rays(rays, rig)
    others = [i for i in range(len(rig.cameras)) if i != index]
    return triangulate_rays(rays[:, others], CameraRig(tuple(rig.cameras[i] for i in others)))
