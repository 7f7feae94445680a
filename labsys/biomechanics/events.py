"""Gait events of a trial in its run direction, and the speed of the ground that they were found with."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from labsys.biomechanics.events_aligned import align_events
from labsys.biomechanics.events_run import find_running_events
from labsys.biomechanics.events_walk import find_walking_events
from labsys.biomechanics.gait_signals import GaitSignals, make_signals
from labsys.biomechanics.sole import refine_running_events
from labsys.biomechanics.treadmill import STANDING_SHARE, Travel, forefoot
from labsys.core.errors import InputError
from labsys.core.motion import EventKind, GaitEvent, GaitEvents, Quality
from labsys.core.session import Surface, TrialKind
from labsys.core.skeleton import Side

_HALF = 0.5


def detect_gait_events(travel: Travel, kind: TrialKind) -> GaitEvents:
    """Foot strikes and toe-offs of both sides.

    travel: the trial turned into its run direction. Events that rest on filled-in foot samples are LOW.

    Raises:
        InputError: no foot strike at all, a run in which each foot stands for more than half its stride, or a walk in
            which it stands for less.
    """
    settings = travel.prepared.settings
    points = travel.prepared.smoothed(settings.event_cutoff_hz)
    signals = make_signals(points, travel.prepared.body(settings.event_cutoff_hz), travel.period_s)
    _refuse_other_gait(signals, kind, travel.speed_mps)
    speed = travel.speed_mps
    events = _find(signals, kind, speed)
    if travel.surface is Surface.TREADMILL:
        speed = belt_speed(travel, events, fallback_mps=speed)
        events = _find(signals, kind, speed)
    events = align_events([_guard(signals, e, settings.gap_event_guard_s) for e in events], signals)
    if kind is TrialKind.RUN:
        events = refine_running_events(events, travel.prepared.points, travel.prepared.unfiltered_body())
    if not any(e.kind is EventKind.FOOT_STRIKE for e in events):
        raise InputError("no foot strike found", remedy="Check the foot landmarks, or import the trial as 'other'")
    return GaitEvents(tuple(events), speed, _median_stride(events, travel.period_s))


def _find(signals: GaitSignals, kind: TrialKind, speed_mps: float) -> list[GaitEvent]:
    find = find_running_events if kind is TrialKind.RUN else find_walking_events
    return find(signals, speed_mps)


def _guard(signals: GaitSignals, event: GaitEvent, guard_s: float) -> GaitEvent:
    """LOW where a foot landmark was not measured within the guard time of the event."""
    window = signals.window(event.time_s - guard_s, event.time_s + guard_s)
    measured = all(bool(seen[window].all()) for seen in signals.legs[event.side].measured.values())
    return event if measured else replace(event, quality=Quality.LOW)


def belt_speed(travel: Travel, events: list[GaitEvent], *, fallback_mps: float) -> float:
    """Median backward speed of the standing forefoot, 30-50 % of contact, over both feet, m/s."""
    points = travel.prepared.smoothed(travel.prepared.settings.event_cutoff_hz)
    medians = []
    for side in (Side.LEFT, Side.RIGHT):
        velocity = np.gradient(forefoot(points, side)[:, 0], points.times_s)
        for strike_s, off_s in contacts(events, side):
            first, last = (strike_s + share * (off_s - strike_s) for share in STANDING_SHARE)
            stance = velocity[(points.times_s >= first) & (points.times_s <= last)]
            if np.isfinite(stance).any():
                medians.append(-float(np.nanmedian(stance)))
    return float(np.median(medians)) if medians else fallback_mps


def contacts(events: list[GaitEvent] | tuple[GaitEvent, ...], side: Side) -> list[tuple[float, float]]:
    """(foot strike, toe-off) of every contact of a side that has both, s."""
    own = [e for e in events if e.side is side]
    return [
        (here.time_s, there.time_s)
        for here, there in pairwise(own)
        if here.kind is EventKind.FOOT_STRIKE and there.kind is EventKind.TOE_OFF
    ]


def _refuse_other_gait(signals: GaitSignals, kind: TrialKind, speed_mps: float) -> None:
    """Refuse in a run long contacts with a pelvis that is highest in mid-stance (an inverted pendulum), and in a walk
    short ones with a pelvis that is not (a spring).

    Contacts are judged by the walking rules, as running rules stop looking after 0.45 s; these see some contacts a
    little long, so a slow run is told from a walk by its pelvis as well.
    """
    walking = find_walking_events(signals, speed_mps)
    shares = [(off - on) / signals.period_s for side in signals.legs for on, off in contacts(walking, side)]
    if not shares or not signals.has_feet:
        return
    walks = signals.pelvis_highest_in_mid_stance()
    if (float(np.median(shares)) > _HALF) is not walks or walks is (kind is TrialKind.WALK):
        return
    seen, stated, other = ("walking", "running", "walk") if walks else ("running", "walking", "run")
    raise InputError(
        f"this is {seen}, not {stated}: each foot stands for {100 * np.median(shares):.0f} % of its stride",
        remedy=f"State what it is: 'labsys trial edit TRIAL --kind {other}'",
    )


def _median_stride(events: list[GaitEvent], fallback_s: float) -> float:
    strides = [
        gap
        for side in (Side.LEFT, Side.RIGHT)
        for gap in np.diff([e.time_s for e in events if e.kind is EventKind.FOOT_STRIKE and e.side is side])
    ]
    return float(np.median(strides)) if strides else fallback_s
