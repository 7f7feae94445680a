"""Every error as `application/problem+json` (RFC 9457): what happened, where, and what to do.

status  when
400     a cursor that does not belong to this question; a Host or Origin that is not this service
401     nobody known asks                        403  somebody who may not do this
404     a noun or path that is not there         405  a method that the path does not have
409     the thing exists already, or somebody holds it, or a newer labsys wrote it
412     If-Match names another state             413  a body that is too large        415  a body that is not JSON
422     a parameter, field or value that cannot be accepted
429     too many tries, or too many exports      416  a range that the file does not have
500     a defect of labsys; nothing of its inside is told
503     the database is full, read-only, held by another for a minute, or its server is away
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException

from api.database.away import DatabaseAwayError, as_away
from api.head import allowed_methods
from labsys.core.errors import ConcurrencyError, InputError, LabsysError, NewerSchemaError, UnknownNameError

_LOG = logging.getLogger("labsys.requests")
MEDIA_TYPE = "application/problem+json"
_EVERYWHERE = (400, 401, 403, 422, 500, 503)


class FieldProblem(BaseModel):
    """One value that was not accepted."""

    loc: list[str | int]
    msg: str


class Problem(BaseModel):
    """An error as clients receive it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:labsys:problem:unknown-name",
                    "title": "Not Found",
                    "status": 404,
                    "detail": "Unknown subject 'S1'. Did you mean 'S01'?",
                    "instance": "/api/v1/subjects/S1",
                    "remedy": "Did you mean 'S01'?",
                    "nearest": "S01",
                }
            ]
        }
    )

    type: str
    title: str
    status: int
    detail: str
    instance: str
    where: str | None = None
    remedy: str | None = None
    nearest: str | None = None
    errors: list[FieldProblem] | None = None


class RefusedError(LabsysError):
    """A request that HTTP has its own status for. `kind` ends the problem's type."""

    def __init__(
        self,
        status: HTTPStatus,
        kind: str,
        what: str,
        *,
        remedy: str = "",
        nearest: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        self.status = status
        self.kind = kind
        self.nearest = nearest
        self.retry_after_s = retry_after_s
        super().__init__(what, remedy=remedy)


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI says of these statuses."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {s: {"description": HTTPStatus(s).phrase, "content": content} for s in sorted({*statuses, *_EVERYWHERE})}


def problem_response(
    request: Request, problem: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> Response:
    """A problem with everything that is not None."""
    status = HTTPStatus(problem["status"])
    whole = {"title": status.phrase, "instance": request.url.path, **problem}
    body = Problem.model_validate(whole).model_dump(mode="json", exclude_none=True)
    # What a client sent may come back in the message, halves of surrogate pairs among it.
    text = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
    return Response(text, status_code=status, media_type=MEDIA_TYPE, headers=dict(headers or {}))


def install_error_handlers(app: FastAPI) -> None:
    """Make every error of the application a problem."""
    app.add_exception_handler(LabsysError, _on_labsys_error)
    app.add_exception_handler(DBAPIError, _on_database_error)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)


async def _on_labsys_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, LabsysError)
    status, kind = _classify(error)
    if isinstance(error, DatabaseAwayError):  # a server's own words name machines and users: for the log alone
        _LOG.warning("%s: %s", getattr(request.state, "request_id", ""), getattr(error.__cause__, "orig", error))
    root = f"{request.app.state.lab.root}/"
    problem = {
        "type": f"urn:labsys:problem:{kind}",
        "status": int(status),
        "detail": str(error).replace(root, ""),
        "where": error.where.replace(root, "") or None,
        "remedy": error.remedy or None,
        "nearest": getattr(error, "nearest", None),
    }
    return problem_response(request, problem, _headers_of(error))


async def _on_database_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, DBAPIError)
    away = as_away(error)
    if away is None:
        raise error  # a defect
    away.__cause__ = error
    return await _on_labsys_error(request, away)


def _headers_of(error: LabsysError) -> dict[str, str]:
    if not isinstance(error, RefusedError):
        return {}
    asks = {"WWW-Authenticate": "Bearer"} if error.status is HTTPStatus.UNAUTHORIZED else {}
    return asks | ({"Retry-After": str(error.retry_after_s)} if error.retry_after_s is not None else {})


def _classify(error: LabsysError) -> tuple[HTTPStatus, str]:
    match error:
        case RefusedError():
            return error.status, error.kind
        case DatabaseAwayError():
            return HTTPStatus.SERVICE_UNAVAILABLE, "database-away"
        case UnknownNameError():
            return HTTPStatus.NOT_FOUND, "unknown-name"
        case NewerSchemaError():
            return HTTPStatus.CONFLICT, "newer-schema"
        case InputError():
            return HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-input"
        case ConcurrencyError():
            return HTTPStatus.CONFLICT, "held-by-another"
        case _:
            return HTTPStatus.CONFLICT, "refused"


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    problem = {"type": "about:blank", "status": error.status_code, "detail": str(error.detail)}
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        # The framework names those of one route; a path may have several. Folders of files have none, and are read.
        headers["Allow"] = allowed_methods(request.app, request.scope["path"]) or "GET, HEAD"
    return problem_response(request, problem, headers)


async def _on_invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [{"loc": list(e["loc"]), "msg": e["msg"]} for e in error.errors()]
    first = errors[0] if errors else {"loc": [], "msg": "invalid request"}
    problem = {
        "type": "urn:labsys:problem:invalid-request",
        "status": int(HTTPStatus.UNPROCESSABLE_ENTITY),
        "detail": f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}",
        "errors": errors,
    }
    return problem_response(request, problem)


def defect_response(request: Request, request_id: str) -> Response:
    """For an exception that nobody expected."""
    problem = {
        "type": "urn:labsys:problem:defect",
        "status": int(HTTPStatus.INTERNAL_SERVER_ERROR),
        "detail": f"labsys failed on this request; the log of `labsys serve` says why, at {request_id}",
        "remedy": "Please report it with the log",
    }
    return problem_response(request, problem)
