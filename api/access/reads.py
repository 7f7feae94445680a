"""Reads in the audit: written down before the answer, and waiting for nobody who writes.

PostgreSQL takes the row beside whoever indexes the lab. An embedded database has one writer: there the row goes into a
file beside it (api/database/reads_file.py), and from it into the audit before anybody looks at that.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from api.access.audit import Actor, audit_row
from api.database.connection import Database
from api.database.tables_owned import AuditRow


def note_read(database: Database, actor: Actor, action: str, what: str) -> None:
    """Write a read down; when this returns, a crash does not lose it.

    Raises:
        InputError: it cannot be written down; then nothing may be answered.
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
    """
    if database.reads is None:
        return
    while rows := database.reads.first():
        with database.write() as session:
            ids = [row[0] for row in rows]
            known = {*session.scalars(select(AuditRow.id).where(AuditRow.id.in_(ids)))}
            session.add_all(_as_row(*row) for row in rows if row[0] not in known)
        database.reads.remove(ids)


def _as_row(id: str, at: str, actor: str, action: str, what: str, request: str | None, address: str | None) -> AuditRow:
    return AuditRow(
        id=id,
        at=datetime.fromisoformat(at),
        actor=actor,
        action=action,
        object=what,
        request_id=request,
        address=address,
    )
