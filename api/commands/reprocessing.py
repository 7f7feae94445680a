"""`labsys reprocess`: results made anew beside those that count, and what they would change."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.processing import (
    AllOption,
    ConfigOption,
    ProfileOption,
    SessionOption,
    SetOption,
    check_word,
    choose_trials,
    each_trial,
    outcome_document,
    outcome_line,
    tell_model,
)
from api.commands.terminal import JsonOption, LabOption, QuietOption, Terminal
from labsys.core.errors import InputError
from labsys.core.session import TrialName

if TYPE_CHECKING:
    from labsys.core.progress import Progress
    from labsys.storage.lab import Lab
    from pipelines.config import PipelineConfig
    from pipelines.run import RunOutcome


def register(app: typer.Typer) -> None:
    """Add the command to the terminal."""
    app.command("reprocess")(reprocess)


def reprocess(
    trials: Annotated[list[str] | None, typer.Argument(metavar="[SUBJECT/SESSION/TRIAL]…")] = None,
    session: SessionOption = None,
    every: AllOption = False,
    preview: Annotated[
        bool, typer.Option("--preview", help="Show what the runs made so far would change; process nothing.")
    ] = False,
    subject: Annotated[
        str | None, typer.Option("--subject", metavar="SUBJECT", help="With --preview: one subject, every metric.")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", metavar="NAME", help="Finds 2D landmarks in videos.")] = None,
    profile: ProfileOption = "default",
    config: ConfigOption = None,
    settings: SetOption = None,
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make results anew beside those that count, which stay as they are; then see what they would change.

    Runs of one model, settings and version gather until `labsys release promote NAME` lets them count.

    \b
    Example: labsys reprocess --all --model runner37
    Example: labsys reprocess --preview
    Example: labsys reprocess --preview --subject S01
    """
    from pipelines.config import Profile, load_config

    terminal = Terminal(lab, as_json, quiet)
    folder = terminal.open_lab()
    if preview:
        if trials or session or every:
            raise InputError("--preview shows what was made; it processes nothing", remedy="Leave the trials out")
        return _preview(terminal, folder, subject)
    if subject is not None:
        raise InputError("--subject belongs to --preview", remedy="Name trials, or give --session or --all")
    sets = [*(settings or []), *([f"pose2d.model={json.dumps(model)}"] if model else [])]
    loaded = load_config(Profile(check_word("profile", profile, Profile)), file=config, sets=sets)
    _make(terminal, folder, choose_trials(folder, trials or [], session, every=every), loaded)
    return None


def _make(terminal: Terminal, lab: Lab, names: list[TrialName], config: PipelineConfig) -> None:
    from api.commands.changes import update_index
    from pipelines.reprocess import reprocess_trial

    def process(name: TrialName, progress: Progress) -> RunOutcome:
        return reprocess_trial(lab, name, config=config, progress=progress)

    tell_model(terminal, lab, names, config)
    outcomes, failures = each_trial(terminal, names, process)
    for code in sorted({n.subject for n in names}):
        update_index(terminal, lab, code)
    if failures and len(names) == 1:
        raise failures[0][1]
    document = {
        "reprocessed": [outcome_document(o) for o in outcomes],
        "failed": [{"trial": str(n), "error": str(e)} for n, e in failures],
    }
    lines = [outcome_line(o) for o in outcomes]
    if outcomes:
        lines.append("What counts is as it was. 'labsys reprocess --preview' shows what these runs would change.")
    terminal.give(document, "\n".join(lines) or "nothing to do")
    if failures:
        raise typer.Exit(max(e.exit_code for _, e in failures))


def _preview(terminal: Terminal, lab: Lab, subject: str | None) -> None:
    from api.commands.preview_text import preview_text

    documents = _preview_documents(terminal, lab, subject)
    text = "" if terminal.as_json else preview_text(documents, every=subject is not None)
    terminal.give({"subjects": documents}, text)


def _preview_documents(terminal: Terminal, lab: Lab, subject: str | None) -> list[dict[str, Any]]:
    from sqlalchemy import select

    from api.database.connection import open_database
    from api.database.tables import SubjectRow
    from api.indexing.index import ensure_indexed
    from api.queries import find_subject
    from api.views.shifts import in_candidate, shift_document
    from labsys.storage.releases import load_candidate

    if load_candidate(lab) is None:
        raise InputError(
            "nothing was processed beside what counts",
            remedy="Run 'labsys reprocess --all' with the new model or settings",
        )
    database = open_database(lab)
    try:
        ensure_indexed(lab, database)
        with database.read() as session, terminal.progress() as progress:
            codes = [find_subject(session, subject).code] if subject is not None else []
            codes = codes or list(session.scalars(select(SubjectRow.code).where(in_candidate()).order_by("code")))
            progress.stage("compare", len(codes))
            documents = []
            for code in codes:
                documents.append(shift_document(session, lab, code))
                progress.advance()
            return documents
    finally:
        database.close()
