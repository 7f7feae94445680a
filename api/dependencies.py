"""What routes are given: the lab, the database, a session to read with; and what every request is checked for.

What waits for nothing is `async`: FastAPI hands everything else to a thread, which takes longer than to do it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Path, Query, Request
from sqlalchemy.orm import Session

from api.access.authenticate import principal_of
from api.access.visibility import limit_session
from api.database.connection import Database
from api.errors import RefusedError
from api.routing import query_parameters
from labsys.core.errors import UnknownNameError
from labsys.core.session import TrialName
from labsys.storage.lab import Lab

_CODE = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"

SubjectCode = Annotated[str, Path(pattern=_CODE, description="Code of the subject", examples=["S01"])]
SessionCode = Annotated[str, Path(pattern=_CODE, description="Code of the session", examples=["2026-11-22"])]
TrialCode = Annotated[str, Path(pattern=_CODE, description="Code of the trial", examples=["run1"])]
EpisodeLabel = Annotated[str, Path(pattern=_CODE, description="Label of the episode", examples=["acl-left"])]
RunCode = Annotated[str, Path(pattern=_CODE, description="Name of the run, or 'current'", examples=["current"])]
Limit = Annotated[int, Query(ge=1, le=1000, description="Most items on this page")]
Cursor = Annotated[str | None, Query(max_length=2000, description="`next_cursor` of the page before")]
CodeFilter = Annotated[str | None, Query(pattern=_CODE)]


async def get_lab(request: Request) -> Lab:
    """The lab that this application serves."""
    lab: Lab = request.app.state.lab
    return lab


async def get_database(request: Request) -> Database:
    """Its database."""
    return _database(request)


def _database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


async def get_session(request: Request) -> Session:
    """A session that reads one snapshot, of what the one who asks may see; `ReadingRoute` closes it."""
    session = _database(request).read()
    limit_session(session, principal_of(request))
    return session


async def get_trial_name(subject: SubjectCode, session: SessionCode, trial: TrialCode) -> TrialName:
    """The trial that the path names."""
    return TrialName(subject, session, trial)


LabDep = Annotated[Lab, Depends(get_lab)]
DatabaseDep = Annotated[Database, Depends(get_database)]
SessionDep = Annotated[Session, Depends(get_session)]
TrialNameDep = Annotated[TrialName, Depends(get_trial_name)]


async def refuse_unknown_parameters(request: Request) -> None:
    """Refuse query parameters that the route does not have, or has once and was given twice: a typo in a filter would
    otherwise return everything."""
    known = query_parameters(request.scope["route"])
    for name in request.query_params:
        if name not in known:
            raise refuse_name(UnknownNameError("query parameter", name, valid=known), kind="unknown-parameter")
    for name, repeatable in known.items():
        values = request.query_params.getlist(name)
        if len(values) > 1 and not repeatable:
            raise _unacceptable(f"query parameter '{name}' is given {len(values)} times")
    if "\x00" in "".join([*request.query_params.values(), *map(str, request.path_params.values())]):
        raise _unacceptable("a parameter contains a NUL character")


def refuse_name(error: UnknownNameError, *, kind: str = "unknown-name") -> RefusedError:
    """An unknown name in a parameter or body: what was sent is wrong (422), not where it was sent to (404)."""
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    return RefusedError(status, kind, error.what, remedy=error.remedy, nearest=error.nearest)


@contextmanager
def refusing_names() -> Iterator[None]:
    """Refuse what was sent where a name in it is unknown."""
    try:
        yield
    except UnknownNameError as error:
        raise refuse_name(error) from error


def _unacceptable(what: str) -> RefusedError:
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    return RefusedError(status, "invalid-parameter", what, remedy="Give it once, as plain text")
