"""What promoting the candidate would change, as people read it in the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from api.commands.text_table import format_number, format_table
from labsys.core.digits import digits_of

# Shifts of a subject that are listed where nobody asked for all: the largest, held against the error between days.
_MOST_SHIFTS = 5


def preview_text(documents: Sequence[Mapping[str, Any]], *, every: bool = False) -> str:
    """By subject: verdicts that flip, then the largest shifts (`every`: all of them)."""
    if not documents:
        return "no subject has a run in the candidate"
    flips = sum(len(d["flips"]) for d in documents)
    verdicts = sum(d["n_verdicts"] for d in documents)
    changed = sum(bool(d["flips"]) for d in documents)
    lines = [f"{flips} of {verdicts} verdicts would flip, in {changed} of {len(documents)} subjects"]
    for document in documents:
        lines += ["", *_subject_lines(document, every)]
    if not every and any(len(d["shifts"]) > _MOST_SHIFTS for d in documents):
        lines += ["", "--subject SUBJECT lists every metric of one subject."]
    lines += ["", "'labsys release promote NAME' lets these runs count; what counts now stays in the lab."]
    return "\n".join(lines)


def _subject_lines(document: Mapping[str, Any], every: bool) -> list[str]:
    trials = document["trials"]
    left = trials["left_as_they_are"]
    kept = f", {left} left as they are: they could no longer be compared with the others" if left else ""
    anew = trials["processed_anew"]
    lines = [f"{document['subject']}: {anew} trial{'s' if anew != 1 else ''} processed anew{kept}"]
    lines += [_flip_table(document["flips"])] if document["flips"] else ["no verdict flips"]
    shifts = document["shifts"] if every else document["shifts"][:_MOST_SHIFTS]
    return [*lines, _shift_table(shifts)] if shifts else lines


def _flip_table(flips: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (f"{f['pre']} → {f['post']}", f["metric"], f["side"], f["family"], _said(f, "before"), _said(f, "after"))
        for f in flips
    ]
    return format_table(("visits", "metric", "side", "row", "says now", "would say"), rows)


def _said(flip: Mapping[str, Any], when: str) -> str:
    row = flip[when]
    if row is None:
        return "no such row"
    change = "" if row["change"] is None else f", {row['change']:+.{digits_of(flip['unit'])}f} {flip['unit']}"
    reason = "" if row["reason"] is None else f": {row['reason']}"
    return f"{row['verdict']}{change}{reason}"


def _shift_table(shifts: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for s in shifts:
        digits = digits_of(s["unit"])
        numbers = [format_number(s[k], digits) for k in ("mean", "largest", "sem")]
        ratio = "unknown" if s["largest_in_sem"] is None else f"{s['largest_in_sem']:.1f}"
        given = f"{s['gained']} gained, {s['lost']} lost" if s["gained"] or s["lost"] else ""
        rows.append((s["metric"], s["side"], *numbers, s["unit"], ratio, s["n_trials"], s["trial"] or "", given))
    headers = ("metric", "side", "mean shift", "largest", "error", "unit", "× error", "trials", "in", "values")
    return format_table(headers, rows, right=("mean shift", "largest", "error", "× error", "trials"))
