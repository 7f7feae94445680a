"""`labsys report`: a trial, or two visits, as PDF or HTML to hand on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.commands.new_file import check_place
from api.commands.terminal import AsOfOption, JsonOption, LabOption, QuietOption, Terminal, parse_visits
from labsys.core.errors import GateRefusedError, InputError

if TYPE_CHECKING:
    from api.report.blocks import Report
    from labsys.storage.lab import Lab

_PDF, _PAGE = ".pdf", ".html"


def register(app: typer.Typer) -> None:
    """Add the command to the terminal."""
    app.command("report")(write_report)


def write_report(
    of: Annotated[str, typer.Argument(metavar="SUBJECT/SESSION[/TRIAL]", help="A trial, or the visit before.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="New file: .pdf or .html.")],
    session_b: Annotated[str | None, typer.Argument(metavar="SUBJECT/SESSION_B", help="The visit after.")] = None,
    run: Annotated[str | None, typer.Option("--run", metavar="RUN", help="Another run than the current one.")] = None,
    as_of: AsOfOption = None,
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write one trial, or two visits, on one or two pages. Exit code 3: the visits may not be compared.

    \b
    Example: labsys report S01/2026-11-22/run1 --out run1.pdf
    Example: labsys report S01/2026-03-01 S01/2026-11-22 --out change.html
    """
    from api.commands.changes import note_export
    from labsys.storage.atomic import is_there, write_bytes_atomic

    terminal = Terminal(lab, as_json, quiet)
    folder = terminal.open_lab()
    check_place(folder, out, option="--out", endings=(_PDF, _PAGE))
    if is_there(out):
        raise InputError("is there already and is not overwritten", where=str(out), remedy="Choose another --out")
    report = (
        _trial_report(folder, of, run, as_of)
        if session_b is None
        else _visits_report(folder, of, session_b, run, as_of)
    )
    note_export(folder, f"report of {' and '.join(filter(None, (of, session_b)))}, {out.suffix.removeprefix('.')}")
    write_bytes_atomic(out, _written(report, out))
    terminal.give({"of": [of] if session_b is None else [of, session_b], "file": str(out)}, str(out))


def _trial_report(lab: Lab, of: str, run: str | None, as_of: str | None) -> Report:
    from api.report.sources import gather_trial
    from api.report.trial import report_trial
    from labsys.core.session import TrialName

    if of.count("/") == 1:
        raise InputError(f"'{of}' is one visit", remedy="Name a trial of it, or a second visit to compare it with")
    if run is not None and as_of is not None:
        raise InputError("--run and --as-of both choose a run", remedy="Give one of them")
    return report_trial(gather_trial(lab, TrialName.parse(of), run, as_of=as_of))


def _visits_report(lab: Lab, session_a: str, session_b: str, run: str | None, as_of: str | None) -> Report:
    from api.report.comparison import report_comparison
    from api.report.sources import gather_comparison

    if run is not None:
        raise InputError("--run belongs to the report of a trial", remedy="Visits are compared by the runs that count")
    subject, pre, post = parse_visits(session_a, session_b)
    sources = gather_comparison(lab, subject, pre, post, as_of=as_of)
    if not sources.comparison["comparable"]:
        raise GateRefusedError(f"{pre} and {post} cannot be compared: {sources.comparison['reason']}")
    return report_comparison(sources)


def _written(report: Report, out: Path) -> bytes:
    from api.report.page import make_page
    from api.report.pdf import make_pdf

    return make_pdf(report) if out.suffix.lower() == _PDF else make_page(report).encode()
