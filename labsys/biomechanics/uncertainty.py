"""What the landmarks' errors do to angles and metrics: the same analysis, repeated on draws of these errors.

Strides stay as found, their events are moved as far as detection errs in all strides alike. The static's errors are
drawn anew for every draw, those of the calibration are the same in static and trial where both were reconstructed with
one calibration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import uniform_filter1d

from labsys.biomechanics.cast import carry_clusters
from labsys.biomechanics.derived import asymmetry
from labsys.biomechanics.filtering import low_pass
from labsys.biomechanics.kinematics import joint_angles, reported
from labsys.biomechanics.metric_source import Circumstances, make_source
from labsys.biomechanics.metrics import RULES, metric_values
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
from labsys.core.catalogue import find_metric
from labsys.core.derived_metrics import ASYMMETRY
from labsys.core.landmarks import Landmarks3D
from labsys.core.motion import AngleSeries, EventKind, JointAngles, Stride
from labsys.core.point_errors import PointErrors
from labsys.core.skeleton import Side

_METRIC_DRAWS, _ANGLE_DRAWS = 28, 24
_SEED = 2031
_WINDOW_S = 3.0  # of strides that stand for all
_MARGIN_S = 0.5  # for the low-pass
_MOST_FRAMES = 300  # at which the angles' errors are found
_ALIKE_FRAMES = 5  # neighbours among these, whose draws count together
# By how much the events of one side and kind come out early or late in all strides alike: what detection costs on
# landmarks from video, however little noise there is (running, all strikes; docs/adr/0011).
_EVENT_SD_S = {EventKind.FOOT_STRIKE: 0.0045, EventKind.TOE_OFF: 0.003}

_READ_BY_METRICS = frozenset(angle for rule in RULES.values() for angle in rule.angles)

Key = tuple[str, Side]


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
class _Stretch:
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


def _stretch(source: ErrorSource, frames: IntArray, cutoffs_hz: tuple[float, ...]) -> _Stretch:
    points = {}
    for cutoff_hz in cutoffs_hz:
        whole = source.prepared.smoothed(cutoff_hz)
        tracks = {r: t[frames] for r, t in whole.tracks.items()}
        points[cutoff_hz] = BodyPoints(whole.times_s[frames], tracks, {r: whole.filled[r][frames] for r in tracks})
    return _Stretch(source, frame_errors(source.landmarks, source.errors, frames), points)


def _moved_points(source: ErrorSource, points: BodyPoints, moved: FloatArray, static: BodyPoints | None) -> BodyPoints:
    turned = moved @ source.R_travel_lab.T
    own = {r: t + turned[:, source.places[r]] for r, t in points.tracks.items() if r in source.places}
    if static is None or len(own) == len(points.tracks):
        return points.with_tracks(own)
    # Landmarks that only the static shows are carried by those that the trial shows.
    return carry_clusters(
        points.with_tracks(own), static, residual_max_m=source.prepared.settings.cluster_residual_max_m
    )


def with_angle_errors(source: ErrorSource, angles: JointAngles) -> JointAngles:
    """The angles with the standard error of every sample, rad, as reported (against the static where there is one)."""
    n_frames = angles.times_s.size
    frames = np.unique(np.linspace(0, n_frames - 1, min(n_frames, _MOST_FRAMES)).round().astype(np.int64))
    stretch = _stretch(source, frames, source.cutoffs_of_angles_hz)
    passed = {c: _passed(source, c) for c in source.cutoffs_of_angles_hz}
    rng = np.random.default_rng(_SEED)
    squares = {(a.id, a.side): np.zeros(frames.size) for a in angles.series}
    base = {(a.id, a.side): reported(a)[0][frames] for a in angles.series}
    for _ in range(_ANGLE_DRAWS):
        factors, still = _draw_common(rng, source)
        noise = rng.standard_normal(stretch.model.xyz_m.shape)
        # One draw, less or more of it left by each low-pass.
        moved = {c: stretch.model.move_frames(noise, factors, p) for c, p in passed.items()}
        for a in joint_angles(stretch.perturbed(moved, still)).series:
            squares[a.id, a.side] += _wrapped(reported(a)[0] - base[a.id, a.side]) ** 2
    series = [_with_error(a, frames, squares[a.id, a.side] / _ANGLE_DRAWS) for a in angles.series]
    return JointAngles(angles.times_s, tuple(series))


def _with_error(series: AngleSeries, frames: IntArray, variance: FloatArray) -> AngleSeries:
    """Variances at some frames as a standard error at every sample; NaN where there is no angle."""
    values = reported(series)[0]
    known = np.isfinite(variance)
    if not known.any():
        return series
    weight = uniform_filter1d(known.astype(np.float64), _ALIKE_FRAMES, mode="nearest")
    total = uniform_filter1d(np.where(known, variance, 0.0), _ALIKE_FRAMES, mode="nearest")
    some = weight > 1e-9
    at = np.interp(np.arange(values.size), frames[some], total[some] / weight[some])
    return replace(series, se_rad=np.where(np.isfinite(values), np.sqrt(at), np.nan))


def _wrapped(angle_rad: FloatArray) -> FloatArray:
    return np.asarray((angle_rad + np.pi) % (2.0 * np.pi) - np.pi)


def metric_errors(
    source: ErrorSource, travel: Travel, strides: tuple[Stride, ...], known: Circumstances
) -> Mapping[Key, float]:
    """Standard error of every metric's mean by reconstruction, inside units; metrics that it does not hold are absent.

    It is the part that the scatter over strides does not show: what stays, what repeats with the stride, calibration
    and static, events that come early or late alike, and what noise does to extremes. Noise that differs from stride to
    stride is in `ci95_strides`.
    """
    window, frames = _window(strides, source.prepared.points.times_s)
    if not frames.size:
        return {}
    stretch = _stretch(source, frames, source.cutoffs_hz)
    base = _values(stretch.perturbed(None, None), travel, window, known)
    rng = np.random.default_rng(_SEED)
    changes: dict[Key, dict[int, FloatArray]] = {key: {} for key in base}
    for draw in range(_METRIC_DRAWS):
        factors, still = _draw_common(rng, source)
        moved = _low_passed(source, stretch.model.draw_stretch(rng, factors))
        found = _values(stretch.perturbed(moved, still), travel, _move_events(rng, window), known)
        for key, values in base.items():
            # A metric that no stride of the window gives has no error either.
            if values.size and key in found and found[key].size == values.size:
                changes[key][draw] = found[key] - values
    single = {k: _lasting_error(np.array(list(d.values()))) for k, d in changes.items() if len(d) > 1}
    return single | _asymmetry_errors(base, changes)


def _asymmetry_errors(
    base: Mapping[Key, FloatArray], changes: Mapping[Key, Mapping[int, FloatArray]]
) -> dict[Key, float]:
    """Standard errors of right against left: what errs alike on both sides cancels."""
    errors: dict[Key, float] = {}
    for metric_id in {k[0] for k in base if (k[0], Side.LEFT) in base and (k[0], Side.RIGHT) in base}:
        right, left = (metric_id, Side.RIGHT), (metric_id, Side.LEFT)
        both = sorted(changes[right].keys() & changes[left].keys())
        if len(both) < 2 or not (base[right].size and base[left].size):
            continue
        unit = find_metric(metric_id).unit
        _, of_right, of_left = asymmetry(float(base[right].mean()), float(base[left].mean()), unit)
        parts = [w * np.array([changes[k][d] for d in both]) for k, w in ((right, of_right), (left, of_left))]
        errors[metric_id + ASYMMETRY, Side.BOTH] = _lasting_error(*parts)
    return errors


def _move_events(rng: np.random.Generator, strides: tuple[Stride, ...]) -> tuple[Stride, ...]:
    """Strides whose events of one side and kind are early or late alike."""
    on, off = (
        {side: _EVENT_SD_S[kind] * float(rng.standard_normal()) for side in (Side.LEFT, Side.RIGHT)}
        for kind in (EventKind.FOOT_STRIKE, EventKind.TOE_OFF)
    )
    return tuple(
        replace(
            s,
            foot_strike_s=s.foot_strike_s + on[s.side],
            toe_off_s=s.toe_off_s + off[s.side],
            next_foot_strike_s=s.next_foot_strike_s + on[s.side],
            contra_foot_strike_s=s.contra_foot_strike_s + on[s.side.opposite],
        )
        for s in strides
    )


def _lasting_error(*changes: FloatArray) -> float:
    """Root mean square, over draws, of the mean change over strides, less what independent strides would show.

    changes: (draws, strides), of one side, or of both sides with their weights, whose means add up.
    """
    means = sum(c.mean(axis=1) for c in changes)
    by_stride = sum(float(c.var(axis=1, ddof=1).mean()) / c.shape[1] for c in changes if c.shape[1] > 1)
    return float(np.sqrt(np.mean(means) ** 2 + max(float(np.var(means, ddof=1)) - by_stride, 0.0)))


def _window(strides: tuple[Stride, ...], times_s: FloatArray) -> tuple[tuple[Stride, ...], IntArray]:
    """Valid strides of a few seconds around the middle of all valid ones, and the frames that they need."""
    valid = [s for s in strides if s.valid]
    if not valid:
        return (), np.empty(0, dtype=np.int64)
    middle = float(np.median([s.foot_strike_s for s in valid]))
    near = [s for s in valid if abs(s.foot_strike_s - middle) < 0.5 * _WINDOW_S]
    start, end = (f(t for s in near for t in (s.foot_strike_s, s.next_foot_strike_s)) for f in (min, max))
    inside = (times_s >= start - _MARGIN_S) & (times_s <= end + _MARGIN_S)
    return tuple(near), np.flatnonzero(inside)


def _values(
    prepared: Prepared, travel: Travel, strides: tuple[Stride, ...], known: Circumstances
) -> dict[Key, FloatArray]:
    angles = joint_angles(prepared, only=_READ_BY_METRICS)
    source = make_source(replace(travel, prepared=prepared), angles, known)
    return {(v.id, v.side): v.values for v in metric_values(source, strides)[0]}


def _passed(source: ErrorSource, cutoff_hz: float) -> FloatArray:
    if not source.prepared.settings.filter_enabled:
        return np.ones(len(source.landmarks.landmarks))
    return passed_variance(source.errors, cutoff_hz=cutoff_hz, rate_hz=source.prepared.points.rate_hz)


def _low_passed(source: ErrorSource, moved: FloatArray) -> dict[float, FloatArray]:
    if not source.prepared.settings.filter_enabled:
        return dict.fromkeys(source.cutoffs_hz, moved)
    columns, rate_hz = moved.reshape(len(moved), -1), source.prepared.points.rate_hz
    return {c: low_pass(columns, cutoff_hz=c, rate_hz=rate_hz).reshape(moved.shape) for c in source.cutoffs_hz}


def _draw_common(rng: np.random.Generator, source: ErrorSource) -> tuple[FloatArray, BodyPoints | None]:
    """Factors of the calibration's shapes, and a standing subject as another static might have shown it."""
    factors = rng.standard_normal(len(source.errors.shapes_m))
    if source.standing is None or source.still is None:
        return factors, None
    own = source.standing.frame.errors
    shared = own.calibration == source.errors.calibration and len(own.shapes_m) == len(factors)
    moved = source.standing.draw(rng, factors if shared else rng.standard_normal(len(own.shapes_m)))
    tracks = {role: track + moved[source.still_places[role]] for role, track in source.still.tracks.items()}
    return factors, face_forward(source.still.with_tracks(tracks))
