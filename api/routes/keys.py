"""Keys of programs (for admins), and read-only links to a subject (for clinicians)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import Path, Request, Response
from sqlalchemy import select

from api.access import keys as handed
from api.access.authenticate import actor_of
from api.access.keys import KeyRequest, make_key, make_link
from api.database.tables import SubjectRow
from api.database.tables_owned import ApiKeyRow, LinkRow
from api.dependencies import Cursor, DatabaseDep, LabDep, Limit, SessionDep, refusing_names
from api.documents import send
from api.errors import problem_responses
from api.moments import parse_moment
from api.paging import Keyset
from api.queries import find_subject
from api.routing import Router
from api.schemas.access import KeyDocument, KeyMade, KeyNew, LinkDocument, LinkMade, LinkNew
from api.schemas.results import Page
from api.sharing import shared_films, tell_shared

keys = Router(prefix="/keys", tags=["keys"])
links = Router(prefix="/links", tags=["links"])

TokenId = Annotated[str, Path(pattern=r"^[0-9a-f]{12}$", examples=["0123456789ab"])]


@keys.get("", response_model=Page[KeyDocument], responses=problem_responses())
def list_all(request: Request, db: SessionDep, limit: Limit = 100, cursor: Cursor = None) -> Response:
    """Keys by id, revoked and expired ones among them."""
    rows, following = Keyset.of((ApiKeyRow.id,), {}).fetch(db, select(ApiKeyRow), cursor, limit)
    return send(request, Page(items=[KeyDocument.of(r) for r in rows], next_cursor=following))


@keys.post("", status_code=201, response_model=KeyMade, responses=problem_responses(413))
def create(request: Request, database: DatabaseDep, body: KeyNew) -> Response:
    """Make a key. The answer holds it, this once."""
    subjects = None if body.subjects is None else tuple(body.subjects)
    asked = KeyRequest(body.role, body.label, tuple(body.scopes), subjects, _aware(body.expires_at))
    with database.write() as session:
        with refusing_names():
            row, token = make_key(session, actor_of(request), asked)
        made = KeyMade(**KeyDocument.of(row).model_dump(), token=token.show())
    return _hand_over(request, made)


@keys.delete("/{key}", response_model=KeyDocument, responses=problem_responses(404))
def revoke(request: Request, database: DatabaseDep, key: TokenId) -> Response:
    """Revoke a key; it stays in the list."""
    with database.write() as session:
        document = KeyDocument.of(handed.revoke(session, actor_of(request), ApiKeyRow, key))
    return send(request, document)


@links.get("", name="list_all", response_model=Page[LinkDocument], responses=problem_responses())
def list_links(request: Request, db: SessionDep, limit: Limit = 100, cursor: Cursor = None) -> Response:
    """Links by id, revoked and expired ones among them."""
    rows, following = Keyset.of((LinkRow.id,), {}).fetch(db, select(LinkRow), cursor, limit)
    codes = {subject.id: subject.code for subject in db.scalars(select(SubjectRow))}
    return send(request, Page(items=[LinkDocument.of(r, codes.get(r.subject_id)) for r in rows], next_cursor=following))


@links.post("", name="create", status_code=201, response_model=LinkMade, responses=problem_responses(413))
def create_link(request: Request, database: DatabaseDep, lab: LabDep, body: LinkNew) -> Response:
    """Make a read-only link to one subject, without identity and without faces. The answer holds it, this once."""
    with database.write() as session:
        with refusing_names():
            subject = find_subject(session, body.subject)
        expires_at = _aware(body.expires_at)
        assert expires_at is not None
        row, token = make_link(session, actor_of(request), subject, expires_at)
        films, document = shared_films(session, lab, subject), LinkDocument.of(row, subject.code)
        made = LinkMade(**document.model_dump(), token=token.show(), films=films, says=tell_shared(films))
    return _hand_over(request, made)


@links.delete("/{link}", name="revoke", response_model=LinkDocument, responses=problem_responses(404))
def revoke_shared(request: Request, database: DatabaseDep, link: TokenId) -> Response:
    """Revoke a link; whoever came in through it is out."""
    with database.write() as session:
        row = handed.revoke(session, actor_of(request), LinkRow, link)
        subject = session.get(SubjectRow, row.subject_id)
        document = LinkDocument.of(row, subject.code if subject is not None else None)
    return send(request, document)


def _hand_over(request: Request, made: KeyMade | LinkMade) -> Response:
    answer = send(request, made, status=201)
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _aware(moment: datetime | None) -> datetime | None:
    return None if moment is None else parse_moment(moment.isoformat())
