"""Angles of the catalogue from the poses that made the motion.

Joint angles are those of the segments themselves. Angles that the catalogue defines by a line between points (trunk,
L1-L5, heel to toe) use the body's own points, stickers apart. The zero of static-referenced angles is the neutral
stance of the same body.
"""

from __future__ import annotations

import numpy as np

from labsys.core.arrays import FloatArray
from labsys.core.catalogue import ANGLES
from labsys.core.motion import AngleSeries, JointAngles
from labsys.core.skeleton import Side
from pipelines.synthetic.anatomy import Body
from pipelines.synthetic.posture import stand
from pipelines.synthetic.rotations import extract_baker, extract_jcs, rotate, unit
from pipelines.synthetic.skeleton_pose import SegmentPoses, joint_centres, pose_segments

Key = tuple[str, Side]


def true_angles(body: Body, poses: SegmentPoses, times_s: FloatArray) -> JointAngles:
    """Every angle of the catalogue, raw and against the body's neutral stance."""
    raw, change = angle_tables(body, poses)
    nothing = np.full(times_s.shape, np.nan)
    series = [
        AngleSeries(a.id, side, np.unwrap(raw[a.id, side]), change.get((a.id, side), nothing))
        for a in ANGLES
        for side in a.sided.sides
    ]
    return JointAngles(times_s, tuple(series))


def angle_tables(body: Body, poses: SegmentPoses) -> tuple[dict[Key, FloatArray], dict[Key, FloatArray]]:
    """Raw angles, and change from neutral stance where the catalogue's zero is the static; (T,) rad each."""
    neutral = pose_segments(body, stand(body, np.zeros(1), sway=0.0))
    raw = _against_lab(body, poses)
    change: dict[Key, FloatArray] = {}
    standing = _against_lab(body, neutral)
    for key in (
        ("pelvis_tilt", Side.BOTH),
        ("lordosis_3pt", Side.BOTH),
        ("foot_pitch", Side.LEFT),
        ("foot_pitch", Side.RIGHT),
    ):
        change[key] = raw[key] - standing[key]
    moving, still = _relative(body, poses), _relative(body, neutral)
    for key, (R, component, sign) in moving.items():
        raw[key] = sign * extract_jcs(R)[..., component]
        change[key] = sign * extract_jcs(np.swapaxes(still[key][0], -1, -2) @ R)[..., component]
    return raw, change


def _against_lab(body: Body, poses: SegmentPoses) -> dict[Key, FloatArray]:
    centres = joint_centres(poses)
    pelvis = extract_baker(poses.rotations["pelvis"])
    lean = _point(body, poses, "C7") - 0.5 * (centres["RHJC"] + centres["LHJC"])
    out = {
        ("pelvis_tilt", Side.BOTH): -pelvis[:, 0],
        ("pelvis_obliquity", Side.BOTH): pelvis[:, 1],
        ("pelvis_rotation", Side.BOTH): pelvis[:, 2],
        ("lordosis_3pt", Side.BOTH): _lordosis(body, poses),
        ("trunk_lean", Side.BOTH): np.arctan2(lean[:, 0], lean[:, 1]),
    }
    for side in (Side.LEFT, Side.RIGHT):
        hip, knee, ankle = (centres[f"{side.letter}{c}"] for c in ("HJC", "KJC", "AJC"))
        thigh, shank = knee - hip, ankle - knee
        shoe = _point(body, poses, f"{side.letter}TOE") - _point(body, poses, f"{side.letter}HEEL")
        out["thigh_vertical", side] = -np.arctan2(thigh[:, 0], -thigh[:, 1])
        out["shank_vertical", side] = np.arctan2(shank[:, 0], -shank[:, 1])
        out["foot_pitch", side] = np.arctan2(shoe[:, 1], shoe[:, 0])
    return out


def _relative(body: Body, poses: SegmentPoses) -> dict[Key, tuple[FloatArray, int, float]]:
    """Distal against proximal segment (T, 3, 3), which JCS component, and its clinical sign."""
    R = poses.rotations
    trunk, lumbar = _trunk_line(body, poses), _lumbar_line(body, poses)
    both = Side.BOTH
    out: dict[Key, tuple[FloatArray, int, float]] = {
        ("lumbar_extension", both): (_between(R["pelvis"], R["thorax"]), 0, 1.0),
        ("lumbar_bending", both): (_between(R["pelvis"], R["thorax"]), 1, 1.0),
        ("lumbar_rotation", both): (_between(R["pelvis"], R["thorax"]), 2, 1.0),
        ("trunk_pelvis_extension", both): (_between(R["pelvis"], trunk), 0, 1.0),
        ("lumbar_segment_extension", both): (_between(R["pelvis"], lumbar), 0, 1.0),
    }
    for side in (Side.LEFT, Side.RIGHT):
        thigh, shank = R[f"{side.letter}thigh"], R[f"{side.letter}shank"]
        hip = _between(R["pelvis"], thigh)
        out |= {
            ("hip_flexion", side): (hip, 0, 1.0),
            ("hip_adduction", side): (hip, 1, 1.0 if side is Side.RIGHT else -1.0),
            ("hip_rotation", side): (hip, 2, 1.0 if side is Side.RIGHT else -1.0),
            ("hip_trunk_extension", side): (_between(trunk, thigh), 0, -1.0),
            ("knee_flexion", side): (_between(thigh, shank), 0, -1.0),
            ("ankle_dorsiflexion", side): (_between(shank, _foot_axes(R[f"{side.letter}foot"], shank)), 0, 1.0),
        }
    return out


def _between(proximal: FloatArray, distal: FloatArray) -> FloatArray:
    return np.asarray(np.swapaxes(proximal, -1, -2) @ distal)


def _point(body: Body, poses: SegmentPoses, landmark: str) -> FloatArray:
    segment, point = body.points[landmark]
    return poses.origins_m[segment] + rotate(poses.rotations[segment], point)


def _axes(up: FloatArray, right: FloatArray) -> FloatArray:
    y = unit(up)
    x = unit(np.cross(y, right))
    return np.stack([x, y, np.cross(x, y)], axis=-1)


def _trunk_line(body: Body, poses: SegmentPoses) -> FloatArray:
    centres = joint_centres(poses)
    top = 0.5 * (_point(body, poses, "C7") + _point(body, poses, "IJ"))
    across = _point(body, poses, "RAC") - _point(body, poses, "LAC")
    return _axes(top - 0.5 * (centres["RHJC"] + centres["LHJC"]), across)


def _lumbar_line(body: Body, poses: SegmentPoses) -> FloatArray:
    return _axes(_point(body, poses, "L1") - _point(body, poses, "L5"), poses.rotations["pelvis"][..., :, 2])


def _foot_axes(R_foot: FloatArray, R_shank: FloatArray) -> FloatArray:
    """Long axis of the shoe; its right-left axis square to the shank, as the catalogue defines the ankle angle."""
    x = R_foot[..., :, 0]
    z = unit(np.cross(x, R_shank[..., :, 1]))
    return np.stack([x, np.cross(z, x), z], axis=-1)


def _lordosis(body: Body, poses: SegmentPoses) -> FloatArray:
    """Lean back of L3-L1 against L5-L3 in the sagittal plane of the pelvis, (T,) rad."""
    L1, L3, L5 = (_point(body, poses, name) for name in ("L1", "L3", "L5"))
    to_pelvis = np.swapaxes(poses.rotations["pelvis"], -1, -2)
    lower, upper = rotate(to_pelvis, L3 - L5), rotate(to_pelvis, L1 - L3)
    return np.asarray(np.arctan2(upper[:, 1], upper[:, 0]) - np.arctan2(lower[:, 1], lower[:, 0]))
