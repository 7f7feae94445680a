"""Centre of mass of the synthetic body, on true joint centres.

Segment masses of de Leva 1996 (10.1016/0021-9290(95)00178-6), mean of the sexes, rounded to a tenth of a percent.
"""

from __future__ import annotations

import numpy as np

from labsys.core.arrays import FloatArray
from pipelines.synthetic.anatomy import Body
from pipelines.synthetic.rotations import rotate
from pipelines.synthetic.skeleton_pose import SegmentPoses

# segment -> share of body mass, centre as a share of the way from proximal to distal joint
_LIMBS = {
    ("thigh", "knee"): (0.145, 0.385),
    ("knee", "ankle"): (0.046, 0.437),
    ("upper_arm", "elbow"): (0.026, 0.576),
    ("elbow", "wrist"): (0.015, 0.457),
}
_TRUNK, _TRUNK_AT, _HEAD, _FOOT, _HAND = 0.430, 0.405, 0.068, 0.013, 0.006


def centre_of_mass_m(body: Body, poses: SegmentPoses) -> FloatArray:
    """Whole-body centre of mass in LAB, (T, 3) m."""
    o, R = poses.origins_m, poses.rotations
    shoulders = 0.5 * (o["Rupper_arm"] + o["Lupper_arm"])
    hips = 0.5 * (o["Rthigh"] + o["Lthigh"])
    head = o["head"] + rotate(R["head"], body.points["HEAD"][1])
    parts = [(_TRUNK, shoulders + _TRUNK_AT * (hips - shoulders)), (_HEAD, head)]
    for s in "RL":
        for (start, end), (mass, at) in _LIMBS.items():
            parts.append((mass, o[s + start] + at * (o[s + end] - o[s + start])))
        heel, toe = body.points[f"{s}HEEL"][1], body.points[f"{s}TOE"][1]
        parts.append((_FOOT, o[f"{s}foot"] + rotate(R[f"{s}foot"], heel + 0.42 * (toe - heel))))
        parts.append((_HAND, o[f"{s}wrist"]))
    total = sum(m for m, _ in parts)
    return np.asarray(sum(m * p for m, p in parts) / total, dtype=np.float64)
