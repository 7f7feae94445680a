"""A jointed body of LABSYS-RUN landmarks for the laws of biomechanics: posed by rotations, no gait, no noise."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from labsys.biomechanics.cardan import BakerAngles, JcsAngles, baker_matrix, jcs_matrix
from labsys.biomechanics.segments import PelvisSize, hip_offset_m
from labsys.core.arrays import FloatArray
from labsys.core.landmarks import Landmarks3D
from labsys.core.skeleton import LABSYS_RUN_37, Side, mirrored_name

_WIDTH, _DEPTH, _THIGH, _SHANK = 0.24, 0.15, 0.42, 0.43
_PELVIS = {
    "RASIS": (0, 0, 0.12), "LASIS": (0, 0, -0.12), "RPSIS": (-_DEPTH, 0, 0.045), "LPSIS": (-_DEPTH, 0, -0.045),
    "S3": (-_DEPTH - 0.01, -0.05, 0), "L5": (-_DEPTH - 0.005, 0.05, 0),
}  # fmt: skip
_THORAX = {
    "L3": (-0.14, 0.11, 0), "L1": (-0.13, 0.18, 0), "T10": (-0.13, 0.28, 0), "XP": (0.04, 0.28, 0),
    "C7": (-0.11, 0.53, 0), "IJ": (0.02, 0.53, 0), "RAC": (-0.05, 0.51, 0.18), "LAC": (-0.05, 0.51, -0.18),
    "HEAD": (-0.02, 0.66, 0), "RELB": (-0.06, 0.22, 0.24), "LELB": (-0.06, 0.22, -0.24),
    "RWRI": (0.1, 0.05, 0.24), "LWRI": (0.1, 0.05, -0.24),
}  # fmt: skip
_FOOT = {"HEEL": (-0.05, -0.05, 0), "MT1": (0.14, -0.06, -0.045), "MT5": (0.12, -0.06, 0.045), "TOE": (0.2, -0.055, 0)}


@dataclass(frozen=True)
class Pose:
    """Joint rotations, rad; hip, knee, ankle per side as right-handed JCS (flexion, adduction, rotation)."""

    pelvis: BakerAngles = field(default_factory=lambda: BakerAngles(*(np.zeros(1),) * 3))
    thorax: JcsAngles = field(default_factory=lambda: zero())
    hip: dict[str, JcsAngles] = field(default_factory=dict)
    knee: dict[str, JcsAngles] = field(default_factory=dict)
    ankle: dict[str, JcsAngles] = field(default_factory=dict)


def _consistent_size() -> PelvisSize:
    """Pelvis size with the leg length that the body's own hip centres lead to."""
    leg_m = 0.9
    for _ in range(20):
        hip = hip_offset_m(PelvisSize(_WIDTH, _DEPTH, leg_m), Side.RIGHT)
        malleolus = hip + np.array([0.0, -_THIGH - _SHANK, -0.035])
        leg_m = float(np.linalg.norm(np.array(_PELVIS["RASIS"]) - malleolus))
    return PelvisSize(_WIDTH, _DEPTH, leg_m)


_SIZE = _consistent_size()


def zero(n: int = 1) -> JcsAngles:
    """No rotation, n frames."""
    return JcsAngles(*(np.zeros(n) for _ in range(3)))


def place(pose: Pose, n: int = 1) -> dict[str, FloatArray]:
    """Landmarks (n, 3) m of a pose, pelvis over the origin."""
    R_pelvis = baker_matrix(pose.pelvis)
    base = np.array([0.0, 1.0, 0.0])
    points = {name: base + R_pelvis @ np.array(p) for name, p in _PELVIS.items()}
    R_thorax = R_pelvis @ jcs_matrix(pose.thorax)
    lumbar = base + R_pelvis @ np.array([-0.08, 0.05, 0.0])
    points |= {name: lumbar + R_thorax @ np.array(p) for name, p in _THORAX.items()}
    for s, side, sign in (("R", Side.RIGHT, 1.0), ("L", Side.LEFT, -1.0)):
        mirror = np.array([1.0, 1.0, sign])
        hip = base + R_pelvis @ hip_offset_m(_SIZE, side)
        R_thigh = R_pelvis @ jcs_matrix(pose.hip.get(s, zero(n)))
        knee = hip + R_thigh @ np.array([0.0, -_THIGH, 0.0])
        R_shank = R_thigh @ jcs_matrix(pose.knee.get(s, zero(n)))
        ankle = knee + R_shank @ np.array([0.0, -_SHANK, 0.0])
        R_foot = R_shank @ jcs_matrix(pose.ankle.get(s, zero(n)))
        points[f"{s}GT"] = hip + R_thigh @ (np.array([0.0, 0.0, 0.07]) * mirror)
        for name, centre, R, half in (("FE", knee, R_thigh, 0.05), ("M", ankle, R_shank, 0.035)):
            points[f"{s}L{name}"] = centre + R @ (np.array([0.0, 0.0, half]) * mirror)
            points[f"{s}M{name}"] = centre - R @ (np.array([0.0, 0.0, half]) * mirror)
        points |= {f"{s}{k}": ankle + R_foot @ (np.array(p) * mirror) for k, p in _FOOT.items()}
    return {k: np.broadcast_to(v, (max(n, len(v)) if v.ndim > 1 else n, 3)).copy() for k, v in points.items()}


def as_landmarks(points: dict[str, FloatArray], rate_hz: float = 100.0) -> Landmarks3D:
    """Landmarks3D from tracks, in LABSYS-RUN order; names outside the set follow."""
    order = LABSYS_RUN_37.landmarks
    names = [n for n in order if n in points] + [n for n in points if n not in order]
    n = len(next(iter(points.values())))
    xyz_m = np.stack([points[k] for k in names], axis=1)
    return Landmarks3D.from_positions(tuple(names), np.arange(n) / rate_hz, xyz_m)


def still(points: dict[str, FloatArray], n: int = 10) -> dict[str, FloatArray]:
    """A pose held for n frames."""
    return {k: np.repeat(v[:1], n, axis=0) for k, v in points.items()}


def turn(points: dict[str, FloatArray], R: FloatArray) -> dict[str, FloatArray]:
    """Landmarks in a turned LAB."""
    return {k: v @ R.T for k, v in points.items()}


def mirror(points: dict[str, FloatArray]) -> dict[str, FloatArray]:
    """The mirror image of a body: Z reversed, left and right names exchanged."""
    return {mirrored_name(k): v * np.array([1.0, 1.0, -1.0]) for k, v in points.items()}


def wiggle(seed: int, n: int = 40) -> Pose:
    """A smooth random motion of every joint, n frames, of the size that running has."""
    rng = np.random.default_rng(seed)
    t = np.linspace(0.0, 1.0, n)

    def curve(size_deg: float) -> FloatArray:
        phase, offset = rng.uniform(0, 2 * np.pi), rng.uniform(-0.5, 0.5)
        return np.deg2rad(size_deg) * (np.sin(2 * np.pi * t + phase) + offset)

    def joint(*sizes_deg: float) -> JcsAngles:
        return JcsAngles(*(curve(size) for size in sizes_deg))

    return Pose(
        pelvis=BakerAngles(curve(10), curve(6), curve(8)),
        thorax=joint(8, 6, 15),
        hip={s: joint(35, 8, 8) for s in "RL"},
        knee={s: joint(-40, 2, 2) for s in "RL"},
        ankle={s: joint(15, 3, 3) for s in "RL"},
    )
