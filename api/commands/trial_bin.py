"""`labsys trial bin` and `labsys trial purge`: what was deleted, and its end."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from api import kept_days
from api.commands.terminal import JsonOption, LabOption, QuietOption, Terminal


def register(app: typer.Typer) -> None:
    """Add the commands to those of trials."""
    app.command("bin")(list_deleted)
    app.command("purge")(purge)


def list_deleted(lab: LabOption = None, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """List deleted trials that can be restored, with reason and time.

    \b
    Example: labsys trial bin
    """
    from api.commands.text_table import format_table
    from labsys.storage.trial_bin import list_bin

    terminal = Terminal(lab, as_json, quiet)
    found = list_bin(terminal.open_lab())
    documents = [{"name": str(e.name), "reason": e.reason, "deleted_at": e.deleted_at} for e in found]
    rows = [(d["name"], d["deleted_at"], d["reason"]) for d in documents]
    terminal.give({"deleted": documents}, format_table(("trial", "deleted", "reason"), rows))


def purge(
    days: Annotated[
        int, typer.Option("--days", min=0, help="Keep what was deleted in the last DAYS.")
    ] = kept_days.BINNED,
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Destroy deleted trials with their recordings, and the recordings of erased subjects whose day has come, for good.

    A running `labsys serve` or `labsys worker` does so every hour; without one let a timer of the machine call it.

    \b
    Example: labsys trial purge --days 30
    """
    from api.access.audit import TERMINAL
    from api.database.connection import open_database
    from api.emptying_bin import destroy_due_trials
    from api.erasure import remove_due_recordings

    terminal = Terminal(lab, as_json, quiet)
    folder = terminal.open_lab()
    database = open_database(folder)
    try:
        try:
            names = destroy_due_trials(folder, database, TERMINAL, days=days)
        finally:  # who was erased does not wait for a trial that cannot be destroyed
            erased = remove_due_recordings(folder, database, TERMINAL)
    finally:
        database.close()
    lines = names + [f"{subject}: recordings removed" for subject in erased]
    document: dict[str, Any] = {"destroyed": names, "erased": erased}
    terminal.give(document, "\n".join(lines) or f"nothing was deleted more than {days} days ago, and no erasure is due")
