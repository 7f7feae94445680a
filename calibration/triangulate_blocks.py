"""The order in which points are triangulated, block by block; the loops themselves are in `triangulate_kernel`.

All cameras are fitted first. Where they disagree, pairs of cameras propose points, scored by truncated squares (MSAC:
Torr & Zisserman 2000, doi:10.1006/cviu.1999.0832), and the cameras that agree with the best proposal are fitted
together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from calibration import triangulate_kernel as kernel
from calibration.lens import pack_lens, read_only_floats
from calibration.triangulate_kernel import MAX_PAIRS, Lanes
from labsys.core.arrays import BoolArray, FloatArray, IntArray
from labsys.core.cameras import CameraRig

# xyz_m (N, 3), mean error (N,) px, used (N, C), covariance per px² (N, 3, 3) m², weighted square sum (N,) px²
Results = tuple[FloatArray, FloatArray, BoolArray, FloatArray, FloatArray]

_LANES = 1024
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

    @property
    def n_cameras(self) -> int:
        """Number of cameras."""
        return len(self.R)


def triangulate_points(xy_px: FloatArray, weights: FloatArray, rig: PackedRig, limits: Limits, out: Results) -> None:
    """Triangulate N points into `out`, which holds NaN and False beforehand and keeps them where there is no point.

    xy_px: (N, C, 2) px. weights: (N, C).
    """
    size = min(_LANES, len(xy_px))
    lanes, hard = kernel.make_lanes(rig.n_cameras, size), kernel.make_lanes(rig.n_cameras, size)
    for begin in range(0, len(xy_px), _LANES):
        block = slice(begin, begin + _LANES)
        n = len(xy_px[block])
        kernel.observe(xy_px[block], weights[block], limits.min_weight, rig.lenses, lanes)
        difficult, disputed = _fit_all(lanes, rig, limits, n, begin, out)
        if difficult.size:
            kernel.gather(lanes, difficult, hard)
            if disputed.any():
                _search(hard, rig, limits, disputed)
            _settle(hard, rig, limits, begin + difficult, out)


def _fit_all(
    lanes: Lanes, rig: PackedRig, limits: Limits, n: int, begin: int, out: Results
) -> tuple[IntArray, BoolArray]:
    """Fit all cameras and write the lanes that are done; returns those that are not, and whether cameras disagree."""
    counts = np.empty((3, n))
    kernel.fit_all(lanes, rig.R, rig.t, np.arange(rig.n_cameras), _STEPS, limits.max_px**2, n, counts)
    united = counts[1] == counts[0]
    done = united & (lanes.step2[:n] < _SMALL_STEP_M2)
    _write(lanes, rig, limits, done, np.arange(begin, begin + n), out)
    disputed = ~united & (limits.max_px < math.inf)
    # Two cameras that disagree leave nobody to say which is wrong.
    hopeful = (counts[0] >= limits.min_cameras) & ~(disputed & (counts[0] < 3))
    difficult = np.flatnonzero(~done & hopeful)
    return difficult, disputed[difficult]


def _search(lanes: Lanes, rig: PackedRig, limits: Limits, disputed: BoolArray) -> None:
    """Replace the point of each disputed lane by the pair proposal that most of its cameras support.

    Pairs are taken round the ring of cameras, neighbours first, so that the first 24 involve every camera evenly.
    """
    n, c = disputed.size, rig.n_cameras
    tried = np.where(disputed, 0, MAX_PAIRS)
    best = np.vstack([np.where(disputed, np.nan, lanes.point[:, :n]), np.full(n, np.inf)])
    for rank in range(c * (c - 1) // 2):
        if (tried >= MAX_PAIRS).all():
            break
        pair = np.array([rank % c, (rank % c + rank // c + 1) % c])
        kernel.propose(lanes, rig.R, rig.t, pair, (limits.max_px**2, limits.max_cosine), n, tried, best)
    lanes.point[:, :n] = best[:3]


def _settle(lanes: Lanes, rig: PackedRig, limits: Limits, rows: IntArray, out: Results) -> None:
    """Refine lanes and the set of cameras that each rests on until both stay, and write those that do."""
    n = rows.size
    active, changed = np.ones(n, dtype=np.bool_), np.ones(n, dtype=np.bool_)
    lanes.step2[:n] = np.inf
    for turn in range(_ROUNDS + rig.n_cameras):
        n_steps = _STEPS if turn else 0  # first only decide which cameras agree with the proposal
        kernel.refine(lanes, rig.R, rig.t, limits.max_px**2, turn < _ROUNDS_THAT_ADD, n_steps, n, changed)
        done = active & ~changed & (lanes.step2[:n] < _SMALL_STEP_M2)
        if done.any():
            _write(lanes, rig, limits, done, rows, out)
            active &= ~done
        if not active.any():
            return


def _write(lanes: Lanes, rig: PackedRig, limits: Limits, done: BoolArray, rows: IntArray, out: Results) -> None:
    """Write the lanes that are done, except those whose cameras are too few or see the point from one side."""
    n, apart = done.size, np.zeros(done.size, dtype=np.bool_)
    for i in range(rig.n_cameras):
        for j in range(i):
            if not apart[done].all():
                kernel.mark_parallax(lanes, lanes.w, rig.R, np.array([i, j]), limits.max_cosine, n, apart)
    kernel.write(lanes, limits.min_cameras, n, done & apart, rows, out)
