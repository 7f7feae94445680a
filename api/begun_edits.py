"""Edits that were begun: told beside the database until the index and the audit hold them.

An edit is in the folder first, and a fifth of a second later in the database. Where a process was killed in between,
the index went on answering what had been, and nobody was told who had changed it. So one file per edit says who does
what to whom, from before the folder is changed until the database has it: `.edit.<id of the event>.json` in the lab.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from api.database.connection import Database
from api.database.reads_file import COLUMNS
from api.database.tables_owned import AuditRow
from api.indexing.index import index_subject
from labsys.core.errors import LabsysError
from labsys.storage.atomic import is_there, read_json, write_json_atomic
from labsys.storage.lab import Lab


def tell_begun(lab: Lab, subject: str, row: AuditRow) -> Path:
    """Tell of an edit of a subject's folder before it is made; the file to take away where it was refused, or once the
    database has it. Whoever tells holds the write lock of the database, and takes it away after the commit: so what is
    told while nobody holds that lock was cut short, or is done.

    Raises:
        InputError: it cannot be told; then nothing may be changed.
    """
    path = lab.root / f".edit.{row.id}.json"  # hidden: no backup takes it along
    told = {name: getattr(row, name) for name in COLUMNS}
    write_json_atomic(path, told | {"at": row.at.isoformat(), "subject": subject})
    return path


def take_back(told: Path) -> None:
    """Nothing is to be told of an edit any more."""
    told.unlink(missing_ok=True)


def finish_begun(lab: Lab, database: Database) -> list[str]:
    """Let audit and index learn of the edits that were cut short; what each was.

    Raises:
        LabsysError: a subject cannot be indexed, what was told cannot be read, or as `Database.write`. The others are
            finished all the same.
    """
    finished, failed = list[str](), list[LabsysError]()
    for path in sorted(lab.root.glob(".edit.*.json")):
        try:
            finished += _finish(lab, database, path)
        except LabsysError as error:
            failed.append(error)
    if failed:
        raise failed[0]
    return finished


def _finish(lab: Lab, database: Database, path: Path) -> list[str]:
    with database.write() as session:
        if not is_there(path):  # it was at work, and is done
            return []
        told = read_json(path)
        subject = told.pop("subject")
        is_known = session.get(AuditRow, told["id"]) is not None
        if not is_known:
            at = datetime.fromisoformat(told["at"])
            session.add(AuditRow(**told | {"at": at}, before_hash=None, after_hash=None))
    index_subject(lab, subject, database=database)  # apart: who cannot be indexed is in the audit all the same
    take_back(path)
    return [] if is_known else [f"{told['action']} {told['object']}"]
