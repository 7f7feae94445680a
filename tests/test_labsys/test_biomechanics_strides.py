"""Which strides count, of events made by hand: each reason against one, and no other stride loses by it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from labsys.biomechanics.points import BodyPoints
from labsys.biomechanics.settings import AnalysisSettings
from labsys.biomechanics.strides import cut_strides
from labsys.core.motion import EventKind, GaitEvent, GaitEvents, Quality, Stride
from labsys.core.session import TrialKind
from labsys.core.skeleton import Side

STRIDE_S, CONTACT_S, N = 0.70, 0.25, 12
LEFT, RIGHT = Side.LEFT, Side.RIGHT
EVERY = AnalysisSettings(discard_first_strides=0, discard_last_strides=0)
# The left foot's fifth stride, in which something is amiss.
ODD = 4


def regular() -> list[GaitEvent]:
    return [
        GaitEvent(kind, side, i * STRIDE_S + later_s + (0.5 * STRIDE_S if side is RIGHT else 0.0), Quality.OK)
        for i in range(N)
        for side in (LEFT, RIGHT)
        for kind, later_s in ((EventKind.FOOT_STRIKE, 0.0), (EventKind.TOE_OFF, CONTACT_S))
    ]


def cut(events: list[GaitEvent], kind: TrialKind = TrialKind.RUN) -> dict[tuple[Side, int], Stride]:
    ordered = tuple(sorted(events, key=lambda e: e.time_s))
    times = np.arange(int(100 * N * STRIDE_S) + 100) / 100.0
    heel = np.zeros((times.size, 3))
    points = BodyPoints(times, {"RHEEL": heel, "LHEEL": heel}, {})
    strides = cut_strides(GaitEvents(ordered, 3.0, STRIDE_S), points, kind=kind, settings=EVERY)
    return {(s.side, s.index): s for s in strides}


def at(kind: EventKind, side: Side, time_s: float) -> Callable[[GaitEvent], bool]:
    return lambda e: e.kind is kind and e.side is side and abs(e.time_s - time_s) < 1e-9


def moved(which: Callable[[GaitEvent], bool], by_s: float) -> list[GaitEvent]:
    return [replace(e, time_s=e.time_s + by_s) if which(e) else e for e in regular()]


def without(which: Callable[[GaitEvent], bool]) -> list[GaitEvent]:
    return [e for e in regular() if not which(e)]


STRIKE = at(EventKind.FOOT_STRIKE, LEFT, ODD * STRIDE_S)
OFF = at(EventKind.TOE_OFF, LEFT, ODD * STRIDE_S + CONTACT_S)
OTHER = at(EventKind.FOOT_STRIKE, RIGHT, (ODD + 0.5) * STRIDE_S)


def test_regular_strides_all_count() -> None:
    assert {s.reason for s in cut(regular()).values()} == {None}


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        (without(OTHER), "left and right foot strikes do not alternate"),
        (without(OFF), "no single toe-off"),
        (moved(OFF, 0.22), "contact of 470 ms is outside 100 to 450 ms"),
        (moved(OFF, -0.17), "contact of 80 ms is outside 100 to 450 ms"),
        (moved(OFF, 0.12), "contact longer than half the stride"),
        ([replace(e, quality=Quality.LOW) if OFF(e) else e for e in regular()], "an event of low quality"),
        ([replace(e, quality=Quality.LOW) if OTHER(e) else e for e in regular()], "an event of low quality"),
        (moved(STRIKE, -0.05), "duration of 0.750 s stands out from 0.700 s"),
    ],
)
def test_a_stride_that_does_not_count_says_why(events: list[GaitEvent], reason: str) -> None:
    strides = cut(events)
    assert strides[LEFT, ODD].reason == reason
    assert strides[LEFT, ODD - 2].reason is None
    assert strides[LEFT, ODD + 2].reason is None


def test_long_contacts_are_a_walk_s() -> None:
    strides = cut(moved(OFF, 0.22), TrialKind.WALK)
    assert {s.reason for s in strides.values()} == {None}
