"""The checks of the long studies can fail."""

from __future__ import annotations

import math

import pytest

from tests.accept.uncertainty import NotReached, judge_share

MISSED = NotReached((0.85, 0.93), "a reason")


@pytest.mark.parametrize(
    ("mean", "expected", "said"),
    [
        (0.95, None, ""),
        (0.918, None, ""),
        (0.90, None, "not 0.93 to 0.97"),
        (0.995, None, "not 0.93 to 0.97"),
        (0.88, MISSED, ""),
        (0.82, MISSED, "not 0.85 to 0.93"),
        (0.99, MISSED, "not 0.85 to 0.93"),
        (0.94, MISSED, "take it off the list"),
        (math.nan, None, "not 0.93"),
        (math.nan, MISSED, "not 0.85"),
    ],
)
def test_a_share_is_judged_by_what_is_asked_for_or_known_to_be_missed(
    mean: float, expected: NotReached | None, said: str
) -> None:
    found = judge_share(mean, 0.01, expected)
    assert said in found
    assert bool(found) == bool(said)
