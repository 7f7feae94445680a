"""Changing a noun over HTTP: under the write lock, against what the client read.

The folder first, then the index and the audit; what is killed in between is told (api/begun_edits.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Generic, TypeVar

from fastapi import Request, Response
from pydantic import BaseModel
from sqlalchemy.orm import Session

from api.access.audit import add_row, audit_row
from api.access.authenticate import actor_of
from api.begun_edits import take_back, tell_begun
from api.database.connection import Database
from api.database.tables_owned import AuditRow
from api.dependencies import refusing_names
from api.documents import as_bytes, check_if_match, send
from api.errors import RefusedError
from api.indexing.index import check_releases, refresh_subject
from api.moments import parse_moment, show_moment
from api.once import answered_before, keep_answer
from labsys.core.errors import UnknownNameError
from labsys.core.session import Episode, Subject, Trial
from labsys.core.session import Session as Visit
from labsys.storage.lab import Lab
from labsys.storage.sessions import session_codes
from pipelines.stale import retire_stale_runs

Noun = TypeVar("Noun", Subject, Episode, Visit, Trial)


@dataclass(frozen=True)
class Kept(Generic[Noun]):
    """How one noun is kept: `load` and `save` in the folder, `find` its document in the index.

    subject: code of the subject it belongs to. visit: session whose results may rest on it, "" for none.
    location: its path under /api/v1.
    """

    kind: str
    subject: str
    visit: str
    location: str
    load: Callable[[], Noun]
    save: Callable[[Noun], Noun]
    find: Callable[[Session], BaseModel]


def make_noun(request: Request, lab: Lab, database: Database, kept: Kept[Noun], noun: Noun) -> Response:
    """Make a noun: 201 with its document, 409 where it is there already, 422 where its parent is not."""
    with database.write() as session:
        answered = answered_before(session, request)
        if answered is not None:
            return answered
        try:
            kept.load()
        except UnknownNameError:
            pass
        else:
            raise RefusedError(
                HTTPStatus.CONFLICT, "exists", f"this {kept.kind} is there already", remedy="PATCH it to change it"
            )
        event = audit_row(actor_of(request), f"{kept.kind}.create", kept.location)
        told = _save(lab, kept, noun, event)
        refresh_subject(session, lab, kept.subject)
        document = kept.find(session)
        add_row(session, event, after=as_bytes(document))
        answer = send(request, document, status=HTTPStatus.CREATED, location=f"/api/v1/{kept.location}")
        keep_answer(session, request, answer)
    take_back(told)
    return answer


def change_noun(
    request: Request, lab: Lab, database: Database, kept: Kept[Noun], change: Callable[[Noun], Noun]
) -> Response:
    """Change a noun: 200 with its new document, 412 where If-Match names another state than the present one."""
    with database.write() as session:
        present = kept.find(session)
        noun = kept.load()
        if show_moment(parse_moment(noun.updated_at)) != present.model_dump()["updated_at"]:
            # Somebody edited the folder without indexing it; the client cannot have read what is there.
            refresh_subject(session, lab, kept.subject)
            present = kept.find(session)
        check_if_match(request, present)
        changed, event = change(noun), audit_row(actor_of(request), f"{kept.kind}.change", kept.location)
        told = _save(lab, kept, changed, event)
        refresh_subject(session, lab, kept.subject)
        document = kept.find(session)
        add_row(session, event, before=as_bytes(present), after=as_bytes(document))
    take_back(told)
    return send(request, document)


def _save(lab: Lab, kept: Kept[Noun], noun: Noun, event: AuditRow) -> Path:
    """Save, and let no run count that rests on what was stated before; where the edit is told of from now on."""
    # Once before: what cannot be read is refused while nothing is written yet.
    _retire(lab, kept)
    check_releases(lab)
    told = tell_begun(lab, kept.subject, event)
    try:
        with refusing_names():
            kept.save(noun)
    except BaseException:
        take_back(told)
        raise
    _retire(lab, kept)
    return told


def _retire(lab: Lab, kept: Kept[Noun]) -> None:
    if kept.visit and kept.visit in session_codes(lab, kept.subject):
        retire_stale_runs(lab, kept.subject, kept.visit)


def with_fields(noun: Noun, given: Mapping[str, Any]) -> Noun:
    """The noun with the given fields; times and dates as the folder writes them, lists as tuples."""
    return replace(noun, **{name: as_folder_value(value) for name, value in given.items()})


def as_folder_value(value: Any) -> Any:
    """A value of a request as the core's values hold it. A time without zone is UTC."""
    if isinstance(value, datetime):
        return show_moment(parse_moment(value.isoformat()))
    if isinstance(value, date):
        return value.isoformat()
    return tuple(value) if isinstance(value, list) else value
