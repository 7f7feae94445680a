"""Foot strike and toe-off of running.

Foot strike: two estimates, their weighted mean where they agree, as one tends to be late and the other early: the
earliest vertical-acceleration peak of a shoe landmark near its stance height (Handsaker 2016), and the foot's backward
velocity reaching 0.8 of the ground's. Where they disagree (a bump before contact, a foot that moves with the belt in
the air, a soft landing) the first shoe landmark at its stance height is the third vote and the middle one counts.
Toe-off: peak knee extension (Fellin 2010), checked against the toe's vertical-acceleration peak.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.signal import find_peaks

from labsys.biomechanics.gait_signals import GaitSignals, LegSignals, PointSignals
from labsys.core.arrays import FloatArray
from labsys.core.motion import EventKind, GaitEvent, Quality
from labsys.core.skeleton import Side

_STRIKE_WINDOW_S = (-0.020, 0.120)
_STANCE_HEIGHT_WINDOW_S = (0.10, 0.22)
_STANCE_HEIGHT_MARGIN_M = 0.020
_STRIKE_PEAK_SHARE = 0.5
_STRIKE_SPEED_SHARE = 0.8
_STRIKE_AGREEMENT_S = 0.025
# By precision: against force plates the speed cue errs by 9 ms, the acceleration peak, smeared by the low-pass, by 16.
# Those are two contacts, the ones that the test of 12 ms holds: what it shows is in-sample. On synthetic runners the
# weight decides little (docs/adr/0011).
_PEAK_WEIGHT = 0.25
_CONTACT_HEIGHT_M = 0.004
_SHORTEST_CONTACT_S, _LONGEST_CONTACT_S = 0.12, 0.45
_TOE_OFF_AFTER_REARMOST_S = 0.020
_TOE_OFF_DISAGREEMENT_S = 0.050
_TOE_SEARCH_S = 0.060


def find_running_events(signals: GaitSignals, speed_mps: float) -> list[GaitEvent]:
    """Events of both sides in time order. speed_mps: of the ground against the subject."""
    events: list[GaitEvent] = []
    for side, leg in signals.legs.items():
        for furthest in leg.furthest_s:
            strike = _foot_strike(signals, leg, float(furthest), speed_mps)
            if strike is None:
                continue
            events.append(GaitEvent(EventKind.FOOT_STRIKE, side, *strike))
            events.extend(_toe_offs(signals, side, leg, strike[0]))
    return sorted(events, key=lambda e: e.time_s)


def _foot_strike(
    signals: GaitSignals, leg: LegSignals, furthest_s: float, speed_mps: float
) -> tuple[float, Quality] | None:
    window = signals.window(furthest_s + _STRIKE_WINDOW_S[0], furthest_s + _STRIKE_WINDOW_S[1])
    if window.stop - window.start < 3:
        return None
    by_peak = _earliest_peak(signals, leg, furthest_s, window)
    by_speed = _first_at_speed(signals.times_s[window], leg.foot.velocity_mps[window], speed_mps)
    by_height = _first_at_height(signals, leg, furthest_s, window)
    if not signals.has_feet:
        return None if by_peak is None else (by_peak, Quality.OK)
    if by_peak is not None and by_speed is not None and abs(by_peak - by_speed) <= _STRIKE_AGREEMENT_S:
        return _PEAK_WEIGHT * by_peak + (1.0 - _PEAK_WEIGHT) * by_speed, Quality.OK
    found = sorted(t for t in (by_peak, by_speed, by_height) if t is not None)
    if len(found) < 3:
        return (found[0], Quality.LOW) if found else None
    nearest = min(found[1] - found[0], found[2] - found[1])
    return found[1], Quality.OK if nearest <= _STRIKE_AGREEMENT_S else Quality.LOW


def _first_at_height(signals: GaitSignals, leg: LegSignals, furthest_s: float, window: slice) -> float | None:
    """First time at which any shoe landmark comes down to 4 mm above its stance height, s."""
    stance = signals.window(*(furthest_s + t for t in _STANCE_HEIGHT_WINDOW_S))
    if stance.stop - stance.start < 3 or not leg.shoe:
        return None
    above = [p.height_m[window] - tenth(p.height_m[stance]) for p in leg.shoe.values()]
    return first_below(signals.times_s[window], np.min(above, axis=0), _CONTACT_HEIGHT_M)


def _earliest_peak(signals: GaitSignals, leg: LegSignals, furthest_s: float, window: slice) -> float | None:
    """Earliest acceleration peak of any shoe landmark at its stance height; of the ankle without shoe landmarks."""
    stance = signals.window(*(furthest_s + t for t in _STANCE_HEIGHT_WINDOW_S))
    found = [
        t
        for point in (leg.shoe.values() if signals.has_feet else (leg.ankle,))
        for t in _gated_peaks(signals.times_s, point, window, stance)
    ]
    return min(found, default=None)


def _gated_peaks(times_s: FloatArray, point: PointSignals, window: slice, stance: slice) -> Iterator[float]:
    if stance.stop - stance.start < 3:
        return
    ground = tenth(point.height_m[stance])
    acceleration = point.acceleration_mps2[window]
    peaks, _ = find_peaks(acceleration, height=_STRIKE_PEAK_SHARE * acceleration.max())
    for peak in peaks:
        if point.height_m[window][peak] < ground + _STANCE_HEIGHT_MARGIN_M:
            yield refine_peak(times_s[window], acceleration, int(peak))


def tenth(values: FloatArray) -> float:
    """10th percentile (nearest rank) of (N,)."""
    return float(np.sort(values)[values.size // 10])


def refine_peak(times_s: FloatArray, values: FloatArray, peak: int) -> float:
    """Time of the top of the parabola through a peak and its neighbours, s."""
    if not 0 < peak < values.size - 1:
        return float(times_s[peak])
    before, top, after = values[peak - 1 : peak + 2]
    bend = before - 2.0 * top + after
    shift = 0.5 * (before - after) / bend if bend < 0 else 0.0
    return float(times_s[peak] + shift * (times_s[1] - times_s[0]))


def _first_at_speed(times_s: FloatArray, velocity_mps: FloatArray, speed_mps: float) -> float | None:
    """First time at which the foot moves backward with 0.8 of the ground's speed, s."""
    return first_below(times_s, velocity_mps, -_STRIKE_SPEED_SHARE * speed_mps)


def first_below(times_s: FloatArray, values: FloatArray, limit: float) -> float | None:
    """First time at which a series comes down to a limit, linear between samples, s; None where it never does."""
    below = np.flatnonzero(values <= limit)
    if below.size == 0:
        return None
    i = int(below[0])
    if i == 0:
        return float(times_s[0])
    share = (values[i - 1] - limit) / (values[i - 1] - values[i])
    return float(times_s[i - 1] + share * (times_s[i] - times_s[i - 1]))


def _toe_offs(signals: GaitSignals, side: Side, leg: LegSignals, strike_s: float) -> Iterator[GaitEvent]:
    later = leg.rearmost_s[leg.rearmost_s > strike_s + _SHORTEST_CONTACT_S - _TOE_OFF_AFTER_REARMOST_S]
    end = strike_s + _LONGEST_CONTACT_S
    if later.size:
        end = min(end, float(later[0]) + _TOE_OFF_AFTER_REARMOST_S)
    window = signals.window(strike_s + _SHORTEST_CONTACT_S, end)
    peaks, _ = find_peaks(leg.knee_rad[window])
    if peaks.size == 0:
        return
    time_s = refine_peak(signals.times_s[window], leg.knee_rad[window], int(peaks[-1]))
    yield GaitEvent(EventKind.TOE_OFF, side, time_s, _toe_off_quality(signals, leg, time_s))


def _toe_off_quality(signals: GaitSignals, leg: LegSignals, time_s: float) -> Quality:
    """LOW where the toe's vertical acceleration does not peak within 50 ms of it."""
    if "TOE" not in leg.shoe:
        return Quality.OK
    window = signals.window(time_s - _TOE_SEARCH_S, time_s + _TOE_SEARCH_S)
    acceleration = leg.shoe["TOE"].acceleration_mps2[window]
    peaks, _ = find_peaks(acceleration)
    if peaks.size == 0:
        return Quality.LOW
    highest = int(peaks[np.argmax(acceleration[peaks])])
    apart = abs(float(signals.times_s[window][highest]) - time_s)
    return Quality.LOW if apart > _TOE_OFF_DISAGREEMENT_S else Quality.OK
