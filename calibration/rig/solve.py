"""From board corners and lenses to a solved rig, and which instants were kept back to test it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from calibration.board.detect import MIN_CORNERS, BoardCorners
from calibration.board.observations import BoardViews, collect_views
from calibration.lens_jacobian import unpack_lens
from calibration.rig.bundle import (
    BLOCK,
    LAG,
    BundleResult,
    BundleSettings,
    BundleState,
    LensPrior,
    fit_boards,
    residuals_px,
    solve_bundle,
)
from calibration.rig.extrinsics import CameraPair, chain_cameras, find_pairs, find_view_poses, start_state
from calibration.rig.quality import CornerErrors, measure_corners
from labsys.core.arrays import BoolArray, FloatArray, IntArray
from labsys.core.cameras import Camera, CameraRig, Intrinsics
from labsys.core.rigid import RigidTransform

_PART = 500  # instants looked at together, so that memory stays bounded
_BLOCKS = 30  # neighbouring instants are alike, so they are kept back in blocks, not one by one


@dataclass(frozen=True)
class SolveSettings:
    """How the rig is solved.

    Attributes:
        bundle: the bundle's own settings.
        max_instants: more than these, spread over the take, add time and no accuracy.
        gross_px, gross_medians: a corner further off than both is a false detection and takes no part.
    """

    bundle: BundleSettings = field(default_factory=BundleSettings)
    max_instants: int = 400
    gross_px: float = 5.0
    gross_medians: float = 10.0


@dataclass(frozen=True, eq=False)
class SolvedRig:
    """A rig in the frame of its first camera, and how it was found.

    Attributes:
        pairs: what every two cameras share.
        centre_sd_m: (C,) standard deviation of each camera's place relative to the first, from corner noise alone.
        views, bundle: what took part and what it came to; `instants` numbers the views' frames in the take.
        shown: the same views with false detections still in. freed: what the bundle comes to with the lags free.
        prior: what was known about the lenses, None when they were given.
        gross: (T, C, N) True for corners of the take that are false detections.
        lag_s, lag_sd_s: (C,) s by which each camera looks later than the first, found by freeing it. The rig itself is
            solved without lags: instants are taken to be what they are called. `unlagged` is the rig with them free.
    """

    rig: CameraRig
    pairs: tuple[CameraPair, ...]
    centre_sd_m: FloatArray
    views: BoardViews
    instants: IntArray
    bundle: BundleResult
    prior: LensPrior | None
    gross: BoolArray
    lag_s: FloatArray
    lag_sd_s: FloatArray
    unlagged: CameraRig
    shown: BoardViews
    freed: BundleState

    def used_views(self) -> tuple[BoardViews, BundleState]:
        """Views with a corner that counts, their instants numbered anew, and the solution as a state of just those."""
        seen = np.any(self.views.used, axis=1)
        kept, state = np.unique(self.views.frame[seen]), self.bundle.state
        boards = replace(state, R_rig_board=state.R_rig_board[kept], t_rig_board_m=state.t_rig_board_m[kept])
        return self.views.rows(seen).renumbered(), boards


def draw_folds(corners: BoardCorners, *, folds: int = 5) -> IntArray:
    """Which fold tests each instant, (T,): blocks of neighbouring instants are dealt out in turn; -1 takes no part.

    Drawn before the solve and from the corners' presence alone, so that no result can choose its own test.
    """
    shared = np.flatnonzero(corners.has_board.sum(axis=1) >= 2)
    blocks = max(min(_BLOCKS, len(shared)), 1)
    fold = np.full(len(corners.times_s), -1, dtype=np.int64)
    fold[shared] = (np.arange(len(shared)) * blocks // max(len(shared), 1)) % folds
    return fold


def measure_heldout(corners: BoardCorners, solved: SolvedRig, fold: IntArray, settings: SolveSettings) -> CornerErrors:
    """What every instant looks like to a rig that was solved without it.

    The rig is solved once per fold, from the instants of the other folds alone. It sets out from the solution of all
    and is solved until it stands still, so that where it set out from does not show.
    """
    n_cameras, n_corners = len(corners.cameras), corners.board.n_corners
    points = np.full((len(fold), n_corners, 3), np.nan)
    residual = np.full((len(fold), n_cameras, n_corners, 2), np.nan)
    for k in np.unique(fold[fold >= 0]):
        tested = fold == k
        rig = _solve_without(solved, tested, settings)
        errors = measure_corners(corners.at_frames(tested), rig)
        points[tested], residual[tested] = errors.points_m, errors.residual_px
    return CornerErrors(points, residual)


def _solve_without(solved: SolvedRig, tested: BoolArray, settings: SolveSettings) -> CameraRig:
    views, state = solved.views, solved.bundle.state
    left = views.rows(~tested[solved.instants[views.frame]])
    frames = np.unique(left.frame)
    left = left.renumbered()
    start = replace(state, R_rig_board=state.R_rig_board[frames], t_rig_board_m=state.t_rig_board_m[frames])
    result = solve_bundle(left, start, prior=solved.prior, settings=settings.bundle)
    return _as_rig(result.state, solved.rig.names, [c.intrinsics for c in solved.rig.cameras])


def solve_rig(
    corners: BoardCorners,
    lenses: tuple[Intrinsics, ...],
    *,
    prior: LensPrior | None = None,
    settings: SolveSettings | None = None,
) -> SolvedRig:
    """Solve camera poses (and lenses, where `prior` frees them) from board corners.

    Args:
        lenses: in the order of `corners.cameras`.

    Raises:
        GateRefusedError: cameras that share too few boards.
    """
    chosen = settings or SolveSettings()
    least = 2 if prior is None else 1
    instants = _thin(np.flatnonzero(corners.has_board.sum(axis=1) >= least), chosen.max_instants)
    views = collect_views(corners, instants)
    lens_list = list(lenses)
    poses = find_view_poses(views, lens_list)
    pairs = find_pairs(views, poses, len(lenses))
    T_cam_rig = chain_cameras(pairs, corners.cameras)
    instants = instants[np.unique(views.frame[poses.found])]
    views, start = start_state(views, poses, T_cam_rig, lens_list)
    result = solve_bundle(views, start, prior=prior, settings=chosen.bundle)
    limit = _gross_limit_px(views, result, chosen)
    views, state, instants = _drop_lost(views, result.state, instants, limit)
    cleaned = views.only(_distance_px(views, state) <= limit)
    if cleaned.n_corners < views.n_corners or state is not result.state:
        result = solve_bundle(cleaned, state, prior=prior, settings=chosen.bundle)
    rig = _as_rig(result.state, corners.cameras, lens_list)
    gross = _find_gross_elsewhere(corners, rig, instants, limit, chosen)
    gross[instants[views.frame], views.camera] = views.used & (_distance_px(views, result.state) > limit)
    rest = views.only(~gross[instants[views.frame], views.camera])
    freed = solve_bundle(rest, result.state, prior=prior, free_lag=True, settings=chosen.bundle)
    return SolvedRig(
        rig=rig,
        pairs=pairs,
        centre_sd_m=_centre_sd_m(result),
        views=cleaned,
        instants=instants,
        bundle=result,
        prior=prior,
        gross=gross,
        lag_s=freed.state.lag_s,
        lag_sd_s=_lag_sd_s(freed),
        unlagged=_as_rig(freed.state, corners.cameras, lens_list),
        shown=views,
        freed=freed.state,
    )


def _drop_lost(
    views: BoardViews, state: BundleState, instants: IntArray, limit_px: float
) -> tuple[BoardViews, BundleState, IntArray]:
    """Without instants of which false detections leave too little to hold the board: it would drift anywhere."""
    right = (views.used & (_distance_px(views, state) <= limit_px)).sum(axis=1)
    held = np.bincount(views.frame, weights=right, minlength=len(instants)) >= MIN_CORNERS
    if held.all():
        return views, state, instants
    boards = replace(state, R_rig_board=state.R_rig_board[held], t_rig_board_m=state.t_rig_board_m[held])
    return views.rows(held[views.frame]).renumbered(), boards, instants[held]


def _lag_sd_s(freed: BundleResult) -> FloatArray:
    """Lags must be solved together with the poses: a rig bends by centimetres to explain one frame of lag, and leaves
    hardly a trace of it in the residuals.
    """
    at = np.arange(len(freed.state.lag_s)) * BLOCK + LAG
    return np.asarray(np.sqrt(np.maximum(np.diag(freed.covariance)[at], 0.0)), dtype=np.float64)


def _thin(instants: IntArray, most: int) -> IntArray:
    if len(instants) <= most:
        return instants
    return instants[np.linspace(0, len(instants) - 1, most).round().astype(np.int64)]


def _gross_limit_px(views: BoardViews, result: BundleResult, settings: SolveSettings) -> float:
    distance = _distance_px(views, result.state)[views.used]
    return max(settings.gross_px, settings.gross_medians * float(np.median(distance)))


def _distance_px(views: BoardViews, state: BundleState) -> FloatArray:
    return np.asarray(np.linalg.norm(residuals_px(views, state), axis=-1), dtype=np.float64)


def _find_gross_elsewhere(
    corners: BoardCorners, rig: CameraRig, solved: IntArray, limit_px: float, settings: SolveSettings
) -> BoolArray:
    """Corners further than the limit from the board laid robustly into their instant, where that was not solved."""
    gross = np.zeros(corners.xy_px.shape[:3], dtype=np.bool_)
    shared = np.setdiff1d(np.flatnonzero(corners.has_board.sum(axis=1) >= 2), solved)
    lenses = [c.intrinsics for c in rig.cameras]
    poses = tuple(c.T_cam_lab for c in rig.cameras)
    for part in np.array_split(shared, -(-len(shared) // _PART)) if shared.size else ():
        views = collect_views(corners, part)
        single = find_view_poses(views, lenses)
        lost = views.rows(~single.found)  # seen in no way that a board can be seen
        gross[part[lost.frame], lost.camera] = lost.used
        if not single.found.any():
            continue
        part_of_view = part[np.unique(views.frame[single.found])]
        views, start = start_state(views, single, poses, lenses)
        far = views.used & (_distance_px(views, fit_boards(views, start, settings=settings.bundle)) > limit_px)
        gross[part_of_view[views.frame], views.camera] = far
    return gross


def _as_rig(state: BundleState, names: tuple[str, ...], lenses: list[Intrinsics]) -> CameraRig:
    cameras = []
    for i, name in enumerate(names):
        pose = RigidTransform(state.R_cam_rig[i], state.t_cam_rig_m[i])
        cameras.append(Camera(name, unpack_lens(state.lenses.values[i], lenses[i]), pose))
    return CameraRig(tuple(cameras))


def _centre_sd_m(result: BundleResult) -> FloatArray:
    """The pose is changed by exp(d) R and t + s, so the centre -R^T t changes by -R^T (s - d x t)."""
    count = len(result.state.t_cam_rig_m)
    blocks = result.covariance.reshape(count, BLOCK, count, BLOCK)
    sd = np.zeros(count)
    for i in range(count):
        t = result.state.t_cam_rig_m[i]
        cross = np.array([[0, -t[2], t[1]], [t[2], 0, -t[0]], [-t[1], t[0], 0]])
        J = np.hstack([cross, np.eye(3)])
        sd[i] = np.sqrt(max(np.trace(J @ blocks[i, :6, i, :6] @ J.T), 0.0))
    return sd
