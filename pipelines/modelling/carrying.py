"""Points that people labelled in some views, carried through space into all views, each as far as it is known."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from calibration.projection import project, project_rig
from calibration.triangulation.triangulate import (
    RobustSettings,
    Triangulation,
    triangulate_robust,
    triangulate_weighted,
)
from labsys.core.arrays import BoolArray, FloatArray
from labsys.core.cameras import CameraRig

_COMMON_HEIGHT_PX = 720.0
# In a picture 720 px high: how surely a person clicks; how far a label may be from the image of the point that labels
# agree on; how vaguely a point may be known in a view that it is proposed to.
_CLICK_PX, _DISAGREE_PX, _VAGUE_PX = 1.5, 5.0, 5.0
_STEP_M = 1e-3


@dataclass(frozen=True, eq=False)
class CarriedPoints:
    """Labels of M moments carried into all views.

    Attributes:
        xy_px: (M, K, C, 2), NaN where a point is not known well enough, or lies outside the picture.
        doubts: (moment, landmark, why).
    """

    xy_px: FloatArray
    doubts: tuple[tuple[int, int, str], ...] = field(default=())


def carry_points(rig: CameraRig, labels_px: FloatArray) -> CarriedPoints:
    """Triangulate labels and project them into every camera.

    Args:
        labels_px: (M, K, C, 2) of people, in the rig's order; NaN where there is none.
    """
    scale = float(np.median([c.intrinsics.size_px[1] for c in rig.cameras])) / _COMMON_HEIGHT_PX
    settings = RobustSettings(max_error_px=_DISAGREE_PX * scale, sigma_floor_px=_CLICK_PX * scale)
    marked: BoolArray = np.asarray(np.isfinite(labels_px).all(axis=-1))
    found = triangulate_robust(rig, labels_px, marked.astype(np.float64), settings=settings)
    xy_px = project_rig(rig, found.xyz_m)
    spread = _spread_px(rig, found)
    vague = spread > _VAGUE_PX * scale
    sizes = np.array([c.intrinsics.size_px for c in rig.cameras], dtype=np.float64)
    inside = ((xy_px >= 0.0) & (xy_px <= sizes - 1.0)).all(axis=-1)
    doubts = [
        *_disagreements(rig, labels_px, marked, found, settings.max_error_px),
        *_vague(rig, marked, np.asarray(inside & vague)),
    ]
    return CarriedPoints(np.where((inside & ~vague)[..., None], xy_px, np.nan), tuple(doubts))


def _spread_px(rig: CameraRig, found: Triangulation) -> FloatArray:
    """(M, K, C) px: the largest standard deviation of a point's image, from how surely people click."""
    spread = np.full(found.used.shape, np.nan)
    for c, camera in enumerate(rig.cameras):
        here = project(camera, found.xyz_m)
        slopes = np.stack([project(camera, found.xyz_m + step) - here for step in np.eye(3) * _STEP_M], axis=-1)
        J = slopes / _STEP_M
        covariance = J @ found.covariance_m2 @ np.swapaxes(J, -1, -2)
        known = np.isfinite(covariance).all(axis=(-1, -2))
        spread[known, c] = np.sqrt(np.linalg.eigvalsh(covariance[known])[:, -1].clip(min=0.0))
    return spread


def _disagreements(
    rig: CameraRig, labels_px: FloatArray, marked: BoolArray, found: Triangulation, limit_px: float
) -> list[tuple[int, int, str]]:
    """Points whose labels do not meet, and single labels that the others contradict."""
    lost = (marked.sum(axis=-1) >= 2) & np.isnan(found.xyz_m[..., 0])
    plain = triangulate_weighted(rig, labels_px, (marked & lost[..., None]).astype(np.float64))
    doubts = []
    for m, k in np.argwhere(lost):
        views = _views(rig, marked[m, k])
        off = float(plain.residual_px[m, k])
        met = off <= limit_px
        why = f"{views} see it from nearly one side" if met else f"labels in {views} do not meet ({off:.0f} px off)"
        doubts.append((int(m), int(k), why))
    odd = marked & ~found.used & np.isfinite(found.xyz_m[..., :1])
    for m, k, c in np.argwhere(odd):
        off = float(np.linalg.norm(project(rig.cameras[c], found.xyz_m[m, k]) - labels_px[m, k, c]))
        doubts.append((int(m), int(k), f"the label in {rig.names[c]} is {off:.0f} px from where the others put it"))
    return doubts


def _vague(rig: CameraRig, marked: BoolArray, vague: BoolArray) -> list[tuple[int, int, str]]:
    """Points that two cameras see from nearly one side: elsewhere they could be anywhere along a line."""
    doubts = []
    for m, k in np.argwhere((vague & ~marked).any(axis=-1)):
        seen, open_ = _views(rig, marked[m, k]), _views(rig, vague[m, k] & ~marked[m, k])
        doubts.append(
            (int(m), int(k), f"labels in {seen} leave its depth open for {open_}; label a view from the side")
        )
    return doubts


def _views(rig: CameraRig, cameras: BoolArray) -> str:
    return ", ".join(rig.names[c] for c in np.flatnonzero(cameras))


def best_pair(rig: CameraRig) -> tuple[str, str]:
    """The two cameras whose labels, of a point in the middle of the room, say most about where it is in the others."""
    middle_m = _middle_m(rig)
    here_px = project_rig(rig, middle_m)
    n = len(rig.cameras)
    pairs = list(combinations(range(n), 2))
    labels_px = np.full((len(pairs), n, 2), np.nan)
    for row, pair in enumerate(pairs):
        labels_px[row, pair] = here_px[list(pair)]
    found = triangulate_weighted(rig, labels_px, np.isfinite(labels_px).all(axis=-1).astype(np.float64))
    spread = _spread_px(rig, found)
    worst = np.nanmax(np.where(np.isfinite(spread), spread, np.inf), axis=-1)
    a, b = pairs[int(worst.argmin())]
    return rig.names[a], rig.names[b]


def _middle_m(rig: CameraRig) -> FloatArray:
    """(3,) m: the point that is nearest to all cameras' lines of sight."""
    A, b = np.zeros((3, 3)), np.zeros(3)
    for camera in rig.cameras:
        R, t = camera.T_cam_lab.rotation, camera.T_cam_lab.translation_m
        across = np.eye(3) - np.outer(R[2], R[2])
        A += across
        b += across @ (-R.T @ t)
    return np.asarray(np.linalg.lstsq(A, b, rcond=None)[0])
