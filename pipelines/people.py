"""Who the subject is when cameras see several people: the person that all cameras agree on.

One camera follows a person by continuity and may lose him behind another. Where the calibration is known, rays to the
subject's landmarks meet; those to two different people do not. Cameras that follow different people for most of the
recording are no matter of votes: the one who moves is the subject, as whoever stands beside the treadmill does not run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from calibration.projection import essential_matrix, undistort
from labsys.core.arrays import BoolArray, FloatArray, IntArray
from labsys.core.cameras import CameraRig
from labsys.core.errors import InputError
from labsys.storage.exchange.openpose import OpenPosePeople

_SWEEPS = 3
_FEWEST_POINTS = 5
_CAP_PX = 60.0
# Another person is taken where he fits this much better than the one followed, and well.
_BETTER = 0.5
_GOOD_PX = 20.0
_SAME = 0.5  # of the frames in which two cameras can be compared
_FEWEST_FRAMES = 5
_WINDOW_FRAMES = 20
_LIMBS_QUANTILE = 0.8  # of the points
_CLEARLY_MORE = 2.0  # times the motion


@dataclass(frozen=True, eq=False)
class Agreement:
    """One person in all cameras.

    Attributes:
        people: camera -> who it sees, the subject chosen by all of them.
        changed: camera -> frames in which that is another than the one it followed.
        remark: how it was chosen where cameras followed different people, or "".
    """

    people: Mapping[str, OpenPosePeople]
    changed: Mapping[str, int]
    remark: str = ""


def agree_on_subject(people: Mapping[str, OpenPosePeople], rig: CameraRig) -> Agreement:
    """Choose the subject by all cameras together.

    Args:
        people: camera -> who it sees, frame i at one moment in all cameras.
        rig: these cameras, in this order, calibrated.

    Raises:
        InputError: the cameras follow different people, who move alike, and no more cameras the one than the other.
    """
    names = tuple(people)
    lengths = {p.subject.size for p in people.values()} | {-p.first_frame - 1 for p in people.values()}
    if len(names) < 2 or len(lengths) != 2 or not any(p.n_frames_with_several for p in people.values()):
        return Agreement(dict(people), dict.fromkeys(names, 0))
    rays = [_rays(people[n], rig, c) for c, n in enumerate(names)]
    subject, remark = _one_person(tuple(people.values()), names, rays, rig)
    for _ in range(_SWEEPS):
        before = [s.copy() for s in subject]
        for c in range(len(names)):
            subject[c] = _choose(rays, subject, rig, c)
        if all((a == b).all() for a, b in zip(before, subject, strict=True)):
            break
    changed = {n: int((subject[c] != people[n].subject).sum()) for c, n in enumerate(names)}
    return Agreement({n: replace(people[n], subject=subject[c]) for c, n in enumerate(names)}, changed, remark)


def _one_person(
    people: Sequence[OpenPosePeople], names: tuple[str, ...], rays: list[FloatArray], rig: CameraRig
) -> tuple[list[IntArray], str]:
    """Whom each camera follows, (C) of (T,), and how that was chosen; decided where it is not the same person."""
    followed = [p.subject.copy() for p in people]
    groups = _group_cameras(rays, followed, rig)
    if len(groups) < 2:
        return followed, ""
    persons = [_find_in_all(rays, followed, rig, group) for group in groups]
    motions = [_motion(people, person) for person in persons]
    said = " and ".join(", ".join(names[c] for c in g) for g in groups)
    first, second = np.argsort([-m for m in motions])[:2].tolist()
    if motions[first] > _CLEARLY_MORE * motions[second]:
        mover = ", ".join(names[c] for c in groups[first])
        return persons[first], (
            f"{said} followed different people: all follow the one of {mover}, who moves "
            f"{min(motions[first] / max(motions[second], 1e-9), 99.0):.0f} times as much"
        )
    largest, next_one = np.argsort([-len(g) for g in groups], kind="stable")[:2].tolist()
    if len(groups[largest]) > len(names) / 2 and len(groups[largest]) > len(groups[next_one]):
        most = ", ".join(names[c] for c in groups[largest])
        return persons[largest], f"{said} followed different people, who move alike: all follow the one of {most}"
    raise InputError(
        f"the cameras follow different people, who move alike: {said}",
        remedy="Keep the subject's landmarks only; labsys does not guess who the subject is",
    )


def _find_in_all(
    rays: list[FloatArray], followed: list[IntArray], rig: CameraRig, group: Sequence[int]
) -> list[IntArray]:
    """The person of a group of cameras in all cameras, (C) of (T,); -1 where nobody fits."""
    found = []
    for c in range(len(rays)):
        if c in group:
            found.append(followed[c])
            continue
        misfit = _mean_misfit_px(rays, followed, rig, c, group)
        fits = misfit.min(axis=1) < _GOOD_PX
        found.append(np.where(fits, misfit.argmin(axis=1), -1).astype(np.int64))
    return found


def _group_cameras(rays: list[FloatArray], followed: list[IntArray], rig: CameraRig) -> list[list[int]]:
    """Cameras by whom they follow for most of the recording."""
    groups: list[list[int]] = []
    for c in range(len(rays)):
        own = [g for g in groups if np.mean([_share_alike(rays, followed, rig, c, b) for b in g]) >= _SAME]
        if own:
            own[0].append(c)
        else:
            groups.append([c])
    return groups


def _share_alike(rays: list[FloatArray], followed: list[IntArray], rig: CameraRig, a: int, b: int) -> float:
    """Share of frames in which two cameras follow one person, of those that tell; 1 where too few do."""
    alike, told = np.ones(followed[a].size, dtype=np.bool_), np.zeros(followed[a].size, dtype=np.bool_)
    for c, other in ((a, b), (b, a)):
        misfit = _misfit_px(rays[c], _picked(rays[other], followed[other]), rig, c, other)
        better, judged = _finds_better(misfit, followed[c])
        alike &= ~better
        told |= judged
    return float(alike[told].mean()) if told.sum() >= _FEWEST_FRAMES else 1.0


def _finds_better(misfit: FloatArray, followed: IntArray) -> tuple[BoolArray, BoolArray]:
    """(T,) whether another person than the one followed fits clearly better, and whether there was one to compare."""
    frames = np.arange(len(misfit))
    own = np.where(followed >= 0, misfit[frames, followed], np.nan)
    others = np.where(np.arange(misfit.shape[1]) == followed[:, None], np.inf, np.nan_to_num(misfit, nan=np.inf))
    best = others.min(axis=1)
    judged = np.isfinite(own) & np.isfinite(best)
    return judged & (best < _BETTER * own) & (best < _GOOD_PX), judged


def _motion(people: Sequence[OpenPosePeople], person: list[IntArray]) -> float:
    """How far a person's arms and legs swing about the middle of the body, in body sizes; 0 if unseen.

    The spread within short windows, the middle one of all: whoever stands may turn round now and then.
    """
    seen = []
    for of_camera, subject in zip(people, person, strict=True):
        xy = _picked(of_camera.xy_px, subject)
        xy = xy[np.isfinite(xy).all(axis=-1).sum(axis=1) >= _FEWEST_POINTS]
        n_windows = len(xy) // _WINDOW_FRAMES
        if n_windows < 1:
            continue
        size_px = float(np.median(np.linalg.norm(np.nanmax(xy, axis=1) - np.nanmin(xy, axis=1), axis=-1)))
        about = (xy - np.nanmedian(xy, axis=1, keepdims=True))[: n_windows * _WINDOW_FRAMES]
        swing = _spread_px(about.reshape(n_windows, _WINDOW_FRAMES, -1, 2))
        seen.append(float(np.median(np.quantile(swing, _LIMBS_QUANTILE, axis=1))) / max(size_px, 1.0))
    return float(np.median(seen)) if seen else 0.0


def _spread_px(xy: FloatArray) -> FloatArray:
    """(N, K) standard deviation of points (N, T, K, 2) over T; 0 where fewer than half are seen."""
    known = np.isfinite(xy)
    count = np.maximum(known.sum(axis=1), 1)
    middle = np.nansum(xy, axis=1) / count
    squared = np.where(known, (xy - middle[:, None]) ** 2, 0.0).sum(axis=1) / count
    often = (known.sum(axis=1) >= 0.5 * xy.shape[1]).all(axis=-1)
    return np.asarray(np.where(often, np.sqrt(squared.sum(axis=-1)), 0.0), dtype=np.float64)


def _rays(people: OpenPosePeople, rig: CameraRig, camera: int) -> FloatArray:
    """(T, P, K, 3) with z 1, NaN where missing."""
    plain = undistort(rig.cameras[camera].intrinsics, people.xy_px)
    return np.concatenate([plain, np.ones((*plain.shape[:-1], 1))], axis=-1)


def _choose(rays: list[FloatArray], subject: list[IntArray], rig: CameraRig, c: int) -> IntArray:
    """(T,) the subject among the people of camera c, given the other cameras' choice."""
    misfit = _mean_misfit_px(rays, subject, rig, c, range(len(rays)))
    frames = np.arange(len(misfit))
    best = np.argmin(misfit, axis=1)
    at_best = misfit[frames, best]
    followed = np.where(subject[c] >= 0, misfit[frames, subject[c]], np.inf)
    # A person whom no other camera can judge stays the one that was followed.
    unjudged = (subject[c] >= 0) & ~np.isfinite(followed)
    take = (at_best < _BETTER * followed) & (at_best < _GOOD_PX) & ~unjudged
    return np.asarray(np.where(take, best, subject[c]), dtype=np.int64)


def _mean_misfit_px(
    rays: list[FloatArray], subject: list[IntArray], rig: CameraRig, c: int, by: Sequence[int]
) -> FloatArray:
    """(T, P) how badly each person of camera c fits the choice of the cameras `by`, px; infinite where unknown."""
    misfits = [_misfit_px(rays[c], _picked(rays[b], subject[b]), rig, c, b) for b in by if b != c]
    known = np.isfinite(misfits).sum(axis=0)
    total = np.nansum(misfits, axis=0)
    return np.asarray(np.where(known > 0, total / np.maximum(known, 1), np.inf), dtype=np.float64)


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
