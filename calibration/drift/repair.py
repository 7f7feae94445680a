"""The pose of a camera that moved, solved anew from the body's landmarks; all other cameras stay where they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.drift.drift import DriftCheck, DriftSettings, check_drift, gather_evidence, length_sd
from calibration.drift.evidence import Move, best_move
from calibration.drift.views import SHIFT, TURN, move_camera
from calibration.projection import project
from calibration.triangulation.triangulate import RobustSettings, triangulate_robust
from labsys.core.arrays import FloatArray
from labsys.core.camera_audit import LandmarkBias
from labsys.core.cameras import Camera, CameraRig
from labsys.core.errors import GateRefusedError, InputError
from labsys.core.landmarks import Landmarks2D

_FEWEST_CAMERAS = 3
_ROUNDS = 5
_SETTLED_RAD, _SETTLED_M = 1e-5, 1e-5


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
    return CameraRepair(
        rig=repaired,
        camera=rig.names[index],
        move=move,
        turn_rad=0.0 if move is Move.SHIFT else float(np.linalg.norm(turn)),
        turn_sd_rad=0.0 if move is Move.SHIFT else length_sd(turn, covariance[TURN, TURN]),
        shift_m=0.0 if move is Move.TURN else float(np.linalg.norm(shift)),
        shift_sd_m=0.0 if move is Move.TURN else length_sd(shift, covariance[SHIFT, SHIFT]),
        before_px=distance_to_others_px(rig, landmarks, index, min_confidence=settings.min_confidence),
        after_px=distance_to_others_px(repaired, landmarks, index, min_confidence=settings.min_confidence),
        before=before,
        after=after,
    )


def distance_to_others_px(rig: CameraRig, landmarks: Landmarks2D, index: int, *, min_confidence: float) -> float:
    """Median distance in one camera between its landmarks and where the others place them, px; NaN without any."""
    others = [i for i in range(len(rig.cameras)) if i != index]
    step = max(1, landmarks.times_s.size // 200)
    xy, confidence = landmarks.xy_px[::step], landmarks.confidence[::step]
    points = triangulate_robust(
        CameraRig(tuple(rig.cameras[i] for i in others)),
        np.moveaxis(xy[:, others], 1, 2),
        np.moveaxis(confidence[:, others], 1, 2),
        settings=RobustSettings(min_confidence=min_confidence),
    ).xyz_m
    distance = np.linalg.norm(project(rig.cameras[index], points) - xy[:, index], axis=-1)
    believed = np.isfinite(distance) & (confidence[:, index] >= min_confidence)
    return float(np.median(distance[believed])) if believed.any() else float("nan")


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
