"""Whether a camera moved during the take, which one, when and how far.

A camera that moved is two cameras, one before and one after; one that was knocked and came back is another camera for
a while; one that sags is a little further off at every instant. What such a change of pose would gain is read from the
solved take's normal equations: boards and all other cameras, with their lags, may follow, so nothing is blamed on one
camera that another explains. All cameras and moments are tried that way. How much difference chance makes is told by
the spread between instants, a cluster each, as corners of one instant err together (the board moves while free-running
cameras look). Only for the camera found is the rig then solved again with all its poses.

Method: score test with a cluster-robust (sandwich) variance; Boos, The American Statistician 46 (1992) 327.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto

import numpy as np

from calibration.lens_jacobian import LensRows
from calibration.rig.bundle import BundleState, FrameSystems, reduce_frames, solve_bundle
from calibration.rig.solve import SolvedRig
from labsys.core.arrays import BoolArray, FloatArray, IntArray
from labsys.core.errors import GateRefusedError
from labsys.core.rigid import RigidTransform
from labsys.core.units import degrees, millimetres

_LEAST_INSTANTS = 8  # in every part of the take
_MOST_SPLITS = 40
_MOST_EDGES = 14  # where a camera may have been knocked or come back
_POSE = 6


class Course(Enum):
    """How a pose changed over the take."""

    STEP = auto()
    RETURN = auto()
    DRIFT = auto()


# Squared change over its variance (6 degrees of freedom, the best of all moments), and px, that a change must exceed.
# More courses in time are tried for a return, and few instants tell the variance of a short one; a drift looks like
# whatever the board did slowly.
_LIMITS = {Course.STEP: (80.0, 0.8), Course.RETURN: (200.0, 0.5), Course.DRIFT: (200.0, 0.5)}
# A window has one more free moment than a step and imitates one: it must gain clearly more to be told instead.
_CREDIT = {Course.STEP: 1.0, Course.RETURN: 0.75, Course.DRIFT: 1.0}


@dataclass(frozen=True)
class CameraMove:
    """A change of one camera's pose.

    Attributes:
        at_s, until_s: after the take's beginning; a drift lasts from beginning to end, a step never ends (NaN).
        turn_rad, shift_m: by how much, at most.
        image_px: shift of the image that no other pose explains, RMS.
        score: squared change over its spread by chance. cost: of the bundle with all poses, px^2.
    """

    camera: str
    course: Course
    at_s: float
    until_s: float
    turn_rad: float
    shift_m: float
    image_px: float
    score: float
    cost: float


@dataclass(frozen=True, eq=False)
class _Pattern:
    """One course in time: (F,) how much of the change each instant has, (F,) which part of the take it is in.

    first, last: its frames.
    """

    course: Course
    share: FloatArray
    part: IntArray
    first: int
    last: int


@dataclass(frozen=True, eq=False)
class _Trial:
    """One camera with one pattern; `change` is the pose's (rad, m); `gain` is by how much it lowers the cost, px^2."""

    camera: int
    pattern: _Pattern
    change: FloatArray
    image_px: float
    score: float
    gain: float

    @property
    def is_sure(self) -> bool:
        """Whether chance does not make as much."""
        score, image_px = _LIMITS[self.pattern.course]
        return self.score > score and self.image_px > image_px


def find_moved_camera(solved: SolvedRig, times_s: FloatArray, *, sure: bool = True) -> CameraMove | None:
    """The camera whose pose changed most during the take, None when none did.

    Args:
        times_s: (T,) s of the take's instants.
        sure: only a change that chance does not make; False gives the likeliest one, when something else shows already
            that the take does not fit together.
    """
    moments = times_s[solved.instants] - times_s[0]
    found = [t for t in _try_all(solved, moments) if not sure or t.is_sure]
    if not found:
        return None
    best = max(found, key=lambda t: t.gain * _CREDIT[t.pattern.course])
    turn, shift, cost = _measure_move(solved, best)
    pattern = best.pattern
    return CameraMove(
        solved.rig.names[best.camera],
        pattern.course,
        float(moments[pattern.first]),
        float("nan") if pattern.course is Course.STEP else float(moments[pattern.last]),
        turn,
        shift,
        best.image_px,
        best.score,
        cost,
    )


def measure_drifts_px(solved: SolvedRig, times_s: FloatArray) -> FloatArray:
    """How far each camera's image drifts from the beginning of the take to its end, RMS px, (C,); NaN if not shown."""
    drifts = np.full(len(solved.rig.cameras), np.nan)
    for trial in _try_all(solved, times_s[solved.instants] - times_s[0], courses=(Course.DRIFT,)):
        drifts[trial.camera] = trial.image_px
    return drifts


def refuse_move(move: CameraMove, *, n_cameras: int) -> GateRefusedError:
    """The refusal that names the camera, the moment and the amount."""
    pair = " (of two cameras it cannot be told which one)" if n_cameras == 2 else ""
    amount = f"{degrees(move.turn_rad):.2f} degrees and {millimetres(move.shift_m):.0f} mm"
    match move.course:
        case Course.STEP:
            text = f"moved during the take{pair}: {amount}, about {move.at_s:.1f} s after its beginning"
            cut = ", or cut the take before that moment"
        case Course.RETURN:
            text = (
                f"moved during the take{pair} and came back: {amount}, "
                f"from about {move.at_s:.1f} s to {move.until_s:.1f} s after its beginning"
            )
            cut = ", or cut that part out of all videos"
        case Course.DRIFT:
            text, cut = f"moved slowly during the take{pair}: {amount} from beginning to end", ""
    return GateRefusedError(
        f"{move.camera} {text}",
        where=f"camera {move.camera}",
        remedy=f"Fasten the camera and record the board again{cut}",
    )


def _try_all(solved: SolvedRig, moments_s: FloatArray, *, courses: tuple[Course, ...] = tuple(Course)) -> list[_Trial]:
    """The best trial of every camera and course; a camera with too few shared instants has none."""
    systems, views = reduce_frames(solved.shown, solved.freed), solved.shown
    follow = _Follow.of(systems)
    shared = np.bincount(views.frame, minlength=systems.n_frames) > 1
    trials = []
    for camera in range(len(solved.rig.cameras)):
        mine = np.zeros(systems.n_frames, dtype=np.bool_)
        mine[views.frame[views.camera == camera]] = True
        frames = np.flatnonzero(mine & shared)
        for course in courses if len(frames) >= 2 * _LEAST_INSTANTS else ():
            patterns = _draw_patterns(course, frames, moments_s)
            if patterns:
                trials.append(_try_patterns(systems, follow, camera, patterns, len(frames)))
    return trials


def _draw_patterns(course: Course, frames: IntArray, moments_s: FloatArray) -> list[_Pattern]:
    """The patterns of one course to try on a camera that saw the board in `frames`."""
    count, index = len(frames), np.arange(len(moments_s))
    match course:
        case Course.STEP:
            edges, until = frames[_spread(_LEAST_INSTANTS, count - _LEAST_INSTANTS, _MOST_SPLITS)], [len(index)]
        case Course.RETURN:
            edges = frames[_spread(0, count - 1, _MOST_EDGES)]
            until = list(edges)
        case Course.DRIFT:
            span = (moments_s - moments_s[0]) / max(float(np.ptp(moments_s)), 1e-9)
            thirds = np.searchsorted(frames[[count // 3, 2 * count // 3]], index, side="right")
            return [_Pattern(course, span - 0.5, thirds, 0, len(index) - 1)]
    patterns = []
    for first in edges:
        for last in until:
            inside = np.asarray((index >= first) & (index < last))
            seen = int(inside[frames].sum())
            if _LEAST_INSTANTS <= seen <= count - _LEAST_INSTANTS:
                part = inside.astype(np.int64)
                patterns.append(
                    _Pattern(course, inside.astype(np.float64), part, int(first), min(last, len(index) - 1))
                )
    return patterns


def _spread(low: int, high: int, most: int) -> IntArray:
    """Where the take is parted; a move between two of them is found at the nearer one."""
    return np.unique(np.linspace(low, high, min(most, high - low + 1)).round()).astype(np.int64)


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


def _try_patterns(
    systems: FrameSystems, follow: _Follow, camera: int, patterns: list[_Pattern], clusters: int
) -> _Trial:
    """The pattern that lowers the cost most, with its score and the squared px by which it changes the images."""
    own = slice(systems.width * camera, systems.width * camera + _POSE)
    rows, right = systems.matrix[:, own], systems.right[:, own]
    share = np.stack([p.share for p in patterns])
    beside = np.tensordot(share, rows, axes=1)[..., follow.active]
    joint = beside @ follow.inverse
    slope = share @ right - joint @ follow.right
    curvature = np.tensordot(share**2, rows[:, :, own], axes=1) - joint @ beside.transpose(0, 2, 1)
    change = np.einsum("pij,pj->pi", np.linalg.pinv(curvature, rcond=1e-9, hermitian=True), slope)
    gain = np.einsum("pi,pi->p", slope, change)
    k = int(np.argmax(gain))
    rest = np.zeros(len(follow.active))
    rest[follow.active] = follow.inverse @ (follow.right - beside[k].T @ change[k])
    # What every instant still asks for once both poses are in: a move must not pass for the noise it is compared with.
    left = systems.right - systems.matrix @ rest
    left -= share[k, :, None] * (systems.matrix[:, :, own] @ change[k])
    asks = share[k, :, None] * left[:, own] - left[:, follow.active] @ joint[k].T
    variance = asks.T @ asks * (clusters / max(clusters - 2 * _POSE, 1))
    score = float(slope[k] @ np.linalg.lstsq(variance, slope[k], rcond=1e-9)[0])
    seen = float((share[k] ** 2 * systems.weight[:, camera]).sum())
    image_px = float(np.sqrt(max(float(change[k] @ curvature[k] @ change[k]), 0.0) / max(seen, 1e-9)))
    return _Trial(camera, patterns[k], change[k], image_px, score, float(gain[k]))


def _measure_move(solved: SolvedRig, trial: _Trial) -> tuple[float, float, float]:
    """Turn rad and shift m, and the cost: the rig solved with the camera as another one in every part of the take."""
    views, state, count = solved.shown, solved.freed, len(solved.rig.cameras)
    parts = int(trial.pattern.part.max())
    part = np.where(views.camera == trial.camera, trial.pattern.part[views.frame], 0)
    parted = replace(views, camera=np.where(part > 0, count + part - 1, views.camera))
    again = np.append(np.arange(count), np.full(parts, trial.camera))
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
    if trial.pattern.course is Course.DRIFT:  # poses that stand still for a while tell less of it than the slope does
        turn, t = trial.change[:3], state.t_cam_rig_m[trial.camera]
        return float(np.linalg.norm(turn)), float(np.linalg.norm(trial.change[3:] - np.cross(turn, t))), result.cost
    before, after = (RigidTransform(both.R_cam_rig[i], both.t_cam_rig_m[i]) for i in (trial.camera, -1))
    between = after @ before.inverse()
    shift = np.linalg.norm(after.inverse().translation_m - before.inverse().translation_m)
    return float(np.linalg.norm(between.as_rotvec())), float(shift), result.cost
