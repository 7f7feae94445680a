"""How surely a solved rig is known, and by how much that moves the points which it sees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.board.observations import BoardViews
from calibration.lens_jacobian import pack_lenses, project_with_jacobian
from calibration.rig.bundle import BLOCK, LENS, POSE, BundleResult, BundleSettings, instant_gradients, solve_bundle
from calibration.rig.intrinsics import expect_lenses
from calibration.rig.solve import SolvedRig
from labsys.core.arrays import BoolArray, FloatArray
from labsys.core.cameras import CAMERA_PARAMETERS, CameraRig, RigCovariance
from labsys.core.point_errors import N_TERMS, volume_terms

_BLOCKS = 24  # neighbouring instants err alike, so the spread is taken between blocks of them
_LEAST_FACTOR = 1e-12  # of the largest eigenvalue of the correlations


def covariance_of(solved: SolvedRig, *, lenses_solved: bool, settings: BundleSettings | None = None) -> RigCovariance:
    """Covariance of a rig's cameras, the boards' poses eliminated and the first camera held.

    Corner noise is that of the residuals; where blocks of instants pull on the cameras further apart than such noise
    explains (free-running clocks, a bent board), everything is widened by the excess.

    Args:
        lenses_solved: the lenses were found from the same boards, so that their errors belong to the poses' errors.
    """
    chosen = settings or BundleSettings()
    prior = expect_lenses(tuple(c.intrinsics for c in solved.rig.cameras)) if lenses_solved else None
    views, start = solved.used_views()
    again = solve_bundle(views, start, prior=prior, settings=chosen)
    n_cameras = len(solved.rig.cameras)
    columns = np.arange(n_cameras * BLOCK).reshape(n_cameras, BLOCK)
    at = np.hstack([columns[:, :POSE], columns[:, LENS]]).ravel()
    return RigCovariance(widening(views, again, chosen) * again.covariance[np.ix_(at, at)])


def widening(views: BoardViews, result: BundleResult, settings: BundleSettings) -> float:
    """By how much a bundle's covariance is too small, as blocks of instants show: at least 1."""
    active = np.diag(result.covariance) > 0.0
    pull = instant_gradients(views, result.state, settings=settings)[:, active]
    squared = np.einsum("vni,vni->vn", result.residual_px, result.residual_px)
    weights = 1.0 / np.sqrt(1.0 + squared / settings.robust_px**2)
    instants = np.unique(views.frame[np.any(views.used, axis=1)])
    unknowns = int(active.sum()) + POSE * len(instants)
    variance = float((squared * weights)[views.used].sum()) / max(2 * views.n_corners - unknowns, 1)
    return _excess(pull[instants], result.covariance[np.ix_(active, active)] / max(variance, 1e-12) ** 2)


def _excess(pull: FloatArray, V: FloatArray) -> float:
    """Mean square of the blocks' pulls (F, A) in the metric of V, at least 1; 1 is what independent noise gives."""
    blocks = min(_BLOCKS, len(pull))
    pulls = np.zeros((blocks, pull.shape[1]))
    np.add.at(pulls, np.arange(len(pull)) * blocks // len(pull), pull)
    found = float(np.einsum("ki,ij,kj->", pulls, V, pulls)) / max(pull.shape[1], 1)
    return float(max(1.0, found * blocks / max(blocks - 1, 1)))


def _cross(v: FloatArray) -> FloatArray:
    return np.array([[0.0, -v[2], v[1]], [v[2], 0.0, -v[0]], [-v[1], v[0], 0.0]])


@dataclass(frozen=True, eq=False)
class VolumeErrors:
    """What a calibration's error does in a volume: shapes as in `PointErrors`, and px² of residual per redundant image
    coordinate that it causes."""

    centre_m: FloatArray
    shapes_m: FloatArray
    residual_px2: float


def no_errors(points_m: FloatArray) -> VolumeErrors:
    """Where nothing is known of the cameras."""
    return VolumeErrors(points_m.mean(axis=0), np.zeros((0, N_TERMS, 3)), 0.0)


def volume_errors(rig: CameraRig, covariance: RigCovariance, points_m: FloatArray) -> VolumeErrors:
    """What the cameras' errors do to points (N, 3) m that all cameras triangulate with equal weight.

    The whole volume's translation and rotation is taken out: the rig as a whole is where its placement puts it.
    """
    A, B = _derivatives(rig, points_m)
    normal = np.einsum("ncki,nckj->nij", A, A)
    good = np.linalg.eigvalsh(normal)[:, 0] > 1e-6 * max(float(np.median(np.trace(normal, axis1=1, axis2=2))), 1e-12)
    A, B, points = A[good], B[good], points_m[good]
    if len(points) < N_TERMS:
        return no_errors(points_m)
    inverse = np.linalg.inv(normal[good])
    n_cameras = len(rig.cameras)
    D = -np.einsum("nij,nckj,nckp->nicp", inverse, A, B).reshape(len(points), 3, -1)
    left = -np.einsum("ncki,nip->nckp", A, D)
    for c in range(n_cameras):
        own = slice(c * CAMERA_PARAMETERS, (c + 1) * CAMERA_PARAMETERS)
        left[:, c, :, own] -= B[:, c]
    residual = np.einsum("nckp,pq,nckq->", left, covariance.matrix, left) / len(points)
    seen = float(np.any(A != 0.0, axis=(2, 3)).sum(axis=1).mean())
    centre = points.mean(axis=0)
    D = _without_rigid(D.reshape(3 * len(points), -1), points - centre)
    fit = np.linalg.pinv(volume_terms(points, centre))
    by_factor = (D @ _factors(covariance)).reshape(len(points), 3, -1)
    shapes = np.einsum("an,nim->mai", fit, by_factor)
    return VolumeErrors(centre, shapes, float(residual) / max(2.0 * seen - 3.0, 1.0))


def _factors(covariance: RigCovariance) -> FloatArray:
    """F (15 C, M) with F F' the covariance; the same covariance always has the same factors, whatever they move."""
    scale = np.sqrt(np.diag(covariance.matrix))
    known = scale > 0.0
    alike = covariance.matrix[np.ix_(known, known)] / np.outer(scale[known], scale[known])
    values, vectors = np.linalg.eigh(alike)
    large = values > _LEAST_FACTOR * values.max(initial=0.0)
    F = np.zeros((len(scale), int(large.sum())))
    F[known] = scale[known, None] * vectors[:, large] * np.sqrt(values[large])
    return F


def _derivatives(rig: CameraRig, points_m: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Of images by points (N, C, 2, 3) and by the cameras' parameters (N, C, 2, 15); zero where not in the image."""
    lenses = pack_lenses([c.intrinsics for c in rig.cameras])
    A = np.zeros((len(points_m), len(rig.cameras), 2, 3))
    B = np.zeros((len(points_m), len(rig.cameras), 2, CAMERA_PARAMETERS))
    for c, camera in enumerate(rig.cameras):
        R = camera.T_cam_lab.rotation
        arm = points_m @ R.T
        image = project_with_jacobian(
            arm + camera.T_cam_lab.translation_m, lenses.values[c], lenses.fisheye[c], by_lens=True
        )
        seen = _inside(image.xy_px, camera.intrinsics.size_px) & image.in_front
        A[seen, c] = (image.by_point @ R)[seen]
        by_turn = np.cross(arm[:, None], image.by_point)
        B[seen, c] = np.concatenate([by_turn, image.by_point, image.by_lens], axis=-1)[seen]
    return A, B


def _inside(xy_px: FloatArray, size_px: tuple[int, int]) -> BoolArray:
    return np.asarray(((xy_px > -0.5) & (xy_px < np.array(size_px) - 0.5)).all(axis=-1), dtype=np.bool_)


def _without_rigid(D: FloatArray, arms_m: FloatArray) -> FloatArray:
    """Displacements (3 N, P) of points without the translation and rotation that they have in common."""
    rigid = np.concatenate([np.tile(np.eye(3), (len(arms_m), 1)), np.concatenate([-_cross(a) for a in arms_m])], axis=1)
    basis = np.linalg.qr(rigid)[0]
    return np.asarray(D - basis @ (basis.T @ D))


def turn_shapes(up_sd_rad: float, heading_sd_rad: float) -> FloatArray:
    """Shapes by which the whole volume may be turned: tilt about X and Z, heading about Y.

    up_sd_rad: of the whole tilt, so each axis has its share. Unknown (NaN) counts as none.
    """
    spreads = ((0, up_sd_rad / np.sqrt(2.0)), (2, up_sd_rad / np.sqrt(2.0)), (1, heading_sd_rad))
    shapes = []
    for axis, sd in spreads:
        if np.isfinite(sd) and sd > 0.0:
            shape = np.zeros((N_TERMS, 3))
            shape[1:4] = sd * np.cross(np.eye(3)[axis], np.eye(3))
            shapes.append(shape)
    return np.stack(shapes) if shapes else np.zeros((0, N_TERMS, 3))
