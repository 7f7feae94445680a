"""`labsys compare` and `labsys trend`: what changed between visits, against the measurement error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.comparison_text import comparison_text, condition_text
from api.commands.terminal import AsOfOption, JsonOption, LabOption, QuietOption, Terminal, parse_visits
from labsys.core.digits import digits_of
from labsys.core.errors import GateRefusedError
from labsys.core.skeleton import Side

if TYPE_CHECKING:
    from labsys.storage.lab import Lab


def register(app: typer.Typer) -> None:
    """Add the commands to the terminal."""
    app.command("compare")(compare)
    app.command("trend")(show_trend)


def compare(
    session_a: Annotated[str, typer.Argument(metavar="SUBJECT/SESSION_A", help="The visit before.")],
    session_b: Annotated[str, typer.Argument(metavar="SUBJECT/SESSION_B", help="The visit after.")],
    curves: Annotated[bool, typer.Option("--curves", help="Compare angles over the whole stride too.")] = False,
    every: Annotated[
        bool, typer.Option("--all", help="Also rows without a detectable change, and right against left.")
    ] = False,
    as_of: AsOfOption = None,
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compare two visits of one subject. Exit code 3: the visits hold nothing that may be compared.

    \b
    Example: labsys compare S01/2026-03-01 S01/2026-11-22
    """
    terminal = Terminal(lab, as_json, quiet)
    subject, pre, post = parse_visits(session_a, session_b)
    document = compare_visits_of(terminal.open_lab(), subject, pre, post, curves=curves, as_of=as_of)
    terminal.give(document, "" if as_json else comparison_text(document, every=every))
    if not document["comparable"]:
        raise GateRefusedError(f"{pre} and {post} cannot be compared: {document['reason']}")


def show_trend(
    subject: Annotated[str, typer.Argument(metavar="SUBJECT")],
    metric: Annotated[str, typer.Argument(metavar="METRIC", help="An id of 'labsys metrics'.")],
    side: Annotated[Side | None, typer.Option("--side", help="All sides that the metric has, if not given.")] = None,
    as_of: AsOfOption = None,
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Show one metric over all visits of a subject, one series per condition.

    \b
    Example: labsys trend S01 hip_ext_excursion_stance --side left
    """
    from api.counting import counting_as_of, errors_as_of
    from api.database.connection import open_database
    from api.indexing.index import ensure_indexed
    from api.queries import find_trend
    from api.releases import as_of_document
    from api.views.trend import trend_document
    from labsys.core.catalogue import find_metric

    terminal = Terminal(lab, as_json, quiet)
    folder = terminal.open_lab()
    sides = (side,) if side is not None else find_metric(metric).sided.sides
    database = open_database(folder)
    try:
        ensure_indexed(folder, database)
        with database.read() as session:
            counting = counting_as_of(session, as_of)
            errors = errors_as_of(folder, counting)
            found = [find_trend(session, errors, subject, metric, s, counting=counting) for s in sides]
            trends = [trend_document(t, subject, as_of=as_of_document(session, counting)) for t in found]
    finally:
        database.close()
    document = {"subject": subject, "metric": metric, "trends": trends}
    terminal.give(document, "\n\n".join(trend_text(t) for t in trends))


def compare_visits_of(
    lab: Lab, subject: str, pre: str, post: str, *, curves: bool = False, as_of: str | None = None
) -> dict[str, Any]:
    """Two visits of a subject compared, as `labsys compare --json` prints them; with `curves` where asked for."""
    from api.counting import counting_as_of
    from api.database.connection import open_database
    from api.indexing.index import ensure_indexed
    from api.queries import find_visit
    from api.views.compared import compared_document
    from api.views.curve_changes import compare_curves

    database = open_database(lab)
    try:
        ensure_indexed(lab, database)
        with database.read() as session:
            counting = counting_as_of(session, as_of)
            document = compared_document(session, lab, subject, pre, post, counting=counting)
            if curves:
                visits = (find_visit(session, subject, code, counting=counting) for code in (pre, post))
                document["curves"] = compare_curves(lab, *visits)
            return document
    finally:
        database.close()


def trend_text(document: Mapping[str, Any]) -> str:
    """A trend as people read it, one table per condition."""
    from api.commands.text_table import format_interval, format_number, format_table

    digits = digits_of(document["unit"])
    lines = [f"{document['subject']} {document['metric']} {document['side']} ({document['unit']})"]
    for series in document["series"]:
        rows = [
            (
                p["session"],
                p["phase"],
                format_number(p["value"], digits),
                format_interval(p["ci95"], digits),
                format_number(p["since_first"], digits),
                format_interval(p["since_first_ci95"], digits),
                p["n_strides"],
            )
            for p in series["points"]
        ]
        headers = ("session", "phase", "value", "on another day", "since first", "95 %", "strides")
        lines += [
            f"{condition_text(series)}, {series['tier']}{_made_text(document, series)}",
            format_table(headers, rows, right=("value", "since first", "strides")),
            *([_slope_text(series["slope"], document["unit"], digits)] if series["slope"] else []),
            *series["notes"],
        ]
    lines += [f"left out: {trial}: {reason}" for trial, reason in document["left_out"].items()]
    return "\n".join(lines if document["series"] else [*lines, "no visit has this metric"])


def _made_text(document: Mapping[str, Any], series: Mapping[str, Any]) -> str:
    """What processed a series, where the series of this trend differ in that or a release has it."""
    makings = {s["made_by"] for s in document["series"]}
    return f", {series['made_by']}" if len(makings) > 1 or series["made_by"].startswith("release ") else ""


def _slope_text(slope: Mapping[str, Any], unit: str, digits: int) -> str:
    """The line through three and more visits, in words."""
    from api.commands.text_table import format_interval
    from labsys.longitudinal import Verdict, say_verdict

    over = f"over {slope['span_weeks']:.1f} weeks, {slope['n_visits']} visits"
    family = "" if slope["family"] == "goal" else " (exploratory)"
    said = say_verdict(Verdict(slope["verdict"]), f"{slope['detectable_change']:.{digits}f} {unit}")
    if slope["verdict"] == Verdict.NO_DETECTABLE_CHANGE:
        return f"line: {said} {over}{family}"
    change = f"{slope['change']:+.{digits}f} {unit} {format_interval(slope['ci95'], digits)}"
    return f"line: {change} {over}: {said}{family}"
