"""From light to eight bits: focus, exposure, fall-off, noise, gamma; and a counter burnt into the corner on request."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.lens import compiled
from labsys.core.arrays import FloatArray
from pipelines.synthetic.pictures.draws import Draws
from pipelines.synthetic.pictures.light import RGB
from pipelines.synthetic.pictures.raster import Box, grow_box, whole_box

Picture = NDArray[np.uint8]

_LEVELS = 8192
_GRAINS = 2**17
_GAMMA = 2.2
COUNTER_BITS, COUNTER_BLOCK_PX = 16, 8


@dataclass(frozen=True)
class Sensor:
    """How one camera turns light into numbers.

    Attributes:
        gain: picture value of white paper in full light, 1 saturates. balance: factors of red, green, blue.
        focus_px: standard deviation of the lens's blur. falloff: light lost in the corners, share.
        read_noise, shot_noise: standard deviation at black, and its square per unit of light; linear units.
    """

    gain: float = 0.75
    balance: RGB = (1.0, 1.0, 1.0)
    focus_px: float = 0.5
    falloff: float = 0.15
    read_noise: float = 0.004
    shot_noise: float = 0.00012


NOISELESS = Sensor(falloff=0.0, read_noise=0.0, shot_noise=0.0, focus_px=0.0)


def draw_sensor(draws: Draws) -> Sensor:
    """A camera's settings, somewhat different for every one."""
    balance = draws.colour(0.12)
    return Sensor(
        gain=draws.between(0.78, 1.15),
        balance=balance,
        focus_px=draws.between(0.40, 0.80),
        falloff=draws.between(0.05, 0.30),
        read_noise=draws.between(0.0015, 0.006),
        shot_noise=draws.between(0.00004, 0.00022),
    )


def make_falloff(sensor: Sensor, size_px: tuple[int, int]) -> NDArray[np.float32]:
    """Factor (H, W) on the light of every pixel: gain, and less in the corners."""
    x, y = (np.linspace(-1, 1, n) for n in size_px)
    return np.asarray(sensor.gain * (1.0 - sensor.falloff * 0.5 * (x[None] ** 2 + y[:, None] ** 2)), dtype=np.float32)


def make_curve() -> Picture:
    """Eight bits for every level of linear light."""
    return np.round(255.0 * (np.arange(_LEVELS) / (_LEVELS - 1)) ** (1.0 / _GAMMA)).astype(np.uint8)


def develop(
    light: NDArray[np.float32], sensor: Sensor, falloff: NDArray[np.float32], curve: Picture, *, seed: int
) -> Picture:
    """A picture (H, W, 3) RGB from linear light (H, W, 3); the same seed gives the same noise."""
    values = np.empty(light.shape, np.float32)
    focus(light, sensor, falloff, whole_box(light), values)
    return read_out(values, sensor, curve, seed=seed)


def focus(
    light: NDArray[np.float32], sensor: Sensor, falloff: NDArray[np.float32], box: Box, values: NDArray[np.float32]
) -> Box:
    """Bring a part of linear light (H, W, 3) through the lens: what falls on the sensor, before noise.

    Fills `values` (H, W, 3) as far as the lens spreads the light of that part, and returns how far that is.
    """
    reach = lens_reach_px(sensor)
    near, wide = grow_box(box, reach, light), grow_box(box, 2 * reach, light)
    if near[0] >= near[2] or near[1] >= near[3]:
        return near
    seen = np.ascontiguousarray(light[wide[1] : wide[3], wide[0] : wide[2]])
    if sensor.focus_px > 0:
        seen = np.asarray(cv2.GaussianBlur(seen, (0, 0), sensor.focus_px), dtype=np.float32)
    weigh(seen, wide, falloff, np.array(sensor.balance, dtype=np.float32), near, values)
    return near


def lens_reach_px(sensor: Sensor) -> int:
    """How far the lens spreads light, px: as far as OpenCV's kernel of that blur reaches."""
    return math.ceil(4.0 * sensor.focus_px) + 1 if sensor.focus_px > 0 else 0


def read_out(values: NDArray[np.float32], sensor: Sensor, curve: Picture, *, seed: int) -> Picture:
    """A picture (H, W, 3) RGB of what falls on the sensor (H, W, 3), with its noise."""
    height, width, _ = values.shape
    out = np.empty(values.shape, np.uint8)
    noise = np.array([sensor.read_noise**2, sensor.shot_noise], dtype=np.float32)
    expose(
        values.reshape(height, 3 * width),
        noise,
        _grain(max(_GRAINS, 12 * width)),
        np.uint64(seed),
        curve,
        out.reshape(height, 3 * width),
    )
    return out


@cache
def _grain(count: int) -> NDArray[np.float32]:
    """Normal numbers that the noise of every row is a piece of: drawing them anew costs more than all other light."""
    return np.random.default_rng(41).standard_normal(count, dtype=np.float32)


@compiled
def weigh(light, wide, falloff, balance, box, out):  # type: ignore[no-untyped-def]  # compiled
    """Fill a part of out (H, W, 3) with the light of the part `wide`, times fall-off (H, W) and balance (3,)."""
    for y in range(box[1], box[3]):
        for x in range(box[0], box[2]):
            for c in range(3):
                out[y, x, c] = light[y - wide[1], x - wide[0], c] * falloff[y, x] * balance[c]


@compiled
def expose(values, noise, grain, seed, curve, out):  # type: ignore[no-untyped-def]  # compiled
    """Fill out (H, N) from values (H, N); noise: variance at black, and per unit of light.

    A row's noise is a piece of `grain` (G,) from a place that its number and the seed are hashed to (SplitMix64, Steele
    et al. 2014).
    """
    height, width = values.shape
    top, half = np.float32(curve.size - 1), np.float32(0.5)
    zero, one = np.float32(0.0), np.float32(1.0)
    level = np.empty(width, np.int32)
    for y in range(height):
        h = np.uint64(seed) + np.uint64(0x9E3779B97F4A7C15) * np.uint64(y + 1)
        h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        h = h ^ (h >> np.uint64(31))
        begin = np.int64(h % np.uint64(grain.size - width + 1))
        draw, row = grain[begin : begin + width], values[y]
        for i in range(width):
            value = row[i] + draw[i] * np.sqrt(noise[0] + noise[1] * max(row[i], zero))
            level[i] = np.int32(min(max(value, zero), one) * top + half)
        for i in range(width):
            out[y, i] = curve[level[i]]


def burn_counter(picture: Picture, number: int) -> None:
    """Write a number into the upper left corner: a row of black and white blocks, highest bit first."""
    for i in range(COUNTER_BITS):
        bit = number >> (COUNTER_BITS - 1 - i) & 1
        picture[:COUNTER_BLOCK_PX, i * COUNTER_BLOCK_PX : (i + 1) * COUNTER_BLOCK_PX] = 255 * bit


def read_counter(picture: NDArray[np.uint8]) -> int:
    """The number that `burn_counter` wrote into a picture (H, W) or (H, W, 3)."""
    strip = picture[:COUNTER_BLOCK_PX, : COUNTER_BITS * COUNTER_BLOCK_PX].astype(np.float64)
    grey = strip.reshape(COUNTER_BLOCK_PX, COUNTER_BITS, COUNTER_BLOCK_PX, -1).mean(axis=(0, 2, 3))
    return int("".join("1" if g > 127 else "0" for g in grey), 2)


def white_level(sensor: Sensor) -> FloatArray:
    """Linear value (3,) of white paper in full light, in the middle of the picture."""
    return sensor.gain * np.array(sensor.balance)
