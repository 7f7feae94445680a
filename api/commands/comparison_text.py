"""A comparison of two visits as people read it: goals, then what changed, then what there is besides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from api.commands.text_table import format_interval, format_number, format_table
from labsys.core.digits import digits_of

_NO_CHANGE = "no_detectable_change"
# Rows that say nothing of a change; a few dozen of them would hide those that do.
_QUIET = (_NO_CHANGE, "not_comparable", "not_measured")


def comparison_text(document: Mapping[str, Any], *, every: bool = False) -> str:
    """Pairs with their goal rows and changes; of other rows their number, or all of them and right against left."""
    lines = [f"{document['subject']}: {document['pre']} against {document['post']}"]
    lines += _release_lines(document)
    lines += [f"warning: {w}" for w in document["warnings"]]
    lines += [
        f"not paired ({u['visit']}): {u['trial']} {condition_text(u)}: {u['reason']}" for u in document["unpaired"]
    ]
    for i, pair in enumerate(document["pairs"]):
        rows = [r for r in document["rows"] if r["pair"] == i]
        lines += ["", f"{condition_text(pair)}: {', '.join(pair['pre'])} -> {', '.join(pair['post'])}"]
        lines += [_row_table(rows)] if every else _short_lines(rows)
    lines += _symmetry_lines(document["symmetry"]) if every else []
    lines += _curve_lines(document.get("curves", []))
    if any(r["provisional"] for r in document["rows"]):
        lines += ["", "The measurement error is a default, not this lab's own: verdicts are provisional."]
    return "\n".join(lines)


def _release_lines(document: Mapping[str, Any]) -> list[str]:
    """The releases that the runs count in, with their times."""
    named = [f"{r['release']} of {r['made_at'][:10]}" for r in document["releases"]]
    lines = [f"release: {', '.join(named)}"] if named else []
    return [f"as of release {document['as_of']['release']}", *lines] if document["as_of"] and not named else lines


def _short_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    shown = [r for r in rows if r["family"] == "goal" or r["verdict"] not in _QUIET]
    lines = [_row_table(shown)] if shown else ["no row shows a change"]
    hidden = Counter(_why_quiet(r) for r in rows if r not in shown)
    if hidden:
        told = "; ".join(f"{n} {why}" for why, n in hidden.most_common())
        lines += ["", f"Further rows: {told}. --all lists them, and right against left."]
    return lines


def _why_quiet(row: Mapping[str, Any]) -> str:
    return "without a detectable change" if row["verdict"] == _NO_CHANGE else f"without a verdict ({row['reason']})"


def _symmetry_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Right minus left of both visits, where both sides were measured."""
    given = [r for r in rows if r["change"] is not None]
    if not given:
        return []
    headers = ("right minus left", "pre", "post", "change", "unit", "95 %", "MDC95")
    table = [
        (
            r["id"],
            *(format_number(r[k], digits_of(r["unit"])) for k in ("pre", "post", "change")),
            r["unit"],
            format_interval(r["ci95"], digits_of(r["unit"])),
            format_number(r["mdc95"], digits_of(r["unit"])),
        )
        for r in given
    ]
    return ["", format_table(headers, table, right=("pre", "post", "change", "MDC95"))]


def _curve_lines(curves: Sequence[Mapping[str, Any]]) -> list[str]:
    """Stretches of the stride where the visits differ by more than the error; then how many differ at all."""
    if not curves:
        return []
    lines = ["", "Over the stride, larger than measurement error:"]
    for curve in curves:
        for c in (c for c in curve["clusters"] if c["larger_than_error"]):
            where = f"{c['larger_from_pct']}-{c['larger_to_pct']} % of the stride"
            lines.append(
                f"  {curve['id']} {curve['side']}: {where}, up to {c['largest_difference']:+.1f} {curve['unit']} "
                f"(error {curve['mdc95']:.1f})"
            )
    judged = [curve for curve in curves if not curve["reason"]]
    lines += ["  nothing"] if len(lines) == 2 and judged else []
    why_not = Counter(curve["reason"] for curve in curves if curve["reason"])
    lines += [f"  no verdict on {n} of {len(curves)} curves: {reason}" for reason, n in why_not.items()]
    if judged:
        smaller = sum(not c["larger_than_error"] for curve in judged for c in curve["clusters"])
        lines.append(
            f"  {smaller} further stretches differ between the recordings, but not by more than another day would."
        )
    return lines


def condition_text(part: Mapping[str, Any]) -> str:
    """Kind, speed and incline of a pair or a series."""
    speed = "" if part["speed_mps"] is None else f" {part['speed_mps']:.2f} m/s"
    return f"{part['kind']}{speed} {part['incline_pct'] or 0.0:g} %"


def _row_table(rows: Sequence[Mapping[str, Any]]) -> str:
    headers = ("metric", "side", "pre", "post", "change", "unit", "95 %", "threshold", "verdict", "goal")
    table = []
    for row in sorted(rows, key=lambda r: r["family"] != "goal"):
        digits = digits_of(row["unit"])
        verdict = row["verdict"] + (f" ({row['direction']})" if row["direction"] else "")
        goal = row["goal"] or ""
        goal += f", {row['goal_direction']}" if row["goal_direction"] else ""
        goal += " (declared late)" if row["goal_late"] else ""
        table.append(
            (
                row["id"],
                row["side"],
                *(format_number(row[k], digits) for k in ("pre", "post", "change")),
                row["unit"],
                format_interval(row["ci95"], digits),
                format_number(row["threshold"], digits),
                verdict if row["reason"] is None else f"{verdict}: {row['reason']}",
                goal,
            )
        )
    return format_table(headers, table, right=("pre", "post", "change", "threshold"))
