"""What follows a change in the lab folder: the index learns of it, and runs that it makes stale stop counting; and what
is written down of changes and exports."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from api.commands.terminal import Terminal
from labsys.core.errors import InputError

if TYPE_CHECKING:
    from labsys.core.session import TrialName
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


@contextmanager
def auditing(lab: Lab, action: str, what: str) -> Iterator[None]:
    """Write down what somebody does in the terminal, in one transaction around the block that does it: where the
    database cannot be written nothing is done, and what the block refuses was not done."""
    from api.access.audit import TERMINAL, record
    from api.commands.users import writing

    with writing(lab) as session:
        record(session, TERMINAL, action, what)
        session.flush()
        yield


def note_export(lab: Lab, what: str) -> None:
    """Write down what is about to leave the lab as a file, waiting for nobody: one that comes to nothing is in
    the audit, too, and none leaves without."""
    from api.access.audit import TERMINAL
    from api.access.reads import note_read
    from api.database.connection import open_database

    database = open_database(lab)
    try:
        note_read(database, TERMINAL, "export", what)
    finally:
        database.close()


def refuse_erased(lab: Lab, name: TrialName) -> None:
    """InputError where a trial's recordings are hidden or removed, as its subject was erased; it says until when."""
    from labsys.storage.erasures import find_erasure

    erasure = find_erasure(lab, name.subject)
    if erasure is not None:
        raise InputError(f"no video of {name} is given out: {erasure.says}")


def settle_session(terminal: Terminal, lab: Lab, subject: str, session: str) -> None:
    """After a change to a session or its trials: retire stale runs, then update the index."""
    from pipelines.stale import retire_stale_runs

    for name in retire_stale_runs(lab, subject, session):
        terminal.say(f"{name} must be processed again: what its results rest on has changed")
    update_index(terminal, lab, subject)
