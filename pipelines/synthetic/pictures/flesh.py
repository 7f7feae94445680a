"""What a body is made of: round cones fixed to segments, whose smooth union is the skin.

Lengths are of a body of 1.75 m and follow its height; `Build` widens them. Segment axes are x forward, y up, z to the
runner's right; a blob of a limb is given for the right side and mirrored. No blob follows a real person: the figure is
a shop-window mannequin with a blank face.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from labsys.core.arrays import FloatArray
from pipelines.synthetic.anatomy import Body

_REFERENCE_HEIGHT_M = 1.75
_ROUND = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Build:
    """How stout a body is: factors on the girth of its parts, 1 is the template."""

    chest: float = 1.0
    waist: float = 1.0
    hips: float = 1.0
    thighs: float = 1.0
    calves: float = 1.0
    arms: float = 1.0
    head: float = 1.0
    bust: float = 0.0


@dataclass(frozen=True, eq=False)
class Blob:
    """A cone with round ends in a segment's axes.

    Attributes:
        start_m, end_m: (3,) m. start_radius_m, end_radius_m: at the ends.
        stretch: (3,) factors along the segment's axes; 1 is round.
    """

    segment: str
    start_m: FloatArray
    start_radius_m: float
    end_m: FloatArray
    end_radius_m: float
    stretch: FloatArray


def make_blobs(body: Body, build: Build) -> list[Blob]:
    """All blobs of a body, in the axes of its segments."""
    blobs = [*_pelvis(body, build), *_lumbar(build), *_thorax(build), *_head(build)]
    for side, sign in (("R", 1.0), ("L", -1.0)):
        for segment, start, r0, end, r1, stretch in (*_leg(body, build, side), *_shoe(), *_arm(body, build)):
            mirror = (1.0, 1.0, sign)
            ends = np.multiply(start, mirror), np.multiply(end, mirror)
            blobs.append(_blob(f"{side}{segment}", ends[0], r0, ends[1], r1, stretch))
    scale = body.height_m / _REFERENCE_HEIGHT_M
    return [_scaled(b, scale) for b in blobs]


_Row = tuple[str, tuple[float, float, float], float, tuple[float, float, float], float, tuple[float, float, float]]


def _blob(segment: str, start: object, r0: float, end: object, r1: float, stretch: object = _ROUND) -> Blob:
    return Blob(segment, np.asarray(start, float), r0, np.asarray(end, float), r1, np.asarray(stretch, float))


def _scaled(blob: Blob, scale: float) -> Blob:
    return Blob(
        blob.segment,
        scale * blob.start_m,
        scale * blob.start_radius_m,
        scale * blob.end_m,
        scale * blob.end_radius_m,
        blob.stretch,
    )


def _unscale(body: Body) -> float:
    return _REFERENCE_HEIGHT_M / body.height_m


def _pelvis(body: Body, build: Build) -> Iterator[Blob]:
    h = build.hips
    hip_z = abs(float(body.hip_m["R"][2])) * _unscale(body)
    yield _blob("pelvis", (-0.078, -0.025, -0.055), 0.076, (-0.078, -0.025, 0.055), 0.076, (1.0, 1.0, h))
    yield _blob("pelvis", (-0.072, 0.04, -0.045), 0.072, (-0.072, 0.04, 0.045), 0.072, (1.0, 1.0, build.waist))
    yield _blob("pelvis", (-0.065, -0.10, -0.03), 0.064, (-0.065, -0.10, 0.03), 0.064)
    for sign in (1.0, -1.0):
        yield _blob("pelvis", (-0.115, -0.085, sign * 0.06), 0.068 * h, (-0.11, -0.12, sign * 0.075), 0.068 * h)
        yield _blob("pelvis", (-0.06, -0.06, sign * 0.07), 0.07 * h, (-0.052, -0.09, sign * (hip_z + 0.01)), 0.07 * h)


def _lumbar(build: Build) -> Iterator[Blob]:
    w = build.waist
    wide, deep = (0.56 + 0.06 * w, 1.0, 1.0 * w), (0.60 + 0.10 * w, 1.0, 0.98 * w)
    yield _blob("lumbar", (0.030, 0.0, 0.0), 0.128, (0.028, 0.07, 0.0), 0.124, deep)
    yield _blob("lumbar", (0.028, 0.07, 0.0), 0.124, (0.020, 0.16, 0.0), 0.126, wide)


def _thorax(build: Build) -> Iterator[Blob]:
    c = build.chest
    yield _blob("thorax", (0.012, 0.02, 0.0), 0.122, (0.006, 0.14, 0.0), 0.140, (0.66, 1.0, 1.0 * c))
    yield _blob("thorax", (0.008, 0.12, 0.0), 0.140, (-0.002, 0.215, 0.0), 0.140, (0.69, 0.9, 1.04 * c))
    yield _blob("thorax", (-0.012, 0.275, -0.115), 0.050, (-0.012, 0.275, 0.115), 0.050, (1.15, 1.0, 1.0))
    for sign in (1.0, -1.0):
        yield _blob("thorax", (-0.022, 0.345, sign * 0.02), 0.044, (-0.015, 0.300, sign * 0.13), 0.032)
        yield _blob("thorax", (0.045, 0.185, sign * 0.065), 0.052, (0.03, 0.225, sign * 0.10), 0.045, (0.9, 1.0, 1.0))
        yield _blob("thorax", (-0.042, 0.255, sign * 0.06), 0.052, (-0.046, 0.14, sign * 0.08), 0.042)
        yield _blob("thorax", (-0.018, 0.27, sign * 0.03), 0.068, (-0.012, 0.20, sign * 0.09), 0.062)
        if build.bust > 0:
            size = 0.045 + 0.022 * build.bust
            yield _blob("thorax", (0.072, 0.155, sign * 0.068), size, (0.07, 0.165, sign * 0.07), size)


def _head(build: Build) -> Iterator[Blob]:
    k = build.head
    yield _blob("head", (-0.012, -0.06, 0.0), 0.056, (0.008, 0.09, 0.0), 0.052)
    yield _blob("head", (0.000, 0.158, 0.0), 0.082 * k, (0.045, 0.152, 0.0), 0.080 * k, (1.0, 1.08, 0.90))
    yield _blob("head", (0.052, 0.125, 0.0), 0.062 * k, (0.080, 0.062, 0.0), 0.034 * k, (1.0, 1.0, 0.95))
    yield _blob("head", (0.124, 0.135, 0.0), 0.008, (0.136, 0.112, 0.0), 0.012)
    for sign in (1.0, -1.0):
        yield _blob("head", (0.022, 0.140, sign * 0.074), 0.012, (0.026, 0.112, sign * 0.072), 0.009)


def _leg(body: Body, build: Build, side: str) -> Iterator[_Row]:
    thigh, shank = body.thigh_m[side] * _unscale(body), body.shank_m[side] * _unscale(body)
    t, c = build.thighs, build.calves
    yield "thigh", (-0.005, -0.015, 0.012), 0.074 * t, (0.012, -0.40 * thigh, 0.004), 0.069 * t, _ROUND
    yield "thigh", (-0.02, -0.14, -0.012), 0.066 * t, (-0.012, -0.62 * thigh, 0.0), 0.054 * t, _ROUND
    yield "thigh", (0.012, -0.40 * thigh, 0.004), 0.069 * t, (0.004, -0.93 * thigh, 0.0), 0.049, _ROUND
    yield "thigh", (0.002, -thigh, 0.0), 0.047, (0.012, -thigh - 0.012, 0.0), 0.044, _ROUND
    yield "shank", (0.0, -0.01, 0.0), 0.046, (-0.010, -0.24 * shank, 0.0), 0.045, _ROUND
    yield "shank", (-0.020, -0.20 * shank, 0.006), 0.043 * c, (-0.020, -0.38 * shank, 0.004), 0.045 * c, _ROUND
    yield "shank", (-0.016, -0.38 * shank, 0.0), 0.046 * c, (-0.004, -0.80 * shank, 0.0), 0.031, _ROUND
    yield "shank", (-0.004, -0.80 * shank, 0.0), 0.031, (0.0, -shank, 0.0), 0.033, _ROUND


def _shoe() -> Iterator[_Row]:
    floor = -0.088
    yield "foot", (-0.022, floor + 0.034, 0.0), 0.033, (0.045, floor + 0.032, 0.0), 0.031, (1.0, 1.0, 1.02)
    yield "foot", (0.045, floor + 0.031, 0.0), 0.030, (0.118, floor + 0.030, 0.0), 0.029, (1.0, 1.0, 1.40)
    yield "foot", (0.118, floor + 0.031, 0.0), 0.029, (0.152, floor + 0.040, 0.0), 0.025, (1.0, 1.0, 1.28)
    yield "foot", (-0.018, floor + 0.070, 0.0), 0.033, (0.095, floor + 0.046, 0.0), 0.027, (1.0, 1.0, 1.10)
    yield "foot", (-0.012, floor + 0.055, 0.0), 0.035, (-0.002, floor + 0.098, 0.0), 0.036, _ROUND


def _arm(body: Body, build: Build) -> Iterator[_Row]:
    upper, fore = body.upper_arm_m * _unscale(body), body.forearm_m * _unscale(body)
    a = build.arms
    yield "upper_arm", (0.0, -0.008, -0.006), 0.051 * a, (0.0, -0.09, 0.004), 0.045 * a, _ROUND
    yield "upper_arm", (0.008, -0.09, 0.0), 0.043 * a, (0.004, -0.60 * upper, 0.0), 0.040 * a, _ROUND
    yield "upper_arm", (0.0, -0.60 * upper, 0.0), 0.040 * a, (-0.004, -upper, 0.0), 0.033, _ROUND
    yield "forearm", (0.0, 0.0, 0.0), 0.033, (0.004, -0.25 * fore, 0.0), 0.037 * a, _ROUND
    yield "forearm", (0.004, -0.25 * fore, 0.0), 0.037 * a, (0.0, -fore, 0.0), 0.0245, (1.0, 1.0, 1.02)
    yield "forearm", (0.0, -fore - 0.01, 0.0), 0.024, (0.004, -fore - 0.055, 0.0), 0.033, (1.0, 1.0, 0.80)
    yield "forearm", (0.010, -fore - 0.075, -0.006), 0.030, (0.028, -fore - 0.07, -0.012), 0.024, (1.0, 1.0, 0.9)
    yield "forearm", (0.03, -fore - 0.03, -0.008), 0.012, (0.045, -fore - 0.062, -0.012), 0.010, _ROUND
