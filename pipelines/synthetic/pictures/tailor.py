"""Clothing cut to a body: which tile every triangle shows and where, and the stickers that lie on the skin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labsys.core.arrays import FloatArray, IntArray
from pipelines.synthetic.anatomy import Body
from pipelines.synthetic.pictures.raster import Mesh
from pipelines.synthetic.pictures.skin import SEGMENTS, STICKERS, Skin
from pipelines.synthetic.pictures.wardrobe import SPAN, TILE_PX, Look, Part, paint

RIM = 10
STICKER_VERTICES = len(STICKERS) * (1 + RIM)
_PART_OF = {
    "pelvis": Part.TRUNK, "lumbar": Part.TRUNK, "thorax": Part.TRUNK, "head": Part.HEAD, "thigh": Part.LEG,
    "shank": Part.LEG, "foot": Part.SHOE, "upper_arm": Part.ARM, "forearm": Part.ARM,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Dressed:
    """A skin with clothes and stickers.

    Attributes:
        mesh: triangles of the body, then of the stickers, whose vertices follow those of the body.
        bare: the same body's triangles alone.
    """

    skin: Skin
    mesh: Mesh
    bare: NDArray[np.int32]
    sticker_m: float


def dress(skin: Skin, body: Body, look: Look) -> Dressed:
    """Dress a body: texels of its triangles, and stickers behind them."""
    part = np.array([_PART_OF[n if n in _PART_OF else n[1:]] for n in SEGMENTS])[skin.owner]
    side = np.array([1 if n[0] == "R" and n not in _PART_OF else -1 for n in SEGMENTS])[skin.owner]
    tile = _majority(part[skin.triangles])
    texels = np.zeros((len(skin.triangles), 3, 2))
    for p in (Part.TRUNK, Part.HEAD, Part.ARM, Part.LEG, Part.SHOE):
        for sign in (1, -1) if p in (Part.ARM, Part.LEG, Part.SHOE) else (0,):
            chosen = tile == p
            if sign:
                chosen &= np.where(part[skin.triangles] == p, side[skin.triangles], 0).sum(axis=1) * sign > 0
            corners = skin.rest_m[skin.triangles[chosen]].reshape(-1, 3)
            row, angle = _measure(skin, body, p, sign, corners)
            texels[chosen] = _texels(p, row.reshape(-1, 3), angle.reshape(-1, 3))
    triangles = np.concatenate([skin.triangles, _sticker_triangles(len(skin.rest_m))])
    plain = np.zeros((len(STICKERS) * RIM, 3, 2))
    mesh = Mesh(
        triangles.astype(np.int32),
        np.concatenate([texels, plain]).astype(np.float32),
        np.concatenate([tile, np.full(len(plain), Part.STICKER)]).astype(np.int32),
        paint(look),
    )
    return Dressed(skin, mesh, skin.triangles, look.sticker_m)


def _majority(parts: IntArray) -> IntArray:
    """The part that two of three corners belong to, else that of the first."""
    a, b, c = parts.T
    return np.asarray(np.where(b == c, b, a), dtype=np.int64)


def _measure(skin: Skin, body: Body, part: Part, sign: int, points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Place along a part and angle round it, in the measures of `wardrobe.SPAN`, of points (N, 3) m at rest."""
    side = "R" if sign > 0 else "L"
    match part:
        case Part.TRUNK:
            local = (points - skin.rest_poses.origins_m["pelvis"][0]) / skin.scale
            return local[:, 1], np.arctan2(local[:, 2], local[:, 0] + 0.07)
        case Part.HEAD:
            local = _local(skin, "head", points) / skin.scale
            return local[:, 1], np.arctan2(local[:, 2], local[:, 0] - 0.02)
        case Part.SHOE:
            local = _local(skin, f"{side}foot", points) / skin.scale
            up = local[:, 1] + body.sole.ankle_height_m / skin.scale
            return up, np.arctan2(sign * local[:, 2], local[:, 0] - 0.04)
        case Part.ARM:
            return _along(
                skin, (f"{side}upper_arm", f"{side}forearm"), (body.upper_arm_m, body.forearm_m), sign, points
            )
        case _:
            lengths = body.thigh_m[side], body.shank_m[side]
            return _along(skin, (f"{side}thigh", f"{side}shank"), lengths, sign, points)


def _local(skin: Skin, segment: str, points: FloatArray) -> FloatArray:
    poses = skin.rest_poses
    return np.asarray((points - poses.origins_m[segment][0]) @ poses.rotations[segment][0])


def _along(
    skin: Skin, segments: tuple[str, str], lengths_m: tuple[float, float], sign: int, points: FloatArray
) -> tuple[FloatArray, FloatArray]:
    upper, lower = (_local(skin, s, points) for s in segments)
    first, second = -upper[:, 1] / lengths_m[0], 1.0 - lower[:, 1] / lengths_m[1]
    below = first > 1.0
    local = np.where(below[:, None], lower, upper)
    return np.where(below, second, first), np.arctan2(sign * local[:, 2], local[:, 0])


def _texels(part: Part, row: FloatArray, angle: FloatArray) -> FloatArray:
    """Texels (F, 3, 2); the angles of a triangle's corners lie within half a turn of its first."""
    turned = angle[:, :1] + (angle - angle[:, :1] + np.pi) % (2 * np.pi) - np.pi
    low, high = SPAN[part]
    return np.stack([turned / (2 * np.pi) * TILE_PX, (row - low) / (high - low) * TILE_PX - 0.5], axis=-1)


def _sticker_triangles(first: int) -> IntArray:
    """Fans round the middle of every sticker, facing outward."""
    rows = []
    for k in range(len(STICKERS)):
        middle = first + k * (1 + RIM)
        rows += [(middle, middle + 1 + i, middle + 1 + (i + 1) % RIM) for i in range(RIM)]
    return np.array(rows)


def lay_stickers(dressed: Dressed, centres_m: FloatArray, normals: FloatArray) -> FloatArray:
    """Vertices (..., 36 * 11, 3) m of discs on the skin: middles (..., 36, 3) m in LAB and the skin's normals there."""
    helper = np.where(np.abs(normals[:, 1:2]) < 0.9, [[0.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]])
    across = np.cross(helper, normals)
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    up = np.cross(normals, across)
    turn = 2 * np.pi * np.arange(RIM) / RIM
    rim = np.cos(turn)[:, None] * across[:, None] + np.sin(turn)[:, None] * up[:, None]
    disc = np.concatenate([np.zeros_like(rim[:, :1]), dressed.sticker_m * rim], axis=1)
    return np.asarray((centres_m[..., None, :] + disc).reshape(*centres_m.shape[:-2], -1, 3))
