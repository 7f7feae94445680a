"""Stretches of a trial laid one after the other as one: kinematics is per frame, so all take hardly longer than one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from labsys.biomechanics.points import BodyPoints
from labsys.biomechanics.preparation import Prepared
from labsys.biomechanics.segments import PelvisSize
from labsys.core.arrays import FloatArray


def stack_stretches(parts: Sequence[Prepared]) -> Prepared:
    """Stretches (N frames, one clock) as one trial, each with its own static and size, and a blank frame at its end.

    So nothing is read from one stretch into the next. The parts are made by `Prepared.replaced`.
    """
    views = {c: _stack_points([p.views[c] for p in parts]) for c in parts[0].views}
    clock = next(iter(views.values())).times_s
    statics = [p.static for p in parts if p.static is not None]
    sizes = [p.size for p in parts if p.size is not None]
    return parts[0].replaced(
        views,
        _repeat_static(statics, clock) if len(statics) == len(parts) else None,
        _repeat_size(sizes, clock.size // len(parts)) if len(sizes) == len(parts) else None,
        stretches=len(parts),
    )


def stretch_starts_s(times_s: FloatArray, n_stretches: int) -> FloatArray:
    """(D,) s, by how much later each stretch lies on their clock than the first, whose times (N,) are its own."""
    step_s = (times_s[-1] - times_s[0]) / (times_s.size - 1)
    return np.asarray((times_s.size + 1) * step_s * np.arange(n_stretches))


def split_stretches(stacked: FloatArray, n_stretches: int) -> FloatArray:
    """(D, N) of a series over stacked stretches, without their blank frames."""
    return stacked.reshape(n_stretches, -1)[:, :-1]


def _stack_points(parts: Sequence[BodyPoints]) -> BodyPoints:
    times_s, n = parts[0].times_s, len(parts)
    own_s = np.append(times_s, 2.0 * times_s[-1] - times_s[-2])
    clock = (stretch_starts_s(times_s, n)[:, None] + own_s).ravel()
    tracks = {}
    for role in dict.fromkeys(r for p in parts for r in p.tracks):
        track = np.full((n, own_s.size, 3), np.nan)
        for stretch, part in zip(track, parts, strict=True):
            if role in part.tracks:
                stretch[:-1] = part.tracks[role]
        tracks[role] = track.reshape(-1, 3)
    return BodyPoints(clock, tracks, {}, parts[0].carried)


def _repeat_static(statics: Sequence[BodyPoints], clock: FloatArray) -> BodyPoints:
    n = clock.size // len(statics)
    tracks = {r: np.repeat(np.concatenate([s[r] for s in statics]), n, axis=0) for r in statics[0].tracks}
    return BodyPoints(clock, tracks, {})


def _repeat_size(sizes: Sequence[PelvisSize], n_frames: int) -> PelvisSize:
    own = np.array([(s.width_m, s.depth_m, s.leg_length_m) for s in sizes])
    return PelvisSize(*np.repeat(own, n_frames, axis=0).T)
