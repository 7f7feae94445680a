"""What every request and answer passes: the Host and Origin check, and the headers that keep a browser at home.

Without credentials the service must not be reachable through somebody else's page: a name that was re-pointed to this
machine (DNS rebinding) is refused by its Host, a form or script of another site by its Origin.
"""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
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

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse strangers, pass the rest on, and add the headers to what comes back."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        reason = _stranger(Headers(scope=scope))
        if reason is None:
            await self.app(scope, receive, send_with_headers)
            return
        problem = {
            "type": "urn:labsys:problem:stranger",
            "status": int(HTTPStatus.BAD_REQUEST),
            "detail": reason,
            "remedy": "Open it as http://127.0.0.1 with the port that `labsys serve` names",
        }
        await problem_response(Request(scope), problem)(scope, receive, send_with_headers)


def _stranger(headers: Headers) -> str | None:
    """Why a request does not come from this machine's own pages or programs, or None."""
    host = headers.get("host", "")
    if not is_loopback(_name_of(f"//{host}")):
        return f"Host '{host}' is not this machine"
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != host:
        return f"a page of another origin ('{origin}') may not ask"
    return None


def _name_of(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""
