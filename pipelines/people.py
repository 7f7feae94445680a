"""Who the subject is when cameras see several people: the person that all cameras agree on.

One camera follows a person by continuity and may lose him behind another. Where the calibration is known, rays to the
subject's landmarks meet; those to two different people do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from calibration.projection import essential_matrix, undistort
from labsys.core.arrays import FloatArray, IntArray
from labsys.core.cameras import CameraRig
from labsys.storage.exchange.openpose import OpenPosePeople

_SWEEPS = 3
_FEWEST_POINTS = 5
_CAP_PX = 60.0
# Another person is taken where he fits this much better than the one followed, and well.
_BETTER = 0.5
_GOOD_PX = 20.0


def agree_on_subject(
    people: Mapping[str, OpenPosePeople], rig: CameraRig
) -> tuple[dict[str, OpenPosePeople], dict[str, int]]:
    """The same people with the subject chosen by all cameras together, and in how many frames that changed it.

    Args:
        people: camera -> who it sees, frame i at one moment in all cameras.
        rig: these cameras, in this order, calibrated.
    """
    names = tuple(people)
    lengths = {p.subject.size for p in people.values()} | {-p.first_frame - 1 for p in people.values()}
    if len(names) < 2 or len(lengths) != 2 or not any(p.n_frames_with_several for p in people.values()):
        return dict(people), dict.fromkeys(names, 0)
    rays = [_rays(people[n], rig, c) for c, n in enumerate(names)]
    subject = [people[n].subject.copy() for n in names]
    for _ in range(_SWEEPS):
        before = [s.copy() for s in subject]
        for c in range(len(names)):
            subject[c] = _choose(rays, subject, rig, c)
        if all((a == b).all() for a, b in zip(before, subject, strict=True)):
            break
    changed = {n: int((subject[c] != people[n].subject).sum()) for c, n in enumerate(names)}
    return {n: replace(people[n], subject=subject[c]) for c, n in enumerate(names)}, changed


def _rays(people: OpenPosePeople, rig: CameraRig, camera: int) -> FloatArray:
    """(T, P, K, 3) with z 1, NaN where missing."""
    plain = undistort(rig.cameras[camera].intrinsics, people.xy_px)
    return np.concatenate([plain, np.ones((*plain.shape[:-1], 1))], axis=-1)


def _choose(rays: list[FloatArray], subject: list[IntArray], rig: CameraRig, c: int) -> IntArray:
    """(T,) the subject among the people of camera c, given the other cameras' choice."""
    misfits = [_misfit_px(rays[c], _picked(rays[b], subject[b]), rig, c, b) for b in range(len(rays)) if b != c]
    known = np.isfinite(misfits).sum(axis=0)
    misfit = np.where(known > 0, np.nansum(misfits, axis=0) / np.maximum(known, 1), np.inf)
    frames = np.arange(len(misfit))
    best = np.argmin(misfit, axis=1)
    at_best = misfit[frames, best]
    followed = np.where(subject[c] >= 0, misfit[frames, subject[c]], np.inf)
    # A person whom no other camera can judge stays the one that was followed.
    unjudged = (subject[c] >= 0) & ~np.isfinite(followed)
    take = (at_best < _BETTER * followed) & (at_best < _GOOD_PX) & ~unjudged
    return np.asarray(np.where(take, best, subject[c]), dtype=np.int64)


def _picked(rays: FloatArray, subject: IntArray) -> FloatArray:
    """(T, K, 3) rays of the subject, NaN where not found."""
    picked = rays[np.arange(subject.size), subject]
    return np.where((subject >= 0)[:, None, None], picked, np.nan)


def _misfit_px(rays: FloatArray, other: FloatArray, rig: CameraRig, c: int, b: int) -> FloatArray:
    """(T, P) mean truncated distance of each person's points from the epipolar lines of camera b's subject, px."""
    essential = essential_matrix(rig.cameras[c], rig.cameras[b])
    line = (other @ essential.T)[:, None]
    back = rays @ essential
    size = (line[..., :2] ** 2).sum(axis=-1) + (back[..., :2] ** 2).sum(axis=-1)
    distance = rig.cameras[c].intrinsics.matrix[0, 0] * np.abs((rays * line).sum(axis=-1)) / np.sqrt(size)
    seen = np.isfinite(distance)
    total = np.where(seen, np.minimum(distance, _CAP_PX), 0.0).sum(axis=-1)
    count = seen.sum(axis=-1)
    return np.asarray(np.where(count >= _FEWEST_POINTS, total / np.maximum(count, 1), np.nan), dtype=np.float64)
