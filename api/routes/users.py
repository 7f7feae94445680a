"""Users, and the subjects that viewers may see. For admins."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Request, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.access.authenticate import actor_of
from api.access.users import add_user, change_user, find_user, grant, granted_codes, withdraw
from api.database.tables_owned import UserRow
from api.dependencies import Cursor, DatabaseDep, Limit, SessionDep, SubjectCode
from api.documents import send
from api.errors import problem_responses
from api.paging import Keyset
from api.queries import find_subject
from api.routing import Router
from api.schemas.access import GrantsDocument, UserChange, UserDocument, UserNew
from api.schemas.results import Page

router = Router(prefix="/users", tags=["users"])

Name = Annotated[str, Path(min_length=1, max_length=100, description="Name of the user", examples=["mk"])]


@router.get("", response_model=Page[UserDocument], responses=problem_responses())
def list_all(request: Request, db: SessionDep, limit: Limit = 100, cursor: Cursor = None) -> Response:
    """Users by name."""
    rows, following = Keyset.of((UserRow.name,), {}).fetch(db, select(UserRow), cursor, limit)
    return send(request, Page(items=[UserDocument.of(r) for r in rows], next_cursor=following))


@router.post("", status_code=201, response_model=UserDocument, responses=problem_responses(413))
def create(request: Request, database: DatabaseDep, body: UserNew) -> Response:
    """Add a person who may sign in."""
    with database.write() as session:
        row = add_user(session, actor_of(request), body.name, body.role, body.password.get_secret_value())
        document = UserDocument.of(row)
    return send(request, document, status=201, location=f"/api/v1/users/{document.name}")


@router.patch("/{name}", response_model=UserDocument, responses=problem_responses(404, 413))
def change(request: Request, database: DatabaseDep, name: Name, body: UserChange) -> Response:
    """Change role or password, or disable; the last two end every login of the user."""
    given = body.given()
    if "password" in given:
        given["password"] = body.password.get_secret_value()
    with database.write() as session:
        document = UserDocument.of(change_user(session, actor_of(request), name, **given))
    return send(request, document)


@router.get("/{name}/grants", response_model=GrantsDocument, responses=problem_responses(404))
def list_grants(request: Request, db: SessionDep, name: Name) -> Response:
    """Subjects that a user was granted. Only viewers need grants."""
    return send(request, _grants(db, name))


@router.put("/{name}/grants/{subject}", response_model=GrantsDocument, responses=problem_responses(404))
def grant_subject(request: Request, database: DatabaseDep, name: Name, subject: SubjectCode) -> Response:
    """Let a user see a subject."""
    with database.write() as session:
        grant(session, actor_of(request), name, find_subject(session, subject))
        session.flush()
        document = _grants(session, name)
    return send(request, document)


@router.delete("/{name}/grants/{subject}", response_model=GrantsDocument, responses=problem_responses(404))
def withdraw_subject(request: Request, database: DatabaseDep, name: Name, subject: SubjectCode) -> Response:
    """Take a grant back."""
    with database.write() as session:
        withdraw(session, actor_of(request), name, find_subject(session, subject))
        session.flush()
        document = _grants(session, name)
    return send(request, document)


def _grants(session: Session, name: str) -> GrantsDocument:
    user = find_user(session, name)
    return GrantsDocument(user=user.name, subjects=sorted(granted_codes(session, user.id)))
