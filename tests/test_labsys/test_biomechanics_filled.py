"""Strides that rest on invented landmarks do not count."""

from __future__ import annotations

import numpy as np
import pytest

from labsys.biomechanics.points import BodyPoints
from labsys.biomechanics.settings import AnalysisSettings
from labsys.biomechanics.strides import cut_strides
from labsys.core.motion import EventKind, GaitEvent, GaitEvents
from labsys.core.session import TrialKind
from labsys.core.skeleton import RUN_MINIMUM, Side

PERIOD_S = 0.7
TIMES_S = np.arange(0.0, 20.0, 0.01)


def _events() -> GaitEvents:
    events = []
    for side, shift in ((Side.RIGHT, 0.0), (Side.LEFT, PERIOD_S / 2)):
        for strike in np.arange(0.5 + shift, 19.0, PERIOD_S):
            events.append(GaitEvent(EventKind.FOOT_STRIKE, side, float(strike)))
            events.append(GaitEvent(EventKind.TOE_OFF, side, float(strike + 0.25)))
    return GaitEvents(tuple(sorted(events, key=lambda e: e.time_s)), 3.0, PERIOD_S)


def _points(filled_landmark: str, share: float) -> BodyPoints:
    rng = np.random.default_rng(5)
    tracks = {role: np.zeros((TIMES_S.size, 3)) for role in RUN_MINIMUM}
    filled = {role: np.zeros(TIMES_S.size) for role in RUN_MINIMUM}
    filled[filled_landmark] = (rng.random(TIMES_S.size) < share).astype(float)
    return BodyPoints(TIMES_S, tracks, filled)


@pytest.mark.parametrize(
    ("landmark", "share", "counts"),
    [("RASIS", 0.0, True), ("RASIS", 0.15, True), ("RASIS", 0.8, False), ("RTOE", 0.9, False), ("C7", 0.8, False)],
)
def test_one_mostly_invented_landmark_voids_the_strides_of_its_segment(
    landmark: str, share: float, counts: bool
) -> None:
    strides = cut_strides(_events(), _points(landmark, share), kind=TrialKind.RUN, settings=AnalysisSettings())
    middle = [s for s in strides if s.side is Side.RIGHT and 5.0 < s.foot_strike_s < 15.0]
    assert len(middle) > 5
    assert all(s.valid for s in middle) is counts
    if not counts:
        assert all("filled in" in (s.reason or "") for s in middle)


def test_a_foot_speaks_for_its_own_side_only() -> None:
    strides = cut_strides(_events(), _points("LTOE", 1.0), kind=TrialKind.RUN, settings=AnalysisSettings())
    assert any(s.valid for s in strides if s.side is Side.RIGHT)
    assert not any(s.valid for s in strides if s.side is Side.LEFT)
