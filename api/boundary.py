"""What every request and answer passes: the Host and Origin check, and the headers that keep a browser at home.

The service must not be reachable through somebody else's page: a name that was re-pointed to this machine (DNS
rebinding) is refused by its Host, a form or script of another site by its Origin. Every request gets an id, which the
answer, the log and the audit carry; a defect is answered here, so that nothing goes out without the id and the headers.
"""

from __future__ import annotations

import logging
import uuid
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.access.own_machine import is_own_origin
from api.errors import defect_response, problem_response
from api.settings import ServiceSettings

_LOG = logging.getLogger("labsys.requests")
_UPLOADS = "/api/v1/uploads/"
_POLICY = "Content-Security-Policy"
_HEADERS = {
    _POLICY: ("default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Boundary:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, *, settings: ServiceSettings) -> None:
        self.app = app
        self.settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse strangers and large bodies, pass the rest on, and add the headers to what comes back."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        request_id = str(uuid.uuid4())
        scope.setdefault("state", {})["request_id"] = request_id

        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                answered = MutableHeaders(scope=message)
                own = {_POLICY: answered[_POLICY]} if _POLICY in answered else {}  # a stricter one
                answered.update(_HEADERS | own | {"X-Request-ID": request_id})
            await send(message)

        headers = Headers(scope=scope)
        limit_bytes = self._limit_bytes(scope)
        problem = self._stranger(headers) or _too_long(headers, limit_bytes)
        try:
            if problem is not None:
                await problem_response(Request(scope), problem)(scope, receive, send_with_headers)
            else:
                await self.app(scope, _limited(receive, limit_bytes), send_with_headers)
        except Exception:
            _LOG.exception("%s failed", request_id)
            if status:
                raise  # half an answer is out; the server breaks it off
            await defect_response(Request(scope), request_id)(scope, receive, send_with_headers)
        finally:
            # Also of a request that broke off; 0 where nothing was answered. The path alone: what was asked for in
            # the query may be long, and is in the audit where it counts.
            _LOG.info("%s %s %s %d", request_id, scope["method"], quote(scope["path"]), status)

    def _limit_bytes(self, scope: Scope) -> int:
        is_upload = scope["method"] == "PUT" and scope["path"].startswith(_UPLOADS)
        return self.settings.max_upload_bytes if is_upload else self.settings.max_body_bytes

    def _stranger(self, headers: Headers) -> dict[str, Any] | None:
        """The problem of a request that does not come from this service's own pages or programs, or None."""
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self.settings.answers_to(_name_of(f"//{host}")):
            reason = f"Host '{host}' is not this service"
        elif is_own_origin(headers) or origin in self.settings.cors_origins:
            return None
        else:
            reason = f"a page of another origin ('{origin}') may not ask"
        return _problem(HTTPStatus.BAD_REQUEST, "stranger", reason, "Open the address that `labsys serve` names")


def _too_long(headers: Headers, limit_bytes: int) -> dict[str, Any] | None:
    announced = headers.get("content-length", "")
    if not (announced.isdecimal() and int(announced) > limit_bytes):
        return None
    return _problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", _too_large(limit_bytes))


def _limited(receive: Receive, limit_bytes: int) -> Receive:
    """Receive that gives up on a body that was not announced to be as large as it is."""
    total = 0

    async def receive_counted() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > limit_bytes:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _too_large(limit_bytes))
        return message

    return receive_counted


def _too_large(limit_bytes: int) -> str:
    return f"a request may hold {limit_bytes} bytes"


def _problem(status: HTTPStatus, kind: str, detail: str, remedy: str | None = None) -> dict[str, Any]:
    return {"type": f"urn:labsys:problem:{kind}", "status": int(status), "detail": detail, "remedy": remedy}


def _name_of(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""
