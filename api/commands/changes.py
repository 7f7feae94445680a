"""What follows a change in the lab folder: the index learns of it, and runs that it makes stale stop counting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.commands.terminal import Terminal

if TYPE_CHECKING:
    from labsys.storage.lab import Lab


def update_index(terminal: Terminal, lab: Lab, subject: str) -> None:
    """Bring the index up to date with one subject, and say what of the folder could not be read."""
    from api.indexing.index import index_subject

    report = index_subject(lab, subject)
    for problem in report.problems:
        terminal.say(f"not indexed: {problem.what} ({problem.place}). {problem.remedy}")


def note_in_audit(lab: Lab, action: str, what: str) -> None:
    """Write down what somebody did in the terminal; committed when this returns."""
    from api.access.audit import TERMINAL, record
    from api.commands.users import writing

    with writing(lab) as session:
        record(session, TERMINAL, action, what)


def settle_session(terminal: Terminal, lab: Lab, subject: str, session: str) -> None:
    """After a change to a session or its trials: retire stale runs, then update the index."""
    from pipelines.stale import retire_stale_runs

    for name in retire_stale_runs(lab, subject, session):
        terminal.say(f"{name} must be processed again: what its results rest on has changed")
    update_index(terminal, lab, subject)
