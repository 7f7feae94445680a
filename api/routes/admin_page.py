"""The pages of those who administer a lab: users and their grants, subjects, keys, links, and the audit."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request
from fastapi.responses import HTMLResponse
from sqlalchemy import select

from api.access.authenticate import principal_of
from api.access.reads import collect_reads
from api.access.roles import Means, Role
from api.access.users import granted_codes
from api.database.tables import SubjectRow
from api.database.tables_owned import ApiKeyRow, AuditRow, LinkRow, UserRow
from api.dependencies import DatabaseDep, LabDep, SessionDep
from api.pages.templates import render
from api.routing import Router
from api.schemas.access import AuditDocument, KeyDocument, LinkDocument, UserDocument
from labsys.core.clock import utc_now
from labsys.storage.erasures import find_erasure

router = Router(prefix="/admin", include_in_schema=False, default_response_class=HTMLResponse)

MOST = 100
Word = Annotated[str, Query(max_length=200)]


@router.get("")
def show_admin(request: Request, db: SessionDep, lab: LabDep) -> HTMLResponse:
    """Who may come in, and with what."""
    users = [
        {"user": UserDocument.of(row), "grants": sorted(granted_codes(db, row.id))}
        for row in db.scalars(select(UserRow).order_by(UserRow.name))
    ]
    codes = {subject.id: subject.code for subject in db.scalars(select(SubjectRow).order_by(SubjectRow.code))}
    links = db.scalars(select(LinkRow).order_by(LinkRow.created_at.desc()).limit(MOST))
    keys = db.scalars(select(ApiKeyRow).order_by(ApiKeyRow.created_at.desc()).limit(MOST))
    return render(
        request,
        "admin.html",
        users=users,
        roles=[role.value for role in Role],
        subjects=list(codes.values()),
        erasures={code: find_erasure(lab, code) for code in codes.values()},
        keys=[KeyDocument.of(row) for row in keys],
        links=[LinkDocument.of(row, codes.get(row.subject_id)) for row in links],
        now=utc_now(),
        is_open=principal_of(request).means is Means.OPEN,
        most=MOST,
    )


@router.get("/audit")
def show_audit(request: Request, database: DatabaseDep, actor: Word = "", action: Word = "") -> HTMLResponse:
    """What was done, the latest first."""
    statement = select(AuditRow).order_by(AuditRow.at.desc(), AuditRow.id.desc())
    if actor:
        statement = statement.where(AuditRow.actor == actor)
    if action:
        statement = statement.where(AuditRow.action == action)
    collect_reads(database)
    with database.read() as db:
        rows = db.scalars(statement.limit(MOST + 1)).all()
    events = [AuditDocument.of(row) for row in rows[:MOST]]
    return render(request, "audit.html", events=events, more=len(rows) > MOST, most=MOST, actor=actor, action=action)
