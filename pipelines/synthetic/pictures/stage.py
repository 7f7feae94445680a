"""One camera's view of the room, drawn once: colours, depth, where the belt shows, where shadows may fall."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labsys.core.arrays import FloatArray
from labsys.core.cameras import Camera
from pipelines.synthetic.pictures.light import Light, PackedLight, pack_light
from pipelines.synthetic.pictures.raster import Floats32
from pipelines.synthetic.pictures.raycast import cast_room, pixel_rays
from pipelines.synthetic.pictures.room import FLOOR_M, Room, pack_room
from pipelines.synthetic.pictures.sensor import Sensor, make_falloff
from pipelines.synthetic.pictures.shadows import lay_on_belt

# Where within a pixel the samples of a moving picture lie, in the order of the exposure: each row and each column of
# eighths has one, and places go with the moments as little as four can, or blur would come out too long or too short.
SHIFTS_PX = np.array([[-0.125, 0.375], [0.375, -0.375], [-0.375, -0.125], [0.125, 0.125]])
STILL_SAMPLES = 8
_HIGHEST_SHADOW_M = 0.03


@dataclass(frozen=True, eq=False)
class Stage:
    """What a camera sees when nothing moves.

    Attributes:
        still: (H, W, 3) linear light of all but the belt. depth: (S, H, W) m, one for every shift of a sample.
        belt: (N, 11), see `belt.lay_belt`.
        ground: (M, 2) row and column of pixels that shadows may reach; ground_map: (M, 2) their place in the shadow
            map; ground_share: the lamp's share of their light.
        rays: (H, W, 3), see `raycast.pixel_rays`.
    """

    camera: Camera
    light: PackedLight
    sensor: Sensor
    falloff: NDArray[np.float32]
    still: Floats32
    depth: Floats32
    belt: FloatArray
    ground: NDArray[np.int32]
    ground_map: Floats32
    ground_share: float
    rays: Floats32


def set_stage(camera: Camera, room: Room, light: Light, sensor: Sensor, *, samples: int = STILL_SAMPLES) -> Stage:
    """Draw the room for one camera; `samples` of every pixel, as many as `SHIFTS_PX` or more."""
    width, height = camera.intrinsics.size_px
    packed, lamp = pack_room(room), pack_light(light)
    colour = np.zeros((height, width, 3), np.float32)
    belt = np.zeros((height, width, 6), np.float32)
    depths = []
    spread = _spread(samples)
    for number, shift in enumerate([*SHIFTS_PX, *spread[len(SHIFTS_PX) :]]):
        depth = np.zeros((height, width), np.float32)
        rays = pixel_rays(camera, shift)
        cast_room(camera.centre_lab_m, rays, packed, lamp, number, colour, belt, depth)
        if number < len(SHIFTS_PX):
            depths.append(depth)
    rays = pixel_rays(camera, np.zeros(2))
    points = camera.centre_lab_m + rays * np.mean(depths, axis=0)[..., None]
    low = np.isfinite(points[..., 1]) & (points[..., 1] < _HIGHEST_SHADOW_M) & (points[..., 1] > FLOOR_M - 0.1)
    ground = np.argwhere(low).astype(np.int32)
    thrown = lay_on_belt(points[low], lamp.panel_m)
    return Stage(
        camera,
        lamp,
        sensor,
        make_falloff(sensor, (width, height)),
        colour / np.float32(samples),
        np.stack(depths),
        _list_belt(belt, ground, samples),
        ground,
        thrown[:, :2].astype(np.float32),
        _lamp_share(light),
        rays.astype(np.float32),
    )


def _spread(count: int) -> FloatArray:
    """Places (count, 2) within a pixel that leave no large gap (the R2 sequence of Roberts 2018)."""
    step = np.array([0.7548776662466927, 0.5698402909980532])
    return np.asarray((0.5 + np.arange(1, count + 1)[:, None] * step) % 1.0 - 0.5)


def _lamp_share(light: Light) -> float:
    """The lamp's share of the light on something flat under it."""
    lamp, rest = sum(light.panel), sum(light.sky) + 0.4**1.5 * sum(light.fill)
    return float(0.9 * lamp / (lamp + rest))


def _list_belt(belt: Floats32, ground: NDArray[np.int32], samples: int) -> FloatArray:
    """Pixels that show the belt, as `belt.lay_belt` reads them."""
    shown = belt[..., 0] > 0
    number = np.zeros(shown.shape, dtype=np.int64)
    number[tuple(ground.T)] = np.arange(len(ground))
    x = np.where(shown, belt[..., 1] / np.maximum(belt[..., 0], 1), np.nan)
    # How far one pixel reaches along the belt: the step to its neighbours, at the edge that of the rest.
    step = np.stack([np.abs(np.gradient(x, axis=a)) for a in (0, 1)])
    extent = np.nan_to_num(np.nan_to_num(step).sum(axis=0))
    rows, columns = np.nonzero(shown)
    count = belt[shown, 0].astype(np.float64)
    extent_m = extent[shown] if len(rows) else np.zeros(0)
    return np.column_stack([
        rows, columns, count / samples, x[shown], belt[shown, 2] / count, np.minimum(extent_m, 0.08),
        belt[shown, 3:] / count[:, None], np.zeros(len(rows)), number[shown],
    ])  # fmt: skip
