"""Where a runner's head is in the pictures of one camera, frame by frame, generously: what is to be blurred.

A head is found by its own landmarks: those seen in this camera, and those found in space, as the camera sees them.
Both count where they differ. Between two frames with a head that are less than a tenth of a second apart it is where
the line between them leads. Elsewhere no face was found: then all that a head on this neck can reach is to be blurred,
and where not even neck or shoulders are known, the whole picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from labsys.biomechanics.points import is_seen
from labsys.core.arrays import BoolArray, FloatArray, as_bools, as_floats

# Landmark -> the least circle around it, m, that holds the whole head however it is turned, with room to spare. HEAD is
# the middle of the head, Head its top.
HEAD_REACH_M: dict[str, float] = {"HEAD": 0.22, "Head": 0.32} | dict.fromkeys(
    ("Nose", "REye", "LEye", "REar", "LEar"), 0.25
)
# What a head stands on: from each of these it reaches no further, m.
NECK_REACH_M: dict[str, float] = dict.fromkeys(("C7", "Neck", "IJ", "RAC", "LAC", "RShoulder", "LShoulder"), 0.5)
# A head further than this from neck and shoulders is somebody else's, or none.
_FURTHEST_M = 0.6
_LONGEST_GAP_S = 0.1
_LEAST_RADIUS_PX = 4.0
# Segments by which a picture is measured where nothing is known in space, m in a small adult: a person seems no larger.
_SEGMENTS_M = {
    ("GT", "LFE"): 0.36, ("LFE", "LM"): 0.34, ("AC", "GT"): 0.42, ("Hip", "Knee"): 0.36, ("Knee", "Ankle"): 0.34,
    ("Shoulder", "Hip"): 0.42,
}  # fmt: skip
Points = Mapping[str, FloatArray]


@dataclass(frozen=True, eq=False)
class Heads:
    """What is to be blurred in the pictures of one camera.

    Attributes:
        discs_px: (N, P, 3) x, y and radius, px of the video as displayed; NaN where there is none.
        found: (N,) whether a face was found in the frame, or is known to be outside it.
    """

    discs_px: FloatArray
    found: BoolArray

    def __post_init__(self) -> None:
        discs = as_floats("circles around heads", self.discs_px, (None, None, 3))
        object.__setattr__(self, "discs_px", discs)
        object.__setattr__(self, "found", as_bools("found heads", self.found, (discs.shape[0],)))

    @property
    def hidden(self) -> BoolArray:
        """(N,) frames of which nothing is known: they are blurred as a whole."""
        return np.asarray(~is_seen(self.discs_px).any(axis=1))


def unknown_heads(n_frames: int) -> Heads:
    """Of a video of which nothing is known."""
    return Heads(np.full((n_frames, 0, 3), np.nan), np.zeros(n_frames, dtype=np.bool_))


@dataclass(frozen=True, eq=False)
class Sights:
    """One way to see landmarks of head, neck and shoulders in a camera: name -> (N, 2) px, NaN where missing."""

    points_px: Points

    def select(self, names: Sequence[str] | Mapping[str, float]) -> Points:
        """Those of these landmarks that there are."""
        return {name: self.points_px[name] for name in names if name in self.points_px}


def place_heads(sights: Sequence[Sights], px_per_m: FloatArray, times_s: FloatArray) -> Heads:
    """Circles around the head in every frame of a camera.

    Args:
        sights: each way in which landmarks were seen, on its own.
        px_per_m: (N,) size of a metre at the runner; NaN where unknown.
        times_s: (N,) of the frames.
    """
    heads = [_circles(_own_heads(s, px_per_m), HEAD_REACH_M, px_per_m, times_s) for s in sights]
    necks = [_circles(s.select(NECK_REACH_M), NECK_REACH_M, px_per_m, times_s) for s in sights]
    head, neck = (np.concatenate(each, axis=1) for each in (heads, necks))
    found = np.asarray(is_seen(head).any(axis=1))
    neck[found] = np.nan
    return Heads(np.concatenate([head, neck], axis=1), found)


def size_of_metre(points_px: Points) -> float:
    """px of a metre at the runner, from the lengths of thighs, shanks and trunk in the pictures; NaN where unknown.

    A segment seems shorter than it is where it points at the camera, never longer, so the longest counts in each frame.
    """
    ratios = []
    for (upper, lower), length_m in _SEGMENTS_M.items():
        for side in "RL":
            if {side + upper, side + lower} <= set(points_px):
                ratios.append(np.linalg.norm(points_px[side + upper] - points_px[side + lower], axis=1) / length_m)
    longest = np.nanmax(np.array([r for r in ratios if np.isfinite(r).any()]), axis=0, initial=0.0) if ratios else 0.0
    known = np.atleast_1d(longest)
    return float(np.median(known[known > 0.0])) if (known > 0.0).any() else float("nan")


def _own_heads(sights: Sights, px_per_m: FloatArray) -> Points:
    """Landmarks of the head that stand near the neck, where that is known."""
    necks = list(sights.select(NECK_REACH_M).values())
    if not necks:
        return sights.select(HEAD_REACH_M)
    return {n: _near(xy, np.array(necks), _FURTHEST_M * px_per_m) for n, xy in sights.select(HEAD_REACH_M).items()}


def _near(xy_px: FloatArray, necks_px: FloatArray, most_px: FloatArray) -> FloatArray:
    off_px = np.linalg.norm(necks_px - xy_px, axis=2)
    return np.where((off_px > most_px).any(axis=0)[:, None], np.nan, xy_px)


def _circles(points: Points, reach_m: Mapping[str, float], px_per_m: FloatArray, times_s: FloatArray) -> FloatArray:
    """(N, P, 3) circles around points, bridged over short gaps."""
    if not points:
        return np.full((times_s.size, 0, 3), np.nan)
    radii_px = [np.maximum(reach_m[name] * px_per_m, _LEAST_RADIUS_PX) for name in points]
    placed = [np.column_stack([_bridge(xy, times_s), r]) for xy, r in zip(points.values(), radii_px, strict=True)]
    circles = np.stack(placed, axis=1)
    return np.where(is_seen(circles)[..., None], circles, np.nan)


def _bridge(xy_px: FloatArray, times_s: FloatArray) -> FloatArray:
    """Fill gaps of no more than a tenth of a second on a straight line; longer ones stay, and so do both ends."""
    known = np.flatnonzero(is_seen(xy_px))
    if known.size < 2:
        return xy_px
    after = np.searchsorted(known, np.arange(times_s.size))
    inside = (after > 0) & (after < known.size)
    before, after = known[np.clip(after - 1, 0, None)], known[np.clip(after, None, known.size - 1)]
    fills = inside & (times_s[after] - times_s[before] <= _LONGEST_GAP_S) & ~is_seen(xy_px)
    line = np.column_stack([np.interp(times_s, times_s[known], xy_px[known, axis]) for axis in (0, 1)])
    return np.where(fills[:, None], line, xy_px)
