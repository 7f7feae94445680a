"""The audit: who did what, and when. For admins, who see everybody; 409 where another holds the database for long."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request, Response
from sqlalchemy import select

from api.access.reads import collect_reads
from api.database.tables_owned import AuditRow
from api.dependencies import Cursor, DatabaseDep, Limit
from api.documents import send
from api.errors import problem_responses
from api.flat.trial_metrics import parse_when
from api.paging import Keyset
from api.routing import Router
from api.schemas.access import AuditDocument
from api.schemas.results import Page

router = Router(prefix="/audit", tags=["audit"])

When = Annotated[str | None, Query(alias="from", max_length=40, description="Done from: ISO-8601, or ms since 1970")]
Word = Annotated[str | None, Query(max_length=200)]


@router.get("", response_model=Page[AuditDocument], responses=problem_responses(409))
def list_all(
    request: Request,
    database: DatabaseDep,
    since: When = None,
    actor: Word = None,
    action: Word = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """What was done, in the order in which it was."""
    statement = select(AuditRow)
    if since is not None:
        statement = statement.where(AuditRow.at >= parse_when(since))
    if actor is not None:
        statement = statement.where(AuditRow.actor == actor)
    if action is not None:
        statement = statement.where(AuditRow.action == action)
    keys = Keyset.of((AuditRow.at, AuditRow.id), {"from": since, "actor": actor, "action": action})
    collect_reads(database)
    with database.read() as db:
        rows, following = keys.fetch(db, statement, cursor, limit)
    return send(request, Page(items=[AuditDocument.of(r) for r in rows], next_cursor=following))
