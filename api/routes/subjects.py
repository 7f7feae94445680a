"""Subjects: people known by a code."""

from __future__ import annotations

from fastapi import Request, Response
from sqlalchemy import select

from api.database.tables import SubjectRow
from api.dependencies import Cursor, DatabaseDep, LabDep, Limit, SessionDep, SubjectCode
from api.documents import send
from api.edits import Kept, change_noun, make_noun, with_fields
from api.errors import problem_responses
from api.once import ONCE, OnceRoute
from api.paging import Keyset
from api.queries import find_subject
from api.routing import Router
from api.schemas.results import Page
from api.schemas.subjects import SubjectChange, SubjectDocument, SubjectNew
from labsys.core.session import Subject
from labsys.storage.lab import Lab
from labsys.storage.subjects import load_subject, save_subject

router = Router(prefix="/subjects", tags=["subjects"], route_class=OnceRoute)


@router.get("", response_model=Page[SubjectDocument], responses=problem_responses())
def list_all(request: Request, db: SessionDep, limit: Limit = 100, cursor: Cursor = None) -> Response:
    """Subjects by code."""
    keys = Keyset.of((SubjectRow.code,), {})
    rows, following = keys.fetch(db, select(SubjectRow), cursor, limit)
    return send(request, Page(items=[SubjectDocument.of(r) for r in rows], next_cursor=following))


@router.post(
    "", dependencies=[ONCE], status_code=201, response_model=SubjectDocument, responses=problem_responses(409, 413)
)
def create(request: Request, lab: LabDep, database: DatabaseDep, body: SubjectNew) -> Response:
    """Make a subject."""
    subject = with_fields(Subject(uuid="", code=body.code), body.given())
    return make_noun(request, lab, database, _kept(lab, body.code), subject)


@router.get("/{subject}", response_model=SubjectDocument, responses=problem_responses(404))
def get(request: Request, db: SessionDep, subject: SubjectCode) -> Response:
    """One subject."""
    return send(request, SubjectDocument.of(find_subject(db, subject)))


@router.patch("/{subject}", response_model=SubjectDocument, responses=problem_responses(404, 409, 412, 413))
def change(request: Request, lab: LabDep, database: DatabaseDep, subject: SubjectCode, body: SubjectChange) -> Response:
    """Change the named fields of a subject; with If-Match only if nobody changed it meanwhile."""
    given = body.given()
    return change_noun(request, lab, database, _kept(lab, subject), lambda noun: with_fields(noun, given))


def _kept(lab: Lab, code: str) -> Kept[Subject]:
    return Kept(
        kind="subject",
        subject=code,
        visit="",
        location=f"subjects/{code}",
        load=lambda: load_subject(lab, code),
        save=lambda noun: save_subject(lab, noun),
        find=lambda session: SubjectDocument.of(find_subject(session, code)),
    )
