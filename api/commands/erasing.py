"""`labsys subject erase`: what is done for a person who asks to be forgotten."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api import kept_days
from api.commands.terminal import JsonOption, LabOption, QuietOption, Terminal
from labsys.core.errors import InputError

if TYPE_CHECKING:
    from labsys.storage.lab import Lab


def register(app: typer.Typer) -> None:
    """Add the command to those of subjects."""
    app.command("erase")(erase)


def erase(
    code: Annotated[str, typer.Argument(metavar="SUBJECT", help="Code of the subject.")],
    days: Annotated[
        int, typer.Option("--days", min=0, max=3650, help="Days until recordings are removed.")
    ] = kept_days.ERASED,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask: the name cannot be brought back.")] = False,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="Show recordings that are not removed yet again; the name stays erased.")
    ] = False,
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Erase a subject: the name at once, from every backup too; recordings are hidden now and removed in time.

    \b
    Example: labsys subject erase S01 --days 30
    """
    from api.access.audit import TERMINAL
    from api.begun_edits import take_back
    from api.commands.users import writing
    from api.erasure import erase_subject
    from api.queries import find_subject
    from labsys.storage.trial_bin import moved_to_others

    terminal = Terminal(lab, as_json, quiet)
    folder = terminal.open_lab()
    if cancel:
        return _cancel(terminal, folder, code)
    _ask(code, yes=yes)
    with writing(folder) as session:
        erased = erase_subject(session, TERMINAL, folder, find_subject(session, code), keep_days=days)
    take_back(erased.told)
    moved = [str(name) for name in moved_to_others(folder, code)]
    document: dict[str, Any] = {
        "subject": code,
        **asdict(erased.erasure),
        "kept": list(erased.kept),
        "moved_away": moved,
    }
    lines = [f"{code} is erased; {erased.erasure.says}", *(f"kept: {what}" for what in erased.kept)]
    lines += [f"not hidden, for it was moved away: {name}. If it shows {code}, move it back" for name in moved]
    terminal.give(document, "\n".join(lines))
    return None


def _cancel(terminal: Terminal, lab: Lab, code: str) -> None:
    from api.access.audit import TERMINAL, record
    from api.commands.users import writing
    from labsys.storage.erasures import cancel_erasure

    with writing(lab) as session:
        cancel_erasure(lab, code)
        record(session, TERMINAL, "subject.erase.cancel", code)
    terminal.give({"subject": code}, f"{code}: recordings are shown again")


def _ask(code: str, *, yes: bool) -> None:
    """InputError unless whoever sits there says so."""
    question = f"Erase {code}? Name, record number and contact cannot be brought back."
    if not (yes or (sys.stdin.isatty() and typer.confirm(question, err=True))):
        raise InputError("nothing was erased", remedy="What is erased cannot be brought back: ask with --yes")
