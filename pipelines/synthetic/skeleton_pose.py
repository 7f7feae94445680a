"""Forward kinematics: poses of all segments from angles, landmarks from segments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from labsys.core.arrays import FloatArray
from labsys.core.skeleton import LABSYS_RUN_37
from pipelines.synthetic.anatomy import Body
from pipelines.synthetic.legs import ANKLE, HIP, KNEE
from pipelines.synthetic.rotations import about_axis, compose_baker, compose_jcs, rotate
from pipelines.synthetic.trunk import LUMBAR_SHARE


@dataclass(frozen=True, eq=False)
class PoseAngles:
    """Everything that poses a body over time.

    Attributes:
        hips_m: (T, 3) midpoint of the hip centres in LAB, m.
        pelvis_rad: (T, 3) Baker a, b, c. lumbar_rad: (T, 3) JCS of the thorax on the pelvis.
        head_rad: (T, 3) Baker a, b, c of the head.
        legs_rad: "R", "L" -> (T, 7), see `legs`.
        arms_rad: "R", "L" -> (T, 3) shoulder flexion, shoulder abduction, elbow flexion.
    """

    times_s: FloatArray
    hips_m: FloatArray
    pelvis_rad: FloatArray
    lumbar_rad: FloatArray
    head_rad: FloatArray
    legs_rad: Mapping[str, FloatArray]
    arms_rad: Mapping[str, FloatArray]


@dataclass(frozen=True, eq=False)
class SegmentPoses:
    """Rotation (T, 3, 3) and origin (T, 3) m of every segment in LAB, by segment name."""

    rotations: Mapping[str, FloatArray]
    origins_m: Mapping[str, FloatArray]


def pose_segments(body: Body, angles: PoseAngles) -> SegmentPoses:
    """Chain the segments outward from the hips."""
    R: dict[str, FloatArray] = {"pelvis": compose_baker(angles.pelvis_rad)}
    o: dict[str, FloatArray] = {"pelvis": angles.hips_m - rotate(R["pelvis"], body.mid_hip_m)}
    _pose_trunk(body, angles, R, o)
    for side in "RL":
        _pose_leg(body, angles, side, R, o)
        _pose_arm(body, angles, side, R, o)
    return SegmentPoses(R, o)


def place_landmarks(body: Body, poses: SegmentPoses, offsets_m: Mapping[str, FloatArray] | None = None) -> FloatArray:
    """LABSYS-RUN-37 in LAB, (T, 37, 3) m; `offsets_m` moves each in its segment's axes."""
    tracks = []
    for name in LABSYS_RUN_37.landmarks:
        segment, point = body.points[name]
        local = point if offsets_m is None else point + offsets_m[name]
        tracks.append(poses.origins_m[segment] + rotate(poses.rotations[segment], local))
    return np.stack(tracks, axis=1)


def joint_centres(poses: SegmentPoses) -> dict[str, FloatArray]:
    """Hip, knee and ankle centres in LAB, (T, 3) m."""
    parts = {"HJC": "thigh", "KJC": "knee", "AJC": "ankle"}
    return {f"{s}{c}": poses.origins_m[f"{s}{p}"] for s in "RL" for c, p in parts.items()}


def _pose_trunk(body: Body, angles: PoseAngles, R: dict[str, FloatArray], o: dict[str, FloatArray]) -> None:
    R["lumbar"] = R["pelvis"] @ compose_jcs(LUMBAR_SHARE * angles.lumbar_rad)
    o["lumbar"] = o["pelvis"] + rotate(R["pelvis"], body.lumbar_base_m)
    R["thorax"] = R["pelvis"] @ compose_jcs(angles.lumbar_rad)
    o["thorax"] = o["lumbar"] + rotate(R["lumbar"], np.array([0.0, body.lumbar_length_m, 0.0]))
    R["head"] = compose_baker(angles.head_rad)
    o["head"] = o["thorax"] + rotate(R["thorax"], body.neck_m)


def _pose_leg(body: Body, angles: PoseAngles, side: str, R: dict[str, FloatArray], o: dict[str, FloatArray]) -> None:
    q = angles.legs_rad[side]
    R[f"{side}thigh"] = R["pelvis"] @ compose_jcs(q[:, HIP])
    o[f"{side}thigh"] = o["pelvis"] + rotate(R["pelvis"], body.hip_m[side])
    R[f"{side}knee"] = R[f"{side}thigh"]
    o[f"{side}knee"] = o[f"{side}thigh"] - body.thigh_m[side] * R[f"{side}thigh"][..., 1]
    R[f"{side}shank"] = R[f"{side}ankle"] = R[f"{side}thigh"] @ about_axis(2, -q[:, KNEE])
    o[f"{side}shank"] = o[f"{side}knee"]
    o[f"{side}ankle"] = o[f"{side}knee"] - body.shank_m[side] * R[f"{side}shank"][..., 1]
    R[f"{side}foot"] = R[f"{side}shank"] @ compose_jcs(q[:, ANKLE])
    o[f"{side}foot"] = o[f"{side}ankle"]


def _pose_arm(body: Body, angles: PoseAngles, side: str, R: dict[str, FloatArray], o: dict[str, FloatArray]) -> None:
    flexion, abduction, elbow = np.moveaxis(angles.arms_rad[side], -1, 0)
    outward = abduction if side == "R" else -abduction
    R[f"{side}upper_arm"] = R["thorax"] @ about_axis(2, flexion) @ about_axis(0, -outward)
    o[f"{side}upper_arm"] = o["thorax"] + rotate(R["thorax"], body.shoulder_m[side])
    R[f"{side}elbow"] = R[f"{side}upper_arm"]
    o[f"{side}elbow"] = o[f"{side}upper_arm"] - body.upper_arm_m * R[f"{side}upper_arm"][..., 1]
    R[f"{side}forearm"] = R[f"{side}wrist"] = R[f"{side}upper_arm"] @ about_axis(2, elbow)
    o[f"{side}forearm"] = o[f"{side}elbow"]
    o[f"{side}wrist"] = o[f"{side}elbow"] - body.forearm_m * R[f"{side}forearm"][..., 1]
