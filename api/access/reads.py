"""Reads in the audit: written down before the answer, and waiting for nobody who writes.

PostgreSQL takes the row beside whoever indexes the lab. An embedded database has one writer: there the row goes into a
file beside it (api/database/reads_file.py), and from it into the audit before anybody looks at that.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Table, insert, select

from api.access.audit import Actor, audit_row
from api.database.columns import Base
from api.database.connection import Database
from api.database.reads_file import COLUMNS
from api.database.tables_owned import AuditRow

_AUDIT: Table = Base.metadata.tables[AuditRow.__tablename__]


def note_read(database: Database, actor: Actor, action: str, what: str) -> None:
    """Write a read down; when this returns, a crash does not lose it.

    Raises:
        DatabaseAwayError: it cannot be written down; then nothing may be answered.
    """
    row = audit_row(actor, action, what)
    if database.reads is not None:
        database.reads.add((row.id, row.at.isoformat(), row.actor, action, row.object, row.request_id, row.address))
        return
    with database.update() as session:
        session.add(row)


def collect_reads(database: Database) -> None:
    """Let the audit hold every read that was written down.

    A crash in between leaves rows in both places; those that the audit has are not added again.

    Raises:
        ConcurrencyError: another process held the database for a minute.
        DatabaseAwayError: it cannot be written, or what was read cannot be looked at.
    """
    if database.reads is None:
        return
    while rows := database.reads.first():
        with database.write() as session:
            ids = [row[0] for row in rows]
            known = {*session.scalars(select(AuditRow.id).where(AuditRow.id.in_(ids)))}
            new = [_as_values(row) for row in rows if row[0] not in known]
            if new:
                session.execute(insert(_AUDIT), new)
        database.reads.remove(ids)


def _as_values(row: Sequence[Any]) -> dict[str, Any]:
    values = dict(zip(COLUMNS, row, strict=True))
    return values | {"at": datetime.fromisoformat(values["at"])}
