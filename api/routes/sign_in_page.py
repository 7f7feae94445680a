"""The page to sign in; in a lab without users, to make the first one. The API does both (routes/access.py)."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request
from fastapi.responses import HTMLResponse

from api.access.users import is_open
from api.dependencies import DatabaseDep
from api.pages.problem_page import SIGN_IN, inner_address
from api.pages.templates import render
from api.routing import Router

router = Router(include_in_schema=False, default_response_class=HTMLResponse, tags=["access"])


@router.get(SIGN_IN)
def show_sign_in(
    request: Request, database: DatabaseDep, next: Annotated[str, Query(max_length=2000)] = ""
) -> HTMLResponse:
    """A form for name and password. `next`: where to go afterwards, on this service alone."""
    with database.read() as session:
        first_run = is_open(session)
    return render(request, "sign_in.html", first_run=first_run, next=inner_address(next))
