"""Idempotency-Key: a POST that is sent again, because the answer was lost on the way, is answered and not done again.

The key belongs to the caller. The same key with another request is a mistake (422); while the first is at work, a
second waits outside (409). The answer is kept for a day, in the transaction of the change itself: neither stands
without the other, so what was done is answered even where the service died before it could, and a request that was
believed dead after a minute and was only slow finds, as soon as it may write, that another has done its work. Promoting
a release takes several transactions, and a noun is in the folder before it is in the database: where the service dies
in between, who asks again is told that the name is taken.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, Header, Request, Response
from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from api.access.authenticate import authorize, principal_of
from api.database.connection import Database
from api.database.tables_owned import IdempotencyRow
from api.errors import RefusedError
from api.routing import ReadingRoute

HEADER = "Idempotency-Key"
_LONGEST = 200
_KEPT = timedelta(days=1)
_AT_WORK = timedelta(minutes=1)
_SENT_AGAIN = ("content-type", "location", "etag", "cache-control")

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def _declare(
    idempotency_key: Annotated[
        str | None,
        Header(min_length=1, max_length=_LONGEST, description="Answered once, then the same answer for a day"),
    ] = None,
) -> None:
    """For OpenAPI."""


ONCE = Depends(_declare)


class OnceRoute(ReadingRoute):
    """A route whose POST heeds Idempotency-Key. Its write transaction begins with `answered_before` and ends with
    `keep_answer`."""

    def get_route_handler(self) -> Handler:
        """FastAPI's way to wrap a route."""
        handler = super().get_route_handler()

        async def answer(request: Request) -> Response:
            key = request.headers.get(HEADER)
            # One that is too long is refused by `_declare`; cut short, it would stand for another.
            if key is None or len(key) > _LONGEST or request.method != "POST":
                return await handler(request)
            return await _answer_once(request, key, handler)

        return answer


@dataclass(frozen=True)
class _Asked:
    """A request with its key."""

    caller: str
    key: str
    hash: str


def answered_before(session: Session, request: Request) -> Response | None:
    """The answer that another request with the same key was given while this one waited for the write lock."""
    asked: _Asked | None = getattr(request.state, "once", None)
    return None if asked is None else _kept_answer(session, asked)


def keep_answer(session: Session, request: Request, response: Response) -> Response:
    """Keep an answer along with what it tells of; without a key nothing is kept. Returns the answer."""
    asked: _Asked | None = getattr(request.state, "once", None)
    if asked is not None:
        row = _row(asked, datetime.now(UTC) + _KEPT)
        row.status, row.body = response.status_code, bytes(response.body)
        row.headers = {name: response.headers[name] for name in _SENT_AGAIN if name in response.headers}
        session.merge(row)  # where this one took more than a minute, its own row may be gone
    return response


async def _answer_once(request: Request, key: str, handler: Handler) -> Response:
    await run_in_threadpool(authorize, request)  # a key of yesterday opens nothing that was closed since
    database: Database = request.app.state.database
    text = f"{request.method} {request.url.path}\n".encode() + await request.body()
    principal = principal_of(request)
    asked = _Asked(f"{principal.means} {principal.name}", key, hashlib.sha256(text).hexdigest())
    kept = await run_in_threadpool(_begin, database, asked)
    if kept is not None:
        return kept
    request.state.once = asked
    try:
        response = await handler(request)
    except BaseException:
        await run_in_threadpool(_forget, database, asked)
        raise
    if response.status_code >= HTTPStatus.MULTIPLE_CHOICES:
        await run_in_threadpool(_forget, database, asked)
    return response


def _begin(database: Database, asked: _Asked) -> Response | None:
    """The answer that was kept; None where this request is the first, and from now on the one at work."""
    now = datetime.now(UTC)
    try:
        with database.update() as session:
            session.execute(delete(IdempotencyRow).where(IdempotencyRow.expires_at < now))
            kept = _kept_answer(session, asked)
            if kept is not None:
                return kept
            if session.get(IdempotencyRow, (asked.caller, asked.key)) is not None:
                raise _at_work()
            session.add(_row(asked, now + _AT_WORK))
            return None
    except IntegrityError as error:
        raise _at_work() from error


def _kept_answer(session: Session, asked: _Asked) -> Response | None:
    row = session.get(IdempotencyRow, (asked.caller, asked.key))
    if row is None:
        return None
    if row.request_hash != asked.hash:
        raise RefusedError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "key-used",
            f"this {HEADER} came with another request before",
            remedy="Use a new key for a new request",
        )
    if row.status is None:
        return None
    return Response(row.body, row.status, {**row.headers, "Idempotency-Replayed": "true"})


def _row(asked: _Asked, until: datetime) -> IdempotencyRow:
    return IdempotencyRow(
        caller=asked.caller,
        key=asked.key,
        request_hash=asked.hash,
        status=None,
        headers={},
        body=None,
        expires_at=until,
    )


def _at_work() -> RefusedError:
    return RefusedError(
        HTTPStatus.CONFLICT,
        "at-work",
        f"the first request with this {HEADER} is still at work",
        remedy="Ask again soon",
    )


def _forget(database: Database, asked: _Asked) -> None:
    """Let a request that failed be tried again; what another has answered meanwhile stays."""
    mine = (IdempotencyRow.caller == asked.caller, IdempotencyRow.key == asked.key, IdempotencyRow.status.is_(None))
    with database.update() as session:
        session.execute(delete(IdempotencyRow).where(*mine))
