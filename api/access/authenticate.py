"""From a request to the one who asks, and whether that one may."""

from __future__ import annotations

import hmac
from http import HTTPStatus

from fastapi import Request
from fastapi.routing import APIRoute

from api.access.audit import Actor, tell_query
from api.access.keys import find_handed, find_key, holder_of, is_due_to_be_noted, note_use
from api.access.logins import find_login, is_due_to_be_seen, note_seen
from api.access.own_machine import is_from_own_machine
from api.access.reads import note_read
from api.access.roles import OPEN_LAB, Principal
from api.access.rules import rule_of
from api.access.tokens import Token, digest
from api.access.users import is_open
from api.database.connection import Database
from api.database.tables_owned import LinkRow
from api.errors import RefusedError

COOKIE = "labsys_session"
CSRF_HEADER = "X-CSRF-Token"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def authorize(request: Request) -> None:
    """Find out who asks and refuse what that one may not do; the principal is then in `request.state`.

    Raises:
        RefusedError: 401 nobody known asks, 403 somebody who may not, or a browser's change without its CSRF token.
    """
    database: Database = request.app.state.database
    principal = _find_principal(request, database)
    request.state.principal = principal
    route: APIRoute = request.scope["route"]
    rule = rule_of(route)
    if not rule.lets_in(principal):
        raise _refusal(principal)
    if rule.role is None or principal is None:
        return
    if principal.csrf_token and request.method not in _SAFE:
        _check_csrf(request, principal)
    if principal.is_restricted:
        note_read(database, actor_of(request), "read", _asked(request))


def _asked(request: Request) -> str:
    """Method, path, and the query: a comparison or a table names its subject there and nowhere else."""
    query, method = tell_query(request.url.query), getattr(request.state, "asked_method", request.method)
    return f"{method} {request.url.path}" + (f"?{query}" if query else "")


def may_still(request: Request) -> bool:
    """Whether who was let in still may: for answers that go on for as long as somebody follows them."""
    return rule_of(request.scope["route"]).lets_in(_find_principal(request, request.app.state.database))


def principal_of(request: Request) -> Principal:
    """Who asks, after `authorize`."""
    principal: Principal = request.state.principal
    return principal


def actor_of(request: Request, name: str = "") -> Actor:
    """Who acts, for the audit; `name` where nobody is signed in yet."""
    principal: Principal | None = getattr(request.state, "principal", None)
    known = principal.name if principal is not None else "nobody"
    address = request.client.host if request.client is not None else None
    return Actor(name or known, getattr(request.state, "request_id", None), address)


def check_csrf(request: Request) -> None:
    """For routes that anybody may ask: where a browser is signed in, its CSRF token is needed all the same."""
    principal: Principal | None = request.state.principal
    if principal is not None and principal.csrf_token:
        _check_csrf(request, principal)


def _find_principal(request: Request, database: Database) -> Principal | None:
    kind, _, text = request.headers.get("authorization", "").partition(" ")
    if kind:
        return _by_token(database, text.strip() if kind.lower() == "bearer" else "")
    cookie = request.cookies.get(COOKIE)
    if cookie:
        found = _by_cookie(database, cookie)
        if found is not None:
            return found
    return OPEN_LAB if is_from_own_machine(request) and _is_open(request, database) else None


def _by_token(database: Database, text: str) -> Principal | None:
    token = Token.parse(text)
    if token is None:
        return None
    with database.read() as session:
        if token.kind == "link":
            link = find_handed(session, LinkRow, token)
            return holder_of(session, link) if link is not None else None
        principal = find_key(session, token)
        due = principal is not None and is_due_to_be_noted(session, token)
    if due:
        database.update_if_free(lambda session: note_use(session, token))
    return principal


def _by_cookie(database: Database, cookie: str) -> Principal | None:
    with database.read() as session:
        found = find_login(session, cookie)
    if found is None:
        return None
    row, principal = found
    if is_due_to_be_seen(row):
        database.update_if_free(lambda session: note_seen(session, digest(cookie)))
    return principal


def _is_open(request: Request, database: Database) -> bool:
    """Whether the lab has no users. Once it has, it never is open again, so that is asked only until then."""
    if getattr(request.app.state, "is_closed", False):
        return False
    with database.read() as session:
        opened = is_open(session)
    request.app.state.is_closed = not opened
    return opened


def _check_csrf(request: Request, principal: Principal) -> None:
    sent = request.headers.get(CSRF_HEADER, "")
    if not hmac.compare_digest(sent.encode(), principal.csrf_token.encode()):
        raise RefusedError(
            HTTPStatus.FORBIDDEN,
            "csrf",
            "a change from a browser needs the token of its login",
            remedy=f"Send `csrf_token` of GET /api/v1/access as {CSRF_HEADER}",
        )


def _refusal(principal: Principal | None) -> RefusedError:
    if principal is None:
        return RefusedError(
            HTTPStatus.UNAUTHORIZED,
            "who-are-you",
            "nobody known asks",
            remedy="Sign in, or send a key: Authorization: Bearer KEY",
        )
    return RefusedError(
        HTTPStatus.FORBIDDEN,
        "not-yours",
        f"a {principal.role} with these scopes may not do this",
        remedy="Ask an admin",
    )
