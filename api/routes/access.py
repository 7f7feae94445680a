"""Who asks: first-run set-up, signing in and out, opening a link."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import Request, Response

from api.access.audit import record
from api.access.authenticate import COOKIE, actor_of, check_csrf
from api.access.exports import refuse_hurry
from api.access.keys import find_handed, holder_of
from api.access.logins import LIFETIME, check_password, close_login, find_login, open_login
from api.access.own_machine import is_from_own_machine
from api.access.roles import Principal
from api.access.throttle import Throttle
from api.access.tokens import Token
from api.access.users import fold_name, is_open, set_up
from api.database.tables_owned import LinkRow
from api.dependencies import DatabaseDep
from api.documents import send
from api.errors import RefusedError, problem_responses
from api.routing import Router
from api.schemas.access import AccessDocument, Credentials, LinkToken

router = Router(prefix="/access", tags=["access"])


@router.get("", response_model=AccessDocument, responses=problem_responses())
def get_access(request: Request, database: DatabaseDep) -> Response:
    """Who asks, and what a browser must send along with changes."""
    return _tell(request, database, request.state.principal)


@router.post("/setup", status_code=201, response_model=AccessDocument, responses=problem_responses(409, 413))
def set_up_lab(request: Request, database: DatabaseDep, body: Credentials) -> Response:
    """Make the first admin of a lab that has no users, from its own machine, and sign in. From now on the lab answers
    nobody unknown."""
    with database.write() as session:
        if is_open(session) and not is_from_own_machine(request):
            raise RefusedError(
                HTTPStatus.FORBIDDEN,
                "not-here",
                "a lab is set up from its own machine",
                remedy="Open it there without a proxy, or run there: labsys user add NAME --role admin",
            )
        user = set_up(session, actor_of(request, body.name), body.name, body.password.get_secret_value())
        session.flush()
        cookie = open_login(session, user=user)
    return _signed_in(request, database, cookie, HTTPStatus.CREATED)


@router.post("/login", response_model=AccessDocument, responses=problem_responses(413, 429))
def log_in(request: Request, database: DatabaseDep, body: Credentials) -> Response:
    """Sign in; the answer sets a cookie. Too many tries for a name, or from an address, must wait."""
    name = fold_name(body.name)
    _wait(request)
    refuse_hurry(request.app.state.login_throttle.take(name), "too-many-tries", "too many tries for this name")
    with database.read() as session:
        user = check_password(session, body.name, body.password.get_secret_value())
    with database.update() as session:
        record(session, actor_of(request, body.name[:100]), "login" if user else "login.refused", body.name[:100])
        cookie = open_login(session, user=user) if user is not None else ""
    if not cookie:
        raise RefusedError(
            HTTPStatus.UNAUTHORIZED, "wrong", "name and password do not belong together", remedy="Try again"
        )
    request.app.state.login_throttle.forgive(name)
    return _signed_in(request, database, cookie)


@router.post("/logout", response_model=AccessDocument, responses=problem_responses())
def log_out(request: Request, database: DatabaseDep) -> Response:
    """Sign out; the cookie opens nothing any more."""
    check_csrf(request)
    cookie = request.cookies.get(COOKIE)
    if cookie:
        with database.update() as session:
            close_login(session, cookie)
            record(session, actor_of(request), "logout", "")
    answer = _tell(request, database, None)
    answer.delete_cookie(COOKIE, path="/")
    return answer


@router.post("/link", response_model=AccessDocument, responses=problem_responses(413, 429))
def open_link(request: Request, database: DatabaseDep, body: LinkToken) -> Response:
    """Come in through a read-only link; the answer sets a cookie that shows its one subject."""
    _wait(request)
    token = Token.parse(body.token.get_secret_value())
    with database.update() as session:
        link = find_handed(session, LinkRow, token) if token is not None and token.kind == "link" else None
        holder = holder_of(session, link) if link is not None else None
        name = holder.name if holder is not None else "nobody"
        record(session, actor_of(request, name), "link.open" if link else "link.refused", link.id if link else "")
        cookie = open_login(session, link=link) if link is not None else ""
    if not cookie:
        raise RefusedError(
            HTTPStatus.UNAUTHORIZED, "wrong", "this link opens nothing", remedy="It may have expired; ask for another"
        )
    return _signed_in(request, database, cookie)


def _wait(request: Request) -> None:
    throttle: Throttle = request.app.state.address_throttle
    address = actor_of(request).address or ""
    refuse_hurry(throttle.take(address), "too-many-tries", "too many tries from this address")


def _signed_in(request: Request, database: DatabaseDep, cookie: str, status: int = HTTPStatus.OK) -> Response:
    with database.read() as session:
        found = find_login(session, cookie)
    answer = _tell(request, database, found[1] if found is not None else None, status)
    answer.set_cookie(
        COOKIE,
        cookie,
        max_age=int(LIFETIME.total_seconds()),
        path="/",
        httponly=True,
        samesite="lax",
        secure=request.app.state.settings.secure_cookies,
    )
    return answer


def _tell(
    request: Request, database: DatabaseDep, principal: Principal | None, status: int = HTTPStatus.OK
) -> Response:
    with database.read() as session:
        document = AccessDocument.of(principal, set_up=not is_open(session))
    answer = send(request, document, status=status)
    answer.headers["Cache-Control"] = "no-store"
    return answer
