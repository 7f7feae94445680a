"""Segment poses by OpenSim's own forward kinematics of a public model and motion: ours must give the motion back.

The model, its motion file and the kinematics are other people's; ours are landmarks fixed to OpenSim's bodies, and the
way back from landmarks to coordinates. Needs the package `opensim` (extra `accept`) and the public recordings.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labsys.biomechanics.opensim import opensim_coordinates
from labsys.biomechanics.segments import PelvisSize, hip_offset_m
from labsys.biomechanics.settings import AnalysisSettings
from labsys.core.arrays import FloatArray
from labsys.core.landmarks import Landmarks3D
from labsys.core.skeleton import Side
from labsys.storage.exchange.mot import MotTable, read_mot

pytestmark = pytest.mark.real_data

LIMIT_DEG = 0.01
RECORDING = "bmclab_running_ik"
PELVIS = ("pelvis_tilt", "pelvis_list", "pelvis_rotation")
LUMBAR = ("lumbar_extension", "lumbar_bending", "lumbar_rotation")
HIPS = tuple(f"hip_{what}_{s}" for s in "rl" for what in ("flexion", "adduction", "rotation"))
# Any depth of the pelvis does; its width follows from where the model's hips are.
_DEPTH_M, _THIGH_M, _SHANK_M = 0.15, 0.40, 0.40

Poses = dict[str, tuple[FloatArray, FloatArray]]


@pytest.fixture(scope="module")
def motion(public_data: Path) -> MotTable:
    return read_mot(public_data / RECORDING / "IK" / "results" / "ik_output_run.mot")


@pytest.fixture(scope="module")
def ours(public_data: Path, motion: MotTable) -> dict[str, FloatArray]:
    opensim = pytest.importorskip("opensim", reason="needs the extra 'accept' (pip install opensim)")
    poses = forward_kinematics(opensim, public_data / RECORDING / "Scale" / "Rajagopal2015_scaled.osim", motion)
    return opensim_coordinates(landmarks_on(poses, motion.times_s), None, AnalysisSettings(filter_enabled=False))


def forward_kinematics(opensim: Any, model_file: Path, motion: MotTable) -> Poses:
    """Body -> rotation (T, 3, 3) and origin (T, 3) m in OpenSim's ground, which has LAB's axes."""
    opensim.Logger.setLevelString("Off")
    model = opensim.Model(str(model_file))
    state = model.initSystem()
    coordinates = model.getCoordinateSet()
    known = {coordinates.get(i).getName() for i in range(coordinates.getSize())}
    rotational = {n for n in known if coordinates.get(n).getMotionType() == 1}
    frames: dict[str, list[FloatArray]] = {body: [] for body in ("pelvis", "torso", "femur_r", "femur_l")}
    columns = {n: motion.angle_rad(n) if n in rotational else motion.columns[n] for n in motion.columns if n in known}
    for t in range(motion.times_s.size):
        for name, values in columns.items():
            coordinate = coordinates.get(name)
            if not coordinate.getLocked(state):
                coordinate.setValue(state, float(values[t]), False)
        model.realizePosition(state)
        for body, found in frames.items():
            found.append(_matrix(model.getBodySet().get(body).getTransformInGround(state)))
    stacked = {body: np.stack(found) for body, found in frames.items()}
    return {body: (T[:, :3, :3], T[:, :3, 3]) for body, T in stacked.items()}


def _matrix(transform: Any) -> FloatArray:
    T = np.eye(4)
    T[:3, :3] = [[transform.R().get(i, j) for j in range(3)] for i in range(3)]
    T[:3, 3] = [transform.p().get(i) for i in range(3)]
    return T


def landmarks_on(poses: Poses, times_s: FloatArray) -> Landmarks3D:
    """Landmarks fixed to the bodies: our segments have the bodies' axes, our hip centres the model's place."""
    hip_m = poses["pelvis"][0][0].T @ (poses["femur_r"][1][0] - poses["pelvis"][1][0])
    width_m = (hip_m[2] * 1e3 - 7.3) / 0.33 / 1e3
    size = PelvisSize(width_m, _DEPTH_M, float("nan"))
    middle_asis = hip_m - hip_offset_m(size, Side.RIGHT)
    across = np.array([0.0, 0.0, 0.5 * width_m])
    back = np.array([-_DEPTH_M, 0.0, 0.0])
    placed = {
        "RASIS": ("pelvis", middle_asis + across), "LASIS": ("pelvis", middle_asis - across),
        "RPSIS": ("pelvis", middle_asis + back + 0.3 * across), "LPSIS": ("pelvis", middle_asis + back - 0.3 * across),
        "C7": ("torso", np.array([-0.1, 0.45, 0.0])), "IJ": ("torso", np.array([0.1, 0.45, 0.0])),
        "T10": ("torso", np.array([-0.1, 0.1, 0.0])), "XP": ("torso", np.array([0.1, 0.1, 0.0])),
        "RAC": ("torso", np.array([0.0, 0.4, 0.2])), "LAC": ("torso", np.array([0.0, 0.4, -0.2])),
        "L5": ("pelvis", middle_asis + back), "L1": ("torso", np.array([-0.1, 0.0, 0.0])),
    }  # fmt: skip
    for s, outward in (("R", 0.05), ("L", -0.05)):
        femur = f"femur_{s.lower()}"
        for name, y, z in (
            ("LFE", -_THIGH_M, outward),
            ("MFE", -_THIGH_M, -outward),
            ("LM", -_THIGH_M - _SHANK_M, 0.0),
        ):
            placed[f"{s}{name}"] = (femur, np.array([0.0, y, z]))
    tracks = {n: poses[b][1] + np.einsum("tij,j->ti", poses[b][0], p) for n, (b, p) in placed.items()}
    return Landmarks3D.from_positions(tuple(tracks), times_s, np.stack(list(tracks.values()), axis=1))


@pytest.mark.parametrize("name", [*PELVIS, *LUMBAR, *HIPS])
def test_our_coordinates_are_the_motion_file_s(ours: dict[str, FloatArray], motion: MotTable, name: str) -> None:
    difference_deg = np.rad2deg(np.abs(ours[name] - motion.angle_rad(name)))
    assert np.isfinite(difference_deg).all()
    assert difference_deg.max() <= LIMIT_DEG
