"""Foot strike and toe-off of walking: Zeni 2008 segments, then the landmark must stand on the ground."""

from __future__ import annotations

import numpy as np
from scipy.signal import find_peaks

from labsys.biomechanics.gait_signals import GaitSignals, LegSignals, PointSignals
from labsys.biomechanics.treadmill import MID_STANCE
from labsys.core.arrays import FloatArray
from labsys.core.motion import EventKind, GaitEvent, Quality

_SEARCH_S = 0.100
_HEIGHT_MARGIN_M = 0.015
_SPEED_SHARE = 0.3


def find_walking_events(signals: GaitSignals, speed_mps: float) -> list[GaitEvent]:
    """Events of both sides in time order. speed_mps: of the ground against the subject."""
    events: list[GaitEvent] = []
    for side, leg in signals.legs.items():
        heel, toe = leg.shoe.get("HEEL", leg.ankle), leg.shoe.get("TOE", leg.foot)
        for kind, point, sign in ((EventKind.FOOT_STRIKE, heel, 1.0), (EventKind.TOE_OFF, toe, -1.0)):
            ground_m = _stance_height(signals, leg, point)
            for zeni_s in _extremes(signals, point, sign):
                time_s, quality = _on_ground(signals, point, zeni_s, ground_m, speed_mps, first=sign > 0)
                events.append(GaitEvent(kind, side, time_s, quality))
    return sorted(events, key=lambda e: e.time_s)


def _extremes(signals: GaitSignals, point: PointSignals, sign: float) -> FloatArray:
    """Times of furthest reach (+1) or rearmost place (-1) of a point against the sacrum, s."""
    x = sign * (point.forward_m - signals.sacrum_m)
    step = signals.times_s[1] - signals.times_s[0]
    peaks, _ = find_peaks(x, distance=max(1, int(0.7 * signals.period_s / step)), prominence=0.25 * np.ptp(x))
    return np.asarray(signals.times_s[peaks])


def _stance_height(signals: GaitSignals, leg: LegSignals, point: PointSignals) -> float:
    """10th percentile of the point's height in all mid-stances, m; of the whole trial where none is inside it."""
    windows = [signals.window(*(m + share * signals.period_s for share in MID_STANCE)) for m in leg.furthest_s]
    heights = [point.height_m[w] for w in windows if w.stop > w.start]
    return float(np.percentile(np.concatenate(heights) if heights else point.height_m, 10))


def _on_ground(
    signals: GaitSignals, point: PointSignals, zeni_s: float, ground_m: float, speed_mps: float, *, first: bool
) -> tuple[float, Quality]:
    window = signals.window(zeni_s - _SEARCH_S, zeni_s + _SEARCH_S)
    ground_speed = np.abs(point.velocity_mps[window] + speed_mps)
    standing = (point.height_m[window] < ground_m + _HEIGHT_MARGIN_M) & (ground_speed < _SPEED_SHARE * speed_mps)
    found = np.flatnonzero(standing)
    if found.size == 0:
        return zeni_s, Quality.LOW
    return float(signals.times_s[window][found[0] if first else found[-1]]), Quality.OK
