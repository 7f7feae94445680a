"""What a person's browser gets in the place of a problem in JSON: a page that says it, or the page to sign in."""

from __future__ import annotations

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException

from api.pages.templates import render
from labsys.core.errors import LabsysError

SIGN_IN = "/sign-in"
_KINDS: tuple[type[Exception], ...] = (LabsysError, DBAPIError, HTTPException, RequestValidationError)
Handler = Callable[..., Any]


def install_problem_pages(app: FastAPI) -> None:
    """Let error handlers answer browsers with a page; programs, and /api, go on getting problems, as defects do."""
    for kind in _KINDS:
        app.add_exception_handler(kind, _with_page(app.exception_handlers[kind]))


def inner_address(text: str) -> str:
    """An address on this service, for after signing in; "/" for anything that could lead elsewhere."""
    inside = text.startswith("/") and not text.startswith(("//", SIGN_IN)) and "\\" not in text and text.isprintable()
    return text if inside else "/"


def _with_page(handle: Handler) -> Handler:
    async def answer(request: Request, error: Exception) -> Response:
        problem: Response = await handle(request, error)
        if not _asks_for_page(request):
            return problem
        if problem.status_code == HTTPStatus.UNAUTHORIZED:
            return _to_sign_in(request)
        said = json.loads(bytes(problem.body))
        return render(request, "problem.html", status=problem.status_code, problem=said)

    return answer


def _asks_for_page(request: Request) -> bool:
    """A person who follows a link or types an address, and not a program or a script of a page."""
    inside = not request.url.path.startswith(("/api/", "/static/"))
    return inside and request.method in ("GET", "HEAD") and "text/html" in request.headers.get("accept", "")


def _to_sign_in(request: Request) -> Response:
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    query = "" if wanted == "/" else f"?{urlencode({'next': wanted})}"
    return RedirectResponse(SIGN_IN + query, HTTPStatus.SEE_OTHER, headers={"Cache-Control": "no-store"})
