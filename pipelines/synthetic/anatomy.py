"""A body: segment lengths, and landmarks as points fixed to segments.

Lengths follow body height (Drillis & Contini 1966, as tabulated by Winter, "Biomechanics and Motor Control of Human
Movement"); hip centres follow Harrington 2007 (10.1016/j.jbiomech.2006.02.003) and then, in a DEVIATING body, leave it.
Every segment has axes x forward, y up, z to the runner's right in neutral stance. Pelvis origin: midpoint of the ASIS.
Other origins: lumbar at L5/S1, thorax at T12/L1, head at the neck, thigh at the hip, shank at the knee, foot at the
ankle, arms at shoulder and elbow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from labsys.core.arrays import FloatArray
from labsys.core.skeleton import LABSYS_RUN_37
from pipelines.synthetic.parameters import Anatomy

# Tilt of the ASIS-PSIS plane of the body in quiet stance, rad (raw; the reported zero is the subject's own stance).
STANDING_TILT_RAD = math.radians(11.0)
_REFERENCE_HEIGHT_M = 1.75
_SIGN = {"R": 1.0, "L": -1.0}


@dataclass(frozen=True)
class Sole:
    """Profile of a shoe in the foot's sagittal plane: an arc at the heel, a flat part, an arc at the toes.

    Attributes:
        ankle_height_m: ankle centre above the flat part.
        heel_x_m, ball_x_m: ends of the flat part, forward of the ankle.
        heel_radius_m, toe_radius_m: radii of the arcs that continue it tangentially.
    """

    ankle_height_m: float
    heel_x_m: float
    ball_x_m: float
    heel_radius_m: float
    toe_radius_m: float


@dataclass(frozen=True, eq=False)
class Body:
    """Segment geometry and where landmarks sit.

    Attributes:
        points: landmark -> (segment, (3,) m in that segment's axes).
        hip_m: "R", "L" -> hip centre in the pelvis, (3,) m.
        lumbar_base_m: L5/S1 in the pelvis. lumbar_length_m: L5/S1 to T12/L1. neck_m: neck in the thorax.
        shoulder_m: "R", "L" -> shoulder centre in the thorax.
        thigh_m, shank_m, upper_arm_m, forearm_m: lengths, right and left alike but for a DEVIATING body.
    """

    points: Mapping[str, tuple[str, FloatArray]]
    hip_m: Mapping[str, FloatArray]
    lumbar_base_m: FloatArray
    lumbar_length_m: float
    neck_m: FloatArray
    shoulder_m: Mapping[str, FloatArray]
    thigh_m: Mapping[str, float]
    shank_m: Mapping[str, float]
    upper_arm_m: float
    forearm_m: float
    sole: Sole
    height_m: float

    @property
    def mid_hip_m(self) -> FloatArray:
        """Midpoint of the hip centres in the pelvis, (3,) m."""
        return np.asarray(0.5 * (self.hip_m["R"] + self.hip_m["L"]))


@lru_cache(maxsize=64)
def make_body(height_m: float, anatomy: Anatomy, seed: int) -> Body:
    """A body of this height; a DEVIATING one differs by seed in proportions, joint centres and landmarks."""
    rng = np.random.default_rng([seed, 11])
    spread = 0.0 if anatomy is Anatomy.REGRESSION else 1.0
    scale = height_m / _REFERENCE_HEIGHT_M
    leg = _leg_lengths(height_m, rng, spread)
    common = 1.0 + spread * 0.02 * rng.standard_normal(4)
    points = _axial_points(scale, pelvis_width_m=0.24 * common[0], pelvis_depth_m=0.15 * common[1])
    hips = {s: _harrington_hip_m(points, s, leg[s], scale) for s in "RL"}
    for s in "RL":
        points |= _leg_points(s, scale, hips[s])
    points |= _arm_points(scale)
    hip_scatter_m = np.array([0.008, 0.006, 0.005])
    hips = {s: h + spread * hip_scatter_m * rng.standard_normal(3) for s, h in hips.items()}
    return Body(
        points={n: (g, p + spread * _scatter_m(n) * rng.standard_normal(3)) for n, (g, p) in points.items()},
        hip_m=hips,
        lumbar_base_m=scale * np.array([-0.095, 0.02, 0.0]),
        lumbar_length_m=scale * 0.16 * common[2],
        neck_m=scale * np.array([-0.02, 0.37, 0.0]),
        shoulder_m={s: scale * np.array([-0.01, 0.295, 0.175 * _SIGN[s] * common[3]]) for s in "RL"},
        thigh_m={s: leg[s][0] for s in "RL"},
        shank_m={s: leg[s][1] for s in "RL"},
        upper_arm_m=0.186 * height_m,
        forearm_m=0.146 * height_m,
        sole=make_sole(scale),
        height_m=height_m,
    )


def make_sole(scale: float) -> Sole:
    """A running shoe of 27 cm for a body of 1.75 m."""
    return Sole(0.088 * scale, -0.04 * scale, 0.115 * scale, 0.035 * scale, 0.078 * scale)


def place_stickers(visit_seed: int) -> dict[str, FloatArray]:
    """Offset of every sticker from its landmark in segment axes, 3-8 mm in a random direction, drawn per visit."""
    rng = np.random.default_rng([visit_seed, 23])
    directions = rng.standard_normal((len(LABSYS_RUN_37.landmarks), 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    lengths = rng.uniform(0.003, 0.008, len(directions))
    return dict(zip(LABSYS_RUN_37.landmarks, directions * lengths[:, None], strict=True))


def _leg_lengths(height_m: float, rng: np.random.Generator, spread: float) -> dict[str, tuple[float, float]]:
    """Thigh and shank of both legs: proportions differ between people, lengths by a few millimetres between legs."""
    thigh = 0.245 * height_m * (1.0 + 0.015 * spread * rng.standard_normal())
    shank = 0.246 * height_m * (1.0 + 0.015 * spread * rng.standard_normal())
    uneven = 0.0015 * spread * rng.standard_normal((2, 2))
    return {s: (thigh + float(uneven[i, 0]), shank + float(uneven[i, 1])) for i, s in enumerate("RL")}


def _axial_points(scale: float, pelvis_width_m: float, pelvis_depth_m: float) -> dict[str, tuple[str, FloatArray]]:
    width, depth = pelvis_width_m * scale, pelvis_depth_m * scale

    def at(segment: str, x: float, y: float, z: float = 0.0) -> tuple[str, FloatArray]:
        return segment, scale * np.array([x, y, z])

    return {
        "RASIS": ("pelvis", np.array([0.0, 0.0, width / 2])),
        "LASIS": ("pelvis", np.array([0.0, 0.0, -width / 2])),
        "RPSIS": ("pelvis", np.array([-depth, 0.0, 0.046 * scale])),
        "LPSIS": ("pelvis", np.array([-depth, 0.0, -0.046 * scale])),
        "S3": ("pelvis", np.array([-depth - 0.012 * scale, -0.045 * scale, 0.0])),
        "L5": at("lumbar", -0.062, 0.012), "L3": at("lumbar", -0.052, 0.085), "L1": at("lumbar", -0.062, 0.158),
        "T10": at("thorax", -0.075, 0.07), "XP": at("thorax", 0.090, 0.05),
        "C7": at("thorax", -0.045, 0.36), "IJ": at("thorax", 0.060, 0.29),
        "RAC": at("thorax", -0.01, 0.325, 0.19), "LAC": at("thorax", -0.01, 0.325, -0.19),
        "HEAD": at("head", 0.03, 0.13),
    }  # fmt: skip


def _harrington_hip_m(
    points: Mapping[str, tuple[str, FloatArray]], side: str, leg_m: tuple[float, float], scale: float
) -> FloatArray:
    """Hip centre in the pelvis by Harrington's three-predictor regression, leg length taken in quiet stance."""
    sign = _SIGN[side]
    width = float(points["RASIS"][1][2] - points["LASIS"][1][2]) * 1000.0
    depth = float(-points["RPSIS"][1][0]) * 1000.0
    hip = np.array([-0.05, -0.08, 0.09 * sign])
    # The leg length depends on the hip centre and the hip centre on the leg length: a contraction by 0.04.
    for _ in range(12):
        asis = points[f"{side}ASIS"][1] - hip
        tilt = STANDING_TILT_RAD
        asis_lab = np.array([math.cos(tilt) * asis[0] + math.sin(tilt) * asis[1],
                             -math.sin(tilt) * asis[0] + math.cos(tilt) * asis[1], asis[2]])  # fmt: skip
        malleolus = np.array([0.0, -sum(leg_m), -0.037 * scale * sign])
        leg = float(np.linalg.norm(asis_lab - malleolus)) * 1000.0
        hip = np.array(
            [-0.24 * depth - 9.9, -0.16 * width - 0.04 * leg - 7.1, sign * (0.28 * depth + 0.16 * width + 7.9)]
        )
        hip /= 1000.0
    return hip


def _leg_points(side: str, scale: float, hip_m: FloatArray) -> dict[str, tuple[str, FloatArray]]:
    s = _SIGN[side]
    floor = -make_sole(scale).ankle_height_m
    ankle, knee = 0.037 * scale * s, 0.05 * scale * s
    foot = {
        "HEEL": (-0.055, 0.03, 0.0), "MT5": (0.105, 0.03, 0.042 * s), "MT1": (0.125, 0.03, -0.042 * s),
        "TOE": (0.180, 0.042, 0.0),
    }  # fmt: skip
    points = {n: ("foot", np.array([x * scale, floor + y * scale, z * scale])) for n, (x, y, z) in foot.items()}
    points |= {
        "GT": ("thigh", np.array([0.0, -0.005 * scale, s * abs(float(hip_m[2]))])),
        "LFE": ("knee", np.array([0.0, 0.0, knee])), "MFE": ("knee", np.array([0.0, 0.0, -knee])),
        "LM": ("ankle", np.array([0.0, 0.0, ankle])), "MM": ("ankle", np.array([0.0, 0.0, -ankle])),
    }  # fmt: skip
    return {side + name: (side + segment, point) for name, (segment, point) in points.items()}


def _arm_points(scale: float) -> dict[str, tuple[str, FloatArray]]:
    points: dict[str, tuple[str, FloatArray]] = {}
    for side, s in _SIGN.items():
        points[f"{side}ELB"] = (f"{side}elbow", scale * np.array([0.0, 0.0, 0.035 * s]))
        points[f"{side}WRI"] = (f"{side}wrist", scale * np.array([0.0, 0.0, 0.028 * s]))
    return points


def _scatter_m(landmark: str) -> float:
    """How far a landmark of a real body sits from its template, per axis: more where bone is under soft tissue."""
    return 0.006 if landmark.endswith("GT") else 0.004
