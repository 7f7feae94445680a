"""What stands still: a room with things in it, and the treadmill, as boxes and rods with plain materials.

Boxes have their own axes; the room itself is a box seen from inside. The belt is the top of the treadmill's deck at
y = 0, where LAB has its origin; its picture moves and is drawn frame by frame (`belt`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from labsys.core.arrays import FloatArray
from pipelines.synthetic.pictures.draws import Draws
from pipelines.synthetic.pictures.light import RGB

FLOOR_M = -0.21
BELT_HALF_WIDTH_M = 0.27
BELT_FRONT_M, BELT_REAR_M = 0.82, -1.02


class Pattern(IntEnum):
    """How a material's two colours lie on a surface."""

    PLAIN = 0
    TILES = 1
    PLANKS = 2
    SPECKLE = 3
    STRIPES = 4
    LAMP = 5
    BLOCKS = 6
    BELT = 7


@dataclass(frozen=True)
class Material:
    """A matt surface: linear colours, and the size of its pattern."""

    colour: RGB
    second: RGB = (0.0, 0.0, 0.0)
    pattern: Pattern = Pattern.PLAIN
    size_m: float = 0.3


@dataclass(frozen=True)
class Box:
    """A box: middle and half extents in m, turned about Y by `turn_rad`."""

    middle_m: tuple[float, float, float]
    half_m: tuple[float, float, float]
    material: Material
    turn_rad: float = 0.0


@dataclass(frozen=True)
class Rod:
    """A rod with round ends."""

    start_m: tuple[float, float, float]
    end_m: tuple[float, float, float]
    radius_m: float
    material: Material


@dataclass(frozen=True)
class Room:
    """Everything that stands still. The first box is the room's inside, and is seen from there."""

    boxes: tuple[Box, ...]
    rods: tuple[Rod, ...]


class PackedRoom(NamedTuple):
    """A room as arrays.

    boxes: (B, 8) middle, half, cosine, sine. rods: (R, 7) start, end, radius. materials: (B + R, 8). balls: (B + R, 4)
    middle and squared radius of a ball round each.
    """

    boxes: FloatArray
    rods: FloatArray
    materials: FloatArray
    balls: FloatArray


def pack_room(room: Room) -> PackedRoom:
    """A room as arrays for the compiled functions."""
    boxes = [(*b.middle_m, *b.half_m, math.cos(b.turn_rad), math.sin(b.turn_rad)) for b in room.boxes]
    rods = [(*r.start_m, *r.end_m, r.radius_m) for r in room.rods]
    both: Sequence[Box | Rod] = (*room.boxes, *room.rods)
    materials = [(*x.material.colour, *x.material.second, float(x.material.pattern), x.material.size_m) for x in both]
    balls = [(*b.middle_m, sum(h**2 for h in b.half_m)) for b in room.boxes]
    for rod in room.rods:
        start, end = np.array(rod.start_m), np.array(rod.end_m)
        reach = float(np.linalg.norm(end - start)) / 2 + rod.radius_m
        balls.append((*((start + end) / 2).tolist(), reach**2))
    return PackedRoom(np.array(boxes), np.array(rods).reshape(-1, 7), np.array(materials), np.array(balls))


def belt_mask(materials: FloatArray) -> NDArray[np.bool_]:
    """Which materials are the belt."""
    return np.asarray(materials[:, 6] == Pattern.BELT, dtype=np.bool_)


def make_room(draws: Draws, *, reach_m: float) -> Room:
    """A room around the treadmill, wide enough for cameras `reach_m` from it; furniture differs from draw to draw."""
    half_x, half_z = reach_m + draws.between(0.5, 2.0), reach_m + draws.between(0.5, 2.0)
    height = draws.between(2.9, 3.6)
    shell = Box((0.0, FLOOR_M + height / 2, 0.0), (half_x, height / 2, half_z), _wall(draws))
    floor = Box((0.0, FLOOR_M - 0.02, 0.0), (half_x, 0.021, half_z), _floor(draws))
    treadmill = list(_treadmill(draws))
    things = [*_skirting(half_x, half_z, draws), *_furniture(half_x, half_z, height, draws)]
    boxes = [shell, floor, *(t for t in (*treadmill, *things) if isinstance(t, Box))]
    return Room(tuple(boxes), tuple(t for t in (*treadmill, *things) if isinstance(t, Rod)))


def _wall(draws: Draws) -> Material:
    shade = draws.between(0.32, 0.78)
    tint = draws.colour(0.10)
    pattern = draws.choose((Pattern.PLAIN, Pattern.PLAIN, Pattern.SPECKLE, Pattern.STRIPES))
    return Material(_times(tint, shade), _times(tint, 0.88 * shade), pattern, draws.between(0.3, 1.2))


def _floor(draws: Draws) -> Material:
    shade = draws.between(0.10, 0.42)
    tint = draws.colour(0.22)
    pattern = draws.choose((Pattern.TILES, Pattern.PLANKS, Pattern.SPECKLE))
    size = {Pattern.TILES: 0.5, Pattern.PLANKS: 0.16}.get(pattern, 0.05)
    return Material(_times(tint, shade), _times(tint, shade * draws.between(0.6, 0.85)), pattern, size)


def _times(colour: RGB, factor: float) -> RGB:
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


def _treadmill(draws: Draws) -> Iterator[Box | Rod]:
    body = Material(_times(draws.colour(0.05), draws.between(0.05, 0.5)))
    dark = Material((0.03, 0.03, 0.032), (0.05, 0.05, 0.05), Pattern.SPECKLE, 0.01)
    accent = Material(_times(draws.colour(0.9), draws.between(0.15, 0.5)))
    length, middle = (BELT_FRONT_M - BELT_REAR_M) / 2, (BELT_FRONT_M + BELT_REAR_M) / 2
    belt = Material((1.0, 1.0, 1.0), (1.0, 1.0, 1.0), Pattern.BELT, 1.0)
    yield Box((middle, -0.06, 0.0), (length, 0.06, BELT_HALF_WIDTH_M), belt)
    for sign in (1.0, -1.0):
        rail_z = sign * (BELT_HALF_WIDTH_M + 0.065)
        yield Box((middle, -0.055, rail_z), (length + 0.05, 0.07, 0.065), dark)
        yield Box((middle, -0.09, rail_z + sign * 0.067), (length + 0.06, 0.055, 0.004), accent)
        for x in (BELT_REAR_M + 0.1, BELT_FRONT_M - 0.1):
            yield Box((x, FLOOR_M + 0.05, rail_z), (0.06, 0.06, 0.05), body)
        yield from _rails(sign, body, dark, draws)
    yield Box((BELT_FRONT_M + 0.17, -0.06, 0.0), (0.18, 0.13, BELT_HALF_WIDTH_M + 0.10), body)
    yield Box((BELT_REAR_M - 0.03, -0.07, 0.0), (0.035, 0.062, BELT_HALF_WIDTH_M + 0.10), body)


def _rails(sign: float, body: Material, dark: Material, draws: Draws) -> Iterator[Rod | Box]:
    """Uprights in front of the runner, and short handles that reach back from them."""
    z, x, top = sign * (BELT_HALF_WIDTH_M + 0.10), BELT_FRONT_M + 0.08, 1.12
    back = draws.between(0.10, 0.30)
    yield Rod((x + 0.08, -0.05, z), (x, top, z), 0.026, body)
    yield Rod((x, top - 0.16, z), (x - back, top - 0.17, z), 0.018, dark)
    yield Rod((x, top, z), (x, top, 0.0), 0.024, body)
    if sign > 0:
        screen = Material((0.02, 0.03, 0.05), (0.10, 0.22, 0.30), Pattern.BLOCKS, 0.09)
        yield Box((x + 0.02, top + 0.09, 0.0), (0.03, 0.12, 0.22), screen)


def _skirting(half_x: float, half_z: float, draws: Draws) -> Iterator[Box]:
    material = Material(_times(draws.colour(0.1), draws.between(0.1, 0.7)))
    y = FLOOR_M + 0.06
    for sign in (1.0, -1.0):
        yield Box((sign * half_x, y, 0.0), (0.015, 0.05, half_z), material)
        yield Box((0.0, y, sign * half_z), (half_x, 0.05, 0.015), material)


def _furniture(half_x: float, half_z: float, height: float, draws: Draws) -> Iterator[Box | Rod]:
    """Things along the walls: cupboards, posters, a window or a lamp, a bench, stands."""
    for wall in range(4):
        along = half_z if wall % 2 == 0 else half_x
        out = half_x if wall % 2 == 0 else half_z
        for _ in range(2 + int(draws.between(0.0, 3.0))):
            at = draws.between(-0.85, 0.85) * along
            yield from _thing(wall, at, out, height, draws)


def _thing(wall: int, at: float, out: float, height: float, draws: Draws) -> Iterator[Box | Rod]:
    kind = int(draws.between(0.0, 5.0))
    paint = Material(_times(draws.colour(0.75), draws.between(0.06, 0.6)))
    wide = draws.between(0.2, 0.6)
    if kind <= 1:
        tall = draws.between(0.3, 1.05)
        deep = draws.between(0.15, 0.3)
        yield _against(wall, at, out, (FLOOR_M + tall, tall, wide, deep), paint)
        knob = Material(_times(paint.colour, 0.6))
        yield _against(wall, at, out - 2 * deep, (FLOOR_M + tall, 0.96 * tall, 0.012, 0.01), knob)
    elif kind <= 3:
        second = _times(draws.colour(0.8), draws.between(0.05, 0.7))
        print_ = Material(paint.colour, second, Pattern.BLOCKS, draws.between(0.05, 0.3))
        yield _against(wall, at, out, (FLOOR_M + draws.between(1.3, 1.9), draws.between(0.2, 0.5), wide, 0.012), print_)
    elif draws.between(0.0, 1.0) < 0.5:
        lamp = Material(_times(draws.colour(0.08), draws.between(0.7, 1.3)), (0.3, 0.3, 0.3), Pattern.LAMP, 0.5)
        yield _against(wall, at, out, (height - 1.2, 0.5, wide + 0.2, 0.012), lamp)
    else:
        x, _, z = _against(wall, at, out - 0.35, (0.0, 0.1, 0.1, 0.1), paint).middle_m
        yield Rod((x, FLOOR_M, z), (x, FLOOR_M + draws.between(0.9, 1.8), z), 0.02, paint)


def _against(wall: int, at: float, out: float, size: tuple[float, float, float, float], paint: Material) -> Box:
    """A box against one of four walls; size: height of its middle, half height, half width, half depth."""
    y, tall, wide, deep = size
    away = (out - deep) * (1.0 if wall < 2 else -1.0)
    if wall % 2 == 0:
        return Box((away, y, at), (deep, tall, wide), paint)
    return Box((at, y, away), (wide, tall, deep), paint)
