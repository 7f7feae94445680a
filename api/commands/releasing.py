"""`labsys release`: name what counts, let reprocessed runs count, list and show releases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.terminal import JsonOption, LabOption, QuietOption, Terminal
from labsys.core.errors import InputError

if TYPE_CHECKING:
    from labsys.core.release import Release
    from labsys.storage.lab import Lab

app = typer.Typer(no_args_is_help=True, help="Named releases of the lab's results.", rich_markup_mode=None)

Name = Annotated[str, typer.Argument(metavar="NAME")]
Note = Annotated[str, typer.Option("--note", metavar="TEXT", help="What is new in it, for those who come later.")]


@app.command("promote")
def promote(
    name: Name, note: Note = "", lab: LabOption = None, as_json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """Let what `labsys reprocess` made count, under a name; closes the release that was open.

    \b
    Example: labsys release promote 2026-autumn --note "model runner37, second training"
    """
    terminal = Terminal(lab, as_json, quiet)
    _tell(terminal, _promote(terminal.open_lab(), name, note, of_present=False))


@app.command("name")
def name_present(
    name: Name, note: Note = "", lab: LabOption = None, as_json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """Give what counts now a name, so that it can be looked up after a later promotion; no number changes.

    \b
    Example: labsys release name 2026-spring
    """
    terminal = Terminal(lab, as_json, quiet)
    _tell(terminal, _promote(terminal.open_lab(), name, note, of_present=True))


@app.command("list")
def list_releases(lab: LabOption = None, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """List releases, the oldest first; and what was processed beside and is not promoted.

    \b
    Example: labsys release list
    """
    from api.commands.text_table import format_table

    terminal = Terminal(lab, as_json, quiet)
    documents = _documents(terminal.open_lab())
    headers = ("release", "state", "since", "until", "trials", "version", "by", "note")
    rows = [
        (
            *(d["name"], d["state"], d["made_at"][:16], (d["closed_at"] or "")[:16], d["n_trials"]),
            *(d["pipeline_version"], d["made_by"] or "", d["note"] or ""),
        )
        for d in documents
    ]
    terminal.give({"releases": documents}, format_table(headers, rows, right=("trials",)) if rows else "no release yet")


@app.command("show")
def show_release(name: Name, lab: LabOption = None, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Show one release: what made it, what it was judged by, and what was left out.

    \b
    Example: labsys release show 2026-autumn
    """
    from labsys.storage.releases import load_release

    terminal = Terminal(lab, as_json, quiet)
    folder = terminal.open_lab()
    release = load_release(folder, name)
    document = next((d for d in _documents(folder) if d["name"] == name), None)
    if document is None:
        raise InputError(f"release '{name}' is not indexed", remedy="Run 'labsys index'")
    document = {**document, "settings": dict(release.recipe.settings), "left_out": dict(release.left_out)}
    terminal.give(document, _text(document))


def _promote(lab: Lab, name: str, note: str, *, of_present: bool) -> Release:
    from api.access.audit import TERMINAL
    from api.database.connection import open_database
    from api.indexing.index import ensure_indexed
    from api.promotion import promote_release

    database = open_database(lab)
    try:
        ensure_indexed(lab, database)
        return promote_release(lab, database, name, actor=TERMINAL, note=note, of_present=of_present)
    finally:
        database.close()


def _documents(lab: Lab) -> list[dict[str, Any]]:
    from api.database.connection import open_database
    from api.indexing.index import ensure_indexed
    from api.releases import release_documents

    database = open_database(lab)
    try:
        ensure_indexed(lab, database)
        with database.read() as session:
            return [d.model_dump(mode="json") for d in release_documents(session)]
    finally:
        database.close()


def _tell(terminal: Terminal, release: Release) -> None:
    closes = f"; release {release.closes} is closed" if release.closes else ""
    n = len(release.members)
    lines = [f"release {release.name}: {n} trial{'s count' if n != 1 else ' counts'}{closes}"]
    lines += [f"left out: {trial}: {why}" for trial, why in release.left_out.items()]
    document = {
        "release": release.name,
        "made_at": release.made_at,
        "trials": len(release.members),
        "closes": release.closes or None,
        "left_out": dict(release.left_out),
    }
    terminal.give(document, "\n".join(lines))


def _text(d: Mapping[str, Any]) -> str:
    until = f", closed {d['closed_at']}" if d["closed_at"] else ""
    errors = d["errors"] or "defaults"
    lines = [
        f"release {d['name']} ({d['state']}), promoted {d['made_at']} by {d['made_by'] or 'nobody'}{until}",
        f"{d['n_trials']} trials; labsys {d['pipeline_version']}, metric definitions {d['definition_version']}",
        f"landmarks: {', '.join(d['models']) or 'unknown'}; errors between days: {errors}",
        *([f"note: {d['note']}"] if d["note"] else []),
        *(f"left out: {trial}: {why}" for trial, why in d["left_out"].items()),
    ]
    return "\n".join(lines)
