"""`labsys trial bin` and `labsys trial purge`: what was deleted, and its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.terminal import JsonOption, LabOption, QuietOption, Terminal

if TYPE_CHECKING:
    from labsys.storage.lab import Lab
    from labsys.storage.trial_bin import BinEntry

KEPT_DAYS = 30


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
    days: Annotated[int, typer.Option("--days", min=0, help="Keep what was deleted in the last DAYS.")] = KEPT_DAYS,
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Destroy deleted trials with their recordings, and the recordings of erased subjects whose day has come, for good;
    let a timer of the machine call it every day.

    \b
    Example: labsys trial purge --days 30
    """
    from datetime import UTC, datetime, timedelta

    from api.commands.changes import note_in_audit
    from labsys.storage.trial_bin import destroy_deleted

    terminal = Terminal(lab, as_json, quiet)
    folder = terminal.open_lab()
    names: list[str] = []

    def note(entry: BinEntry) -> None:
        # Before anything is removed: a purge that is killed was audited.
        note_in_audit(folder, "trial.destroy", f"{entry.name}, deleted {entry.deleted_at}")
        names.append(str(entry.name))

    destroy_deleted(folder, datetime.now(UTC) - timedelta(days=days), note=note)
    erased = _remove_erased(folder)
    lines = names + [f"{subject}: recordings removed" for subject in erased]
    document: dict[str, Any] = {"destroyed": names, "erased": erased}
    terminal.give(document, "\n".join(lines) or f"nothing was deleted more than {days} days ago, and no erasure is due")


def _remove_erased(folder: Lab) -> list[str]:
    """Subjects whose recordings went."""
    from api.access.audit import TERMINAL
    from api.database.connection import open_database
    from api.erasure import remove_due_recordings

    database = open_database(folder)
    try:
        return remove_due_recordings(folder, database, TERMINAL)
    finally:
        database.close()
