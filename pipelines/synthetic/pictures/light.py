"""Light in the room: a panel under the ceiling that casts shadows, a soft fill, and light from all round."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from calibration.lens import compiled, compiled_part
from labsys.core.arrays import FloatArray

RGB = tuple[float, float, float]
_FALL_M = 2.6  # distance from the panel at which its light counts once


@dataclass(frozen=True)
class Light:
    """What lights the room; strengths are linear RGB, 1 lights white paper fully.

    Attributes:
        panel_m: middle of the panel in LAB. panel_half_m: half of its extent along X and Z.
        fill_from: direction to the fill, any length.
        sky, ground: light from above and from below.
    """

    panel_m: tuple[float, float, float]
    panel_half_m: tuple[float, float]
    panel: RGB
    fill_from: tuple[float, float, float]
    fill: RGB
    sky: RGB
    ground: RGB


class PackedLight(NamedTuple):
    """A light as arrays for the compiled functions."""

    panel_m: FloatArray
    half_m: FloatArray
    panel: FloatArray
    fill_from: FloatArray
    fill: FloatArray
    sky: FloatArray
    ground: FloatArray


def pack_light(light: Light) -> PackedLight:
    """A light as arrays."""
    fill_from = np.array(light.fill_from)
    return PackedLight(
        np.array(light.panel_m),
        np.array(light.panel_half_m),
        np.array(light.panel),
        fill_from / np.linalg.norm(fill_from),
        np.array(light.fill),
        np.array(light.sky),
        np.array(light.ground),
    )


@compiled_part
def shade_point(point, normal, light, lit, out):  # type: ignore[no-untyped-def]  # compiled
    """Fill out (3,) with the light on a matt surface at `point`; `lit` is the share of the panel that it sees."""
    dx, dy, dz = light.panel_m[0] - point[0], light.panel_m[1] - point[1], light.panel_m[2] - point[2]
    far = np.sqrt(dx * dx + dy * dy + dz * dz)
    facing = (normal[0] * dx + normal[1] * dy + normal[2] * dz) / far
    # A panel has an extent: surfaces that just turn away from its middle still get some light.
    facing = max(0.0, 0.85 * facing + 0.15 * (0.5 + 0.5 * facing))
    panel = lit * facing * (_FALL_M / (0.35 * _FALL_M + 0.65 * far))
    side = normal[0] * light.fill_from[0] + normal[1] * light.fill_from[1] + normal[2] * light.fill_from[2]
    fill = max(0.0, 0.4 + 0.6 * side) ** 1.5
    up = 0.5 + 0.5 * normal[1]
    for c in range(3):
        around = up * light.sky[c] + (1.0 - up) * light.ground[c]
        out[c] = panel * light.panel[c] + fill * light.fill[c] + around


@compiled
def shade_vertices(points_m, normals, lit, light, out):  # type: ignore[no-untyped-def]  # compiled
    """Fill out (V, 3) with the light on every vertex."""
    for i in range(points_m.shape[0]):
        shade_point(points_m[i], normals[i], light, lit[i], out[i])
