"""What the audit of a lab holds, without its service."""

from __future__ import annotations

from sqlalchemy import select

from api.access.reads import collect_reads
from api.database.connection import open_database
from api.database.tables_owned import AuditRow
from labsys.storage.lab import Lab


def audited(lab: Lab, action: str) -> list[str]:
    """Objects of every event of this kind, in the order in which they were."""
    database = open_database(lab)
    collect_reads(database)
    with database.read() as session:
        found = select(AuditRow.object).where(AuditRow.action == action).order_by(AuditRow.at, AuditRow.id)
        objects = list(session.scalars(found))
    database.close()
    return objects
