"""The runner's feet as a witness: a run in the same cameras says where the belt is and which way it moves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.match import match_cameras
from calibration.placing.checks import check_lab
from calibration.placing.feet import Stance, find_stance, lab_from_feet
from calibration.placing.lab_frame import LabPlacement
from calibration.triangulation.triangulate import triangulate_robust
from labsys.core.arrays import FloatArray
from labsys.core.cameras import CameraRig
from labsys.core.errors import InputError
from labsys.core.landmarks import Landmarks2D
from labsys.core.session import TrialName
from labsys.storage.exchange.tracks import combine_cameras
from labsys.storage.lab import Lab
from labsys.storage.takes import load_take
from pipelines.pose2d import find_landmarks2d

_FOREFOOT = ("MT5", "MT1", "TOE", "BigToe", "SmallToe")
_ABOVE = ("Head", "Nose", "Neck", "C7", "Hip", "LShoulder", "RShoulder", "LAC", "RAC", "LHip", "RHip", "LGT", "RGT",
          "LASIS", "RASIS", "LPSIS", "RPSIS")  # fmt: skip
_LEAST_STANCE = 20


@dataclass(frozen=True, eq=False)
class FeetRun:
    """2D landmarks of a run that the rig's cameras recorded, and the trial's name."""

    landmarks: Landmarks2D
    name: str


@dataclass(frozen=True, eq=False)
class _Feet:
    """Forefeet (T, K, 3) m in the rig's world at (T,) s, (3,) roughly up, and what each landmark is."""

    forefoot_m: FloatArray
    times_s: FloatArray
    up_rig: FloatArray
    kinds: tuple[str, ...]


def load_feet_run(lab: Lab, name: str) -> FeetRun:
    """The 2D landmarks of a stored trial (UnknownNameError: no such trial; InputError: it has no 2D landmarks)."""
    trial = TrialName.parse(name)
    take = load_take(lab, trial)
    return FeetRun(combine_cameras(find_landmarks2d(lab, trial, take), rate_hz=take.rate_hz), name)


def place_by_feet(run: FeetRun, rig: CameraRig) -> LabPlacement:
    """LAB from a run (InputError: no forefoot landmarks, or too little mid-stance)."""
    feet = _reconstruct(run, rig)
    return lab_from_feet(feet.forefoot_m, feet.times_s, up_hint_rig=feet.up_rig, kinds=feet.kinds)


def check_feet(run: FeetRun, rig_lab: CameraRig) -> None:
    """Refuse a LAB in which the runner's feet do not stand on the belt, or the belt does not move along -X.

    Raises:
        GateRefusedError: says how high the feet are, or how far off the belt moves.
        InputError: no forefoot landmarks, or too little mid-stance.
    """
    feet = _reconstruct(run, rig_lab)
    stance: Stance = find_stance(feet.forefoot_m, feet.times_s)
    if len(stance.points_m) < _LEAST_STANCE:
        raise InputError(f"only {len(stance.points_m)} mid-stance samples", where=run.name, remedy="Use a longer run")
    check_lab(
        rig_lab,
        up_lab=feet.up_rig,
        feet_m=stance.points_m,
        belt_velocity_mps=np.median(stance.velocity_mps, axis=0),
    )


def _reconstruct(run: FeetRun, rig: CameraRig) -> _Feet:
    """Landmarks in the rig's world, whichever it is."""
    landmarks = run.landmarks
    match = match_cameras(rig.names, landmarks.cameras)
    used = rig.select(tuple(match[c] for c in landmarks.cameras))
    names = landmarks.landmarks
    fore = [i for i, n in enumerate(names) if n[1:] in _FOREFOOT and n[0] in "LR"]
    above = [i for i, n in enumerate(names) if n in _ABOVE]
    if not fore or not above:
        raise InputError(
            "the run has no landmarks of forefoot and trunk",
            where=run.name,
            remedy=f"Needed: one of L/R {', '.join(_FOREFOOT)} and one of {', '.join(_ABOVE[:6])}, …",
        )
    kept = [*fore, *above]
    xy, confidence = np.moveaxis(landmarks.xy_px, 1, 2)[:, kept], np.moveaxis(landmarks.confidence, 1, 2)[:, kept]
    points = triangulate_robust(used, xy, confidence).xyz_m
    forefoot, trunk = points[:, : len(fore)], points[:, len(fore) :]
    up = np.nanmedian(trunk, axis=(0, 1)) - np.nanmedian(forefoot, axis=(0, 1))
    return _Feet(forefoot, landmarks.times_s, up / np.linalg.norm(up), tuple(names[i][1:] for i in fore))
