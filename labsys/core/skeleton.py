"""Landmark sets, their bones and left/right pairs, and the tier that decides what may be reported.

Tiers (what the landmarks can give; see docs/conventions.md):
    T0  hips, knees, ankles, shoulders               COCO-17
    T1  T0 and heels, toes                           HALPE-26, BODY_25, BODY_25B
    T2  T1 and the pelvis in three dimensions        T1 plus four pelvic points
    T3  T2 and spine and thorax                      LABSYS-RUN-37
Names are case-sensitive and start with L or R where the landmark has a side.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from labsys.core.errors import UnknownNameError
from labsys.core.names import check_unique


class Side(StrEnum):
    """Body side of an angle or metric; BOTH where it belongs to the midline."""

    LEFT = "left"
    RIGHT = "right"
    BOTH = "both"

    @property
    def letter(self) -> str:
        """'L' or 'R' (BOTH has none)."""
        return {Side.LEFT: "L", Side.RIGHT: "R", Side.BOTH: ""}[self]

    @property
    def opposite(self) -> Side:
        """The other side; BOTH is its own."""
        return {Side.LEFT: Side.RIGHT, Side.RIGHT: Side.LEFT, Side.BOTH: Side.BOTH}[self]


class Tier(IntEnum):
    """What a set of landmarks can give; a higher tier gives all that a lower one does."""

    T0 = 0
    T1 = 1
    T2 = 2
    T3 = 3


def mirrored_name(landmark: str) -> str:
    """The landmark of the other side: RGT -> LGT; midline landmarks are their own mirror."""
    if landmark in _MIDLINE_WITH_SIDE_LETTER or not landmark.startswith(("L", "R")):
        return landmark
    return ("L" if landmark[0] == "R" else "R") + landmark[1:]


_MIDLINE_WITH_SIDE_LETTER = frozenset({"L1", "L3", "L5"})


@dataclass(frozen=True)
class LandmarkSet:
    """A named list of landmarks in the order that its source writes them, and the bones between them."""

    name: str
    landmarks: tuple[str, ...]
    bones: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        check_unique(f"landmarks of {self.name}", self.landmarks)

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """(left, right) names of every landmark that has a side."""
        return tuple((n, mirrored_name(n)) for n in self.landmarks if n.startswith("L") and mirrored_name(n) != n)


def _both(*names: str) -> tuple[str, ...]:
    return tuple(f"{s}{n}" for s in "RL" for n in names)


def _both_bones(*bones: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((f"{s}{a}", f"{s}{b}") for s in "RL" for a, b in bones)


_LIMB_BONES = (
    *_both_bones(("Shoulder", "Elbow"), ("Elbow", "Wrist"), ("Shoulder", "Hip"), ("Hip", "Knee"), ("Knee", "Ankle")),
    ("RHip", "LHip"),
    ("RShoulder", "LShoulder"),
)
_FOOT_BONES = _both_bones(("Ankle", "Heel"), ("Heel", "BigToe"), ("BigToe", "SmallToe"))

_COCO = (
    "Nose", "LEye", "REye", "LEar", "REar", "LShoulder", "RShoulder", "LElbow", "RElbow", "LWrist", "RWrist",
    "LHip", "RHip", "LKnee", "RKnee", "LAnkle", "RAnkle",
)  # fmt: skip

COCO_17 = LandmarkSet("COCO-17", _COCO, _LIMB_BONES)
HALPE_26 = LandmarkSet(
    "HALPE-26",
    (*_COCO, "Head", "Neck", "Hip", "LBigToe", "RBigToe", "LSmallToe", "RSmallToe", "LHeel", "RHeel"),
    _LIMB_BONES + _FOOT_BONES + (("Neck", "Head"),),
)
BODY_25B = LandmarkSet(
    "BODY_25B",
    (*_COCO, "Neck", "Head", "LBigToe", "LSmallToe", "LHeel", "RBigToe", "RSmallToe", "RHeel"),
    _LIMB_BONES + _FOOT_BONES + (("Neck", "Head"),),
)
BODY_25 = LandmarkSet(
    "BODY_25",
    (
        "Nose", "Neck", "RShoulder", "RElbow", "RWrist", "LShoulder", "LElbow", "LWrist", "MidHip", "RHip", "RKnee",
        "RAnkle", "LHip", "LKnee", "LAnkle", "REye", "LEye", "REar", "LEar", "LBigToe", "LSmallToe", "LHeel",
        "RBigToe", "RSmallToe", "RHeel",
    ),
    _LIMB_BONES + _FOOT_BONES + (("Neck", "Nose"),),
)  # fmt: skip

_RUN_LEG = ("GT", "LFE", "MFE", "LM", "MM", "HEEL", "MT5", "MT1", "TOE")
LABSYS_RUN_37 = LandmarkSet(
    "LABSYS-RUN-37",
    (
        "C7", "T10", "L1", "L3", "L5", "S3", "IJ", "XP", "RAC", "LAC", "RASIS", "LASIS", "RPSIS", "LPSIS",
        *_both(*_RUN_LEG), *_both("ELB", "WRI"), "HEAD",
    ),
    (
        ("HEAD", "C7"), ("C7", "T10"), ("T10", "L1"), ("L1", "L3"), ("L3", "L5"), ("L5", "S3"), ("IJ", "XP"),
        ("RAC", "LAC"), ("RASIS", "LASIS"), ("RPSIS", "LPSIS"), ("RASIS", "RPSIS"), ("LASIS", "LPSIS"),
        *_both_bones(
            ("AC", "ELB"), ("ELB", "WRI"), ("ASIS", "GT"), ("GT", "LFE"), ("LFE", "MFE"), ("LFE", "LM"), ("LM", "MM"),
            ("LM", "HEEL"), ("HEEL", "MT5"), ("MT5", "TOE"), ("MT1", "TOE"),
        ),
    ),
)  # fmt: skip

LANDMARK_SETS: dict[str, LandmarkSet] = {s.name: s for s in (COCO_17, HALPE_26, BODY_25, BODY_25B, LABSYS_RUN_37)}

# The 21 points that the sagittal T3 analysis cannot do without (spec of the labelling set).
RUN_MINIMUM: tuple[str, ...] = (
    "C7", "L1", "L5", "RAC", "LAC", "RASIS", "LASIS", "RPSIS", "LPSIS", *_both("GT", "LFE", "LM", "HEEL", "MT5", "TOE"),
)  # fmt: skip

_PELVIS_4 = ("RASIS", "LASIS", "RPSIS", "LPSIS")
_T0_COCO = _both("Hip", "Knee", "Ankle", "Shoulder")
_T0_RUN = _both("LFE", "LM", "AC")
_T1_COCO = _both("Heel", "BigToe")
_T1_RUN = _both("HEEL", "TOE")
_T3_RUN = ("C7", "L1", "L5")


def find_landmark_set(name: str) -> LandmarkSet:
    """The landmark set of this name (UnknownNameError names the nearest)."""
    if name not in LANDMARK_SETS:
        raise UnknownNameError("landmark set", name, valid=LANDMARK_SETS)
    return LANDMARK_SETS[name]


def find_bones(landmarks: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Which of these landmarks are joined, as pairs of places in the list; by the set that joins most of them."""
    place = {name: i for i, name in enumerate(landmarks)}
    joined: list[list[tuple[int, int]]] = [
        [(place[a], place[b]) for a, b in found.bones if a in place and b in place] for found in LANDMARK_SETS.values()
    ]
    best = max(joined, key=len)
    return tuple(best)


def side_of(landmark: str) -> Side:
    """The side that a landmark belongs to."""
    if mirrored_name(landmark) == landmark:
        return Side.BOTH
    return Side.LEFT if landmark.startswith("L") else Side.RIGHT


def tier_of(landmarks: Collection[str]) -> Tier | None:
    """The highest tier that these landmarks reach, or None when they do not even give hips, knees and ankles.

    A tier is about what the landmarks can give, not about the name of the set: HALPE-26 with four pelvic points added
    is T2.
    """
    have = frozenset(landmarks)
    pelvis = have.issuperset(_PELVIS_4)
    hips = pelvis or have.issuperset(("RGT", "LGT"))
    coco, run = have.issuperset(_T0_COCO), have.issuperset(_T0_RUN) and hips
    if not (coco or run):
        return None
    if not (have.issuperset(_T1_COCO) or have.issuperset(_T1_RUN)):
        return Tier.T0
    if not pelvis:
        return Tier.T1
    return Tier.T3 if run and have.issuperset(_T3_RUN) else Tier.T2


def lacking_landmarks(landmarks: Collection[str], tier: Tier) -> tuple[str, ...]:
    """The fewest landmarks that would have to be added to reach a tier; none where it is reached."""
    have = frozenset(landmarks)
    ways = [tuple(n for n in way if n not in have) for way in _ways_to(tier)]
    return min(ways, key=len)


def _ways_to(tier: Tier) -> list[tuple[str, ...]]:
    """Every set of landmarks that is just enough for a tier."""
    run_t0 = [(*_T0_RUN, *hips) for hips in (_PELVIS_4, ("RGT", "LGT"))]
    if tier is Tier.T0:
        return [_T0_COCO, *run_t0]
    # Of ways that are equally long the first is taken: the one that keeps to the names of one set.
    feet = [(*way, *toes) for toes in (_T1_RUN, _T1_COCO) for way in run_t0]
    if tier is not Tier.T3:
        feet += [(*_T0_COCO, *toes) for toes in (_T1_COCO, _T1_RUN)]
    more = {Tier.T1: (), Tier.T2: _PELVIS_4, Tier.T3: (*_PELVIS_4, *_T3_RUN)}[tier]
    return [tuple(dict.fromkeys((*way, *more))) for way in feet]
