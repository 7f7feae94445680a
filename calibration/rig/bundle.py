"""Board-rigid bundle adjustment: camera poses, board poses and, where asked for, lenses that explain all board corners.

Levenberg-Marquardt with a soft-L1 loss and written-out derivatives. Every residual touches one camera and one board
pose, so the normal equations are block-sparse: the board poses are eliminated (Schur complement) and a dense system in
the cameras alone remains. No random numbers, and sums in a fixed order: the same corners give the same rig.

Method: Triggs et al., Bundle Adjustment - A Modern Synthesis (2000), sections 4 and 6.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from calibration.board.observations import BoardViews
from calibration.lens_jacobian import LENS_PARAMETERS, LensRows, project_with_jacobian
from labsys.core.arrays import BoolArray, FloatArray
from labsys.core.errors import LabsysError

POSE = 6
BLOCK = POSE + LENS_PARAMETERS + 1
LENS = slice(POSE, POSE + LENS_PARAMETERS)
LAG = BLOCK - 1
_BEHIND_PX = 1e4  # a corner behind its camera; no step that leads there is worth taking


@dataclass(frozen=True, eq=False)
class BundleState:
    """Everything that the bundle may change.

    Attributes:
        R_cam_rig: (C, 3, 3); t_cam_rig_m: (C, 3).
        R_rig_board: (F, 3, 3); t_rig_board_m: (F, 3).
        lenses: of the C cameras.
        lag_s: (C,) s by which a camera's frames are later than the instants they are counted for.
    """

    R_cam_rig: FloatArray
    t_cam_rig_m: FloatArray
    R_rig_board: FloatArray
    t_rig_board_m: FloatArray
    lenses: LensRows
    lag_s: FloatArray


@dataclass(frozen=True, eq=False)
class LensPrior:
    """What is known about the lenses beforehand.

    Attributes:
        mean: (C, 9). information: (C, 9, 9) inverse covariance. free: (C, 9) True where the bundle may change a value.
    """

    mean: FloatArray
    information: FloatArray
    free: BoolArray

    @classmethod
    def fixed(cls, lenses: LensRows) -> LensPrior:
        """Lenses that are given and stay as they are."""
        shape = lenses.values.shape
        return cls(lenses.values, np.zeros((*shape, shape[1])), np.zeros(shape, dtype=np.bool_))


@dataclass(frozen=True)
class BundleSettings:
    """How the bundle solves. `robust_px`: from which distance on a corner counts less and less."""

    robust_px: float = 1.0
    max_iterations: int = 60
    tolerance: float = 1e-8


@dataclass(frozen=True, eq=False)
class BundleResult:
    """The solved state and how well it explains the corners.

    Attributes:
        residual_px: (V, N, 2) observed minus projected, 0 where a corner was not used.
        covariance: (C * 16, C * 16) of pose (rotation rad, translation m), lens and lag of every camera, block by
            block, 0 for what was held fixed.
    """

    state: BundleState
    residual_px: FloatArray
    cost: float
    iterations: int
    covariance: FloatArray


def solve_bundle(
    views: BoardViews,
    start: BundleState,
    *,
    prior: LensPrior | None = None,
    fixed_camera: int = 0,
    free_lag: bool = False,
    settings: BundleSettings | None = None,
) -> BundleResult:
    """Adjust cameras and boards until the corners are explained best.

    Args:
        start: a state in which every board lies in front of every camera that saw it.
        prior: which lens parameters may change and what is known about them; None keeps the lenses.
        fixed_camera: the camera whose pose and lag are held, as the rig as a whole may lie anywhere in space and time.
        free_lag: whether cameras may turn out to look later or earlier than the fixed one.

    Raises:
        LabsysError: the solution does not become finite.
    """
    chosen = settings or BundleSettings()
    lens_prior = prior or LensPrior.fixed(start.lenses)
    active = _active_columns(lens_prior.free, fixed_camera, free_lag=free_lag)
    state, damping = start, 1e-4
    normal = _linearise(views, state, lens_prior, chosen.robust_px, poses_only=_poses_only(active))
    for iteration in range(1, chosen.max_iterations + 1):  # noqa: B007  # reported below
        before = normal.cost
        state, normal, damping = _descend(views, state, normal, lens_prior, active, damping, chosen.robust_px)
        if not normal.cost < before * (1.0 - chosen.tolerance):
            break
    if not np.isfinite(normal.cost):
        raise LabsysError("the bundle adjustment did not converge", remedy="Film the board more widely spread")
    covariance = _covariance(normal, active, views, lens_prior)
    return BundleResult(state, normal.residual_px, normal.cost, iteration, covariance)


def fit_boards(views: BoardViews, start: BundleState, *, settings: BundleSettings | None = None) -> BundleState:
    """Adjust the boards alone and leave every camera as it is."""
    chosen = settings or BundleSettings()
    prior = LensPrior.fixed(start.lenses)
    nothing = np.zeros(len(start.t_cam_rig_m) * BLOCK, dtype=np.bool_)
    state, damping = start, 1e-4
    normal = _linearise(views, state, prior, chosen.robust_px, poses_only=True)
    for _ in range(chosen.max_iterations):
        before = normal.cost
        state, normal, damping = _descend(views, state, normal, prior, nothing, damping, chosen.robust_px)
        if not normal.cost < before * (1.0 - chosen.tolerance):
            break
    return state


def residuals_px(views: BoardViews, state: BundleState) -> FloatArray:
    """Observed minus projected (V, N, 2) px of every corner in `xy_px`, used or not."""
    return _residuals(views, state, poses_only=True)[0]


def instant_gradients(views: BoardViews, state: BundleState, *, settings: BundleSettings | None = None) -> FloatArray:
    """How every instant alone would pull on the cameras, (F, C * 16), laid out as the covariance is.

    At the solution they sum to zero; how far they differ shows what independent noise per corner does not account for.
    """
    chosen = settings or BundleSettings()
    residual, J = _residuals(views, state, poses_only=False)
    residual = np.where(views.used[..., None], residual, 0.0)
    _, weights = _robust(residual, views.used, chosen.robust_px)
    slope = np.einsum("vni,vnij->vj", residual * weights[..., None], J[..., :BLOCK])
    pull = np.zeros((len(state.t_rig_board_m), len(state.t_cam_rig_m), BLOCK))
    pull[views.frame, views.camera] = slope
    return pull.reshape(len(pull), -1)


@dataclass(frozen=True, eq=False)
class FrameSystems:
    """Normal equations in the cameras' poses and lags alone, one per instant: its board is eliminated.

    Attributes:
        matrix: (F, C * width, C * width); right: (F, C * width). Width 7: pose (rotation rad, translation m), lag s.
        weight: (F, C) sum of the robust weights of the corners that a camera saw.
    """

    matrix: FloatArray
    right: FloatArray
    weight: FloatArray
    width: int = POSE + 1

    @property
    def n_frames(self) -> int:
        """Instants."""
        return len(self.matrix)


def reduce_frames(views: BoardViews, state: BundleState, *, robust_px: float = 1.0) -> FrameSystems:
    """Every instant's own say in where the cameras are and how late they look, with the lenses as they are."""
    residual, J = _residuals(views, state, poses_only=False)
    residual = np.where(views.used[..., None], residual, 0.0)
    weights = _robust(residual, views.used, robust_px)[1]
    J = np.concatenate([J[..., :POSE], J[..., LAG : BLOCK + POSE]], axis=-1)
    rows = J.reshape(len(J), -1, J.shape[-1])
    weighted = (J * weights[..., None, None]).reshape(rows.shape).transpose(0, 2, 1)
    H, slope = weighted @ rows, (weighted @ residual.reshape(len(J), -1, 1))[..., 0]
    n_cameras, n_frames, width = len(state.t_cam_rig_m), len(state.t_rig_board_m), POSE + 1
    f, c = views.frame, views.camera
    matrix, cross = np.zeros((n_frames, n_cameras, width, n_cameras, width)), np.zeros((n_frames, n_cameras, width, 6))
    right, boards = np.zeros((n_frames, n_cameras, width)), np.tile(1e-9 * np.eye(POSE), (n_frames, 1, 1))
    board_right, weight = np.zeros((n_frames, POSE)), np.zeros((n_frames, n_cameras))
    # A camera sees a board once per instant, so nothing is written twice but the boards' own blocks.
    matrix[f, c, :, c], cross[f, c], right[f, c] = H[:, :width, :width], H[:, :width, width:], slope[:, :width]
    weight[f, c] = weights.sum(axis=1)
    np.add.at(boards, f, H[:, width:, width:])
    np.add.at(board_right, f, slope[:, width:])
    flat = cross.reshape(n_frames, -1, POSE)
    eliminated = flat @ np.linalg.inv(boards)
    columns = n_cameras * width
    return FrameSystems(
        matrix.reshape(n_frames, columns, columns) - eliminated @ flat.transpose(0, 2, 1),
        right.reshape(n_frames, columns) - np.einsum("fki,fi->fk", eliminated, board_right),
        weight,
    )


def _descend(
    views: BoardViews,
    state: BundleState,
    normal: _Normal,
    prior: LensPrior,
    active: BoolArray,
    damping: float,
    scale: float,
) -> tuple[BundleState, _Normal, float]:
    """One step that lowers the cost, with as much damping as that takes; the same state when none does."""
    while damping < 1e12:
        trial = _step(state, normal, active, damping)
        there = _linearise(views, trial, prior, scale, poses_only=_poses_only(active))
        if there.cost < normal.cost:
            return trial, there, max(damping * 0.1, 1e-12)
        damping *= 10.0
    return state, normal, damping


@dataclass(frozen=True, eq=False)
class _Normal:
    """Normal equations: camera blocks (C, 15, 15), board blocks (F, 6, 6), cross blocks (F, C * 15, 6), gradients."""

    cameras: FloatArray
    boards: FloatArray
    cross: FloatArray
    camera_gradient: FloatArray
    board_gradient: FloatArray
    residual_px: FloatArray
    weights: FloatArray
    cost: float


def _residuals(views: BoardViews, state: BundleState, *, poses_only: bool) -> tuple[FloatArray, FloatArray]:
    """Residual (V, N, 2) and its derivatives by camera (pose 6, unless poses only: lens 9, lag 1) and board (6)."""
    R_c, R_b = state.R_cam_rig[views.camera], state.R_rig_board[views.frame]
    arm_b = np.einsum("vij,nj->vni", R_b, views.corners_m)
    point_rig = arm_b + state.t_rig_board_m[views.frame][:, None]
    arm_c = np.einsum("vij,vnj->vni", R_c, point_rig)
    point_cam = arm_c + state.t_cam_rig_m[views.camera][:, None]
    rows = state.lenses.values[views.camera][:, None]
    image = project_with_jacobian(point_cam, rows, state.lenses.fisheye[views.camera][:, None], by_lens=not poses_only)
    by_rig = image.by_point @ R_c[:, None]
    turned_c, turned_b = _times_minus_cross(image.by_point, arm_c), _times_minus_cross(by_rig, arm_b)
    by_lag = views.velocity_px_s[..., None][..., : 0 if poses_only else 1]
    J = np.concatenate([turned_c, image.by_point, image.by_lens, by_lag, turned_b, by_rig], axis=-1)
    shown = image.xy_px + views.velocity_px_s * state.lag_s[views.camera][:, None, None]
    residual = np.where(image.in_front[..., None], views.xy_px - shown, _BEHIND_PX)
    return residual, J


def _times_minus_cross(J: FloatArray, arm: FloatArray) -> FloatArray:
    """J @ -[arm]x, which is arm x row for every row of J: J (..., 2, 3), arm (..., 3)."""
    a, b, c = (arm[..., i, None] for i in range(3))
    x, y, z = J[..., 0], J[..., 1], J[..., 2]
    return np.stack([b * z - c * y, c * x - a * z, a * y - b * x], axis=-1)


def _robust(residual: FloatArray, used: BoolArray, scale: float) -> tuple[float, FloatArray]:
    """Soft-L1 cost and the weight of every corner."""
    squared = np.where(used, np.einsum("vni,vni->vn", residual, residual), 0.0)
    root = np.sqrt(1.0 + squared / scale**2)
    return float(scale**2 * (root - 1.0).sum()), np.where(used, 1.0 / root, 0.0)


def _curvature(J: FloatArray, residual: FloatArray, weights: FloatArray, scale: float) -> FloatArray:
    """Derivatives times the second derivative of the loss, w (I - r r' / (scale^2 + |r|^2)), which stays positive."""
    squared = np.einsum("vni,vni->vn", residual, residual)
    along = (residual[:, :, None] @ J)[:, :, 0] / (scale**2 + squared)[..., None]
    curved = J - residual[..., None] * along[:, :, None]
    curved *= weights[..., None, None]
    return np.asarray(curved, dtype=np.float64)


def _prior_cost(state: BundleState, prior: LensPrior) -> float:
    off = np.where(prior.free, state.lenses.values - prior.mean, 0.0)
    return 0.5 * float(np.einsum("ci,cij,cj->", off, prior.information, off))


def _linearise(views: BoardViews, state: BundleState, prior: LensPrior, scale: float, *, poses_only: bool) -> _Normal:
    block = POSE if poses_only else BLOCK
    residual, J = _residuals(views, state, poses_only=poses_only)
    residual = np.where(views.used[..., None], residual, 0.0)
    cost, weights = _robust(residual, views.used, scale)
    n_cameras, n_boards = len(state.t_cam_rig_m), len(state.t_rig_board_m)
    flat = (len(views.camera), -1, block + POSE)
    H = _curvature(J, residual, weights, scale).reshape(flat).transpose(0, 2, 1) @ J.reshape(flat)
    slope = ((residual * weights[..., None]).reshape(len(J), 1, -1) @ J.reshape(flat))[:, 0]
    cameras, boards = np.zeros((n_cameras, BLOCK, BLOCK)), np.zeros((n_boards, POSE, POSE))
    cross = np.zeros((n_boards, n_cameras, BLOCK, POSE))
    camera_gradient, board_gradient = np.zeros((n_cameras, BLOCK)), np.zeros((n_boards, POSE))
    np.add.at(cameras[:, :block, :block], views.camera, H[:, :block, :block])
    np.add.at(boards, views.frame, H[:, block:, block:])
    # A camera sees a board once per instant, so nothing is added twice here.
    cross[views.frame, views.camera, :block] = H[:, :block, block:]
    np.add.at(camera_gradient[:, :block], views.camera, slope[:, :block])
    np.add.at(board_gradient, views.frame, slope[:, block:])
    cameras[:, LENS, LENS] += prior.information
    off = np.where(prior.free, state.lenses.values - prior.mean, 0.0)
    camera_gradient[:, LENS] -= np.einsum("cij,cj->ci", prior.information, off)
    cross_flat = cross.reshape(n_boards, n_cameras * BLOCK, POSE)
    total = cost + _prior_cost(state, prior)
    return _Normal(cameras, boards, cross_flat, camera_gradient, board_gradient, residual, weights, total)


def _active_columns(free_lens: BoolArray, fixed_camera: int, *, free_lag: bool) -> BoolArray:
    active = np.ones((len(free_lens), BLOCK), dtype=np.bool_)
    active[:, LENS] = free_lens
    active[:, LAG] = free_lag
    active[fixed_camera, :POSE] = False
    active[fixed_camera, LAG] = False
    return active.ravel()


def _poses_only(active: BoolArray) -> bool:
    return not active.reshape(-1, BLOCK)[:, POSE:].any()


def _reduced(
    normal: _Normal, active: BoolArray, damping: float
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """The system in the cameras after eliminating the boards: S, right side, inverse board blocks, cross @ inverse."""
    damped_boards = normal.boards + damping * _diagonals(normal.boards) + 1e-12 * np.eye(POSE)
    inverse = np.asarray(np.linalg.inv(damped_boards), dtype=np.float64)
    cross = normal.cross[:, active]
    eliminated = cross @ inverse
    S = _block_diagonal(normal.cameras + damping * _diagonals(normal.cameras))[np.ix_(active, active)]
    width = int(active.sum())
    flat = (width, POSE * len(cross))
    S = S - eliminated.transpose(1, 0, 2).reshape(flat) @ cross.transpose(1, 0, 2).reshape(flat).T
    right = normal.camera_gradient.ravel()[active] - np.einsum("fai,fi->a", eliminated, normal.board_gradient)
    return S, right, inverse, cross


def _step(state: BundleState, normal: _Normal, active: BoolArray, damping: float) -> BundleState:
    S, right, inverse, cross = _reduced(normal, active, damping)
    delta = np.zeros(active.size)
    if active.any():
        scale = 1.0 / np.sqrt(np.maximum(np.diag(S), 1e-30))
        delta[active] = scale * np.linalg.lstsq(S * scale[:, None] * scale, right * scale, rcond=None)[0]
    back = normal.board_gradient - np.einsum("fai,a->fi", cross, delta[active])
    board_delta = np.einsum("fij,fj->fi", inverse, back)
    camera_delta = delta.reshape(-1, BLOCK)
    return replace(
        state,
        R_cam_rig=_turn(camera_delta[:, :3], state.R_cam_rig),
        t_cam_rig_m=state.t_cam_rig_m + camera_delta[:, 3:POSE],
        R_rig_board=_turn(board_delta[:, :3], state.R_rig_board),
        t_rig_board_m=state.t_rig_board_m + board_delta[:, 3:],
        lenses=LensRows(state.lenses.values + camera_delta[:, LENS], state.lenses.fisheye),
        lag_s=state.lag_s + camera_delta[:, LAG],
    )


def _turn(rotvec_rad: FloatArray, R: FloatArray) -> FloatArray:
    return np.asarray(Rotation.from_rotvec(rotvec_rad).as_matrix() @ R, dtype=np.float64)


def _diagonals(blocks: FloatArray) -> FloatArray:
    return np.asarray(blocks * np.eye(blocks.shape[-1]), dtype=np.float64)


def _block_diagonal(blocks: FloatArray) -> FloatArray:
    count, width, _ = blocks.shape
    full = np.zeros((count, width, count, width))
    full[np.arange(count), :, np.arange(count)] = blocks
    return full.reshape(count * width, count * width)


def _covariance(normal: _Normal, active: BoolArray, views: BoardViews, prior: LensPrior) -> FloatArray:
    S = _reduced(normal, active, 0.0)[0]
    squared = np.einsum("vni,vni->vn", normal.residual_px, normal.residual_px) * normal.weights
    unknowns = active.sum() + POSE * len(np.unique(views.frame)) - int(prior.free.sum())
    variance = squared.sum() / max(2 * views.n_corners - unknowns, 1)
    full = np.zeros((active.size, active.size))
    full[np.ix_(active, active)] = np.linalg.pinv(S, hermitian=True) * variance
    return full
