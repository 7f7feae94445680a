"""How well the cameras' answers meet in space, and how far from where the labels put the landmarks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calibration.triangulation.triangulate import Triangulation, triangulate_robust
from labsys.core.arrays import FloatArray
from labsys.core.cameras import CameraRig
from pipelines.modelling.scoring import is_found

_MM_PER_M = 1000.0


@dataclass(frozen=True)
class SpaceScore:
    """Landmarks in space, over all moments; NaN where none could be compared.

    Attributes:
        n: points that labels and answers both give. median_mm, p95_mm: distance between the two.
        residual_px, label_residual_px: median distance between the image of a point and what it was made from.
        lost: share of the labels' points that the answers do not give.
    """

    n: int
    median_mm: float
    p95_mm: float
    residual_px: float
    label_residual_px: float
    lost: float


def locate_labels(rig: CameraRig, labels_px: FloatArray) -> Triangulation:
    """Points of labels (M, K, C, 2) that two cameras or more have."""
    return triangulate_robust(rig, labels_px, np.isfinite(labels_px).all(axis=-1).astype(np.float64))


def locate_answers(rig: CameraRig, found: FloatArray) -> Triangulation:
    """Points of a network's answers (M, K, C, 3), likelihood as confidence."""
    return triangulate_robust(rig, found[..., :2], np.where(is_found(found), np.clip(found[..., 2], 0.0, 1.0), 0.0))


def score_space(pairs: Sequence[tuple[Triangulation, Triangulation]]) -> SpaceScore:
    """Compare labels with answers, a pair a capture."""
    wanted = sum(int(np.isfinite(labels.xyz_m).all(axis=-1).sum()) for labels, _ in pairs)
    apart_mm = _joined([np.linalg.norm(found.xyz_m - labels.xyz_m, axis=-1) * _MM_PER_M for labels, found in pairs])
    return SpaceScore(
        n=len(apart_mm),
        median_mm=_quantile(apart_mm, 50),
        p95_mm=_quantile(apart_mm, 95),
        residual_px=_quantile(_joined([found.residual_px for _, found in pairs]), 50),
        label_residual_px=_quantile(_joined([labels.residual_px for labels, _ in pairs]), 50),
        lost=1.0 - len(apart_mm) / wanted if wanted else float("nan"),
    )


def _joined(parts: Sequence[FloatArray]) -> FloatArray:
    values: FloatArray = np.concatenate([part.ravel() for part in parts]) if parts else np.empty(0)
    return np.asarray(values[np.isfinite(values)])


def _quantile(values: FloatArray, percent: float) -> float:
    return float(np.percentile(values, percent)) if values.size else float("nan")
