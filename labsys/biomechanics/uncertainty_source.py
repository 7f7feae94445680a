"""A trial whose landmarks' errors are known, and its points as they are after a draw of these errors.

The static's errors are drawn anew for every draw, those of the calibration are the same in static and trial where both
were reconstructed with one calibration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from labsys.biomechanics.cast import carry_clusters
from labsys.biomechanics.filtering import low_pass
from labsys.biomechanics.points import BodyPoints, median_points, name_roles, role_sources
from labsys.biomechanics.preparation import Prepared, face_forward, find_pelvis_size
from labsys.biomechanics.treadmill import Travel
from labsys.biomechanics.uncertainty_draws import (
    FrameErrors,
    StandingErrors,
    frame_errors,
    passed_variance,
    standing_errors,
)
from labsys.core.arrays import FloatArray, IntArray
from labsys.core.landmarks import Landmarks3D
from labsys.core.point_errors import PointErrors


@dataclass(frozen=True, eq=False)
class ErrorSource:
    """A trial whose landmarks' errors are known.

    Attributes:
        landmarks: as reconstructed, with `errors`. places: role -> landmark that plays it.
        standing, still, still_places: errors, median frame in LAB and roles of the static; None where there is none.
        prepared: points after cleaning, in LAB turned by R_travel_lab.
    """

    landmarks: Landmarks3D
    errors: PointErrors
    places: Mapping[str, int]
    standing: StandingErrors | None
    still: BodyPoints | None
    still_places: Mapping[str, int]
    prepared: Prepared
    R_travel_lab: FloatArray

    @property
    def cutoffs_hz(self) -> tuple[float, ...]:
        """Low-passes that angles and metrics look through."""
        own = self.prepared
        return tuple(dict.fromkeys((*self.cutoffs_of_angles_hz, own.settings.event_cutoff_hz, own.strike_cutoff_hz)))

    @property
    def cutoffs_of_angles_hz(self) -> tuple[float, ...]:
        """Low-passes that angles alone look through."""
        s = self.prepared.settings
        return tuple(dict.fromkeys((s.proximal_cutoff_hz, s.distal_cutoff_hz)))

    def turned(self, travel: Travel) -> ErrorSource:
        """The same trial in its run direction."""
        return replace(self, prepared=travel.prepared, R_travel_lab=travel.R_travel_lab)


def make_error_source(landmarks: Landmarks3D, static: Landmarks3D | None, prepared: Prepared) -> ErrorSource | None:
    """What draws need; None where the errors of the trial or of its static are not known."""
    standing = None if static is None else standing_errors(static)
    if landmarks.errors is None or (static is not None and standing is None):
        return None
    return ErrorSource(
        landmarks=landmarks,
        errors=landmarks.errors,
        places=role_sources(landmarks),
        standing=standing,
        still=None if static is None else median_points(name_roles(static)),
        still_places={} if static is None else role_sources(static),
        prepared=prepared,
        R_travel_lab=np.eye(3),
    )


@dataclass(frozen=True, eq=False)
class Stretch:
    """Some frames of a trial: their errors, and the measured points after each low-pass (cut-off, Hz, -> points)."""

    source: ErrorSource
    model: FrameErrors
    points: Mapping[float, BodyPoints]

    def perturbed(self, moved: Mapping[float, FloatArray] | None, still: BodyPoints | None) -> Prepared:
        """The trial at these frames with errors (N, K, 3) m added after each low-pass, and with another static."""
        prepared = self.source.prepared
        static = prepared.static if still is None else still
        views = {
            c: p if moved is None else _moved_points(self.source, p, moved[c], static) for c, p in self.points.items()
        }
        size = prepared.size
        if still is not None and size is not None:
            found = find_pelvis_size(next(iter(views.values())), still)
            size = size if found is None else replace(found, leg_length_m=size.leg_length_m)
        return prepared.replaced(views, static, size)


def cut_stretch(source: ErrorSource, frames: IntArray, cutoffs_hz: tuple[float, ...]) -> Stretch:
    points = {}
    for cutoff_hz in cutoffs_hz:
        whole = source.prepared.smoothed(cutoff_hz)
        tracks = {r: t[frames] for r, t in whole.tracks.items()}
        points[cutoff_hz] = BodyPoints(whole.times_s[frames], tracks, {r: whole.filled[r][frames] for r in tracks})
    return Stretch(source, frame_errors(source.landmarks, source.errors, frames), points)


def _moved_points(source: ErrorSource, points: BodyPoints, moved: FloatArray, static: BodyPoints | None) -> BodyPoints:
    turned = moved @ source.R_travel_lab.T
    own = {r: t + turned[:, source.places[r]] for r, t in points.tracks.items() if r in source.places}
    if static is None or len(own) == len(points.tracks):
        return points.with_tracks(own)
    # Landmarks that only the static shows are carried by those that the trial shows.
    return carry_clusters(
        points.with_tracks(own), static, residual_max_m=source.prepared.settings.cluster_residual_max_m
    )


def passed_by(source: ErrorSource, cutoff_hz: float) -> FloatArray:
    if not source.prepared.settings.filter_enabled:
        return np.ones(len(source.landmarks.landmarks))
    return passed_variance(source.errors, cutoff_hz=cutoff_hz, rate_hz=source.prepared.points.rate_hz)


def low_passed(source: ErrorSource, moved: FloatArray) -> dict[float, FloatArray]:
    if not source.prepared.settings.filter_enabled:
        return dict.fromkeys(source.cutoffs_hz, moved)
    columns, rate_hz = moved.reshape(len(moved), -1), source.prepared.points.rate_hz
    return {c: low_pass(columns, cutoff_hz=c, rate_hz=rate_hz).reshape(moved.shape) for c in source.cutoffs_hz}


def draw_common(rng: np.random.Generator, source: ErrorSource) -> tuple[FloatArray, BodyPoints | None]:
    """Factors of the calibration's shapes, and a standing subject as another static might have shown it."""
    factors = rng.standard_normal(len(source.errors.shapes_m))
    if source.standing is None or source.still is None:
        return factors, None
    own = source.standing.frame.errors
    shared = own.calibration == source.errors.calibration and len(own.shapes_m) == len(factors)
    moved = source.standing.draw(rng, factors if shared else rng.standard_normal(len(own.shapes_m)))
    tracks = {role: track + moved[source.still_places[role]] for role, track in source.still.tracks.items()}
    return factors, face_forward(source.still.with_tracks(tracks))
