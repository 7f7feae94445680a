"""The order in which points are triangulated, block by block; the loops themselves are in `triangulate_kernel`.

All cameras are fitted first. Where they disagree, pairs of cameras propose points, scored by truncated squares (MSAC:
Torr & Zisserman 2000, doi:10.1006/cviu.1999.0832), and the cameras that agree with the best proposal are fitted
together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from calibration import lens
from calibration.lens import compiled, compiled_part, pack_lens, read_only_floats, source_digest
from calibration.triangulation import kernel
from calibration.triangulation.kernel import MAX_PAIRS
from labsys.core.arrays import BoolArray, FloatArray
from labsys.core.cameras import CameraRig

# xyz_m (N, 3), mean error (N,) px, used (N, C), covariance per px² (N, 3, 3) m², weighted square sum (N,) px²
Results = tuple[FloatArray, FloatArray, BoolArray, FloatArray, FloatArray]

LANES = 256  # points of one block
_STEPS = 2  # per round; from the linear start two steps end within nanometres unless cameras disagree
_SMALL_STEP_M2 = 1e-10  # squared: after a step of 10 micrometres the next is about 10 nanometres
_ROUNDS = 12  # and as many more as there are cameras
_ROUNDS_THAT_ADD = 3  # in which a camera may come back; later ones only leave cameras out, so they end


@dataclass(frozen=True)
class Limits:
    """Least weight, largest error (infinite: no camera is ever left out), fewest cameras, and the largest |cosine|
    between the two most different rays."""

    min_weight: float
    max_px: float
    min_cameras: int
    max_cosine: float


@dataclass(frozen=True, eq=False)
class PackedRig:
    """A rig as arrays: lenses (C, 11), and rotations (C, 3, 3) and translations (C, 3) of T_cam_lab."""

    lenses: FloatArray
    R: FloatArray
    t: FloatArray

    @classmethod
    def pack(cls, rig: CameraRig) -> PackedRig:
        """The arrays of a rig."""
        return cls(
            read_only_floats(np.stack([pack_lens(c.intrinsics) for c in rig.cameras])),
            read_only_floats(np.stack([c.T_cam_lab.rotation for c in rig.cameras])),
            read_only_floats(np.stack([c.T_cam_lab.translation_m for c in rig.cameras])),
        )


def triangulate_points(xy_px: FloatArray, weights: FloatArray, rig: PackedRig, limits: Limits, out: Results) -> None:
    """Triangulate N points into `out`, which holds NaN and False beforehand and keeps them where there is no point.

    xy_px: (N, C, 2) px. weights: (N, C).
    """
    lanes, hard = (kernel.make_lanes(len(rig.R), LANES) for _ in range(2))
    bounds = (limits.min_weight, limits.max_px**2, limits.min_cameras, limits.max_cosine)
    _triangulate_points(xy_px, weights, (rig.lenses, rig.R, rig.t), bounds, lanes, hard, out)


@compiled_part
def _write(lanes, R, limits, n, out):  # type: ignore[no-untyped-def]  # compiled
    """Write the lanes that are done, except those whose cameras are too few or see the point from one side."""
    _, _, min_cameras, max_cosine = limits
    for i in range(n):
        lanes.apart[i] = not lanes.done[i]
    for i in range(len(R)):
        for j in range(i):
            waiting = False
            for k in range(n):
                waiting |= not lanes.apart[k]
            if waiting:
                kernel.mark_parallax(lanes, lanes.w, R, i, j, max_cosine, n)
    kernel.write(lanes, min_cameras, n, out)


@compiled_part
def _search(lanes, R, t, limits, n):  # type: ignore[no-untyped-def]  # compiled
    """Replace the point of each lane that has not tried all pairs by the proposal that most of its cameras support.

    Pairs are taken round the ring of cameras, neighbours first, so that the first 24 involve every camera evenly.
    """
    _, max_px2, _, max_cosine = limits
    n_cameras = len(R)
    for i in range(n):
        for k in range(3):
            lanes.best[k, i] = lanes.point[k, i] if lanes.tried[i] >= MAX_PAIRS else math.nan
        lanes.best[3, i] = math.inf
    for rank in range(n_cameras * (n_cameras - 1) // 2):
        searching = False
        for i in range(n):
            searching |= lanes.tried[i] < MAX_PAIRS
        if not searching:
            break
        lanes.pair[0] = rank % n_cameras
        lanes.pair[1] = (rank + rank // n_cameras + 1) % n_cameras
        kernel.propose(lanes, R, t, max_px2, max_cosine, n)
    for i in range(n):
        for k in range(3):
            lanes.point[k, i] = lanes.best[k, i]


@compiled_part
def _settle(lanes, R, t, limits, n, out):  # type: ignore[no-untyped-def]  # compiled
    """Refine lanes and the set of cameras that each rests on until both stay, and write those that do."""
    active = lanes.tried  # free after the search: 1 while a lane is not written
    for i in range(n):
        active[i], lanes.step2[i] = 1, math.inf
    for turn in range(_ROUNDS + len(R)):
        n_steps = _STEPS if turn > 0 else 0  # first only decide which cameras agree with the proposal
        kernel.refine(lanes, R, t, limits[1], turn < _ROUNDS_THAT_ADD, n_steps, n)
        n_done, n_active = 0, 0
        for i in range(n):
            lanes.done[i] = active[i] == 1 and not lanes.changed[i] and lanes.step2[i] < _SMALL_STEP_M2
            active[i] -= lanes.done[i]
            n_done += lanes.done[i]
            n_active += active[i]
        if n_done > 0:
            _write(lanes, R, limits, n, out)
        if n_active == 0:
            break


@compiled_part
def _sort_out(lanes, hard, limits, n):  # type: ignore[no-untyped-def]  # compiled
    """Mark the lanes that are done and copy those that need more to the hard block; returns how many those are."""
    _, max_px2, min_cameras, _ = limits
    n_hard = 0
    for i in range(n):
        n_seen, united = lanes.counts[0, i], lanes.counts[1, i] == lanes.counts[0, i]
        lanes.done[i] = united and lanes.step2[i] < _SMALL_STEP_M2
        disputed = not united and max_px2 < math.inf
        # Two cameras that disagree leave nobody to say which is wrong.
        if not lanes.done[i] and n_seen >= min_cameras and (not disputed or n_seen > 2.0):
            kernel.copy_lane(lanes, i, hard, n_hard)
            hard.tried[n_hard] = 0 if disputed else MAX_PAIRS
            n_hard += 1
    return n_hard


def _compile(source: str):  # type: ignore[no-untyped-def]  # compiled
    """The loop over blocks. numba's cache watches this file, and what the function closes over: `source` stands for
    the other files that the loops come from."""

    @compiled
    def triangulate_points(xy, weights, rig, limits, lanes, hard, out):  # type: ignore[no-untyped-def]  # compiled
        lenses, R, t = rig
        for begin in range(0, len(xy) if len(source) > 0 else 0, LANES):
            n = min(LANES, len(xy) - begin)
            for i in range(n):
                lanes.rows[i] = begin + i
            kernel.observe(xy[begin : begin + n], weights[begin : begin + n], limits[0], lenses, lanes)
            kernel.fit_all(lanes, R, t, _STEPS, limits[1], n)
            n_hard = _sort_out(lanes, hard, limits, n)
            _write(lanes, R, limits, n, out)
            if n_hard > 0:
                _search(hard, R, t, limits, n_hard)
                _settle(hard, R, t, limits, n_hard, out)

    return triangulate_points


_triangulate_points = _compile(source_digest(lens.__file__, kernel.__file__))
