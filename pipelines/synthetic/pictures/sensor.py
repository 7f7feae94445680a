"""From light to eight bits: focus, exposure, fall-off, noise, gamma; and a counter burnt into the corner on request."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.lens import compiled
from labsys.core.arrays import FloatArray
from pipelines.synthetic.pictures.draws import Draws
from pipelines.synthetic.pictures.light import RGB

Picture = NDArray[np.uint8]

_LEVELS = 8192
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
    if sensor.focus_px > 0:
        light = np.asarray(cv2.GaussianBlur(light, (0, 0), sensor.focus_px), dtype=np.float32)
    out = np.empty(light.shape, np.uint8)
    scale = np.array(sensor.balance)
    expose(light, falloff, scale, np.array([sensor.read_noise**2, sensor.shot_noise]), np.uint64(seed), curve, out)
    return out


@compiled
def expose(light, falloff, balance, noise, seed, curve, out):  # type: ignore[no-untyped-def]  # compiled
    """Fill out (H, W, 3); noise: variance at black, and per unit of light.

    The noise of a pixel's three colours is cut out of one hash of its place (SplitMix64, Steele et al. 2014): sums of
    three uniform numbers of seven bits each, near enough to a normal distribution.
    """
    height, width = falloff.shape
    top = curve.size - 1
    for y in range(height):
        for x in range(width):
            h = np.uint64(seed) + np.uint64(0x9E3779B97F4A7C15) * np.uint64(y * width + x + 1)
            h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            h = h ^ (h >> np.uint64(31))
            for c in range(3):
                bits = h >> np.uint64(21 * c)
                total = (bits & np.uint64(127)) + ((bits >> np.uint64(7)) & np.uint64(127))
                total += (bits >> np.uint64(14)) & np.uint64(127)
                draw = (float(total) - 190.5) / 64.0
                value = light[y, x, c] * falloff[y, x] * balance[c]
                value += draw * np.sqrt(noise[0] + noise[1] * max(value, 0.0))
                out[y, x, c] = curve[int(min(max(value, 0.0), 1.0) * top + 0.5)]


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
