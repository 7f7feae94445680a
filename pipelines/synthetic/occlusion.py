"""Which landmarks a camera cannot see because the body itself stands in the way.

The body is a handful of capsules. A landmark is hidden where its own capsule's surface turns away from the camera, or
where the line to the camera passes through another capsule.
"""

from __future__ import annotations

import numpy as np

from labsys.core.arrays import BoolArray, FloatArray
from labsys.core.landmarks import Landmarks3D


def _sided(side: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """Names with their side; ~ stands for the other one."""
    other = "L" if side == "R" else "R"
    return tuple(other + n[1:] if n.startswith("~") else side + n for n in names)


# capsule -> its end points (means of landmarks), radius in m
_CAPSULES: dict[str, tuple[tuple[str, ...], tuple[str, ...], float]] = {
    "trunk": (("RGT", "LGT", "RPSIS", "LPSIS", "RASIS", "LASIS"), ("C7", "IJ"), 0.125),
    "head": (("HEAD",), ("HEAD",), 0.10),
    **{f"{s}{name}": (_sided(s, a), _sided(s, b), r)
       for s in "RL" for name, a, b, r in (
           # The hip centre lies a quarter of the way from one trochanter to the other.
           ("thigh", ("GT", "GT", "GT", "~GT"), ("LFE", "MFE"), 0.075),
           ("shank", ("LFE", "MFE"), ("LM", "MM"), 0.048),
           ("foot", ("HEEL",), ("TOE",), 0.040),
           ("arm", ("AC",), ("ELB",), 0.045),
           ("forearm", ("ELB",), ("WRI",), 0.035),
       )},
}  # fmt: skip
_OWN = {
    "thigh": ("GT", "LFE", "MFE"), "shank": ("LM", "MM"), "foot": ("HEEL", "TOE", "MT1", "MT5"), "arm": ("ELB",),
    "forearm": ("WRI",),
}  # fmt: skip
_TURNED_AWAY = -0.15  # cosine between surface normal and line of sight below which a landmark is round the corner


def find_hidden(landmarks: Landmarks3D, camera_m: FloatArray) -> BoolArray:
    """Landmarks (T, K) that the body hides from a camera at `camera_m`, (3,) m in LAB."""
    sight = camera_m - landmarks.xyz_m
    sight = sight / np.linalg.norm(sight, axis=-1, keepdims=True)
    hidden = np.zeros(sight.shape[:2], dtype=np.bool_)
    owners = [_owner(n) for n in landmarks.landmarks]
    for name, (near, far, radius) in _CAPSULES.items():
        start, end = _ends(landmarks, near, far)
        own = np.array([o == name for o in owners])
        # A limb's ends lie inside its neighbours: what touches a capsule is not hidden by it.
        others = ~own
        hidden[:, others] |= _behind(landmarks.xyz_m[:, others], sight[:, others], start, end, radius)
        if own.any():
            hidden[:, own] |= _turned_away(landmarks.xyz_m[:, own], sight[:, own], start, end)
    return hidden


def _owner(landmark: str) -> str:
    if landmark == "HEAD":
        return "head"
    for segment, names in _OWN.items():
        if landmark[1:] in names and landmark[0] in "RL":
            return landmark[0] + segment
    return "trunk"


def _ends(landmarks: Landmarks3D, a: tuple[str, ...], b: tuple[str, ...]) -> tuple[FloatArray, FloatArray]:
    first, last = (np.mean([landmarks.point_m(n) for n in names], axis=0) for names in (a, b))
    return first, last


def _turned_away(points: FloatArray, sight: FloatArray, start: FloatArray, end: FloatArray) -> BoolArray:
    axis = (end - start)[:, None]
    along = np.sum((points - start[:, None]) * axis, axis=-1) / np.maximum(np.sum(axis * axis, axis=-1), 1e-9)
    normal = points - (start[:, None] + np.clip(along, 0.0, 1.0)[..., None] * axis)
    length = np.linalg.norm(normal, axis=-1)
    facing = np.sum(normal * sight, axis=-1) / np.maximum(length, 1e-9)
    # Points on the axis itself have no side.
    return np.asarray((facing < _TURNED_AWAY) & (length > 0.01))


def _behind(points: FloatArray, sight: FloatArray, start: FloatArray, end: FloatArray, radius_m: float) -> BoolArray:
    """Whether the ray from each point along `sight` comes closer to the capsule's axis than its radius, on its way."""
    u = np.broadcast_to((end - start)[:, None], points.shape)
    w = points - start[:, None]
    uu, us, uw = np.sum(u * u, -1), np.sum(u * sight, -1), np.sum(u * w, -1)
    sw = np.sum(sight * w, -1)
    denominator = np.maximum(uu - us**2, 1e-9)
    share = np.clip((uw - us * sw) / denominator, 0.0, 1.0)
    reach = np.maximum(share * us - sw, 0.0)
    gap = w + reach[..., None] * sight - share[..., None] * u
    inside = np.linalg.norm(w - np.clip(uw / np.maximum(uu, 1e-9), 0, 1)[..., None] * u, axis=-1) < radius_m + 0.02
    return np.asarray((np.linalg.norm(gap, axis=-1) < 0.9 * radius_m) & ~inside & (reach > 0.02))
