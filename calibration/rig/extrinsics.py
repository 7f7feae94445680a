"""Where the cameras stand: board poses per view, pairs of cameras, a chain through the best pairs, then the bundle."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial.transform import Rotation

from calibration.board.detect import MIN_CORNERS
from calibration.board.observations import BoardViews
from calibration.lens_jacobian import pack_lenses, rays_of_pixels
from calibration.rig.bundle import BundleState
from labsys.core.arrays import BoolArray, FloatArray, IntArray
from labsys.core.cameras import Intrinsics
from labsys.core.errors import GateRefusedError
from labsys.core.rigid import RigidTransform

MIN_SHARED_BOARDS = 5
_AGREE_RAD = np.radians(10.0)
_NEAREST_M, _BEHIND, _FARTHEST = 0.01, 10.0, 0.1  # a corner behind its camera is worse than any other
_AGREE_SHARE = 0.2  # of the distance to the board


@dataclass(frozen=True, eq=False)
class ViewPoses:
    """Pose of the board in every view by itself.

    Attributes:
        R_cam_board: (V, 3, 3); t_cam_board_m: (V, 3).
        error_px: (V,) RMS distance that is left, px at the lens's focal length.
        found: (V,) False where no pose was found.
    """

    R_cam_board: FloatArray
    t_cam_board_m: FloatArray
    error_px: FloatArray
    found: BoolArray


@dataclass(frozen=True, eq=False)
class CameraPair:
    """Two cameras that saw the board at the same instants, and where they stand to each other.

    Attributes:
        shared: instants at which both saw the board; agreeing: those whose poses agree with `T_a_b`.
    """

    a: int
    b: int
    shared: int
    agreeing: int
    T_a_b: RigidTransform


def find_view_poses(views: BoardViews, lenses: list[Intrinsics]) -> ViewPoses:
    """Pose of the board in every view, from that view alone (planar pose, then refined).

    A plane seen from afar has two poses that fit almost equally well; the better one is taken, and pairs of cameras are
    later decided by the majority of instants.
    """
    count = len(views.camera)
    R, t = np.tile(np.eye(3), (count, 1, 1)), np.zeros((count, 3))
    error, found = np.full(count, np.inf), np.zeros(count, dtype=np.bool_)
    rays = view_rays(views, lenses)
    for v in range(count):
        keep = views.used[v] & np.isfinite(rays[v]).all(axis=1)
        pose = _plane_pose(views.corners_m[keep], rays[v, keep]) if keep.sum() >= MIN_CORNERS else None
        if pose is not None:
            focal_px = lenses[views.camera[v]].matrix[0, 0]
            R[v], t[v], error[v], found[v] = pose[0], pose[1], pose[2] * focal_px, True
    return ViewPoses(R, t, error, found)


def view_rays(views: BoardViews, lenses: list[Intrinsics]) -> FloatArray:
    """Normalised image points of every corner, (V, N, 2), NaN where not used or without a ray."""
    rows = pack_lenses(lenses)
    rays = np.full(views.xy_px.shape, np.nan)
    for c in np.unique(views.camera):
        at = views.camera == c
        rays[at] = rays_of_pixels(views.xy_px[at], rows.values[c], bool(rows.fisheye[c]))
    rays[~views.used] = np.nan
    return rays


def _plane_pose(corners_m: FloatArray, rays: FloatArray) -> tuple[FloatArray, FloatArray, float] | None:
    centred = corners_m[:, :2] - corners_m[:, :2].mean(axis=0)
    if np.linalg.svd(centred, compute_uv=False)[1] < 0.3 * np.ptp(corners_m[:, :2]) / max(len(corners_m), 2):
        return None  # corners in one line fix no pose
    solutions, rotvecs, shifts, _ = cv2.solvePnPGeneric(
        corners_m, rays, np.eye(3), np.zeros(5), flags=cv2.SOLVEPNP_IPPE
    )
    if not solutions:
        return None
    rotvec, shift = cv2.solvePnPRefineLM(corners_m, rays, np.eye(3), np.zeros(5), rotvecs[0], shifts[0])
    R, t = cv2.Rodrigues(rotvec)[0], np.ravel(shift)
    points = corners_m @ R.T + t
    if not np.isfinite(points).all() or points[:, 2].min() <= 0:
        return None
    left = points[:, :2] / points[:, 2:] - rays
    return (
        np.asarray(R, dtype=np.float64),
        np.asarray(t, dtype=np.float64),
        float(np.sqrt((left**2).sum(axis=1).mean())),
    )


def find_pairs(views: BoardViews, poses: ViewPoses, n_cameras: int) -> tuple[CameraPair, ...]:
    """Every pair of cameras that shares boards, with the transform that most of their instants agree on."""
    by_camera = [_frames_of(views, poses, c) for c in range(n_cameras)]
    pairs = []
    for a in range(n_cameras):
        for b in range(a + 1, n_cameras):
            _, at_a, at_b = np.intersect1d(by_camera[a][0], by_camera[b][0], return_indices=True)
            if at_a.size:
                pairs.append(_make_pair(a, b, poses, by_camera[a][1][at_a], by_camera[b][1][at_b]))
    return tuple(pairs)


def _frames_of(views: BoardViews, poses: ViewPoses, camera: int) -> tuple[IntArray, IntArray]:
    rows = np.flatnonzero((views.camera == camera) & poses.found)
    return views.frame[rows], rows.astype(np.int64)


def _make_pair(a: int, b: int, poses: ViewPoses, rows_a: IntArray, rows_b: IntArray) -> CameraPair:
    R_a, R_b = poses.R_cam_board[rows_a], poses.R_cam_board[rows_b]
    t_a, t_b = poses.t_cam_board_m[rows_a], poses.t_cam_board_m[rows_b]
    R, t, score = _votes(R_a, t_a, R_b, t_b)
    centre = int(np.argmin(np.minimum(score, 2.0).sum(axis=1)))
    agree = score[centre] < 2.0
    mean = Rotation.from_matrix(R[agree]).mean().as_matrix()
    return CameraPair(a, b, len(rows_a), int(agree.sum()), RigidTransform(mean, np.median(t[agree], axis=0)))


def spread_of_pair(R_a: FloatArray, t_a_m: FloatArray, R_b: FloatArray, t_b_m: FloatArray) -> float:
    """How far instants disagree about the transform between two cameras: 0 not at all, 2 wholly.

    Args:
        R_a, t_a_m: (n, 3, 3), (n, 3) board poses that camera a saw; R_b, t_b_m: those of camera b.
    """
    score = np.minimum(_votes(R_a, t_a_m, R_b, t_b_m)[2], 2.0)
    return float(score.mean(axis=1).min())


def _votes(
    R_a: FloatArray, t_a_m: FloatArray, R_b: FloatArray, t_b_m: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The transform that every instant suggests, and (n, n) how far two instants are apart: in angle and in place."""
    R = R_a @ R_b.transpose(0, 2, 1)
    t = t_a_m - np.einsum("vij,vj->vi", R, t_b_m)
    reach = np.median(np.linalg.norm(t_a_m, axis=1))
    cosine = (np.einsum("vij,wij->vw", R, R) - 1.0) / 2.0
    apart = np.linalg.norm(t[:, None] - t[None], axis=2)
    return R, t, np.arccos(np.clip(cosine, -1.0, 1.0)) / _AGREE_RAD + apart / (_AGREE_SHARE * reach)


def chain_cameras(pairs: tuple[CameraPair, ...], names: tuple[str, ...]) -> tuple[RigidTransform, ...]:
    """Pose of every camera in the frame of the first, through the pairs with most agreeing instants.

    The board need never be seen by all cameras at once, nor by the first together with each other one.

    Raises:
        GateRefusedError: the cameras fall into groups that share too few boards; names the groups and what to film.
    """
    usable = [p for p in pairs if p.agreeing >= MIN_SHARED_BOARDS]
    _check_connected(usable, pairs, names)
    placed: dict[int, RigidTransform] = {0: RigidTransform.identity()}
    while len(placed) < len(names):
        reaching = [p for p in usable if (p.a in placed) != (p.b in placed)]
        best = max(reaching, key=lambda p: (p.agreeing, -p.a, -p.b))
        if best.a in placed:
            placed[best.b] = best.T_a_b.inverse() @ placed[best.a]
        else:
            placed[best.a] = best.T_a_b @ placed[best.b]
    return tuple(placed[c] for c in range(len(names)))


def _check_connected(usable: list[CameraPair], pairs: tuple[CameraPair, ...], names: tuple[str, ...]) -> None:
    links = coo_matrix((np.ones(len(usable)), ([p.a for p in usable], [p.b for p in usable])), shape=(len(names),) * 2)
    count, label = connected_components(links, directed=False)
    if count == 1:
        return
    groups = [[n for n, g in zip(names, label, strict=True) if g == k] for k in range(count)]
    between = [p for p in pairs if label[p.a] != label[p.b]]
    best = max(between, key=lambda p: p.agreeing, default=None)
    nearest = (
        f"; the best pair between them, {names[best.a]} and {names[best.b]}, shares {best.agreeing}" if best else ""
    )
    raise GateRefusedError(
        "the cameras are not connected: " + " | ".join(", ".join(g) for g in groups),
        where=f"at least {MIN_SHARED_BOARDS} boards seen by two cameras at once are needed to connect them{nearest}",
        remedy="Film the board where a camera of each group sees it at the same time, and hold it still there",
    )


def start_state(
    views: BoardViews, poses: ViewPoses, T_cam_rig: tuple[RigidTransform, ...], lenses: list[Intrinsics]
) -> tuple[BoardViews, BundleState]:
    """A first guess for the bundle, and the views that take part in it: instants numbered from 0 without gaps.

    Of the poses that the cameras of an instant suggest for the board, the one that explains all its corners best is
    taken; that also settles which of a plane's two poses is right.
    """
    kept = views.rows(poses.found).renumbered()
    n_frames = len(np.unique(kept.frame))
    R_c = np.stack([T.rotation for T in T_cam_rig])
    t_c = np.stack([T.translation_m for T in T_cam_rig])
    R_v = R_c[kept.camera].transpose(0, 2, 1)
    R_suggested = R_v @ poses.R_cam_board[poses.found]
    t_suggested = np.einsum("vij,vj->vi", R_v, poses.t_cam_board_m[poses.found] - t_c[kept.camera])
    R_b, t_b = np.empty((n_frames, 3, 3)), np.empty((n_frames, 3))
    cost = _suggestion_costs(kept, R_c, t_c, R_suggested, t_suggested, lenses)
    for f in range(n_frames):
        rows = np.flatnonzero(kept.frame == f)
        best = rows[np.argmin(cost[rows])]
        R_b[f], t_b[f] = R_suggested[best], t_suggested[best]
    return kept, BundleState(R_c, t_c, R_b, t_b, pack_lenses(lenses), np.zeros(len(lenses)))


def _suggestion_costs(
    views: BoardViews, R_c: FloatArray, t_c: FloatArray, R_s: FloatArray, t_s: FloatArray, lenses: list[Intrinsics]
) -> FloatArray:
    """How badly the pose that view s suggests explains all corners of its instant, (V,), in normalised units."""
    rays = view_rays(views, lenses)
    # Every pair (s, v) of views of the same instant: what s suggests is judged by what v sees.
    s, v = np.nonzero(views.frame[:, None] == views.frame[None])
    points_rig = np.einsum("sij,nj->sni", R_s, views.corners_m) + t_s[:, None]
    c = views.camera[v]
    points = np.einsum("pij,pnj->pni", R_c[c], points_rig[s]) + t_c[c][:, None]
    behind = points[..., 2] <= _NEAREST_M
    left = points[..., :2] / np.where(behind, np.inf, points[..., 2])[..., None] - rays[v]
    miss = np.where(behind, _BEHIND, np.minimum(np.linalg.norm(left, axis=-1), _FARTHEST))
    cost = np.zeros(len(views.camera))
    np.add.at(cost, s, np.where(views.used[v], np.nan_to_num(miss), 0.0).sum(axis=1))
    return cost
