"""OpenSim's coordinates: its names, its rotation order, its signs. Values rad, never mixed with labsys's angles.

All are absolute, not static-referenced. OpenSim's pelvis tilt is positive backwards and its order is tilt, list,
rotation (Z-X-Y), which moves list by several degrees against Baker's order: never compare one with the other.
"""

from __future__ import annotations

import numpy as np

from labsys.biomechanics.axes import Segment
from labsys.biomechanics.cardan import drop_opposed, jcs_angles, transpose, unwrap_finite
from labsys.biomechanics.preparation import prepare_points
from labsys.biomechanics.segments import Body
from labsys.biomechanics.settings import AnalysisSettings
from labsys.core.arrays import FloatArray
from labsys.core.landmarks import Landmarks3D
from labsys.core.skeleton import Side

_LEG = ("hip_flexion", "hip_adduction", "hip_rotation", "knee_angle", "ankle_angle")


def opensim_coordinates(
    landmarks: Landmarks3D, static: Landmarks3D | None, settings: AnalysisSettings
) -> dict[str, FloatArray]:
    """OpenSim coordinate name -> (T,) rad: pelvis_tilt, pelvis_list, pelvis_rotation, hip_flexion_r, lumbar_extension …

    landmarks: (T, K, 3) m in LAB, not turned to the run direction. NaN where the landmarks cannot give a coordinate;
    the keys are always the same.

    Raises:
        InputError: landmarks that reach no tier, uneven times.
    """
    prepared = prepare_points(landmarks, static, settings)
    proximal, distal = prepared.body(settings.proximal_cutoff_hz), prepared.body(settings.distal_cutoff_hz)
    coordinates = _pelvis(proximal) | _lumbar(proximal) | _legs(proximal, distal)
    return {name: unwrap_finite(a, rate_hz=prepared.points.rate_hz) for name, a in coordinates.items()}


def _pelvis(body: Body) -> dict[str, FloatArray]:
    angles = jcs_angles(body.pelvis.rotation)
    return dict(zip(("pelvis_tilt", "pelvis_list", "pelvis_rotation"), angles, strict=True))


def _lumbar(body: Body) -> dict[str, FloatArray]:
    # OpenSim's torso is one rigid body: the thorax where it is seen whole, else the line from the hips to its top.
    torso = body.trunk if body.thorax.reason is not None else body.thorax
    angles = jcs_angles(_relative(body.pelvis, torso))
    return dict(zip(("lumbar_extension", "lumbar_bending", "lumbar_rotation"), angles, strict=True))


def _legs(proximal: Body, distal: Body) -> dict[str, FloatArray]:
    coordinates: dict[str, FloatArray] = {}
    for side, suffix, sign in ((Side.RIGHT, "r", 1.0), (Side.LEFT, "l", -1.0)):
        hip = jcs_angles(_relative(proximal.pelvis, proximal.thigh[side]))
        knee = jcs_angles(_relative(distal.thigh[side], distal.shank[side]))
        ankle = jcs_angles(_relative(distal.shank[side], distal.foot[side]))
        values = (hip.z_rad, sign * hip.x_rad, sign * hip.y_rad, -knee.z_rad, ankle.z_rad)
        if not proximal.knee_3d[side]:
            values = (hip.z_rad, sign * hip.x_rad, np.full_like(hip.z_rad, np.nan), -knee.z_rad, ankle.z_rad)
        coordinates |= {f"{name}_{suffix}": v for name, v in zip(_LEG, values, strict=True)}
    return coordinates


def _relative(proximal: Segment, distal: Segment) -> FloatArray:
    return drop_opposed(transpose(proximal.rotation) @ distal.rotation)
