"""Findings on a runner whose truth is known; many runners and noise are in tests/accept/test_screening_study.py."""

from __future__ import annotations

import math

import pytest

from labsys.core.screening import FindingStatus
from pipelines.screening_file import shipped_rules
from tests.accept.screening import (
    SIDES,
    STANDING_OUT,
    Answers,
    Runner,
    analyse,
    answers_of,
    runner_with,
    true_answers,
    true_mean,
)

RULES = shipped_rules()


@pytest.fixture(scope="module")
def runner() -> Runner:
    return runner_with(1003, math.radians(8.0), seconds=16.0)


@pytest.fixture(scope="module")
def answers(runner: Runner) -> tuple[Answers, Answers]:
    """Without and with the deficit, of landmarks without noise."""
    speed = runner.plain.parameters.speed_mps
    plain, short = (
        answers_of(analyse(t.landmarks, runner.still.landmarks, speed), speed, RULES)
        for t in (runner.plain, runner.short)
    )
    return plain, short


@pytest.mark.slow
def test_the_deficit_is_what_it_is_said_to_be(runner: Runner) -> None:
    """Eight degrees below the reference of 14, and a low back eight degrees beyond standing."""
    assert math.degrees(true_mean(runner.short, "hip_ext_pelvis_peak")) == pytest.approx(6.0, abs=1.0)
    assert math.degrees(true_mean(runner.short, "lumbar_ext_at_peak_hip_ext")) == pytest.approx(8.0, abs=1.0)
    assert math.degrees(true_mean(runner.plain, "hip_ext_pelvis_peak")) > 12.0


@pytest.mark.slow
def test_a_deficit_moves_hip_and_low_back(answers: tuple[Answers, Answers]) -> None:
    plain, short = answers
    for rule in ("F1", "F2"):
        for side in SIDES:
            assert plain[rule, side].status is FindingStatus.NOT_FLAGGED
            assert short[rule, side].status in STANDING_OUT


@pytest.mark.slow
def test_other_findings_change_only_with_the_body(runner: Runner, answers: tuple[Answers, Answers]) -> None:
    plain, short = answers
    truth = [true_answers(t, RULES) for t in (runner.plain, runner.short)]
    others = [key for key in plain if key[0] in ("F3", "F4", "F5", "F6", "F7")]
    assert len(others) == 8
    for key in others:
        if truth[0][key].status is truth[1][key].status:
            assert plain[key].status is short[key].status, key
