"""Synthetic trials with and without a moved camera: how often it is found, named and repaired, into docs/accuracy.md.

Long: run by `make accept`.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from calibration.drift.drift import check_drift
from pipelines.synthetic.noise import NoiseModel
from tests.accept.document import measured_at, write_section
from tests.accept.drift import MOVES, DriftAnswer, judge, make_pair, record, rig_for, scenes_of

SEEDS = range(200, 300)  # nothing was tuned on these
REPAIRED_EVERY = 10  # a repair costs as much as six checks
WHITE, DLC, DLC_SINCE = "white 1 px", "dlc_like, by itself", "dlc_like, against an earlier trial"
WORDS = {"none": "nothing", "turn": "one camera by 0.3°", "shift": "one camera by 4 mm"}
Answers = dict[tuple[str, str], list[DriftAnswer]]


@pytest.fixture(scope="module")
def answers() -> Answers:
    found: Answers = defaultdict(list)
    for seed in SEEDS:
        pair, rig = make_pair(seed), rig_for(seed)
        for noise in (NoiseModel.white(1.0), NoiseModel.dlc_like()):
            recording = record(pair, rig, noise, seed)
            cases = {WHITE: None}
            if noise.kind == "dlc_like":
                cases = {DLC: None, DLC_SINCE: check_drift(rig, recording.first).bias}
            for move, scene in scenes_of(recording, seed):
                for case, known in cases.items():
                    found[case, move].append(judge(scene, known, repair=seed % REPAIRED_EVERY == 0))
    return found


def test_moved_cameras_are_found_named_and_repaired(answers: Answers) -> None:
    _write(answers)
    for case in (WHITE, DLC, DLC_SINCE):
        still = answers[case, "none"]
        assert sum(a.alarm for a in still) <= 0.01 * len(still), f"{case}: alarms without a move"
    for case in (WHITE, DLC_SINCE):
        assert _share(answers[case, "turn"]) >= 0.95, case
    assert _share(answers[WHITE, "shift"]) >= 0.95
    for case, move in ((WHITE, "turn"), (WHITE, "shift"), (DLC, "turn"), (DLC_SINCE, "turn")):
        left = [a.left for a in answers[case, move] if not np.isnan(a.left)]
        assert np.mean(np.array(left) <= 1 / 3) >= 0.9, f"{case}, {move}: {left}"


# Shares, less chance: with the measured ones, fewer of 100 would come up 1 to 3 times in 100.
LEAST_NAMED = {
    (WHITE, "turn"): 0.95,
    (WHITE, "shift"): 0.93,
    (DLC, "turn"): 0.95,
    (DLC, "shift"): 0.48,
    (DLC_SINCE, "turn"): 0.95,
    (DLC_SINCE, "shift"): 0.74,
}
MOST_NAMED_WRONG = 0.03  # of shifts in rigs of three cameras, where two cameras may explain them alike


@pytest.mark.parametrize("cell", LEAST_NAMED, ids="-".join)
def test_no_cell_of_the_study_gets_worse_unseen(answers: Answers, cell: tuple[str, str]) -> None:
    assert np.mean([a.named_wrong for a in answers[cell]]) <= (MOST_NAMED_WRONG if cell[1] == "shift" else 0.0)
    assert _share(answers[cell]) >= LEAST_NAMED[cell]


def _named(answers: Answers, case: str) -> str:
    found = answers[case, "shift"]
    verdict = "enough" if _share(found) >= 0.95 else "which misses 95 of 100"
    return f"{sum(a.named for a in found)} of {len(found)} ({verdict})"


def _share(found: list[DriftAnswer]) -> float:
    return float(np.mean([a.named for a in found]))


def _write(answers: Answers, *, measured: str = "") -> None:
    fewest = min(len(found) for found in answers.values())
    lines = [
        "## Cameras that moved after calibration",
        "",
        measured or measured_at(),
        "",
        "Synthetic runners on whom nothing was tuned, 20 s each, seen by 3 to 8 cameras on rings of 2.6 to 4 m. One "
        "camera was turned by 0.3° about any axis or shifted by 4 mm in any direction after calibration, or none was. "
        "Found: an alarm. Named: the right camera and no other. Repaired: `labsys recalibrate` leaves at most a third "
        "of the error in the image of the body, in how many of those tried. The earlier trial is of the same person "
        "and visit with another gait, so the rows in which nothing moved are a change of gait alone.",
        "",
        "| 2D errors | moved | trials | found | named | named wrongly | repaired | error left, median | largest gain |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for case in (WHITE, DLC, DLC_SINCE):
        for move in MOVES:
            found = answers[case, move]
            left = np.array([a.left for a in found if not np.isnan(a.left)])
            repaired = f"{int((left <= 1 / 3).sum())} of {left.size}" if left.size else "–"
            middle = f"{100 * float(np.median(left)):.0f} %" if left.size else "–"
            lines.append(
                f"| {case} | {WORDS[move]} | {len(found)} | {sum(a.alarm for a in found)} | "
                f"{sum(a.named for a in found)} | {sum(a.named_wrong for a in found)} | {repaired} | {middle} | "
                f"{max(a.gain for a in found):.0f} |"
            )
    lines += ["", "Named, by number of cameras:", "", "| 2D errors | moved | 3 | 4 | 5 | 6 | 7 | 8 |", "|---" * 8 + "|"]
    for case in (WHITE, DLC, DLC_SINCE):
        for move in MOVES[1:]:
            cells = []
            for n in range(3, 9):
                own = [a.named for a in answers[case, move] if a.n_cameras == n]
                cells.append(f"{sum(own)}/{len(own)}")
            lines.append(f"| {case} | {WORDS[move]} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "The figures asked for are 95 moves of 100 named and at most one false alarm in 100. Of shifts by 4 mm under "
        f"`dlc_like` {_named(answers, DLC)} are named by one trial alone and {_named(answers, DLC_SINCE)} with an "
        f"earlier trial. {fewest} trials without a false alarm cannot show 1 in 100 either: they leave up to "
        f"{100 * (1 - 0.05 ** (1 / fewest)):.0f} in 100 possible (95 %).",
        "",
        "What limits it: a detector's error has a part that stays for a whole trial, of its own in every landmark and "
        "camera (`dlc_like`: 1.3 px per axis in plain view). Over 37 landmarks, half of them in plain view, that "
        "leaves 0.3 px of doubt about where a camera looks, however long the trial; 4 mm at 3.2 m are 1.2 px across "
        "the line of sight and 0.3 px along it. An earlier trial with the same cameras takes most of that part away.",
    ]
    write_section("drift", lines)
