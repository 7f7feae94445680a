"""Foot strike and toe-off of walking: Zeni 2008 segments, then the sole under the landmark must stand on the ground.

A landmark sits some centimetres above the sole. While the shoe tips over its heel or toe, the landmark is carried
forward although the sole stands, so the shoe's pitch rate times that height is taken off its speed.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import find_peaks

from labsys.biomechanics.gait_signals import GaitSignals, LegSignals, PointSignals
from labsys.biomechanics.treadmill import MID_STANCE
from labsys.core.arrays import BoolArray, FloatArray
from labsys.core.motion import EventKind, GaitEvent, Quality

_SEARCH_S = 0.100
_HEIGHT_MARGIN_M = 0.015
_SPEED_SHARE = 0.3
# Landmarks sit on the shoe, at most this high above the sole; a floor that is not at LAB's zero may say otherwise.
_HIGHEST_ON_SHOE_M = 0.080


def find_walking_events(signals: GaitSignals, speed_mps: float) -> list[GaitEvent]:
    """Events of both sides in time order. speed_mps: of the ground against the subject."""
    events: list[GaitEvent] = []
    for side, leg in signals.legs.items():
        heel, toe = leg.shoe.get("HEEL", leg.ankle), leg.shoe.get("TOE", leg.foot)
        for kind, point, sign in ((EventKind.FOOT_STRIKE, heel, 1.0), (EventKind.TOE_OFF, toe, -1.0)):
            standing = _standing(leg, point, _stance_height(signals, leg, point), speed_mps)
            for zeni_s in _extremes(signals, point, sign):
                time_s, quality = _on_ground(signals, standing, zeni_s, first=sign > 0)
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


def _standing(leg: LegSignals, point: PointSignals, stance_m: float, speed_mps: float) -> BoolArray:
    """Where the point is low and the sole under it moves with the ground, (D,). stance_m: the point's stance height."""
    carried_mps = -leg.pitch_rate_rad_s * np.clip(stance_m, 0.0, _HIGHEST_ON_SHOE_M)
    ground_speed = np.abs(point.velocity_mps - carried_mps + speed_mps)
    low = point.height_m < stance_m + _HEIGHT_MARGIN_M
    return np.asarray(low & (ground_speed < _SPEED_SHARE * speed_mps), dtype=np.bool_)


def _on_ground(signals: GaitSignals, standing: BoolArray, zeni_s: float, *, first: bool) -> tuple[float, Quality]:
    window = signals.window(zeni_s - _SEARCH_S, zeni_s + _SEARCH_S)
    found = np.flatnonzero(standing[window])
    if found.size == 0:
        return zeni_s, Quality.LOW
    return float(signals.times_s[window][found[0] if first else found[-1]]), Quality.OK
