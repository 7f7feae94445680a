"""How good a solved rig is, measured on board corners: the same definitions as the independent judge uses.

Every corner that two or more cameras see counts, none is dropped: its point is the linear triangulation of all its
rays (unit weights), its error the distance in px from each pixel to the image of that point. The board fit is the RMS
3D distance that is left when the true board is laid rigidly on the points of an instant, over instants with at least
six points. Edges join neighbouring corners of an instant.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.board.board import neighbour_pairs
from calibration.board.detect import BoardCorners
from calibration.lens_jacobian import pack_lenses, project_with_jacobian, rays_of_pixels
from labsys.core.arrays import BoolArray, FloatArray
from labsys.core.cameras import CameraRig

MIN_POINTS_FOR_FIT = 6


@dataclass(frozen=True, eq=False)
class CornerErrors:
    """What a rig makes of board corners.

    Attributes:
        points_m: (T, N, 3) m in the rig's frame, NaN where fewer than two cameras saw the corner.
        residual_px: (T, C, N, 2) pixel minus image of the point, NaN where not seen or not triangulated.
    """

    points_m: FloatArray
    residual_px: FloatArray

    @property
    def distance_px(self) -> FloatArray:
        """(T, C, N) px."""
        return np.asarray(np.linalg.norm(self.residual_px, axis=-1), dtype=np.float64)


@dataclass(frozen=True)
class BoardQuality:
    """The figures of one set of instants; NaN where nothing could be measured.

    Attributes:
        rms_px, median_px: over all corner sightings that take part.
        board_fit_m: RMS distance to the rigid board. edge_mean_m, edge_sd_m: of neighbouring corners.
        edge_x_m, edge_y_m: mean of the edges along the board's x and along its y.
        corner_views, points: how many sightings and points the figures rest on.
        kept: share of the corners seen by two or more cameras that could be triangulated and measured.
    """

    rms_px: float
    median_px: float
    board_fit_m: float
    edge_mean_m: float
    edge_sd_m: float
    edge_x_m: float
    edge_y_m: float
    corner_views: int
    points: int
    kept: float


def measure_corners(corners: BoardCorners, rig: CameraRig) -> CornerErrors:
    """Triangulate every shared corner and project it back.

    Args:
        rig: cameras in the order of `corners.cameras`.
    """
    points = triangulate_corners(corners.xy_px, rig)
    residual = np.stack([corners.xy_px[:, i] - _image(points, rig, i) for i in range(len(rig.cameras))], axis=1)
    return CornerErrors(points, residual)


def triangulate_corners(xy_px: FloatArray, rig: CameraRig) -> FloatArray:
    """Linear triangulation of (T, C, N, 2) px with unit weights over all cameras that see a point, (T, N, 3) m."""
    return triangulate_rays(find_rays(xy_px, rig), rig)


def find_rays(xy_px: FloatArray, rig: CameraRig) -> FloatArray:
    """Undistorted normalised image points of (T, C, N, 2) px, same shape, NaN where not seen or without a ray."""
    lenses = pack_lenses([c.intrinsics for c in rig.cameras])
    columns = [rays_of_pixels(xy_px[:, i], lenses.values[i], bool(lenses.fisheye[i])) for i in range(len(rig.cameras))]
    return np.stack(columns, axis=1)


def triangulate_rays(rays: FloatArray, rig: CameraRig) -> FloatArray:
    """Linear triangulation of rays (T, C, N, 2), (T, N, 3) m; NaN where fewer than two cameras see a point."""
    known = np.asarray(np.isfinite(rays).all(axis=-1))
    enough = known.sum(axis=1) >= 2
    points = np.full((*enough.shape, 3), np.nan)
    if not enough.any():
        return points
    rays_of_points = rays.transpose(0, 2, 1, 3)[enough]
    P = np.stack([np.column_stack([c.T_cam_lab.rotation, c.T_cam_lab.translation_m]) for c in rig.cameras])
    A = rays_of_points[..., None] * P[:, None, 2] - P[:, :2]
    A = np.where(known.transpose(0, 2, 1)[enough][..., None, None], A, 0.0)
    h = np.linalg.svd(A.reshape(len(A), -1, 4), full_matrices=False)[2][:, -1]
    points[enough] = h[:, :3] / h[:, 3:]
    return points


def summarise(corners: BoardCorners, errors: CornerErrors, *, detected: BoolArray | None = None) -> BoardQuality:
    """The figures over all instants of `corners`.

    Args:
        detected: (T, C, N) corners that were detected, where `corners` lacks false ones; None means all are there.
    """
    distance = errors.distance_px
    found = distance[np.isfinite(distance)]
    seen = corners.seen if detected is None else detected
    shared = seen & (seen.sum(axis=1, keepdims=True) >= 2)
    left = board_distances(corners, errors.points_m)
    along_x, along_y = _edges(corners, errors.points_m)
    edges = np.concatenate([along_x, along_y])
    return BoardQuality(
        rms_px=_rms(found),
        median_px=float(np.median(found)) if found.size else float("nan"),
        board_fit_m=_rms(left[np.isfinite(left)]),
        edge_mean_m=_mean(edges),
        edge_sd_m=float(edges.std()) if edges.size else float("nan"),
        edge_x_m=_mean(along_x),
        edge_y_m=_mean(along_y),
        corner_views=int(found.size),
        points=int(np.isfinite(errors.points_m).all(axis=-1).sum()),
        kept=float(found.size / shared.sum()) if shared.any() else float("nan"),
    )


def board_distances(corners: BoardCorners, points_m: FloatArray) -> FloatArray:
    """Distance of every point to the true board laid on its instant's points, (T, N) m; NaN for too few points."""
    model = corners.board.corners_m
    left = np.full(points_m.shape[:2], np.nan)
    for t in np.flatnonzero(np.isfinite(points_m).all(axis=-1).sum(axis=1) >= MIN_POINTS_FOR_FIT):
        at = np.isfinite(points_m[t]).all(axis=-1)
        left[t, at] = rigid_distances(model[at], points_m[t, at])
    return left


def rigid_distances(model_m: FloatArray, points_m: FloatArray) -> FloatArray:
    """Distances (n,) m that are left after laying a model (n, 3) on points (n, 3) by rotation and shift (Kabsch)."""
    centred, target = model_m - model_m.mean(axis=0), points_m - points_m.mean(axis=0)
    U, _, Vt = np.linalg.svd(centred.T @ target)
    R = (Vt.T * [1.0, 1.0, np.sign(np.linalg.det(Vt.T @ U.T))]) @ U.T
    return np.asarray(np.linalg.norm(centred @ R.T - target, axis=1), dtype=np.float64)


def _image(points_m: FloatArray, rig: CameraRig, index: int) -> FloatArray:
    camera = rig.cameras[index]
    lens = pack_lenses([camera.intrinsics])
    image = project_with_jacobian(camera.T_cam_lab.apply(points_m), lens.values[0], lens.fisheye)
    return np.where(image.in_front[..., None], image.xy_px, np.nan)


def _edges(corners: BoardCorners, points_m: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Lengths of neighbouring corners' edges along the board's x and along its y, m."""
    pairs = neighbour_pairs(corners.board)
    lengths = np.linalg.norm(points_m[:, pairs[:, 0]] - points_m[:, pairs[:, 1]], axis=-1)
    step = np.abs(corners.board.corners_m[pairs[:, 0]] - corners.board.corners_m[pairs[:, 1]])
    along_x = step[:, 0] > step[:, 1]
    x, y = lengths[:, along_x], lengths[:, ~along_x]
    return x[np.isfinite(x)], y[np.isfinite(y)]


def _mean(values: FloatArray) -> float:
    return float(values.mean()) if values.size else float("nan")


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else float("nan")
