"""Jobs: submit work, watch it, cancel it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy import select
from starlette.concurrency import run_in_threadpool

from api.access.audit import record
from api.access.authenticate import actor_of, may_still, principal_of
from api.access.roles import Principal
from api.access.visibility import limit_session
from api.database.connection import Database
from api.database.tables_owned import JobRow
from api.dependencies import Cursor, DatabaseDep, Limit, SessionDep, refusing_names
from api.documents import as_bytes, send
from api.errors import problem_responses
from api.jobs.queue import JobRequest, JobState, Slots, ask_to_cancel, find_job, submit
from api.once import ONCE, OnceRoute, answered_before, keep_answer
from api.paging import Keyset
from api.queries import find_trial
from api.routing import Router
from api.schemas.jobs import JobDocument, JobNew
from api.schemas.results import Page
from labsys.core.session import TrialName

router = Router(prefix="/jobs", tags=["jobs"], route_class=OnceRoute)

_LOOK_EVERY_S = 0.5
_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {}}, "description": "A `job` event for every change, until the end"}
}
JobId = Annotated[
    str,
    Path(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", examples=["0199e2a4-7a00-7000-8000-000000000000"]),
]


@router.get("", response_model=Page[JobDocument], responses=problem_responses())
def list_all(
    request: Request,
    db: SessionDep,
    state: JobState | None = None,
    target: Annotated[str | None, Query(max_length=200)] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """Jobs in the order in which they were submitted."""
    statement = select(JobRow)
    if state is not None:
        statement = statement.where(JobRow.state == state.value)
    if target is not None:
        statement = statement.where(JobRow.target == target)
    keys = Keyset.of((JobRow.submitted_at, JobRow.id), {"state": state, "target": target})
    rows, following = keys.fetch(db, statement, cursor, limit)
    return send(request, Page(items=[JobDocument.of(r) for r in rows], next_cursor=following))


@router.post(
    "", dependencies=[ONCE], status_code=202, response_model=JobDocument, responses=problem_responses(409, 413)
)
def create(request: Request, database: DatabaseDep, body: JobNew) -> Response:
    """Submit a job; a worker takes it when it has the slots for it."""
    parameters = {"profile": body.profile, "settings": body.settings, "from_stage": body.from_stage}
    with database.write() as session:
        answered = answered_before(session, request)
        if answered is not None:
            return answered
        with refusing_names():
            trial = find_trial(session, TrialName.parse(body.target))
        subject_id = trial.session.subject_id
        asked = JobRequest(body.kind, body.target, subject_id, parameters, Slots(1, body.gpu), body.priority)
        actor = actor_of(request)
        document = JobDocument.of(submit(session, actor.name, asked))
        record(session, actor, "job.submit", f"{document.id} {body.kind} {body.target}")
        answer = send(request, document, status=202, location=f"/api/v1/jobs/{document.id}")
        return keep_answer(session, request, answer)


@router.get("/{job}", response_model=JobDocument, responses=problem_responses(404))
def get(request: Request, db: SessionDep, job: JobId) -> Response:
    """One job."""
    return send(request, JobDocument.of(find_job(db, job)))


@router.delete("/{job}", response_model=JobDocument, responses=problem_responses(404))
def cancel(request: Request, database: DatabaseDep, job: JobId) -> Response:
    """Cancel a job: at once where it waits, within seconds where it runs. The row stays."""
    with database.write() as session:
        document = JobDocument.of(ask_to_cancel(session, job))
        record(session, actor_of(request), "job.cancel", job)
    return send(request, document)


@router.get("/{job}/events", response_class=StreamingResponse, responses={**problem_responses(404), **_EVENTS})
def watch(request: Request, database: DatabaseDep, job: JobId) -> StreamingResponse:
    """Server-sent events: the job now, at every change, and at its end; none any more to who was shut out meanwhile."""
    _look(database, principal_of(request), job)
    headers = {"Cache-Control": "no-store"}
    return StreamingResponse(_events(request, database, job), media_type="text/event-stream", headers=headers)


async def _events(request: Request, database: Database, job: str) -> AsyncIterator[bytes]:
    said, principal = b"", principal_of(request)
    while await run_in_threadpool(may_still, request):
        document = await run_in_threadpool(_look, database, principal, job)
        body = as_bytes(document)
        if body != said:
            yield b"event: job\ndata: " + body + b"\n\n"
            said = body
        if document.state.is_final:
            return
        await asyncio.sleep(_LOOK_EVERY_S)


def _look(database: Database, principal: Principal, job: str) -> JobDocument:
    """A session for each look: one that is open as long as somebody watches would hold a snapshot."""
    with database.read() as session:
        limit_session(session, principal)
        return JobDocument.of(find_job(session, job))
