"""Idempotency-Key: a POST that is sent again, because the answer was lost on the way, is answered and not done again.

The key belongs to the caller. The same key with another request is a mistake (422); while the first is at work, a
second waits outside (409). Answers are kept for a day; only successes, so that what failed may be tried again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, Header, Request, Response
from fastapi.routing import APIRoute
from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError
from starlette.concurrency import run_in_threadpool

from api.access.authenticate import authorize, principal_of
from api.database import Database
from api.errors import RefusedError
from api.tables_owned import IdempotencyRow

HEADER = "Idempotency-Key"
_KEPT = timedelta(days=1)
_AT_WORK = timedelta(minutes=1)
_SENT_AGAIN = ("content-type", "location", "etag", "cache-control")

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def _declare(
    idempotency_key: Annotated[
        str | None, Header(min_length=1, max_length=200, description="Answered once, then the same answer for a day")
    ] = None,
) -> None:
    """For OpenAPI."""


ONCE = Depends(_declare)


class OnceRoute(APIRoute):
    """A route whose POST heeds Idempotency-Key."""

    def get_route_handler(self) -> Handler:
        """FastAPI's way to wrap a route."""
        handler = super().get_route_handler()

        async def answer(request: Request) -> Response:
            key = request.headers.get(HEADER)
            if key is None or request.method != "POST":
                return await handler(request)
            return await _answer_once(request, key, handler)

        return answer


@dataclass(frozen=True)
class _Asked:
    """A request with its key."""

    caller: str
    key: str
    hash: str


async def _answer_once(request: Request, key: str, handler: Handler) -> Response:
    await run_in_threadpool(authorize, request)  # a key of yesterday opens nothing that was closed since
    database: Database = request.app.state.database
    text = f"{request.method} {request.url.path}\n".encode() + await request.body()
    principal = principal_of(request)
    asked = _Asked(f"{principal.means} {principal.name}", key[:200], hashlib.sha256(text).hexdigest())
    kept = await run_in_threadpool(_begin, database, asked)
    if kept is not None:
        return kept
    try:
        response = await handler(request)
    except BaseException:
        await run_in_threadpool(_forget, database, asked)
        raise
    await run_in_threadpool(_keep if response.status_code < 300 else _forget_answer, database, asked, response)
    return response


def _begin(database: Database, asked: _Asked) -> Response | None:
    """The answer that was kept; None where this request is the first, and from now on the one at work."""
    now = datetime.now(UTC)
    try:
        with database.update() as session:
            session.execute(delete(IdempotencyRow).where(IdempotencyRow.expires_at < now))
            row = session.get(IdempotencyRow, (asked.caller, asked.key))
            if row is None:
                session.add(_row(asked, now + _AT_WORK))
                return None
    except IntegrityError as error:
        raise _at_work() from error
    if row.request_hash != asked.hash:
        raise RefusedError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "key-used",
            f"this {HEADER} came with another request before",
            remedy="Use a new key for a new request",
        )
    if row.status is None:
        raise _at_work()
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


def _keep(database: Database, asked: _Asked, response: Response) -> None:
    with database.update() as session:
        row = session.get(IdempotencyRow, (asked.caller, asked.key))
        if row is not None:
            row.status, row.body = response.status_code, bytes(response.body)
            row.headers = {name: response.headers[name] for name in _SENT_AGAIN if name in response.headers}
            row.expires_at = datetime.now(UTC) + _KEPT


def _forget_answer(database: Database, asked: _Asked, _response: Response) -> None:
    _forget(database, asked)


def _forget(database: Database, asked: _Asked) -> None:
    mine = (IdempotencyRow.caller == asked.caller, IdempotencyRow.key == asked.key)
    with database.update() as session:
        session.execute(delete(IdempotencyRow).where(*mine))
