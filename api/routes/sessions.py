"""Sessions: visits."""

from __future__ import annotations

from dataclasses import replace

from fastapi import Request, Response
from sqlalchemy import select

from api.database.tables import EpisodeRow, SessionRow, SubjectRow
from api.dependencies import CodeFilter, Cursor, DatabaseDep, LabDep, Limit, SessionCode, SessionDep, SubjectCode
from api.documents import send
from api.edits import Kept, change_noun, make_noun, with_fields
from api.errors import problem_responses
from api.once import ONCE, OnceRoute
from api.paging import Keyset
from api.queries import find_session
from api.routing import Router
from api.schemas.results import Page
from api.schemas.sessions import SessionChange, SessionDocument, SessionNew
from labsys.core.session import Phase
from labsys.core.session import Session as Visit
from labsys.storage.lab import Lab
from labsys.storage.sessions import load_session, save_session

router = Router(prefix="/sessions", tags=["sessions"], route_class=OnceRoute)


@router.get("", response_model=Page[SessionDocument], responses=problem_responses())
def list_all(
    request: Request,
    db: SessionDep,
    subject: CodeFilter = None,
    episode: CodeFilter = None,
    phase: Phase | None = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """Sessions by time."""
    statement = select(SessionRow).join(SessionRow.subject)
    if subject is not None:
        statement = statement.where(SubjectRow.code == subject)
    if episode is not None:
        statement = statement.join(SessionRow.episode).where(EpisodeRow.label == episode)
    if phase is not None:
        statement = statement.where(SessionRow.phase == phase)
    asked = {"subject": subject, "episode": episode, "phase": phase}
    keys = Keyset.of((SessionRow.captured_at, SessionRow.id), asked)
    rows, following = keys.fetch(db, statement, cursor, limit)
    return send(request, Page(items=[SessionDocument.of(r) for r in rows], next_cursor=following))


@router.post(
    "", dependencies=[ONCE], status_code=201, response_model=SessionDocument, responses=problem_responses(409, 413)
)
def create(request: Request, lab: LabDep, database: DatabaseDep, body: SessionNew) -> Response:
    """Make a session."""
    empty = Visit(uuid="", subject=body.subject, session=body.session, captured_at="")
    return make_noun(request, lab, database, _kept(lab, body.subject, body.session), _changed(empty, body))


@router.get("/{subject}/{session}", response_model=SessionDocument, responses=problem_responses(404))
def get(request: Request, db: SessionDep, subject: SubjectCode, session: SessionCode) -> Response:
    """One session."""
    return send(request, SessionDocument.of(find_session(db, subject, session)))


@router.patch("/{subject}/{session}", response_model=SessionDocument, responses=problem_responses(404, 409, 412, 413))
def change(
    request: Request,
    lab: LabDep,
    database: DatabaseDep,
    subject: SubjectCode,
    session: SessionCode,
    body: SessionChange,
) -> Response:
    """Change the named fields of a session."""
    return change_noun(request, lab, database, _kept(lab, subject, session), lambda noun: _changed(noun, body))


def _changed(visit: Visit, body: SessionChange) -> Visit:
    given = body.given()
    if "anthropometry" in given:
        given["anthropometry"] = replace(visit.anthropometry, **body.anthropometry.given())
    for name in ("episode", "repeats"):
        if name in given:
            given[name] = given[name] or ""
    return with_fields(visit, given)


def _kept(lab: Lab, subject: str, code: str) -> Kept[Visit]:
    return Kept(
        kind="session",
        subject=subject,
        visit=code,
        location=f"sessions/{subject}/{code}",
        load=lambda: load_session(lab, subject, code),
        save=lambda noun: save_session(lab, noun),
        find=lambda session: SessionDocument.of(find_session(session, subject, code)),
    )
