"""Which landmark plays which anatomical role, whatever the landmark set calls it.

Roles carry LABSYS-RUN names where that set has the point (RASIS, RLFE, RHEEL …) and plain words for what only keypoint
models give (RHIP, RKNEE, RANKLE: joint centres as a network sees them; NECK). Means of other points ("MidHip", "Hip")
add no information and play no role.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from labsys.core.arrays import BoolArray, FloatArray
from labsys.core.errors import InputError
from labsys.core.landmarks import Landmarks3D
from labsys.core.skeleton import LABSYS_RUN_37, Tier, tier_of

# role -> names that may play it, the first found wins
_KEYPOINT_ROLES: dict[str, tuple[str, ...]] = {
    f"{side}{role}": tuple(f"{side}{name}" for name in names)
    for side in "RL"
    for role, names in {
        "HIP": ("Hip",),
        "KNEE": ("Knee",),
        "ANKLE": ("Ankle",),
        "AC": ("AC", "Shoulder"),
        "HEEL": ("HEEL", "Heel"),
        "TOE": ("TOE", "BigToe"),
        "MT5": ("MT5", "SmallToe"),
        "ELB": ("ELB", "Elbow"),
        "WRI": ("WRI", "Wrist"),
    }.items()
}
_ROLES: dict[str, tuple[str, ...]] = (
    {name: (name,) for name in LABSYS_RUN_37.landmarks}
    | _KEYPOINT_ROLES
    | {"NECK": ("Neck",), "T8": ("T8",), "HEAD": ("HEAD", "Head"), "REAR": ("REar",), "LEAR": ("LEar",)}
)

_DISTAL_ROLES = frozenset(
    f"{side}{role}" for side in "RL" for role in ("ANKLE", "LM", "MM", "HEEL", "TOE", "MT5", "MT1")
)

_PELVIS_FRAME = ("RASIS", "LASIS", "RPSIS", "LPSIS")

# Markers of rigid clusters that stand for a segment and have no anatomical meaning: RTH1.. thigh, RTB1.. shank,
# RFT1.. foot, PEL1.. pelvis, THX1.. thorax.
CLUSTER_PREFIXES: tuple[str, ...] = ("RTH", "LTH", "RTB", "LTB", "RFT", "LFT", "PEL", "THX")


@dataclass(frozen=True, eq=False)
class BodyPoints:
    """Anatomical roles over time.

    Attributes:
        times_s: (T,) s.
        tracks: role -> (T, 3) m in LAB; a role without any finite sample is not there.
        filled: role -> (T,) True where the position was filled in, not measured.
        carried: roles that the trial never shows, placed from the static by the rest of their segment.
    """

    times_s: FloatArray
    tracks: Mapping[str, FloatArray]
    filled: Mapping[str, FloatArray]
    carried: frozenset[str] = frozenset()

    def has(self, *roles: str) -> bool:
        """Whether all these roles are there."""
        return all(role in self.tracks for role in roles)

    def __getitem__(self, role: str) -> FloatArray:
        return self.tracks[role]

    def missing(self, *roles: str) -> str:
        """Reason text naming the roles that are not there."""
        return "landmarks missing: " + ", ".join(r for r in roles if r not in self.tracks)

    def with_tracks(self, tracks: Mapping[str, FloatArray]) -> BodyPoints:
        """The same trial with other positions."""
        return BodyPoints(self.times_s, tracks, {role: self._filled(role) for role in tracks}, self.carried)

    @property
    def carried_pelvis(self) -> tuple[str, ...]:
        """Landmarks of the pelvis frame that the trial never shows: hip centres and all angles rest on them."""
        return tuple(r for r in _PELVIS_FRAME if r in self.carried)

    def turned(self, R_new_lab: FloatArray) -> BodyPoints:
        """The same trial with LAB turned, (3, 3)."""
        return self.with_tracks({role: track @ R_new_lab.T for role, track in self.tracks.items()})

    def only(self, roles: frozenset[str]) -> BodyPoints:
        """The same trial with these roles alone."""
        return self.with_tracks({r: t for r, t in self.tracks.items() if r in roles})

    def interpolated_share(self, roles: Collection[str], inside: BoolArray) -> float:
        """Share of filled-in samples among those of some landmarks at some frames (T,), 0..1; 0 where there is none.

        Roles that are not there do not count, nor does what the static carries throughout: it lowers quality instead.
        """
        shown = [r for r in sorted(roles) if r in self.tracks and r not in self.carried]
        if not shown or not inside.any():
            return 0.0
        rows = np.flatnonzero(inside)
        return float(np.mean([self._filled(r)[rows].mean() for r in shown]))

    def _filled(self, role: str) -> FloatArray:
        return self.filled.get(role, np.zeros(self.times_s.size))

    @property
    def rate_hz(self) -> float:
        """Sample rate, NaN for fewer than two frames."""
        n = self.times_s.size
        # The mean step, not the median: files round their times.
        return float((n - 1) / (self.times_s[-1] - self.times_s[0])) if n > 1 else float("nan")


def is_seen(positions_m: FloatArray) -> BoolArray:
    """Where positions (..., 3) are known, (...,)."""
    return np.asarray(np.isfinite(positions_m).all(axis=-1), dtype=np.bool_)


def is_distal(role: str) -> bool:
    """Whether a role belongs to shank or foot (shorter gaps, higher cut-off)."""
    return role in _DISTAL_ROLES or role.startswith(("RTB", "LTB", "RFT", "LFT"))


def name_roles(landmarks: Landmarks3D) -> BodyPoints:
    """Give every known landmark its role; landmarks without a role are left out."""
    sources = role_sources(landmarks)
    tracks = {role: landmarks.xyz_m[:, k] for role, k in sources.items()}
    filled = {role: landmarks.interpolated[:, k].astype(np.float64) for role, k in sources.items()}
    return BodyPoints(landmarks.times_s, tracks, filled)


def role_sources(landmarks: Landmarks3D) -> dict[str, int]:
    """Role -> place in `landmarks` of the landmark that plays it, for those with any position."""
    sources: dict[str, int] = {}
    for role, names in _role_names(landmarks.landmarks).items():
        found = next((n for n in names if n in landmarks.landmarks), None)
        if found is not None and is_seen(landmarks.point_m(found)).any():
            sources[role] = landmarks.index(found)
    return sources


def _role_names(landmarks: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    clusters = {n: (n,) for n in landmarks if n.startswith(CLUSTER_PREFIXES) and n[3:].isdigit()}
    return _ROLES | clusters


def median_points(points: BodyPoints) -> BodyPoints:
    """The median frame of a quiet stance as a trial of one frame."""
    tracks = {role: np.nanmedian(track, axis=0)[None] for role, track in points.tracks.items()}
    return BodyPoints(points.times_s[:1], tracks, {role: np.zeros(1) for role in tracks})


def reached_tier(points: BodyPoints, landmarks: tuple[str, ...]) -> Tier:
    """Tier of the landmarks that have data, after rigid clusters have carried what only the static shows.

    Raises:
        InputError: not even hips, knees, ankles and shoulders; names what is missing.
    """
    present = set(points.tracks) | {n for n in landmarks if _has_data(points, n)}
    tier = tier_of(present)
    if tier is None:
        raise _no_tier(_missing_for_t0(present), landmarks)
    return tier


def _no_tier(missing: list[str], landmarks: tuple[str, ...]) -> InputError:
    unplaced = [name for name in missing if name in landmarks]
    if unplaced:
        return InputError(
            f"landmarks reach no tier: {', '.join(unplaced)} have no position in any frame",
            remedy="A position needs two cameras that see the landmark: look at their places and at the 2D landmarks",
        )
    return InputError(
        f"landmarks reach no tier: missing {', '.join(missing)}",
        where=f"landmarks found: {', '.join(landmarks[:40]) or 'none'}",
        remedy="Give both hips, knees, ankles and shoulders, or map the file's markers with a marker map",
    )


def _has_data(points: BodyPoints, landmark: str) -> bool:
    return any(landmark in names and role in points.tracks for role, names in _ROLES.items())


def _missing_for_t0(present: set[str]) -> list[str]:
    keypoints = [f"{s}{n}" for s in "RL" for n in ("Hip", "Knee", "Ankle", "Shoulder")]
    markers = [f"{s}{n}" for s in "RL" for n in ("ASIS", "PSIS", "LFE", "LM", "AC")]
    choices = [[n for n in names if n not in present] for names in (keypoints, markers)]
    return min(choices, key=len)
