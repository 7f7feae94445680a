"""Whether a camera moved during the take, which one, when and how far.

A camera that moved at some instant is two cameras, one before and one after. What the second one's pose would gain is
read from the solved take's normal equations: boards and all other cameras, with their lags, may follow, so nothing is
blamed on one camera that another explains. All cameras and splits are tried that way. How much difference chance makes
is told by the spread between instants, a cluster each, as corners of one instant err together (the board moves while
free-running cameras look). Only for the camera found is the rig then solved again with both poses.

Method: score test with a cluster-robust (sandwich) variance; Boos, The American Statistician 46 (1992) 327.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from calibration.bundle import BundleState, FrameSystems, reduce_frames, solve_bundle
from calibration.lens_jacobian import LensRows
from calibration.observations import BoardViews
from calibration.solve import SolvedRig
from labsys.core.arrays import BoolArray, FloatArray, IntArray
from labsys.core.errors import GateRefusedError
from labsys.core.rigid import RigidTransform
from labsys.core.units import degrees, millimetres

_LEAST_INSTANTS = 8  # on either side of a split
_CHANCE = 80.0  # squared change over its variance, 6 degrees of freedom, the best of all splits
_LEAST_PX = 0.8
_MOST_SPLITS = 40
_POSE = 6


@dataclass(frozen=True)
class CameraMove:
    """A change of one camera's pose.

    Attributes:
        at_s: after the take's beginning. turn_rad, shift_m: by how much.
        image_px: shift of the image that no other pose explains, RMS.
        score: squared change over its spread by chance. cost: of the bundle with both poses, px^2.
    """

    camera: str
    at_s: float
    turn_rad: float
    shift_m: float
    image_px: float
    score: float
    cost: float


@dataclass(frozen=True)
class _Split:
    """One camera parted at one frame; `gain` is by how much a second pose lowers the cost, px^2."""

    camera: int
    frame: int
    image_px: float
    score: float
    gain: float


def find_moved_camera(solved: SolvedRig, times_s: FloatArray, *, sure: bool = True) -> CameraMove | None:
    """The camera whose pose changed most during the take, None when none did.

    Args:
        times_s: (T,) s of the take's instants.
        sure: only a change that chance does not make; False gives the likeliest one, when something else shows already
            that the take does not fit together.
    """
    systems = reduce_frames(solved.shown, solved.freed)
    splits = [s for i in range(len(solved.rig.cameras)) if (s := _best_split(solved.shown, systems, i)) is not None]
    found = [s for s in splits if not sure or (s.score > _CHANCE and s.image_px > _LEAST_PX)]
    if not found:
        return None
    best = max(found, key=lambda s: s.gain)
    turn, shift, cost = _measure_move(solved, best)
    moment = float(times_s[solved.instants[best.frame]] - times_s[0])
    return CameraMove(solved.rig.names[best.camera], moment, turn, shift, best.image_px, best.score, cost)


def refuse_move(move: CameraMove, *, n_cameras: int) -> GateRefusedError:
    """The refusal that names the camera, the moment and the amount."""
    pair = " (of two cameras it cannot be told which one)" if n_cameras == 2 else ""
    return GateRefusedError(
        f"{move.camera} moved during the take{pair}: {degrees(move.turn_rad):.2f} degrees and "
        f"{millimetres(move.shift_m):.0f} mm, about {move.at_s:.1f} s after its beginning",
        where=f"camera {move.camera}",
        remedy="Fasten the camera and record the board again, or cut the take before that moment",
    )


def _best_split(views: BoardViews, systems: FrameSystems, camera: int) -> _Split | None:
    """The split at which a second pose of this camera lowers the cost most; None for too few shared instants."""
    shared = np.bincount(views.frame, minlength=systems.n_frames) > 1
    mine = np.zeros(systems.n_frames, dtype=np.bool_)
    mine[views.frame[views.camera == camera]] = True
    frames = np.flatnonzero(mine & shared)
    if len(frames) < 2 * _LEAST_INSTANTS:
        return None
    follow = _Follow.of(systems)
    best: _Split | None = None
    for split in frames[_splits(len(frames))]:
        after = np.arange(systems.n_frames) >= split
        score, gain, left = _try_split(systems, follow, camera, after, len(frames))
        seen = systems.weight[after, camera].sum()
        if best is None or gain > best.gain:
            best = _Split(camera, int(split), float(np.sqrt(max(left, 0.0) / max(seen, 1e-9))), score, gain)
    return best


def _splits(count: int) -> IntArray:
    """Where the take is parted; a move between two of them is found at the nearer one."""
    tries = np.linspace(_LEAST_INSTANTS, count - _LEAST_INSTANTS, min(_MOST_SPLITS, count - 2 * _LEAST_INSTANTS + 1))
    return np.unique(tries.round()).astype(np.int64)


@dataclass(frozen=True, eq=False)
class _Follow:
    """The cameras' own system: which columns may follow (the first camera holds the rig), inverse, right side."""

    active: BoolArray
    inverse: FloatArray
    right: FloatArray

    @classmethod
    def of(cls, systems: FrameSystems) -> _Follow:
        active = np.ones(systems.right.shape[1], dtype=np.bool_)
        active[: systems.width] = False
        total = systems.matrix.sum(axis=0)[np.ix_(active, active)]
        return cls(active, np.linalg.pinv(total, hermitian=True), systems.right.sum(axis=0)[active])


def _try_split(
    systems: FrameSystems, follow: _Follow, camera: int, after: BoolArray, clusters: int
) -> tuple[float, float, float]:
    """Score, gain, and squared px that the second pose changes the images by, of one camera parted at one instant."""
    own = slice(systems.width * camera, systems.width * camera + _POSE)
    beside = systems.matrix[after][:, own].sum(axis=0)
    shared = beside[:, follow.active] @ follow.inverse
    slope = systems.right[after][:, own].sum(axis=0) - shared @ follow.right
    curvature = beside[:, own] - shared @ beside[:, follow.active].T
    change = np.linalg.lstsq(curvature, slope, rcond=1e-9)[0]
    rest = np.zeros(len(follow.active))
    rest[follow.active] = follow.inverse @ (follow.right - beside[:, follow.active].T @ change)
    # What every instant still asks for once both poses are in: a move must not pass for the noise it is compared with.
    left = systems.right - systems.matrix @ rest - after[:, None] * (systems.matrix[:, :, own] @ change)
    asks = after[:, None] * left[:, own] - left[:, follow.active] @ shared.T
    variance = asks.T @ asks * (clusters / max(clusters - 2 * _POSE, 1))
    score = float(slope @ np.linalg.lstsq(variance, slope, rcond=1e-9)[0])
    return score, float(slope @ change), float(change @ curvature @ change)


def _measure_move(solved: SolvedRig, split: _Split) -> tuple[float, float, float]:
    """Turn rad and shift m between both poses, and the cost: the rig solved with the parted camera as two cameras."""
    views, state, count = solved.shown, solved.freed, len(solved.rig.cameras)
    later = (views.camera == split.camera) & (views.frame >= split.frame)
    parted = replace(views, camera=np.where(later, count, views.camera))
    again = np.append(np.arange(count), split.camera)
    doubled = BundleState(
        state.R_cam_rig[again],
        state.t_cam_rig_m[again],
        state.R_rig_board,
        state.t_rig_board_m,
        LensRows(state.lenses.values[again], state.lenses.fisheye[again]),
        state.lag_s[again],
    )
    result = solve_bundle(parted, doubled, free_lag=True)
    both = result.state
    before, after = (RigidTransform(both.R_cam_rig[i], both.t_cam_rig_m[i]) for i in (split.camera, count))
    between = after @ before.inverse()
    shift = np.linalg.norm(after.inverse().translation_m - before.inverse().translation_m)
    return float(np.linalg.norm(between.as_rotvec())), float(shift), result.cost
