"""Do findings answer what is there: deficits, noise, and landmarks that cannot tell; into docs/accuracy.md.

Long: run by `make accept`. SCREENING_RUNNERS=48 chooses how many runners.
"""

from __future__ import annotations

import math
import os
from collections import defaultdict

import pytest

from labsys.core.screening import FindingStatus
from labsys.core.skeleton import Side
from pipelines.screening_file import shipped_rules
from tests.accept.document import measured_at, write_section
from tests.accept.screening import (
    SECONDS,
    SIDES,
    STANDING_OUT,
    Answers,
    analyse,
    analyse_noisy,
    answers_of,
    keypoint_sets,
    keypoints_of,
    make_pair,
    share,
    true_answers,
)

N_RUNNERS = int(os.environ.get("SCREENING_RUNNERS", "48"))
DEFICIT_RAD = math.radians(8.0)
NOISE_M = 0.005
RULES = shipped_rules()
MOVED = ("F1", "F2")
# What is asked for and not reached, with why; what is reached must come off the list.
_NOT_REACHED = {
    "F1": "peak hip extension rises with speed, 14 to 18 deg from 2.5 to 3.8 m/s; the threshold of 9 deg is of 2.5 m/s",
    "F2": "it asks F1 first, and the cap raises tilt and lumbar extension by less than their thresholds",
    "F4": "shank angles of 4.7 to 8.6 deg lie about the threshold of 5: noise decides, as it does without a deficit",
    "F6": "differences of 3 to 6 deg at knee and ankle lie about the thresholds; the cap changes them by up to 2 deg",
}
STILL = tuple(r.id for r in RULES.rules if r.id[:2] in ("F3", "F4", "F5", "F6", "F7"))


@pytest.fixture(scope="module")
def rows() -> list[tuple[Answers, Answers, Answers, Answers]]:
    """Of every runner: answers without and with the deficit, and of the truth of both."""
    found = []
    for seed in range(N_RUNNERS):
        pair = make_pair(seed, DEFICIT_RAD)
        speed = pair.plain.parameters.speed_mps
        seen = [
            answers_of(analyse_noisy(run, pair.still, NOISE_M, 2 * seed + i), speed, RULES)
            for i, run in enumerate((pair.plain, pair.short))
        ]
        found.append((seen[0], seen[1], true_answers(pair.plain, RULES), true_answers(pair.short, RULES)))
    return found


def test_deficits_move_what_they_should_and_nothing_else(rows: list[tuple[Answers, ...]]) -> None:
    stands_out = {rule: share([r[1][rule, s].status in STANDING_OUT for r in rows for s in SIDES]) for rule in MOVED}
    moved = {rule: share([_changed(r[0], r[1], rule, s) for r in rows for s in _sides(r[0], rule)]) for rule in STILL}
    truly = {rule: share([_changed(r[2], r[3], rule, s) for r in rows for s in _sides(r[0], rule)]) for rule in STILL}
    false = _false_flags(rows)
    _report(rows, stands_out, moved, truly, false)
    assert all(value < 5.0 for value in false.values()), false
    missed = {r: v for r, v in stands_out.items() if v < 90.0} | {r: v for r, v in moved.items() if v >= 5.0}
    assert missed.keys() == _NOT_REACHED.keys(), missed
    pytest.xfail("; ".join(f"{rule} {value:.0f} %: {_NOT_REACHED[rule]}" for rule, value in missed.items()))


def test_keypoints_give_no_number_for_hip_pelvis_and_back() -> None:
    pair = make_pair(0, DEFICIT_RAD)
    for name in keypoint_sets():
        run, still = (keypoints_of(t, name, NOISE_M, i) for i, t in enumerate((pair.short, pair.still)))
        motion = analyse(run, still, pair.short.parameters.speed_mps)
        for (rule, _), finding in answers_of(motion, pair.short.parameters.speed_mps, RULES).items():
            if rule in ("F1", "F2", "F2b"):
                assert finding.status is FindingStatus.NOT_ASSESSABLE, name
                assert finding.values == ()
                assert "needs landmarks of tier" in (finding.reason or "")


def _sides(answers: Answers, rule: str) -> tuple[Side, ...]:
    return SIDES if (rule, Side.LEFT) in answers else (Side.BOTH,)


def _changed(before: Answers, after: Answers, rule: str, side: Side) -> bool:
    """Whether a rule says another thing with the deficit than without it, whichever way."""
    return after[rule, side].status is not before[rule, side].status


def _false_flags(rows: list[tuple[Answers, ...]]) -> dict[str, float]:
    """Flagged though the true value is not even borderline, per rule, over both conditions."""
    cases: dict[str, list[bool]] = defaultdict(list)
    for plain, short, truth_plain, truth_short in rows:
        for seen, truth in ((plain, truth_plain), (short, truth_short)):
            for key, finding in seen.items():
                if truth[key].status is FindingStatus.NOT_FLAGGED:
                    cases[key[0]].append(finding.status is FindingStatus.FLAGGED)
    return {rule: share(found) for rule, found in sorted(cases.items())}


def _report(
    rows: list[tuple[Answers, ...]],
    stands_out: dict[str, float],
    moved: dict[str, float],
    truly: dict[str, float],
    false: dict[str, float],
) -> None:
    lines = [
        "## Screening findings",
        "",
        measured_at(),
        "",
        f"{len(rows)} runners (2.3-4.4 m/s, all strikes, trunk lean 10-14°, {SECONDS:g} s at 100 Hz) as they run, and "
        "with peak hip extension capped 8° below their own, the loss made up by pelvis and low back. Landmarks with "
        "white noise of 5 mm on every axis, static alike; default errors. Percent of sides (or runners, where a rule "
        "is not per side).",
        "",
        "| rule | deficit: borderline or flagged | flagged | none: borderline or flagged | flagged | false | changed "
        "| changed in truth |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for rule in dict.fromkeys(key[0] for key in rows[0][0]):
        sides = _sides(rows[0][0], rule)
        seen = [[r[i][rule, s].status for r in rows for s in sides] for i in (1, 0)]
        if all(s is FindingStatus.NOT_ASSESSABLE for s in seen[0]):
            lines.append(f"| {rule} | not assessable | | | | | | |")
            continue
        shares = [f(which) for which in seen for f in (_out, _flagged)]
        cells = " | ".join(f"{v:.0f}" for v in shares)
        changes = " | ".join(f"{c[rule]:.0f}" if rule in c else "–" for c in (moved, truly))
        lines.append(f"| {rule} | {cells} | {false.get(rule, math.nan):.1f} | {changes} |")
    write_section("screening", [*lines, "", *_explanation(rows, stands_out, moved, false)])


def _explanation(
    rows: list[tuple[Answers, ...]], stands_out: dict[str, float], moved: dict[str, float], false: dict[str, float]
) -> list[str]:
    least, most = (f(stands_out, key=stands_out.__getitem__) for f in (min, max))
    missed = [f"{rule} {value:.0f} %" for rule, value in moved.items() if value >= 5.0]
    return [
        "False: flagged where the true value is not even borderline. Changed: another answer with the deficit than "
        "without it, whichever way; in truth: the same of true values known without error.",
        "",
        f"Asked for: F1 and F2 borderline or flagged in at least 90 % with the deficit (found {least} "
        f"{stands_out[least]:.0f} %, {most} {stands_out[most]:.0f} %); F3 to F7 changed in less than 5 % "
        f"({'missed by ' + ', '.join(missed) if missed else 'met'}); less than 5 % false (at most "
        f"{max(false.values()):.1f} %). None of {2 * len(rows)} sides leaves up to {300 / (2 * len(rows)):.0f} % open "
        "(95 %).",
        "",
        "Why: " + ". ".join(f"{rule}, {why}" for rule, why in _NOT_REACHED.items()) + ". Of true values known without "
        f"error F1 would stand out in {_truly(rows, 'F1'):.0f} % and F2 in {_truly(rows, 'F2'):.0f} %.",
    ]


def _truly(rows: list[tuple[Answers, ...]], rule: str) -> float:
    return share([r[3][rule, s].status in STANDING_OUT for r in rows for s in SIDES])


def _out(statuses: list[FindingStatus]) -> float:
    return share([s in STANDING_OUT for s in statuses])


def _flagged(statuses: list[FindingStatus]) -> float:
    return share([s is FindingStatus.FLAGGED for s in statuses])
