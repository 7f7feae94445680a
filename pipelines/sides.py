"""Left and right put right: per camera and frame, by what other cameras see and by the frames before and after.

A detector now and then exchanges left and right: of the whole person, of the legs, of the feet or of the arms. Each
camera in turn is compared with the others, and the cheapest course of exchanges over time is found (Viterbi); what all
cameras exchange at once shows in time alone and is looked for last. Every exchange has a price that noise does not pay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from calibration.lens import compiled, read_only_floats
from labsys.core.arrays import BoolArray, FloatArray, IntArray
from labsys.core.cameras import CameraRig
from labsys.core.landmarks import Landmarks2D
from labsys.core.skeleton import mirrored_name
from pipelines.sides_evidence import compare_times, compare_views

_THIGH = frozenset({"GT", "LFE", "MFE", "Hip", "Knee"})
_FOOT = frozenset({"LM", "MM", "HEEL", "MT5", "MT1", "TOE", "Ankle", "Heel", "BigToe", "SmallToe"})
_ARM = frozenset({"ELB", "WRI", "Elbow", "Wrist"})
_TRUNK_GROUP, _THIGH_GROUP, _FOOT_GROUP, _ARM_GROUP = range(4)
_N_GROUPS = 4
_SWEEPS = 5


class Exchange(StrEnum):
    """What is exchanged between left and right."""

    NONE = "none"
    ALL = "all"
    LEGS = "legs"
    FEET = "feet"
    ARMS = "arms"


_EXCHANGES = tuple(Exchange)
# Which groups (trunk, thighs, feet, arms) each of them turns, and its price per frame and to begin or end it.
_TURNS = np.array([[0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1]], dtype=np.bool_)
_PRICE = np.array([0.0, 12.0, 14.0, 16.0, 16.0])
_CHANGE_PRICE = 6.0
_TOGETHER_PRICE, _TOGETHER_CHANGE_PRICE = 0.5, 40.0
_TIME_SHARE = 0.5  # neighbouring frames share errors; other cameras do not


@dataclass(frozen=True, eq=False)
class RepairedSides:
    """Landmarks with left and right put right.

    Attributes:
        exchanged: (T, C) index into `Exchange`, what was found exchanged and was put right.
    """

    landmarks: Landmarks2D
    exchanged: IntArray

    def counts(self) -> dict[str, dict[Exchange, int]]:
        """Camera -> kind of exchange -> frames in which it was put right."""
        cameras = self.landmarks.cameras
        kinds = list(enumerate(_EXCHANGES))[1:]
        return {n: {kind: int((self.exchanged[:, c] == i).sum()) for i, kind in kinds} for c, n in enumerate(cameras)}


def repair_sides(landmarks: Landmarks2D, rig: CameraRig) -> RepairedSides:
    """Find and undo exchanges of left and right; landmarks without a side, and single cameras, stay as they are.

    Args:
        rig: the cameras of the landmarks, in their order, calibrated.
    """
    pairs = find_pairs(landmarks.landmarks)
    n_frames, n_cameras = landmarks.confidence.shape[:2]
    exchanged = np.zeros((n_frames, n_cameras), dtype=np.int64)
    if not len(pairs) or n_cameras < 2 or n_frames < 2:
        return RepairedSides(landmarks, exchanged)
    views = compare_views(landmarks, rig, pairs, _N_GROUPS)
    times = _TIME_SHARE * compare_times(landmarks, pairs, _N_GROUPS)
    if _all_agree(views):
        turned = np.zeros((n_frames, n_cameras, _N_GROUPS), dtype=np.bool_)
    else:
        turned = _compare_in_turn(views, times)
    turned ^= _compare_together(turned, times)[:, None]
    exchanged = _name_exchanges(turned)
    return RepairedSides(_exchange(landmarks, pairs, turned), exchanged)


def find_pairs(landmarks: tuple[str, ...]) -> IntArray:
    """(P, 3) index of the left landmark, of the right one, and their group, for every landmark with a side."""
    index = {name: i for i, name in enumerate(landmarks)}
    rows = [
        (i, index[mirrored_name(name)], _group(name[1:]))
        for name, i in index.items()
        if name.startswith("L") and mirrored_name(name) != name and mirrored_name(name) in index
    ]
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def exchanged_by(kind: Exchange, landmarks: tuple[str, ...]) -> tuple[str, ...]:
    """The landmarks, of those given, that an exchange of this kind concerns."""
    turns = _TURNS[_EXCHANGES.index(kind)]
    concerned = {int(i) for left, right, group in find_pairs(landmarks) if turns[group] for i in (left, right)}
    return tuple(name for i, name in enumerate(landmarks) if i in concerned)


def _group(stem: str) -> int:
    for group, stems in ((_THIGH_GROUP, _THIGH), (_FOOT_GROUP, _FOOT), (_ARM_GROUP, _ARM)):
        if stem in stems:
            return group
    return _TRUNK_GROUP


def _all_agree(views: FloatArray) -> bool:
    """Whether no camera is accused by the others in any frame."""
    return bool((views.sum(axis=2) > -_PRICE[1:].min()).all())


def _compare_in_turn(views: FloatArray, times: FloatArray) -> BoolArray:
    """(T, C, G) whether each camera is exchanged against the others; the cameras most accused come first."""
    n_frames, n_cameras, _, n_groups = views.shape
    turned = np.zeros((n_frames, n_cameras, n_groups), dtype=np.bool_)
    for _ in range(_SWEEPS):
        before = turned.copy()
        sign = np.where(turned, -1.0, 1.0)
        accused = np.einsum("tabg,tag,tbg->a", views, sign, sign, optimize=True)
        for c in np.argsort(accused).tolist():
            sign = np.where(turned, -1.0, 1.0)
            evidence = (views[:, c] * sign).sum(axis=1)
            turned[:, c] = _TURNS[_cheapest(evidence, times[:, c], _PRICE, _CHANGE_PRICE)]
        if (turned == before).all():
            break
    return turned


def _compare_together(turned: BoolArray, times: FloatArray) -> BoolArray:
    """(T, G) whether all cameras are exchanged at once, judged by continuity over time alone."""
    change = np.zeros(turned.shape, dtype=np.bool_)
    change[1:] = turned[1:] != turned[:-1]
    evidence = (times * np.where(change, -1.0, 1.0)).sum(axis=1)
    nothing = np.zeros((len(turned), turned.shape[2]))
    price = np.where(_PRICE > 0.0, _TOGETHER_PRICE, 0.0)
    found: BoolArray = _TURNS[_cheapest(nothing, evidence, price, _TOGETHER_CHANGE_PRICE)]
    return found


def _cheapest(keep: FloatArray, stay: FloatArray, price: FloatArray, change_price: float) -> IntArray:
    """(T,) the course of exchanges that costs least.

    keep: (T, G) what exchanging a group costs. stay: (T, G) what changing a group's state against the frame before
    costs.
    """
    own = keep @ _TURNS.T + price
    differ = (_TURNS[:, None] != _TURNS[None]).astype(np.float64)
    out = np.zeros(len(own), dtype=np.int64)
    _walk(read_only_floats(own), read_only_floats(stay), read_only_floats(differ), change_price, out)
    return out


@compiled
def _walk(own, stay, differ, change_price, out):  # type: ignore[no-untyped-def]  # compiled
    """Viterbi over the kinds of exchange."""
    n, kinds = own.shape
    cost, fresh = own[0].copy(), np.zeros(kinds)
    came_from = np.zeros((n, kinds), dtype=np.int8)
    for t in range(1, n):
        for to in range(kinds):
            best, source = np.inf, 0
            for at in range(kinds):
                step = cost[at] + (change_price if at != to else 0.0)
                for g in range(stay.shape[1]):
                    step += differ[at, to, g] * stay[t, g]
                if step < best:
                    best, source = step, at
            fresh[to] = best + own[t, to]
            came_from[t, to] = source
        cost[:] = fresh
    out[n - 1] = np.argmin(cost)
    for t in range(n - 1, 0, -1):
        out[t - 1] = came_from[t, out[t]]


def _name_exchanges(turned: BoolArray) -> IntArray:
    """(T, C) index into `Exchange`; a mixture counts as the largest kind within it."""
    exchanged = np.zeros(turned.shape[:2], dtype=np.int64)
    for i in (4, 3, 2, 1):
        exchanged[(turned | ~_TURNS[i]).all(axis=-1)] = i
    return exchanged


def _exchange(landmarks: Landmarks2D, pairs: IntArray, turned: BoolArray) -> Landmarks2D:
    if not turned.any():
        return landmarks
    xy, confidence = landmarks.xy_px.copy(), landmarks.confidence.copy()
    for left, right, group in pairs:
        rows, cameras = np.nonzero(turned[:, :, group])
        for array in (xy, confidence):
            kept = array[rows, cameras, left].copy()
            array[rows, cameras, left] = array[rows, cameras, right]
            array[rows, cameras, right] = kept
    return replace(landmarks, xy_px=xy, confidence=confidence)


def total(counts: Mapping[Exchange, int]) -> int:
    """Frames in which anything was put right."""
    return sum(counts.values())
