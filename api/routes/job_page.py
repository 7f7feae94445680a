"""The page of jobs: what waits, runs and has ended, with progress as it comes."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import HTMLResponse
from sqlalchemy import select

from api.access.authenticate import principal_of
from api.access.rules import rule_named
from api.database.tables_owned import JobRow
from api.dependencies import SessionDep
from api.pages.templates import render
from api.routing import Router
from api.schemas.jobs import JobDocument

router = Router(include_in_schema=False, default_response_class=HTMLResponse)

MOST = 100


@router.get("/jobs")
def show_jobs(request: Request, db: SessionDep) -> HTMLResponse:
    """The latest jobs first."""
    rows = db.scalars(select(JobRow).order_by(JobRow.submitted_at.desc(), JobRow.id.desc()).limit(MOST + 1)).all()
    jobs = [JobDocument.of(row) for row in rows[:MOST]]
    may_cancel = rule_named("jobs-cancel").lets_in(principal_of(request))
    return render(request, "jobs.html", jobs=jobs, more=len(rows) > MOST, most=MOST, may_cancel=may_cancel)
