"""Directions, axes and what a segment, a point and a bend are: the words that segments are built from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labsys.biomechanics.points import BodyPoints
from labsys.core.arrays import FloatArray


@dataclass(frozen=True, eq=False)
class Segment:
    """Orientation of one segment: rotation (T, 3, 3) segment to LAB, NaN where unknown; `reason` if always unknown."""

    rotation: FloatArray
    reason: str | None = None


@dataclass(frozen=True, eq=False)
class Track:
    """A point over time (T, 3) m in LAB, NaN where unknown; `reason` if always unknown."""

    position_m: FloatArray
    reason: str | None = None


@dataclass(frozen=True, eq=False)
class Bend:
    """An angle within a segment (T,) rad, NaN where unknown; `reason` if always unknown."""

    angle_rad: FloatArray
    reason: str | None = None


def unit(v: FloatArray) -> FloatArray:
    """Unit vectors of v (..., 3); NaN where the length is zero."""
    # Summed by columns: over an axis of three numpy's own norm takes several times as long, for the same last digit.
    x, y, z = v[..., 0], v[..., 1], v[..., 2]
    length = np.sqrt(x * x + y * y + z * z)[..., None]
    return np.asarray(np.divide(v, length, out=np.full_like(v, np.nan), where=length > 0))


def cross(a: FloatArray, b: FloatArray) -> FloatArray:
    """Vector product of (T, 3) and (T, 3); numpy's own takes ten times as long on the few frames of a draw."""
    out = np.empty_like(a)
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        np.multiply(a[..., j], b[..., k], out=out[..., i])
        out[..., i] -= a[..., k] * b[..., j]
    return out


def mid(*tracks: FloatArray) -> FloatArray:
    """Midpoint of tracks."""
    return np.asarray(sum(tracks) / len(tracks), dtype=np.float64)


def axes_from_up(up: FloatArray, right: FloatArray) -> FloatArray:
    """Segment axes (T, 3, 3) from its y axis (exact) and an approximate right-pointing vector."""
    y = unit(up)
    x = unit(cross(y, right))
    return np.stack([x, y, cross(x, y)], axis=-1)


def no_track(points: BodyPoints, reason: str) -> Track:
    """A point that the trial cannot give, and why."""
    return Track(np.full((points.times_s.size, 3), np.nan), reason)


def no_segment(points: BodyPoints, reason: str) -> Segment:
    """A segment that the trial cannot give, and why."""
    return Segment(np.full((points.times_s.size, 3, 3), np.nan), reason)
