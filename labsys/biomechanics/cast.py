"""Calibrated anatomical segments: what only the static trial shows is carried by a rigid cluster of its segment.

Cappozzo's CAST: the static gives every landmark's place in its segment; in motion the segment's visible landmarks are
fitted rigidly (Kabsch, determinant +1) and carry those that are missing, in single frames or altogether.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from labsys.biomechanics.points import BodyPoints, is_seen
from labsys.core.arrays import BoolArray, FloatArray

_PELVIS = ("RASIS", "LASIS", "RPSIS", "LPSIS", "S3")
# L5 moves with the spine: a pelvis fitted with it follows the back. It helps only where the pelvis alone is too few.
_NEXT_TO_PELVIS = "L5"
# The shoulders glide over the ribs: acromia are not carried by the thorax.
_THORAX = ("C7", "T10", "IJ", "XP")
_LEG = {"TH": ("LFE", "MFE"), "TB": ("LM", "MM"), "FT": ("HEEL", "MT5", "MT1", "TOE")}
_MIN_CLUSTER = 3


def fit_rigid(model_m: FloatArray, observed_m: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Least-squares rigid motion that takes a model onto observed points.

    model_m: (N, 3). observed_m: (T, N, 3), NaN where missing. Returns rotation (T, 3, 3), translation (T, 3) m and rms
    residual (T,) m; NaN where fewer than three points are seen or they lie on one line. Source: Kabsch 1976, 1978.
    """
    seen = is_seen(observed_m)
    weight = seen.astype(np.float64)
    count = np.maximum(weight.sum(axis=1, keepdims=True), 1.0)
    filled = np.where(seen[..., None], observed_m, 0.0)
    centre_model = np.einsum("tn,nk->tk", weight, model_m) / count
    centre_seen = filled.sum(axis=1) / count
    a = (model_m[None] - centre_model[:, None]) * weight[..., None]
    b = np.where(seen[..., None], filled - centre_seen[:, None], 0.0)
    U, sizes, Vt = np.linalg.svd(np.einsum("tni,tnj->tij", a, b))
    flip = np.ones_like(sizes)
    flip[:, 2] = np.sign(np.linalg.det(U) * np.linalg.det(Vt))
    R = np.einsum("tji,tj,tkj->tik", Vt, flip, U)
    residual: FloatArray = np.sqrt((((np.einsum("tij,tnj->tni", R, a) - b) ** 2).sum(axis=(1, 2))) / count[:, 0])
    bad = (seen.sum(axis=1) < _MIN_CLUSTER) | (sizes[:, 1] < 1e-3 * np.maximum(sizes[:, 0], 1e-12))
    R[bad] = np.nan
    residual[bad] = np.nan
    return R, centre_seen - np.einsum("tij,tj->ti", R, centre_model), residual


def carry_clusters(points: BodyPoints, static: BodyPoints, *, residual_max_m: float) -> BodyPoints:
    """Fill in landmarks that are missing in motion from the clusters of their segments.

    points: (T,) motion. static: one frame. A frame whose cluster fits worse than
    `residual_max_m` (rms) carries nothing. What was never seen counts as `carried`; on the pelvis, whose cluster is the
    skin over its own landmarks, as filled in too. Markers of a technical cluster are there to be measured instead.
    """
    tracks, filled = dict(points.tracks), dict(points.filled)
    for members in _segments(points, static):
        _carry(members, tracks, filled, static, residual_max_m)
    carried = points.carried | (frozenset(tracks) - frozenset(points.tracks))
    of_pelvis = {m: is_seen(tracks[m]).astype(np.float64) for m in carried.intersection(_PELVIS)}
    return BodyPoints(points.times_s, tracks, filled | of_pelvis, carried)


def _segments(points: BodyPoints, static: BodyPoints) -> list[tuple[str, ...]]:
    """Anatomical landmarks of every segment with its markers, and the pelvis with L5 where it alone is too few."""
    names = set(points.tracks) | set(static.tracks)
    pelvis = (*_PELVIS, *_markers("PEL", names))
    enough = sum(m in points.tracks and m in static.tracks for m in pelvis) >= _MIN_CLUSTER
    found: list[tuple[str, ...]] = [
        pelvis if enough else (*pelvis, _NEXT_TO_PELVIS),
        (*_THORAX, *_markers("THX", names)),
    ]
    for side in "RL":
        for prefix, anatomical in _LEG.items():
            found.append((*(f"{side}{a}" for a in anatomical), *_markers(side + prefix, names)))
    return found


def _markers(prefix: str, names: Collection[str]) -> list[str]:
    return sorted(n for n in names if n.startswith(prefix) and n[3:].isdigit())


def _carry(
    members: tuple[str, ...],
    tracks: dict[str, FloatArray],
    filled: dict[str, FloatArray],
    static: BodyPoints,
    residual_max_m: float,
) -> None:
    known = [m for m in members if m in static.tracks and np.isfinite(static[m]).all()]
    seen = [m for m in known if m in tracks]
    wanted = [m for m in known if m not in tracks or not np.isfinite(tracks[m]).all()]
    if len(seen) < _MIN_CLUSTER or not wanted:
        return
    model = np.stack([static[m][0] for m in seen])
    R, shift, residual = fit_rigid(model, np.stack([tracks[m] for m in seen], axis=1))
    good: BoolArray = residual <= residual_max_m
    for name in wanted:
        place = np.where(good[:, None], R @ static[name][0] + shift, np.nan)
        old = tracks.get(name, np.full_like(place, np.nan))
        gap = ~is_seen(old)
        if name in tracks or good.any():
            tracks[name] = np.where(gap[:, None], place, old)
            filled[name] = np.where(gap & good & (name in filled), 1.0, filled.get(name, np.zeros(len(gap))))
