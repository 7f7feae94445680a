"""Which way the subject runs, how fast, and on what: read from pelvis and feet, checked against what was declared.

A foot that stands moves with the surface. On a treadmill it moves at minus the belt speed under a resting pelvis,
overground it rests under a moving pelvis. Overground trials are turned and carried along so that both read alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import find_peaks

from labsys.biomechanics.axes import mid
from labsys.biomechanics.names_check import check_names_of_gait
from labsys.biomechanics.points import BodyPoints, is_seen
from labsys.biomechanics.preparation import Prepared
from labsys.biomechanics.segments import Body
from labsys.core.arrays import FloatArray
from labsys.core.errors import InputError
from labsys.core.session import Surface
from labsys.core.skeleton import Side

SLOWEST_MPS = 0.3
SHORTEST_STRIDE_S, LONGEST_STRIDE_S = 0.45, 1.7
# Part of the stride, after the foot's furthest reach, in which it stands for certain at every gait and speed.
MID_STANCE = (0.14, 0.31)
# Part of contact in which the forefoot lies flat: later it rolls over the toes and moves, which a median withstands
# only while landmarks are free of noise (docs/adr/0014).
STANDING_SHARE = (0.3, 0.5)
# A forefoot this little above its lowest tenth is on the ground.
_LOW_M = 0.03
# Shorter than this many seconds, a stride period is read from left against right instead of from one foot alone.
_AUTOCORRELATION_NEEDS_S = 3.5
_UP = np.array([0.0, 1.0, 0.0])


@dataclass(frozen=True, eq=False)
class Travel:
    """A trial in its run direction: X forward, the subject in place, the ground moving at -speed.

    Attributes:
        prepared: points turned (and, overground, carried along).
        speed_mps: of the ground against the subject, first estimate from mid-stance.
        drift_mps: mean pelvis velocity along X that was subtracted (0 on a treadmill).
        heading_error_rad: measured run direction against LAB's X about Y, NaN when it was not compared.
        R_travel_lab: (3, 3), by which the points were turned.
    """

    prepared: Prepared
    surface: Surface
    speed_mps: float
    period_s: float
    drift_mps: float
    heading_error_rad: float
    R_travel_lab: FloatArray


def find_travel(prepared: Prepared, *, declared: Surface | None, heading_known: bool) -> Travel:
    """Find surface, run direction, speed and stride period of a gait trial.

    Raises:
        InputError: nothing moves (belt stopped), another surface than declared, a subject who faces backwards,
            landmarks that bear each other's names, or too short to see a stride.
    """
    _check_length(prepared.points)
    body = prepared.body(prepared.settings.event_cutoff_hz)
    facing = _facing(body)
    R = _heading_matrix(facing)
    points = prepared.smoothed(prepared.settings.event_cutoff_hz).turned(R)
    pelvis = body.mid_hip_m @ R.T
    period_s = stride_period(points, pelvis)
    foot = mid_stance_velocity(points, pelvis, period_s)
    walk = _mean_velocity(points.times_s, pelvis)
    surface = _recognise_surface(foot, walk, declared)
    travel_in_turned = walk if surface is Surface.OVERGROUND else -foot
    travel = travel_in_turned @ R
    _check_facing(travel, facing, surface, heading_known)
    check_names_of_gait(prepared.points)
    return _turn(prepared, surface, travel, period_s, heading_known)


def _check_length(points: BodyPoints) -> None:
    n, seconds = points.times_s.size, float(points.times_s[-1] - points.times_s[0])
    if seconds < SHORTEST_STRIDE_S:
        raise InputError(
            f"{n} frames are too few: they last {seconds:.2f} s, and the shortest stride {SHORTEST_STRIDE_S:g} s",
            remedy="Record several strides, or import the trial as 'other'",
        )


def _turn(prepared: Prepared, surface: Surface, travel: FloatArray, period_s: float, heading_known: bool) -> Travel:
    """Put X along the travel: always overground and where heading is unknown; on a treadmill X stays as calibrated."""
    direction = np.array([travel[0], 0.0, travel[2]])
    error = float(np.arctan2(-direction[2], direction[0])) if heading_known else float("nan")
    if surface is Surface.TREADMILL:
        R = np.eye(3) if heading_known else _heading_matrix(direction)
        speed = float(np.linalg.norm(direction))
        return Travel(prepared.turned(R), surface, speed, period_s, 0.0, error, R)
    R = _heading_matrix(direction)
    turned = prepared.turned(R)
    drift = float(np.linalg.norm(direction))
    carried = _carry_along(turned, drift)
    return Travel(carried, surface, drift, period_s, drift, float("nan"), R)


def _carry_along(prepared: Prepared, drift_mps: float) -> Prepared:
    shift = np.zeros((prepared.points.times_s.size, 3))
    shift[:, 0] = drift_mps * (prepared.points.times_s - prepared.points.times_s[0])
    return prepared.shifted(-shift)


def _heading_matrix(direction: FloatArray) -> FloatArray:
    """Rotation (3, 3) that takes LAB to a frame with X along a horizontal direction (3,)."""
    x = np.array([direction[0], 0.0, direction[2]])
    x /= np.linalg.norm(x)
    return np.stack([x, _UP, np.cross(x, _UP)])


def _facing(body: Body) -> FloatArray:
    """Mean forward direction of the pelvis (3,), horizontal.

    Raises:
        InputError: the pelvis's right-left axis is not observable.
    """
    right = body.right_axis.position_m
    if not np.isfinite(right).any():
        raise InputError("gait needs both hips or the pelvis", remedy=body.right_axis.reason or "")
    forward = np.cross(_UP, np.nanmean(right, axis=0))
    return np.asarray(forward / np.linalg.norm(forward), dtype=np.float64)


def _check_facing(travel: FloatArray, facing: FloatArray, surface: Surface, heading_known: bool) -> None:
    if float(travel @ facing) <= 0:
        where = (
            "the belt moves forward under the feet" if surface is Surface.TREADMILL else "the pelvis travels backward"
        )
        raise InputError(
            f"the subject faces backwards: {where}",
            remedy="Check the left and right labels and the direction of travel; backward gait is not analysed",
        )
    if surface is Surface.TREADMILL and heading_known and float(facing[0]) <= 0:
        turned = float(np.rad2deg(np.arctan2(-facing[2], facing[0])))
        raise InputError(
            f"the subject faces backwards: the pelvis points {abs(turned):.0f}° away from the calibrated forward axis",
            remedy="Correct the calibration's forward direction (world axes), or declare the heading unknown",
        )


def forefoot(points: BodyPoints, side: Side) -> FloatArray:
    """The best point of a side that stands during mid-stance: forefoot, else toe, else ankle, (T, 3) m."""
    s = side.letter
    if points.has(f"{s}MT1", f"{s}MT5"):
        return mid(points[f"{s}MT1"], points[f"{s}MT5"])
    for role in ("MT5", "TOE", "ANKLE", "LM"):
        if points.has(f"{s}{role}"):
            return points[f"{s}{role}"]
    raise InputError(
        f"gait needs a foot or ankle landmark on the {side}", remedy="Map it, or import the trial as 'other'"
    )


def ankle(points: BodyPoints, side: Side) -> FloatArray:
    """Ankle of a side for segmentation: lateral malleolus, keypoint or heel, (T, 3) m."""
    for role in ("LM", "ANKLE", "HEEL"):
        if points.has(f"{side.letter}{role}"):
            return points[f"{side.letter}{role}"]
    return forefoot(points, side)


def reach(points: BodyPoints, pelvis_m: FloatArray, side: Side) -> FloatArray:
    """How far the ankle is ahead of the pelvis (T,) m, gaps bridged by straight lines."""
    return bridge(ankle(points, side)[:, 0] - pelvis_m[:, 0])


def bridge(series: FloatArray) -> FloatArray:
    """A series (T,) with straight lines over its gaps, flat at the ends; itself where it has none."""
    finite = np.isfinite(series)
    if finite.all():
        return series
    if not finite.any():
        return np.nan_to_num(series)
    index = np.arange(series.size)
    return np.interp(index, index[finite], series[finite])


def stride_period(points: BodyPoints, pelvis_m: FloatArray) -> float:
    """Stride period, s: autocorrelation of the ankle's reach, or right against left in a short trial.

    Raises:
        InputError: nothing periodic within 0.45 to 1.7 s.
    """
    left, right = (reach(points, pelvis_m, s) for s in (Side.LEFT, Side.RIGHT))
    rate_hz, seconds = points.rate_hz, points.times_s[-1] - points.times_s[0]
    if seconds >= _AUTOCORRELATION_NEEDS_S:
        correlation = 0.5 * (_correlation(left, left, rate_hz, 1.0) + _correlation(right, right, rate_hz, 1.0))
        period = _first_peak_s(correlation, rate_hz, SHORTEST_STRIDE_S)
    else:
        correlation = 0.5 * (_correlation(left, right, rate_hz, 0.5) + _correlation(right, left, rate_hz, 0.5))
        period = 2.0 * _first_peak_s(correlation, rate_hz, 0.5 * SHORTEST_STRIDE_S)
    if not np.isfinite(period):
        raise InputError(
            "no strides found: the feet do not repeat their motion every 0.45 to 1.7 s",
            remedy="Check that the subject runs or walks in this trial, or import it as 'other'",
        )
    return period


def _correlation(a: FloatArray, b: FloatArray, rate_hz: float, share: float) -> FloatArray:
    """Correlation of a with b delayed by 0.. lags up to `share` of the longest stride, over the common part."""
    longest = min(int(share * LONGEST_STRIDE_S * rate_hz), int(0.75 * a.size))
    values = np.full(longest + 1, -1.0)
    for lag in range(longest + 1):
        x, y = a[: a.size - lag], b[lag:]
        spread = x.std() * y.std()
        values[lag] = ((x - x.mean()) * (y - y.mean())).mean() / spread if spread > 0 else -1.0
    return values


def _first_peak_s(correlation: FloatArray, rate_hz: float, shortest_s: float) -> float:
    """Delay of the first peak that is nearly as high as the highest, s; NaN without a peak."""
    start = int(shortest_s * rate_hz)
    peaks, _ = find_peaks(np.append(correlation[start:], -1.0), height=0.3)
    if peaks.size == 0:
        return float("nan")
    heights = correlation[start:][peaks]
    return float((start + peaks[heights >= 0.85 * heights.max()][0]) / rate_hz)


def reach_maxima(points: BodyPoints, pelvis_m: FloatArray, side: Side, period_s: float) -> FloatArray:
    """Frames (float) of the ankle's furthest reach, one per stride; also one that lies just before the first frame."""
    x = reach(points, pelvis_m, side)
    apart = max(1, int(0.7 * period_s * points.rate_hz))
    peaks, _ = find_peaks(x, distance=apart, prominence=0.25 * np.ptp(x))
    opens = x[0] > np.max(x) - 0.25 * np.ptp(x) and (peaks.size == 0 or peaks[0] >= apart) and x[1] < x[0]
    return np.concatenate(([0.0], peaks)) if opens else peaks.astype(np.float64)


def mid_stance_velocity(points: BodyPoints, pelvis_m: FloatArray, period_s: float) -> FloatArray:
    """Median horizontal velocity of the standing forefoot, both feet, (3,) m/s with Y = 0.

    Standing is low, and after the furthest reach. Where the foot is in the air then (backward gait), low alone counts.

    Raises:
        InputError: the feet are never seen low.
    """
    in_window, low_alone = [], []
    for side in (Side.LEFT, Side.RIGHT):
        track = forefoot(points, side)
        v = np.gradient(track, points.times_s, axis=0)
        low = track[:, 1] < np.nanpercentile(track[:, 1], 10) + _LOW_M
        after = np.zeros(low.size, dtype=np.bool_)
        for m in reach_maxima(points, pelvis_m, side, period_s):
            after[slice(*(round(m + share * period_s * points.rate_hz) for share in MID_STANCE))] = True
        in_window.append((v[after & low], int(after.sum())))
        low_alone.append(v[low])
    seen = sum(len(v) for v, _ in in_window)
    standing = [v for v, _ in in_window] if seen > 0.5 * sum(n for _, n in in_window) else low_alone
    stacked = np.concatenate(standing)
    stacked = stacked[is_seen(stacked)]
    if len(stacked) == 0:
        raise InputError("no stance found: the feet are never seen on the ground", remedy="Check the foot landmarks")
    median = np.median(stacked, axis=0)
    return np.array([median[0], 0.0, median[2]])


def _mean_velocity(times_s: FloatArray, track_m: FloatArray) -> FloatArray:
    """Mean horizontal velocity of a track (slope of a straight line), (3,) m/s."""
    ok = is_seen(track_m)
    slope = np.polyfit(times_s[ok] - times_s[ok].mean(), track_m[ok], 1)[0]
    return np.array([slope[0], 0.0, slope[2]])


def _recognise_surface(foot: FloatArray, pelvis: FloatArray, declared: Surface | None) -> Surface:
    foot_mps, pelvis_mps = float(np.linalg.norm(foot)), float(np.linalg.norm(pelvis))
    if float(np.linalg.norm(pelvis - foot)) < SLOWEST_MPS:
        raise InputError(
            f"the belt stands still: standing feet move at {foot_mps:.2f} m/s and the pelvis at {pelvis_mps:.2f} m/s",
            remedy="Import standing as 'static' or 'other'",
        )
    found = Surface.TREADMILL if foot_mps > pelvis_mps else Surface.OVERGROUND
    if declared is not None and declared is not found:
        raise InputError(
            f"declared surface is {declared}, but standing feet move at {foot_mps:.2f} m/s "
            f"and the pelvis at {pelvis_mps:.2f} m/s: {found}",
            remedy="Correct the surface of the trial, or its calibration",
        )
    return found
