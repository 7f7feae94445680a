"""From landmarks as reconstructed to points that angles are made of: outliers out, clusters and gaps in, low-pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from labsys.biomechanics.cardan import rotation_about
from labsys.biomechanics.cast import carry_clusters
from labsys.biomechanics.filtering import fill_gaps, find_outliers, low_pass, too_fast
from labsys.biomechanics.names_check import check_standing
from labsys.biomechanics.points import BodyPoints, is_distal, median_points, name_roles, reached_tier
from labsys.biomechanics.segments import (
    Body,
    PelvisSize,
    build_body,
    find_right_axis,
    measure_leg_length,
    measure_pelvis,
)
from labsys.biomechanics.settings import AnalysisSettings
from labsys.biomechanics.static_check import check_stands_still, compare_bodies
from labsys.core.arrays import FloatArray
from labsys.core.errors import InputError
from labsys.core.landmarks import Landmarks3D
from labsys.core.skeleton import Tier

_TIME_TOLERANCE = 0.2
# Of the frame rate, that a low-pass may lie at.
_HIGHEST_SHARE = 0.4


@dataclass(frozen=True, eq=False)
class Reference:
    """The moving body and the standing one (one frame), built alike."""

    moving: Body
    still: Body


@dataclass(frozen=True, eq=False)
class Prepared:
    """A trial ready for angles.

    Attributes:
        points: cleaned, not yet low-passed.
        static: the median frame of the static trial, or None.
        size: pelvis size that hip centres are placed by, from the static where it has one.
        static_doubt: why the static may not be this subject's, or None.
        stretches: how many stretches of equal length follow one another (`stacking`); where several, `static` and
            `size` have a frame for every frame of the motion.
    """

    tier: Tier
    points: BodyPoints
    static: BodyPoints | None
    size: PelvisSize | None
    settings: AnalysisSettings
    static_doubt: str | None = None
    stretches: int = 1
    _smoothed: dict[float, BodyPoints] = field(default_factory=dict, init=False, repr=False)
    _bodies: dict[float, Body] = field(default_factory=dict, init=False, repr=False)
    _stills: dict[frozenset[str], Body] = field(default_factory=dict, init=False, repr=False)

    @property
    def strike_cutoff_hz(self) -> float:
        """Low-pass for angles at foot strike: as set, or as far as the frame rate allows."""
        return min(self.settings.strike_cutoff_hz, _HIGHEST_SHARE * self.points.rate_hz)

    def smoothed(self, cutoff_hz: float) -> BodyPoints:
        """The points after the low-pass, or as they are when filtering is off; computed once per cut-off."""
        if not self.settings.filter_enabled:
            return self.points
        key = _name_cutoff(cutoff_hz)
        if key not in self._smoothed:
            self._smoothed[key] = self._low_passed(cutoff_hz)
        return self._smoothed[key]

    def _low_passed(self, cutoff_hz: float) -> BodyPoints:
        roles = tuple(self.points.tracks)
        columns = np.concatenate([self.points[r] for r in roles], axis=1)
        smooth = low_pass(columns, cutoff_hz=cutoff_hz, rate_hz=self.points.rate_hz)
        return self.points.with_tracks({r: smooth[:, 3 * i : 3 * i + 3] for i, r in enumerate(roles)})

    def body(self, cutoff_hz: float) -> Body:
        """Segments of the low-passed points; computed once per cut-off."""
        if cutoff_hz not in self._bodies:
            self._bodies[cutoff_hz] = build_body(self.smoothed(cutoff_hz), self.size)
        return self._bodies[cutoff_hz]

    def unfiltered_body(self) -> Body:
        """Segments of the points without low-pass."""
        return build_body(self.points, self.size)

    def reference(self, cutoff_hz: float) -> Reference | None:
        """Bodies of motion and static built from the points that both have: their difference is a posture."""
        if self.static is None:
            return None
        moving = self.smoothed(cutoff_hz)
        common = frozenset(moving.tracks) & frozenset(self.static.tracks)
        alike = common == frozenset(moving.tracks)
        body = self.body(cutoff_hz) if alike else build_body(moving.only(common), self.size)
        if common not in self._stills:
            self._stills[common] = build_body(self.static.only(common), self.size)
        return Reference(moving=body, still=self._stills[common])

    @property
    def views(self) -> Mapping[float, BodyPoints]:
        """The points after each low-pass that there has been so far (cut-off, Hz, -> points)."""
        return self._smoothed

    def replaced(
        self,
        smoothed: Mapping[float, BodyPoints],
        static: BodyPoints | None,
        size: PelvisSize | None,
        stretches: int = 1,
    ) -> Prepared:
        """Other points, given as they are after each low-pass (cut-off, Hz, -> points), with their static and size."""
        other = replace(self, points=next(iter(smoothed.values())), static=static, size=size, stretches=stretches)
        other._smoothed.update({_name_cutoff(c): points for c, points in smoothed.items()})
        return other

    def turned(self, R_new_lab: FloatArray) -> Prepared:
        """The same trial with LAB turned, (3, 3); the static keeps its own heading."""
        if np.array_equal(R_new_lab, np.eye(3)):
            return self
        return replace(self, points=self.points.turned(R_new_lab))

    def shifted(self, shift_m: FloatArray) -> Prepared:
        """The same trial with every point moved by (T, 3) m."""
        tracks = {role: track + shift_m for role, track in self.points.tracks.items()}
        return replace(self, points=self.points.with_tracks(tracks))


def _name_cutoff(cutoff_hz: float) -> float:
    """A cut-off that hangs on the frame rate is that of some of the frames but for the last digit."""
    return round(cutoff_hz, 6)


def prepare_points(landmarks: Landmarks3D, static: Landmarks3D | None, settings: AnalysisSettings) -> Prepared:
    """Clean a trial's landmarks, with missing ones carried by the clusters that its static calibrates.

    Raises:
        InputError: empty trial, uneven times, landmarks that reach no tier (missing ones named); a static that moves,
            is of another body, does not stand, or bears exchanged names.
    """
    _check_times(landmarks)
    still = None if static is None else _still_points(static)
    points = name_roles(landmarks)
    if settings.filter_enabled:
        points = _remove_outliers(points, settings)
    doubt = None if still is None else compare_bodies(points, still)
    if still is not None:
        points = carry_clusters(points, still, residual_max_m=settings.cluster_residual_max_m)
    points = _fill_all_gaps(points, settings)
    tier = reached_tier(points, landmarks.landmarks)
    return Prepared(tier, points, still, find_pelvis_size(points, still), settings, doubt)


def _still_points(static: Landmarks3D) -> BodyPoints:
    if static.times_s.size == 0:
        raise InputError("the static trial is empty", remedy="Record a quiet stance again, or analyse without a static")
    standing = name_roles(static)
    check_stands_still(standing)
    still = median_points(standing)
    check_standing(still)
    return face_forward(still)


def face_forward(still: BodyPoints) -> BodyPoints:
    """Turn a standing subject so that the pelvis faces X: a static's heading carries no information."""
    right = find_right_axis(still, measure_pelvis(still)).position_m[0]
    if not np.isfinite(right).all():
        return still
    yaw = np.arctan2(right[0], right[2])
    return still.turned(rotation_about("y", -yaw))


def _check_times(landmarks: Landmarks3D) -> None:
    if landmarks.times_s.size < 2:
        raise InputError(
            f"{landmarks.times_s.size} frame(s) are too few: motion needs two at least",
            remedy="Check that the 2D landmarks cover the recording",
        )
    if not np.isfinite(landmarks.xyz_m).any():
        raise InputError(
            f"the trial is empty: {landmarks.times_s.size} frame(s), no landmark position",
            remedy="Check that the 2D landmarks cover the recording and that the calibration belongs to it",
        )
    steps = np.diff(landmarks.times_s)
    worst = int(np.argmax(np.abs(steps - np.median(steps))))
    if abs(steps[worst] - np.median(steps)) > _TIME_TOLERANCE * np.median(steps):
        raise InputError(
            f"frames are not evenly spaced: {steps[worst] * 1e3:.1f} ms instead of {np.median(steps) * 1e3:.1f} ms",
            where=f"after t = {landmarks.times_s[worst]:.3f} s",
            remedy="Put the landmarks on a common clock first (missing frames as NaN)",
        )


def _remove_outliers(points: BodyPoints, settings: AnalysisSettings) -> BodyPoints:
    roles = tuple(points.tracks)
    columns = np.concatenate([points[r] for r in roles], axis=1)
    tracks = columns.reshape(len(columns), -1, 3)
    bad = find_outliers(columns, frames=settings.hampel_frames, mads=settings.hampel_mads).reshape(tracks.shape)
    cleaned = np.where(bad.any(axis=-1, keepdims=True), np.nan, tracks)
    for i, role in enumerate(roles):
        limit = settings.max_acceleration_foot_mps2 if is_distal(role) else settings.max_acceleration_pelvis_mps2
        fast = too_fast(cleaned[:, i : i + 1], limit_mps2=limit, rate_hz=points.rate_hz)
        cleaned[fast[:, 0], i] = np.nan
    return points.with_tracks({r: cleaned[:, i] for i, r in enumerate(roles)})


def _fill_all_gaps(points: BodyPoints, settings: AnalysisSettings) -> BodyPoints:
    tracks, filled = {}, {}
    for role, track in points.tracks.items():
        longest_s = settings.gap_distal_s if is_distal(role) else settings.gap_proximal_s
        tracks[role], gaps = fill_gaps(track, longest_frames=int(longest_s * points.rate_hz + 1e-9))
        filled[role] = np.maximum(points.filled[role], gaps)
    return BodyPoints(points.times_s, tracks, filled, points.carried)


def find_pelvis_size(points: BodyPoints, still: BodyPoints | None) -> PelvisSize | None:
    """Size of the pelvis from the static where it has one, else from the trial itself; None where neither has."""
    source = still if still is not None and measure_pelvis(still) is not None else points
    size = measure_pelvis(source)
    if size is None or still is None:
        return size
    return replace(size, leg_length_m=measure_leg_length(still))
