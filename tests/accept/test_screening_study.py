"""Do findings answer what is there: deficits, noise, and landmarks that cannot tell; into docs/accuracy.md.

Long: run by `make accept`; in pieces by `python -m tests.accept.screening_study`. SCREENING_RUNNERS=8 takes fewer.
"""

from __future__ import annotations

import os

import pytest

from labsys.core.screening import FindingStatus
from tests.accept.screening import analyse, answers_of, keypoint_sets, keypoints_of, runner_with
from tests.accept.screening_report import (
    MOVED,
    PLAIN,
    SHORT,
    STILL,
    changed,
    falsely_flagged,
    shifts,
    stands_out,
    truly_changed,
    unexplained,
    write_report,
)
from tests.accept.screening_study import DEFICIT_RAD, NOISE_M, RULES, Screened, study

# Seeds from 1000 on were looked at while the study was made; these were not.
SEEDS = range(200, 200 + int(os.environ.get("SCREENING_RUNNERS", "48")))


# What is asked for and not reached, with the most that it was missed by, and why.
_NOT_REACHED = {
    "F4": (
        15.0,
        "under 5 mm of noise feet are found to land 3 ms later with the deficit, a degree less of the shank's angle, "
        "which is about the threshold in ordinary synthetic runners",
    )
}


@pytest.fixture(scope="module")
def runners() -> list[Screened]:
    found = list(study(SEEDS))
    write_report(found)
    return found


@pytest.mark.parametrize("rule", MOVED)
def test_a_deficit_of_eight_degrees_stands_out(runners: list[Screened], rule: str) -> None:
    assert stands_out(runners, rule, SHORT) >= 90.0
    assert stands_out(runners, rule, PLAIN) < 5.0


@pytest.mark.parametrize("rule", STILL)
def test_other_findings_change_no_more_than_noise_and_the_body_make_them(runners: list[Screened], rule: str) -> None:
    value = unexplained(runners, rule)
    most, why = _NOT_REACHED.get(rule, (5.0, ""))
    said = f"{changed(runners, rule, SHORT):.0f} % changed, {truly_changed(runners, rule):.0f} % in truth"
    assert value < most, f"{rule}: {value:.0f} % unexplained; {said}"
    assert rule not in _NOT_REACHED or value >= 5.0, f"{rule} is reached: take it off the list"
    if value >= 5.0:
        pytest.xfail(f"{rule}: {value:.0f} % unexplained, {why}; {said}")


def test_hardly_anything_is_flagged_that_is_not_there(runners: list[Screened]) -> None:
    false = {rule.id: falsely_flagged(runners, rule.id) for rule in RULES.rules}
    assert {rule: value for rule, value in false.items() if value >= 5.0} == {}


@pytest.mark.parametrize("measure", ["hip_ext_pelvis_peak", "lumbar_ext_at_peak_hip_ext", "trunk_lean_stance_mean"])
def test_what_the_deficit_does_is_seen_as_large_as_it_is(runners: list[Screened], measure: str) -> None:
    seen, true = shifts(runners, measure)
    assert abs((seen - true).mean()) < 0.5


def test_keypoints_give_no_number_for_hip_pelvis_and_back() -> None:
    runner = runner_with(0, DEFICIT_RAD)
    speed = runner.plain.parameters.speed_mps
    for name in keypoint_sets():
        run, still = (keypoints_of(t, name, NOISE_M, i) for i, t in enumerate((runner.short, runner.still)))
        motion = analyse(run, still, speed)
        for (rule, _), finding in answers_of(motion, speed, RULES).items():
            if rule in ("F1", "F2", "F2b"):
                assert finding.status is FindingStatus.NOT_ASSESSABLE, name
                assert finding.values == ()
                assert "needs landmarks of tier" in (finding.reason or "")
