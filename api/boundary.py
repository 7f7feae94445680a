"""What every request and answer passes: the Host and Origin check, and the headers that keep a browser at home.

Without credentials the service must not be reachable through somebody else's page: a name that was re-pointed to this
machine (DNS rebinding) is refused by its Host, a form or script of another site by its Origin.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import problem_response
from api.settings import is_loopback

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Boundary:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, *, max_body_bytes: int) -> None:
        self.app = app
        self.max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse strangers and large bodies, pass the rest on, and add the headers to what comes back."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        headers = Headers(scope=scope)
        problem = _stranger(headers) or self._too_large(headers)
        if problem is not None:
            await problem_response(Request(scope), problem)(scope, receive, send_with_headers)
            return
        await self.app(scope, _limited(receive, self.max_body_bytes), send_with_headers)

    def _too_large(self, headers: Headers) -> dict[str, Any] | None:
        announced = headers.get("content-length", "")
        too_large = announced.isdecimal() and int(announced) > self.max_body_bytes
        return (
            _problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", _too_large(self.max_body_bytes))
            if too_large
            else None
        )


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


def _stranger(headers: Headers) -> dict[str, Any] | None:
    """The problem of a request that does not come from this machine's own pages or programs, or None."""
    host, origin = headers.get("host", ""), headers.get("origin")
    if not is_loopback(_name_of(f"//{host}")):
        reason = f"Host '{host}' is not this machine"
    elif origin is not None and _authority_of(origin) != host.lower():
        reason = f"a page of another origin ('{origin}') may not ask"
    else:
        return None
    return _problem(HTTPStatus.BAD_REQUEST, "stranger", reason, "Open the address that `labsys serve` names")


def _authority_of(address: str) -> str:
    try:
        return urlsplit(address).netloc.lower()
    except ValueError:
        return ""


def _name_of(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""
