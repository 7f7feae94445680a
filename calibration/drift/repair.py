"""The pose of a camera that moved, solved anew from the body's landmarks; all other cameras stay where they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.drift.drift import DriftCheck, DriftSettings, check_drift, gather_evidence, length_sd
from calibration.drift.evidence import Move, best_move
from calibration.drift.views import SHIFT, TURN, move_camera
from calibration.projection import project
from calibration.triangulation.triangulate import RobustSettings, triangulate_robust
from labsys.core.arrays import BoolArray, FloatArray
from labsys.core.camera_audit import LandmarkBias
from labsys.core.cameras import Camera, CameraRig
from labsys.core.errors import GateRefusedError, InputError
from labsys.core.landmarks import Landmarks2D

_FEWEST_CAMERAS = 3
_ROUNDS = 5
_SETTLED_RAD, _SETTLED_M = 1e-5, 1e-5
_NEAR_PX = 2.0  # a smaller move drowns in the landmarks' own errors and is judged by the drift check alone
_LEAST_TAKEN = 0.5
_ALIKE = 4.0  # the others' points err as well, and a hidden side errs more: 1 to 2.5 where a camera really moved


@dataclass(frozen=True, eq=False)
class CameraRepair:
    """A rig with one camera's pose solved anew.

    Attributes:
        rig: all cameras, the repaired one at its new pose.
        move: what of the pose was solved: its turn, its centre, or both.
        turn_rad, turn_sd_rad, shift_m, shift_sd_m: from the old pose to the new, and how surely.
        before_px, after_px: median distance in the camera between its landmarks and where the other cameras place
            them, with the old pose and with the new.
        before, after: drift checks with both rigs.
    """

    rig: CameraRig
    camera: str
    move: Move
    turn_rad: float
    turn_sd_rad: float
    shift_m: float
    shift_sd_m: float
    before_px: float
    after_px: float
    before: DriftCheck
    after: DriftCheck


def repair_moved_camera(
    rig: CameraRig,
    landmarks: Landmarks2D,
    *,
    known: LandmarkBias | None = None,
    settings: DriftSettings | None = None,
) -> CameraRepair:
    """Find the camera that moved and solve its pose from the landmarks of the trial.

    Args as in `check_drift`.

    Raises:
        InputError: fewer than three cameras, or too few landmarks.
        GateRefusedError: no camera moved, it cannot be told which one did, more than one did, or what is left after
            the repair would still raise an alarm.
    """
    settings = settings or DriftSettings()
    if len(rig.cameras) < _FEWEST_CAMERAS:
        raise InputError(
            f"of {len(rig.cameras)} cameras it cannot be told which one moved",
            where=f"cameras {', '.join(rig.names)}",
            remedy="Calibrate again with the board",
        )
    before = check_drift(rig, landmarks, known=known, settings=settings)
    index = rig.names.index(_require_one(before))
    move = Move(before.motions[0].move)
    repaired, covariance = _solve_pose(rig, landmarks, index, move, known, settings)
    after = check_drift(repaired, landmarks, known=known, settings=settings)
    if after.suspects:
        raise GateRefusedError(
            f"{rig.names[index]} was solved anew, but the landmarks still do not fit the cameras "
            f"({_listed(after.suspects)})",
            where=f"camera {rig.names[index]}",
            remedy="More moved than one camera; calibrate again with the board",
        )
    turn, shift = _change(rig.cameras[index], repaired.cameras[index])
    misfit = measure_misfit(rig, repaired, landmarks, index, min_confidence=settings.min_confidence)
    if not misfit.is_explained:
        raise GateRefusedError(
            f"{rig.names[index]} does not fit the others by {misfit.before_px:.1f} px, and no new pose explains it "
            f"({misfit.after_px:.1f} px are left)",
            where=f"camera {rig.names[index]}",
            remedy="It may look late, follow somebody else, or be another camera's file: labsys show TRIAL --why",
        )
    return CameraRepair(
        rig=repaired,
        camera=rig.names[index],
        move=move,
        turn_rad=0.0 if move is Move.SHIFT else float(np.linalg.norm(turn)),
        turn_sd_rad=0.0 if move is Move.SHIFT else length_sd(turn, covariance[TURN, TURN]),
        shift_m=0.0 if move is Move.TURN else float(np.linalg.norm(shift)),
        shift_sd_m=0.0 if move is Move.TURN else length_sd(shift, covariance[SHIFT, SHIFT]),
        before_px=misfit.before_px,
        after_px=misfit.after_px,
        before=before,
        after=after,
    )


@dataclass(frozen=True)
class Misfit:
    """Median distance between a camera's landmarks and where the others place them, before and after it was moved; by
    how much the move shifts its image; and how far the others are from each other, px.
    """

    before_px: float
    after_px: float
    image_px: float
    others_px: float

    @property
    def is_explained(self) -> bool:
        """Whether it then fits about as the others do, and a move that shifts the image far takes away what it should:
        squares add up, half is asked for.
        """
        if not self.after_px <= _ALIKE * self.others_px:
            return False
        taken = self.before_px**2 - self.after_px**2 > (_LEAST_TAKEN * self.image_px) ** 2
        return self.image_px < _NEAR_PX or bool(taken)


def measure_misfit(
    rig: CameraRig, moved: CameraRig, landmarks: Landmarks2D, index: int, *, min_confidence: float
) -> Misfit:
    """What a new pose of one camera does to its misfit; a lag, another person or a wrong file are no move."""
    others = [i for i in range(len(rig.cameras)) if i != index]
    step = max(1, landmarks.times_s.size // 200)
    xy, confidence = landmarks.xy_px[::step], landmarks.confidence[::step]
    found = triangulate_robust(
        CameraRig(tuple(rig.cameras[i] for i in others)),
        np.moveaxis(xy[:, others], 1, 2),
        np.moveaxis(confidence[:, others], 1, 2),
        settings=RobustSettings(min_confidence=min_confidence),
    )
    before, after = (project(r.cameras[index], found.xyz_m) for r in (rig, moved))
    believed = np.isfinite(before).all(axis=-1) & (confidence[:, index] >= min_confidence)
    believed &= np.isfinite(xy[:, index]).all(axis=-1) & np.isfinite(after).all(axis=-1)
    if not believed.any():
        nothing = float("nan")
        return Misfit(nothing, nothing, nothing, nothing)
    # Of n cameras 2n - 3 of 2n residuals are left, as the point follows them.
    views = np.maximum(found.used.sum(axis=-1), 2)
    level = found.residual_px * np.sqrt(2 * views / (2 * views - 3))
    return Misfit(
        before_px=_median_distance(before, xy[:, index], believed),
        after_px=_median_distance(after, xy[:, index], believed),
        image_px=_median_distance(after, before, believed),
        others_px=float(np.median(level[believed])),
    )


def _median_distance(a_px: FloatArray, b_px: FloatArray, believed: BoolArray) -> float:
    return float(np.median(np.linalg.norm((a_px - b_px)[believed], axis=-1)))


def _require_one(check: DriftCheck) -> str:
    """The camera to repair (GateRefusedError: none, or not one)."""
    if not check.suspects:
        largest = check.motions[0]
        raise GateRefusedError(
            "no camera moved: the landmarks fit the calibration as well as they fit each other",
            where=f"{largest.camera} comes nearest, {largest.image_px:.2f} px",
            remedy="Nothing needs repair",
        )
    if len(check.suspects) > 1:
        raise GateRefusedError(
            f"a camera moved, but it cannot be told whether it was {_listed(check.suspects)}",
            remedy="Calibrate again with the board",
        )
    if check.others_moved:
        raise GateRefusedError(
            f"more than one camera moved: {check.suspects[0]} and {', '.join(check.others_moved)}",
            remedy="Calibrate again with the board",
        )
    return check.suspects[0]


def _listed(names: tuple[str, ...]) -> str:
    return " or ".join(names)


def _solve_pose(
    rig: CameraRig,
    landmarks: Landmarks2D,
    index: int,
    move: Move,
    known: LandmarkBias | None,
    settings: DriftSettings,
) -> tuple[CameraRig, FloatArray]:
    """The rig with the camera at its new pose, and the covariance (7, 7) of the last correction."""
    covariance = np.zeros((7, 7))
    for _ in range(_ROUNDS):
        body = gather_evidence(rig, landmarks, known=known, settings=settings)
        found = best_move(body.evidence, index, tolerance=settings.tolerance, dispersion=body.dispersion, only=move)
        turn, shift = found.parts
        rig, covariance = move_camera(rig, index, turn_rad=turn, shift_m=shift), found.covariance
        if np.linalg.norm(turn) < _SETTLED_RAD and np.linalg.norm(shift) < _SETTLED_M:
            break
    return rig, covariance


def _change(old: Camera, new: Camera) -> tuple[FloatArray, FloatArray]:
    """Turn (3,) rad and shift of the centre (3,) m, in the old CAMERA frame."""
    turn = (new.T_cam_lab @ old.T_cam_lab.inverse()).as_rotvec()
    return turn, old.T_cam_lab.rotation @ (new.centre_lab_m - old.centre_lab_m)
