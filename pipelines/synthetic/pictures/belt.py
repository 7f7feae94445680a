"""The belt's picture: a loop of rubber with marks on it that runs against X, blurred by its way in an exposure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from calibration.lens import compiled
from pipelines.synthetic.pictures.draws import Draws
from pipelines.synthetic.pictures.room import BELT_HALF_WIDTH_M

LOOP_M = 3.456
_TEXEL_M = 0.004
_TAPS = 6


def paint_belt(draws: Draws) -> NDArray[np.float32]:
    """Albedo (along the loop, across) of a belt: dark rubber, wear, a seam, and printed marks."""
    rows, columns = round(LOOP_M / _TEXEL_M), round(2 * BELT_HALF_WIDTH_M / _TEXEL_M)
    rng = np.random.default_rng(round(draws.unit() * 2**31))
    grain = gaussian_filter(rng.standard_normal((rows, columns)), 0.8, mode="wrap") * 1.8
    blotches = gaussian_filter(rng.standard_normal((rows, columns)), (14, 9), mode="wrap") * 30.0
    wear = np.exp(-(((np.linspace(-1, 1, columns) ** 2 - 0.12) / 0.12) ** 2))
    base = draws.between(0.035, 0.085) * (1.0 + 0.16 * grain + 0.12 * blotches + 0.30 * wear)
    base[: round(0.006 / _TEXEL_M) + 1] *= 1.9
    mark = draws.between(0.25, 0.65)
    for _ in range(2 + int(draws.between(0.0, 3.0))):
        _print_mark(base, mark, draws, rng)
    edge = round(0.022 / _TEXEL_M)
    if draws.unit() < 0.6:
        dashes = (np.arange(rows) * _TEXEL_M % 0.432) < 0.216
        base[dashes, edge : edge + 3] = base[dashes, -edge - 3 : -edge] = 0.8 * mark
    return np.ascontiguousarray(np.clip(base, 0.008, 0.9), dtype=np.float32)


def _print_mark(base: NDArray[np.float64], albedo: float, draws: Draws, rng: np.random.Generator) -> None:
    """A block of bars and letters-like cells somewhere on the loop."""
    rows, columns = base.shape
    cell = 2 + int(draws.between(0.0, 4.0))
    pattern = np.kron(rng.random((9, 18)) > 0.45, np.ones((cell, cell))) > 0
    at = int(draws.unit() * rows), int(draws.unit() * max(columns - pattern.shape[1], 1))
    where = (np.arange(pattern.shape[0]) + at[0]) % rows
    width = min(pattern.shape[1], columns - at[1])
    patch = base[where, at[1] : at[1] + width]
    base[where, at[1] : at[1] + width] = np.where(pattern[:, :width], albedo * (0.85 + 3 * patch), patch)


@compiled
def lay_belt(belt, texture, travel_m, blur_m, share_of_shadow, ground):  # type: ignore[no-untyped-def]  # compiled
    """Add the belt to a picture of all else.

    Args:
        belt: (N, 11) of every pixel that shows it: row, column, share, X, Z, extent along X in m, light (3), extent
            along Z, place in `share_of_shadow`.
        texture: (along, across). travel_m: how far the belt ran. blur_m: how far it runs in the exposure.
        share_of_shadow: (M,) what is left of the light at every ground pixel. ground: (H, W, 3) gains the belt.
    """
    rows, columns = texture.shape[0], texture.shape[1]
    ran = (travel_m % LOOP_M) / _TEXEL_M - 0.5
    for i in range(belt.shape[0]):
        y, x = int(belt[i, 0]), int(belt[i, 1])
        step = (belt[i, 5] + blur_m) / (_TAPS * _TEXEL_M)
        across = (belt[i, 4] + BELT_HALF_WIDTH_M) / _TEXEL_M - 0.5
        j0 = min(max(int(np.floor(across)), 0), columns - 2)
        sj = min(max(across - j0, 0.0), 1.0)
        left = share_of_shadow[int(belt[i, 10])] * belt[i, 2] / _TAPS
        albedo = 0.0
        along = belt[i, 3] / _TEXEL_M + ran - 0.5 * (_TAPS - 1) * step
        for _ in range(_TAPS):
            i0 = int(np.floor(along))
            si = along - i0
            along += step
            a = i0 % rows if i0 < 0 or i0 >= 2 * rows else (i0 - rows if i0 >= rows else i0)
            b = a + 1 if a + 1 < rows else 0
            near = texture[a, j0] + sj * (texture[a, j0 + 1] - texture[a, j0])
            far = texture[b, j0] + sj * (texture[b, j0 + 1] - texture[b, j0])
            albedo += near + si * (far - near)
        for k in range(3):
            ground[y, x, k] += left * belt[i, 6 + k] * albedo
