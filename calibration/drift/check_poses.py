"""How the cameras stand today against how a calibration says they stand, with the uncertainty of the difference.

The rig is solved anew from one sweep of the board, through the lenses of the calibration. Two rigs are compared up to
the place of their common world, so a difference of one camera is always one against the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from calibration.board.detect import BoardCorners
from calibration.board.observations import BoardViews
from calibration.lens_jacobian import project_with_jacobian
from calibration.rig.bundle import BLOCK, POSE, BundleResult, BundleState, solve_bundle
from calibration.rig.covariance import widening
from calibration.rig.solve import SolveSettings, solve_rig
from labsys.core.arrays import FloatArray
from labsys.core.cameras import CameraRig
from labsys.core.rigid import RigidTransform

_FLOOR_PX = 0.1  # what the lens model leaves in one region of the image against another
_CALIBRATION_SHARE = 2.0  # the calibration itself is about as uncertain as the sweep


@dataclass(frozen=True, eq=False)
class PoseDifferences:
    """Differences of C cameras between a sweep and a calibration, in a world in which the first camera has none.

    Attributes:
        change: (C, 6) turn (rad) and shift (m) in each CAMERA frame: R_new = exp(turn) R_old, t_new = t_old + shift.
        covariance: (6 C, 6 C) of them.
        rotation: (C, 3, 3) and centre_arm_m: (C, 3), the solved poses R and t.
        image: (C, 6, 6) mean square px per unit of change, over the corners that the camera saw.
        rms_px: (C,) of the sweep's corners in the newly solved rig.
    """

    cameras: tuple[str, ...]
    change: FloatArray
    covariance: FloatArray
    rotation: FloatArray
    centre_arm_m: FloatArray
    image: FloatArray
    rms_px: FloatArray

    def relative_to(self, reference: int) -> tuple[FloatArray, FloatArray]:
        """The same differences (6 C,) and covariance in a world in which another camera has none."""
        L = np.eye(6 * len(self.cameras))
        columns = slice(6 * reference, 6 * reference + 6)
        for c in range(len(self.cameras)):
            turn = self.rotation[c] @ self.rotation[reference].T
            L[6 * c : 6 * c + 6, columns] -= np.kron(np.eye(2), turn)
        return L @ self.change.ravel(), L @ self.covariance @ L.T


def compare_poses(corners: BoardCorners, rig: CameraRig, *, settings: SolveSettings | None = None) -> PoseDifferences:
    """Solve the rig anew and compare it.

    Args:
        corners: of one sweep, every camera having shared boards with another. rig: the calibration's cameras, in the
            order of `corners.cameras`.

    Raises:
        GateRefusedError: cameras that share too few boards.
    """
    chosen = settings or SolveSettings()
    solved = solve_rig(corners, tuple(c.intrinsics for c in rig.cameras), settings=chosen)
    views, start = solved.used_views()
    held = solve_bundle(views, start, settings=chosen.bundle)
    freed = solve_bundle(views, start, free_lag=True, settings=chosen.bundle)
    change = _changes(rig, held.state)
    by_lag = (_changes(rig, freed.state) - change).ravel()
    image = _image_effect(views, held)
    total = _CALIBRATION_SHARE * _pose_covariance(views, held, chosen) + np.outer(by_lag, by_lag) + _floor(image)
    R, t = held.state.R_cam_rig, held.state.t_cam_rig_m
    return PoseDifferences(corners.cameras, change, total, R, t, image, _rms_px(views, held))


def _changes(rig: CameraRig, state: BundleState) -> FloatArray:
    """Differences of all cameras in a world in which the first has none, (C, 6)."""
    R, t = state.R_cam_rig, state.t_cam_rig_m
    to_new = rig.cameras[0].T_cam_lab.inverse() @ RigidTransform(R[0], t[0])
    return np.stack([_change(c.T_cam_lab @ to_new, R[i], t[i]) for i, c in enumerate(rig.cameras)])


def _change(T_old: RigidTransform, R: FloatArray, t_m: FloatArray) -> FloatArray:
    turn = Rotation.from_matrix(R @ T_old.rotation.T).as_rotvec()
    return np.concatenate([turn, t_m - T_old.translation_m])


def _pose_covariance(views: BoardViews, held: BundleResult, settings: SolveSettings) -> FloatArray:
    """Covariance of the poses, (6 C, 6 C), widened by how far blocks of instants disagree beyond corner noise."""
    n_cameras = len(held.state.t_cam_rig_m)
    at = np.arange(n_cameras * BLOCK).reshape(n_cameras, BLOCK)[:, :POSE].ravel()
    return np.asarray(widening(views, held, settings.bundle) * held.covariance[np.ix_(at, at)])


def _image_effect(views: BoardViews, solved: BundleResult) -> FloatArray:
    """What a change of a pose does to the image: mean of J'J over the corners that the camera saw, (C, 6, 6)."""
    state = solved.state
    lenses = state.lenses
    points = np.einsum("vij,nj->vni", state.R_rig_board[views.frame], views.corners_m)
    points = points + state.t_rig_board_m[views.frame][:, None]
    effect = np.zeros((len(state.t_cam_rig_m), 6, 6))
    for c in range(len(effect)):
        at = views.camera == c
        arm = points[at] @ state.R_cam_rig[c].T
        image = project_with_jacobian(arm + state.t_cam_rig_m[c], lenses.values[c], lenses.fisheye[c])
        J = np.concatenate([np.cross(arm[..., None, :], image.by_point), image.by_point], axis=-1)[views.used[at]]
        effect[c] = np.einsum("nki,nkj->ij", J, J) / max(len(J), 1)
    return effect


def _floor(image: FloatArray) -> FloatArray:
    """Covariance of changes of which every single one shifts the image by the floor, independent between cameras."""
    full = np.zeros((6 * len(image), 6 * len(image)))
    for c, effect in enumerate(image):
        at = slice(6 * c, 6 * c + 6)
        full[at, at] = _FLOOR_PX**2 * np.linalg.pinv(effect, rcond=1e-9, hermitian=True) / 6.0
    return full


def _rms_px(views: BoardViews, solved: BundleResult) -> FloatArray:
    squared = np.einsum("vni,vni->vn", solved.residual_px, solved.residual_px)
    count = len(solved.state.t_cam_rig_m)
    return np.array([np.sqrt(squared[views.camera == c][views.used[views.camera == c]].mean()) for c in range(count)])


def camera_shift(differences: PoseDifferences, camera: int, change: FloatArray) -> FloatArray:
    """Shift of a camera's centre, (3,) m in its own frame, that a change (6,) means; linear in the change."""
    return np.asarray(change[3:] - np.cross(change[:3], differences.centre_arm_m[camera]), dtype=np.float64)
