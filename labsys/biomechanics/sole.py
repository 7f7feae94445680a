"""Contact by the sole: where a shoe's lowest point is, learnt from the stances of the trial itself.

While a convex shoe rolls or stands on the belt, the height of each of its landmarks is a smooth function of its pitch
alone (the sole's support function). That function is fitted to certain stance; what a landmark stands above it is the
shoe's clearance, which is zero in contact and falls to zero with the landing speed. So the instant of contact lies
between samples where the clearance, continued, meets zero. This needs landmarks steadier than half a millimetre: with
noisier ones the fit says so and nothing is refined.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.interpolate import CubicSpline

from labsys.biomechanics.gait_signals import knee_angle
from labsys.biomechanics.points import BodyPoints, is_seen
from labsys.biomechanics.segments import SIDES, Body
from labsys.biomechanics.treadmill import ankle
from labsys.core.arrays import BoolArray, FloatArray
from labsys.core.motion import EventKind, GaitEvent
from labsys.core.skeleton import Side

STEADY_M = 0.0005
# The peak of knee extension is flatter than a landing is steep: it needs landmarks five times as steady.
STEADY_FOR_KNEE_M = 0.0001
_ROLES = ("HEEL", "MT5", "MT1", "TOE")
_MARGINS_S = (0.012, 0.008, 0.006)
_FLAT_SHARE = (0.3, 0.5)
_BACK_FROM_S, _BACK_TO_S = 0.055, 0.060
_FIT_S = 0.012
_FARTHEST_S = 0.045
_LATEST_S = 0.048
_TOE_OFF_SEARCH_S, _TOE_OFF_STEP_S = 0.020, 0.0005
# Spread that the fitted lever arms may have (m/rad, m/rad²): keeps what few samples cannot tell from running away.
_LEVER_SD = np.array([np.inf, 0.2, 0.05, 0.2, 0.05])
_FIT_SD_M = 0.0001
_TRIMS, _TRIM_AT = 3, 4.0
# A shoe that is about to land was at least this high this long before; a smaller bump is the sole fitting badly.
_LANDING_FROM_M, _LANDING_BEFORE_S = 0.002, 0.020


@dataclass(frozen=True, eq=False)
class Clearance:
    """Height of the shoe above its contact posture (T,) m, and how steady it is in stance.

    spread_m: of the mean over landmarks. landmark_spread_m: of a single landmark.
    """

    height_m: FloatArray
    spread_m: float
    landmark_spread_m: float


def refine_running_events(events: list[GaitEvent], points: BodyPoints, body: Body) -> list[GaitEvent]:
    """Events with sub-frame times where the landmarks are steady enough; the others as they are.

    points, body: not low-passed. Toe-off becomes the peak of knee extension without the low-pass's shift.
    """
    refined: list[GaitEvent] = []
    for side in SIDES:
        own = [e for e in events if e.side is side]
        refined += _refine_side(own, points, body, side) if _has_shoe(points, side) else own
    return sorted(refined, key=lambda e: e.time_s)


def _has_shoe(points: BodyPoints, side: Side) -> bool:
    return points.has(f"{side.letter}HEEL", f"{side.letter}TOE")


def _refine_side(own: list[GaitEvent], points: BodyPoints, body: Body, side: Side) -> list[GaitEvent]:
    strikes = {i: e.time_s for i, e in enumerate(own) if e.kind is EventKind.FOOT_STRIKE}
    offs = {i: own[i + 1].time_s for i in strikes if i + 1 < len(own) and own[i + 1].kind is EventKind.TOE_OFF}
    times, spread_m = dict(strikes), np.inf
    for margin_s in _MARGINS_S:
        stances = [(times[i], off) for i, off in offs.items()]
        clearance = measure_clearance(points, side, stances, margin_s)
        if clearance is None or clearance.landmark_spread_m > STEADY_M:
            return own
        spread_m = clearance.landmark_spread_m
        found = {i: _contact_time(points.times_s, clearance, t) for i, t in strikes.items()}
        times = {i: t if t is not None else strikes[i] for i, t in found.items()}
    knee = knee_angle(body.hip[side].position_m, body.knee[side].position_m, ankle(points, side))
    if spread_m > STEADY_FOR_KNEE_M:
        knee = np.full_like(knee, np.nan)
    return [_replace(e, times.get(i), points.times_s, knee) for i, e in enumerate(own)]


def _replace(event: GaitEvent, strike_s: float | None, clock: FloatArray, knee_rad: FloatArray) -> GaitEvent:
    if event.kind is EventKind.TOE_OFF:
        return replace(event, time_s=_knee_peak(clock, knee_rad, event.time_s))
    if strike_s is None or strike_s == event.time_s:
        return event
    return replace(event, time_s=strike_s)


def measure_clearance(
    points: BodyPoints, side: Side, stances: list[tuple[float, float]], margin_s: float
) -> Clearance | None:
    """Clearance of a shoe, with its sole learnt from these stances (strike, toe-off) less a margin at both ends."""
    clock = points.times_s
    roles = [f"{side.letter}{r}" for r in _ROLES if points.has(f"{side.letter}{r}")]
    tracks = [np.where((points.filled[r] > 0)[:, None], np.nan, points[r]) for r in roles]
    seen = np.logical_and.reduce([is_seen(t) for t in tracks])
    stance, flat = np.zeros(clock.size, dtype=np.bool_), np.zeros(clock.size, dtype=np.bool_)
    for strike_s, off_s in stances:
        stance |= (clock >= strike_s + margin_s) & (clock <= off_s - margin_s)
        first, last = (strike_s + share * (off_s - strike_s) for share in _FLAT_SHARE)
        flat |= (clock >= first) & (clock <= last)
    stance &= seen
    if stance.sum() < 3 * _LEVER_SD.size or not (flat & seen).any():
        return None
    heights = np.stack([t[:, 1] for t in tracks], axis=1)
    basis = _basis(_pitch(points, side), flat & seen)
    residual = heights - basis @ _fit(basis, heights, stance)
    height = residual.mean(axis=1)
    return Clearance(height, _spread(height[stance]), _spread(residual[stance]))


def _pitch(points: BodyPoints, side: Side) -> FloatArray:
    v = points[f"{side.letter}TOE"] - points[f"{side.letter}HEEL"]
    return np.asarray(np.arctan2(v[:, 1], np.hypot(v[:, 0], v[:, 2]) * np.where(v[:, 0] < 0, -1.0, 1.0)))


def _basis(pitch_rad: FloatArray, flat: BoolArray) -> FloatArray:
    """Lever arms of heel and toe, each linear and quadratic in pitch from flat, (T, 5)."""
    q = pitch_rad - np.median(pitch_rad[flat])
    up, down = np.maximum(q, 0.0), np.minimum(q, 0.0)
    return np.stack([np.ones_like(q), up, up**2, down, down**2], axis=1)


def _fit(basis: FloatArray, heights_m: FloatArray, stance: BoolArray) -> FloatArray:
    """Lever arms per landmark, (5, N), from stance samples; those that stand out are dropped."""
    ridge = np.diag((_FIT_SD_M / _LEVER_SD) ** 2)
    kept = stance.copy()
    levers = np.zeros((basis.shape[1], heights_m.shape[1]))
    for _ in range(_TRIMS + 1):
        A = basis[kept]
        levers = np.asarray(np.linalg.solve(A.T @ A + ridge, A.T @ heights_m[kept]), dtype=np.float64)
        off = np.abs((heights_m - basis @ levers).mean(axis=1))
        kept = stance & (off <= max(_TRIM_AT * _spread(off[stance]), _FIT_SD_M))
    return levers


def _spread(values: FloatArray) -> float:
    return 1.4826 * float(np.median(np.abs(values)))


def _contact_time(clock: FloatArray, clearance: Clearance, coarse_s: float) -> float | None:
    """Where the clearance before a foot strike, continued, meets zero; None where it never rises."""
    height = clearance.height_m
    threshold = max(0.0006, 3.0 * clearance.spread_m)
    start = min(int(np.searchsorted(clock, coarse_s + _BACK_FROM_S)), clock.size - 1)
    earliest = int(np.searchsorted(clock, coarse_s - _BACK_TO_S))
    i = start
    while i > earliest and height[i] < threshold:
        i -= 1
    count = max(3, round(_FIT_S / (clock[1] - clock[0])))
    window = slice(i - count + 1, i + 1)
    if i <= earliest or i == start or window.start < 0 or not np.isfinite(height[window]).all():
        return None
    ahead_s = _first_zero(clock[window] - clock[i], height[window])
    if ahead_s is None:
        return None
    contact_s = float(clock[i]) + ahead_s
    landing = float(np.interp(contact_s - _LANDING_BEFORE_S, clock, height)) >= _LANDING_FROM_M
    return contact_s if landing and contact_s - coarse_s <= _LATEST_S else None


def _first_zero(offsets_s: FloatArray, heights_m: FloatArray) -> float | None:
    """Where the parabola through heights (N,) at offsets (N,) s first meets zero after the last of them, s."""
    scale = float(np.ptp(offsets_s))
    x = offsets_s / scale
    a, b, c = np.linalg.lstsq(np.stack([x**2, x, np.ones_like(x)], axis=1), heights_m, rcond=None)[0]
    inside = b * b - 4.0 * a * c
    if inside < 0.0:
        return None
    # The stable pair of roots: neither subtracts nearly equal numbers.
    q = -0.5 * (b + np.copysign(np.sqrt(inside), b))
    roots = [root * scale for root in (q / a if a else np.inf, c / q if q else np.inf)]
    ahead = [float(r) for r in roots if -1e-3 < r < _FARTHEST_S]
    return min(ahead, default=None)


def _knee_peak(clock: FloatArray, knee_rad: FloatArray, coarse_s: float) -> float:
    near = (clock >= coarse_s - 3 * _TOE_OFF_SEARCH_S) & (clock <= coarse_s + 3 * _TOE_OFF_SEARCH_S)
    if near.sum() < 4 or not np.isfinite(knee_rad[near]).all():
        return coarse_s
    first, last = max(coarse_s - _TOE_OFF_SEARCH_S, clock[near][0]), min(coarse_s + _TOE_OFF_SEARCH_S, clock[near][-1])
    grid = np.arange(first, last, _TOE_OFF_STEP_S)
    peak = int(np.argmax(CubicSpline(clock[near], knee_rad[near])(grid)))
    inside = 0 < peak < grid.size - 1
    return float(grid[peak]) if inside else coarse_s
