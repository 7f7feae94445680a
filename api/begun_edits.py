"""Edits that were begun: told beside the database until the index and the audit hold them.

An edit is in the folder first, and a fifth of a second later in the database. Where a process was killed in between,
the index went on answering what had been, and nobody was told who had changed it. So one file per edit says who does
what to whom, from before the folder is changed until the database has it: `.edit.<id of the event>.json` in the lab.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from api.database.connection import Database
from api.database.reads_file import COLUMNS
from api.database.tables_owned import AuditRow
from api.indexing.index import refresh_subject
from labsys.storage.atomic import is_there, read_json, write_json_atomic
from labsys.storage.lab import Lab


@contextmanager
def telling(lab: Lab, subject: str, row: AuditRow) -> Iterator[None]:
    """Tell of an edit of a subject's folder while the block makes it. Whoever enters holds the write lock of the
    database, and leaves after its commit: so what is told while nobody holds that lock was cut short, or is done.

    Raises:
        InputError: it cannot be told; then nothing may be changed.
    """
    path = lab.root / f".edit.{row.id}.json"  # hidden: no backup takes it along
    told = {name: getattr(row, name) for name in COLUMNS}
    write_json_atomic(path, told | {"at": row.at.isoformat(), "subject": subject})
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def finish_begun(lab: Lab, database: Database) -> list[str]:
    """Let index and audit learn of the edits whose process was killed; what each was.

    Raises:
        InputError: what was told cannot be read. ConcurrencyError, DatabaseAwayError: as `Database.write`.
    """
    return [what for path in sorted(lab.root.glob(".edit.*.json")) if (what := _finish(lab, database, path))]


def _finish(lab: Lab, database: Database, path: Path) -> str:
    with database.write() as session:
        if not is_there(path):  # it was at work, and is done
            return ""
        told = read_json(path)
        subject = told.pop("subject")
        is_known = session.get(AuditRow, told["id"]) is not None
        if not is_known:
            at = datetime.fromisoformat(told["at"])
            session.add(AuditRow(**told | {"at": at}, before_hash=None, after_hash=None))
        refresh_subject(session, lab, subject)
    path.unlink(missing_ok=True)
    return "" if is_known else f"{told['action']} {told['object']}"
