"""What the filmed seeds say together, as a section of docs/accuracy.md; answers of other code stand marked beside."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.accept.document import write_section
from tests.accept.filmed_study import CHANGES, FilmedSeed, studied_code

MOST_DEG, MEAN_DEG, FEWEST_STRIDES = 3.0, 1.5, 25


def errors_deg(answers: Sequence[FilmedSeed], quantity: str) -> np.ndarray:
    """Measured minus true change of a quantity of `CHANGES`, every seed and side; NaN where none was measured."""
    metric, _ = CHANGES[quantity]
    rows = [row for answer in answers for row in answer.changes if row["id"] == metric]
    return np.array([np.nan if r["measured"] is None else r["measured"] - r["truth"] for r in rows], dtype=np.float64)


def covered(rows: Sequence[dict[str, object]]) -> tuple[int, int]:
    """How many intervals of rows hold the truth, and how many there are."""
    told = [(r["ci95"], r["truth"]) for r in rows if r["ci95"] is not None]
    return sum(low <= truth <= high for (low, high), truth in told), len(told)  # type: ignore[misc,operator]


def write_report(answers: Sequence[FilmedSeed]) -> None:
    """Write the section; every seed stands in it with its commit."""
    write_section("filmed-demo", filmed_lines(answers, studied_code()))


def filmed_lines(answers: Sequence[FilmedSeed], code: str) -> list[str]:
    """The section: a summary per length of film and a row per seed; `code` is the present one."""
    lines = [
        "## The filmed demonstration over seeds",
        "",
        "Rendered runners, two visits each, from board and calibration to DeepLabCut with the shipped model, angles "
        "and comparison, by `python -m tests.accept.filmed_study FIRST LAST`: the change between the visits against "
        f"the true one. Asked over ten seeds: {MEAN_DEG:g}° on average and {MOST_DEG:g}° at most, each.",
    ]
    for quick in (False, True):
        chosen = [a for a in answers if a.quick is quick]
        if chosen:
            lines += ["", *_part(chosen, code)]
    return lines


def _part(answers: Sequence[FilmedSeed], code: str) -> list[str]:
    what = "Quick films (11 s)" if answers[0].quick else "Full films (25 s)"
    others = sorted({a.commit for a in answers if a.code != code})
    mixed = f" **Of other code than the document's: those of {', '.join(others)}**, marked *." if others else ""
    strides = [n for a in answers for n in a.strides] or [0]
    refused = [a for a in answers if a.refused]
    told = f" **{len(refused)} of them refused**, as the table says." if refused else ""
    lines = [
        f"**{what}**, {len(answers)} seeds, {min(strides)} to {max(strides)} valid strides a side.{told}{mixed}",
        "",
        "| change of | compared | true change | mean error | mean size of error | largest | interval holds |",
        "|---|---|---|---|---|---|---|",
    ]
    for quantity, (metric, _) in CHANGES.items():
        rows = [row for a in answers for row in a.changes if row["id"] == metric]
        error = errors_deg(answers, quantity)
        error, true = error[np.isfinite(error)], [row["truth"] for row in rows]
        held = "{} of {}".format(*covered(rows))
        size = np.abs(error)
        told = f"{error.mean():+.2f} | {size.mean():.2f} | {size.max():.2f}" if error.size else "none measured | |"
        truths = f"{min(true):+.1f} to {max(true):+.1f}" if true else "none"
        lines.append(f"| {quantity} | {error.size} | {truths} | {told} | {held} |")
    visits = covered([row for a in answers for row in a.visits])
    lines += [
        "",
        f"Of the {visits[1]} intervals of another day that single visits state, {visits[0]} hold the truth.",
        "",
    ]
    lines += [
        "| seed | cap | errors of the change: hip left, right | pelvis | low back left, right | minutes | commit |",
        "|---|---|---|---|---|---|---|",
    ]
    return lines + [_row(a, code) for a in answers]


def _row(answer: FilmedSeed, code: str) -> str:
    hip, pelvis, back = (", ".join(f"{e:+.1f}" for e in errors_deg([answer], quantity)) for quantity in CHANGES)
    mark = "" if answer.code == code else " *"
    if answer.refused:
        hip, pelvis, back = f"refused: {answer.refused.splitlines()[0]}", "", ""
    cells = (
        answer.seed,
        f"{answer.cap_deg:.1f}°",
        hip,
        pelvis,
        back,
        f"{answer.seconds / 60:.0f}",
        answer.commit + mark,
    )
    return "| " + " | ".join(map(str, cells)) + " |"
