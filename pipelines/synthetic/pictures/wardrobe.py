"""What a body wears: colours and patterns drawn by seed, painted on tiles that wrap round its parts.

A tile's columns run once round the part (0 in front; the left side is painted as the right one is), its rows run along
it. Sides look alike and stickers look alike: no colour tells a landmark's name or side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from labsys.core.arrays import FloatArray
from pipelines.synthetic.pictures.draws import Draws
from pipelines.synthetic.pictures.flesh import Build
from pipelines.synthetic.pictures.light import RGB

TILE_PX = 192


class Part(IntEnum):
    """Tiles of the atlas."""

    TRUNK = 0
    HEAD = 1
    ARM = 2
    LEG = 3
    SHOE = 4
    STICKER = 5


# Rows of a tile: what 0 and 1 mean, see `tailor`. Trunk: metres from the ASIS up; leg: 0 hip, 1 knee, 2 ankle;
# arm: 0 shoulder, 1 elbow, 2 wrist; head: metres from the neck up; shoe: metres from the sole up.
SPAN: dict[Part, tuple[float, float]] = {
    Part.TRUNK: (-0.30, 0.66), Part.HEAD: (-0.12, 0.32), Part.ARM: (-0.3, 2.7), Part.LEG: (-0.3, 2.3),
    Part.SHOE: (-0.01, 0.16), Part.STICKER: (0.0, 1.0),
}  # fmt: skip


class Top(IntEnum):
    """What covers the chest; the lower back stays bare or wears something tight that carries the stickers."""

    NONE = 0
    CROP = 1
    SINGLET = 2


@dataclass(frozen=True)
class Look:
    """How one runner looks. Lengths: shorts and sleeves as rows of leg and arm, socks as a row of the leg."""

    build: Build
    skin: RGB
    hair: RGB
    hairline: float
    top: Top
    top_colour: RGB
    top_second: RGB
    sleeve: float
    shorts: RGB
    shorts_second: RGB
    shorts_length: float
    stripe: bool
    sock: RGB
    sock_top: float
    shoe: RGB
    shoe_second: RGB
    sole: RGB
    sticker: RGB
    sticker_m: float
    weave: int


# Ends of a scale of skin tones, linear light; every tone between them occurs.
_SKIN_LIGHT, _SKIN_DARK = np.array([0.80, 0.56, 0.44]), np.array([0.085, 0.045, 0.028])


def draw_look(draws: Draws) -> Look:
    """A runner's build, skin and clothing."""
    girth = draws.between(0.92, 1.14)
    bust = max(0.0, draws.between(-1.0, 1.0))
    build = Build(
        chest=girth * draws.between(0.94, 1.06),
        waist=girth * draws.between(0.90, 1.10),
        hips=girth * draws.between(0.96, 1.08),
        thighs=girth * draws.between(0.94, 1.08),
        calves=draws.between(0.90, 1.12),
        arms=girth * draws.between(0.88, 1.12),
        head=draws.between(0.95, 1.05),
        bust=bust,
    )
    skin = np.exp(np.log(_SKIN_LIGHT) + draws.unit() * (np.log(_SKIN_DARK) - np.log(_SKIN_LIGHT)))
    bare = bust == 0.0
    return Look(
        build=build,
        skin=(float(skin[0]), float(skin[1]), float(skin[2])),
        hair=_dye(draws, 0.02, 0.35, 0.7),
        hairline=draws.between(0.5, 1.6),
        top=draws.choose((Top.NONE, Top.CROP, Top.SINGLET) if bare else (Top.CROP, Top.SINGLET)),
        top_colour=_dye(draws, 0.03, 0.75, 0.95),
        top_second=_dye(draws, 0.03, 0.75, 0.95),
        sleeve=draws.choose((-0.3, -0.3, 0.0, 0.35)) + draws.between(0.0, 0.2),
        shorts=_dye(draws, 0.02, 0.5, 0.95),
        shorts_second=_dye(draws, 0.03, 0.75, 0.95),
        shorts_length=draws.choose((0.25, 0.45, 0.6, 0.9, 1.75)) + draws.between(0.0, 0.2),
        stripe=draws.unit() < 0.5,
        sock=_dye(draws, 0.04, 0.85, 0.6),
        sock_top=draws.choose((1.9, 1.78, 1.3)) + draws.between(-0.08, 0.05),
        shoe=_dye(draws, 0.03, 0.85, 1.0),
        shoe_second=_dye(draws, 0.03, 0.85, 1.0),
        sole=_dye(draws, 0.3, 0.85, 0.3),
        sticker=_dye(draws, 0.75, 0.95, 0.5),
        sticker_m=draws.between(0.0060, 0.0085),
        weave=int(draws.unit() * 2**31),
    )


def _dye(draws: Draws, dark: float, light: float, strength: float) -> RGB:
    value = dark * (light / dark) ** draws.unit()
    r, g, b = draws.colour(strength)
    return value * r, value * g, value * b


def paint(look: Look) -> NDArray[np.float32]:
    """The atlas (6, 192, 192, 3) of linear colours."""
    rng = np.random.default_rng(look.weave)
    tiles = [
        _paint_trunk(look, rng), _paint_head(look, rng), _paint_arm(look, rng), _paint_leg(look, rng),
        _paint_shoe(look, rng), np.full((TILE_PX, TILE_PX, 3), look.sticker),
    ]  # fmt: skip
    return np.ascontiguousarray(np.clip(np.stack(tiles), 0.0, 1.0), dtype=np.float32)


def _grid(part: Part) -> tuple[FloatArray, FloatArray]:
    """Rows (N, 1) in the part's own measure and columns (1, N) as angles from the front, rad."""
    low, high = SPAN[part]
    rows = low + (high - low) * (np.arange(TILE_PX) + 0.5) / TILE_PX
    angle = 2 * math.pi * np.arange(TILE_PX) / TILE_PX
    return rows[:, None], ((angle + math.pi) % (2 * math.pi) - math.pi)[None]


def _fabric(colour: RGB, rng: np.random.Generator, *, wrinkle: float = 0.10, weave: float = 0.06) -> FloatArray:
    """Cloth: colour with a weave and soft folds."""
    fine = rng.standard_normal((TILE_PX, TILE_PX))
    folds = gaussian_filter(rng.standard_normal((TILE_PX, TILE_PX)), (9.0, 4.0), mode="wrap") * 21.0
    return np.asarray((1.0 + weave * fine + wrinkle * folds)[..., None] * np.array(colour))


def _flesh(look: Look, rng: np.random.Generator) -> FloatArray:
    mottle = gaussian_filter(rng.standard_normal((TILE_PX, TILE_PX)), 6.0, mode="wrap") * 21.0
    return np.asarray((1.0 + 0.03 * mottle)[..., None] * np.array(look.skin))


def _lay(tile: FloatArray, where: NDArray[np.bool_], cloth: FloatArray) -> None:
    where = np.broadcast_to(where, tile.shape[:2])
    tile[where] = cloth[where]


def _paint_trunk(look: Look, rng: np.random.Generator) -> FloatArray:
    up, angle = _grid(Part.TRUNK)
    tile = _flesh(look, rng)
    cloth, second = _fabric(look.top_colour, rng), _fabric(look.top_second, rng)
    if look.top is not Top.NONE:
        hem = {Top.CROP: 0.285, Top.SINGLET: 0.02}[look.top]
        neck = 0.505 - 0.06 * np.exp(-((angle / 0.5) ** 2)) + 0.02 * np.cos(2 * angle)
        body = (up > hem) & (up < neck)
        _lay(tile, body, cloth)
        _lay(tile, body & (np.abs(np.abs(angle) - math.pi / 2) < 0.25), second)
        _lay(tile, (up > hem) & (up < hem + 0.018), second)
        if look.stripe:
            _lay(tile, body & (up > 0.34) & (up < 0.37), second)
    shorts, trim = _fabric(look.shorts, rng, wrinkle=0.16), _fabric(look.shorts_second, rng)
    waist = -0.022 + 0.012 * np.cos(angle)
    _lay(tile, up < waist, shorts)
    _lay(tile, (up < waist) & (up > waist - 0.026), 0.75 * shorts)
    if look.stripe:
        _lay(tile, (up < waist) & (np.abs(np.abs(angle) - math.pi / 2) < 0.10), trim)
    return tile


def _paint_head(look: Look, rng: np.random.Generator) -> FloatArray:
    up, angle = _grid(Part.HEAD)
    tile = _flesh(look, rng)
    strands = gaussian_filter(rng.standard_normal((TILE_PX, TILE_PX)), (6.0, 0.6), mode="wrap") * 8.0
    hair = (1.0 + 0.25 * strands)[..., None] * np.array(look.hair)
    # High over the forehead, down to the nape behind.
    edge = 0.205 - 0.105 * look.hairline * (0.5 - 0.5 * np.cos(angle)) ** 1.5
    _lay(tile, up > edge, hair)
    return tile


def _paint_arm(look: Look, rng: np.random.Generator) -> FloatArray:
    along, _ = _grid(Part.ARM)
    tile = _flesh(look, rng)
    if look.top is Top.SINGLET:
        _lay(tile, along < look.sleeve, _fabric(look.top_colour, rng))
    return tile


def _paint_leg(look: Look, rng: np.random.Generator) -> FloatArray:
    along, angle = _grid(Part.LEG)
    tile = _flesh(look, rng)
    cloth, trim = _fabric(look.shorts, rng, wrinkle=0.16), _fabric(look.shorts_second, rng)
    _lay(tile, along < look.shorts_length, cloth)
    if look.stripe:
        _lay(tile, (along < look.shorts_length) & (np.abs(angle - math.pi / 2) < 0.22), trim)
    _lay(tile, (along < look.shorts_length) & (along > look.shorts_length - 0.03), 0.7 * cloth)
    _lay(tile, along > look.sock_top, _fabric(look.sock, rng))
    return tile


def _paint_shoe(look: Look, rng: np.random.Generator) -> FloatArray:
    up, angle = _grid(Part.SHOE)
    tile = _fabric(look.shoe, rng, wrinkle=0.04)
    _lay(tile, (np.abs(np.abs(angle) - 1.75) < 0.16 + 0.5 * (up - 0.03)) & (up < 0.07), _fabric(look.shoe_second, rng))
    _lay(tile, (np.abs(angle) < 0.5) & (up > 0.05), 0.8 * _fabric(look.shoe_second, rng))
    _lay(tile, up < 0.024, _fabric(look.sole, rng, wrinkle=0.03, weave=0.03))
    _lay(tile, up > 0.098, _fabric(look.sock, rng))
    return tile
