"""HEAD: what GET would answer, status and headers, without a body (RFC 9110, 9.3.2), and the methods of a path.

No route knows of it: a HEAD is asked as a GET, with its rule and its place in the audit, and ends with the headers. It
does not stand in OpenAPI, where it would say everything a second time.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadAsGet:
    """ASGI middleware around the routes."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Ask a HEAD as a GET and let its answer end with the headers; pass everything else on."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return
        scope.setdefault("state", {})["asked_method"] = "HEAD"
        # A range is for GET alone: the size that is told is the whole file's.
        headers = [(name, value) for name, value in scope["headers"] if name != b"range"]
        with suppress(_AnsweredError):
            await self.app({**scope, "method": "GET", "headers": headers}, receive, _ending_with_headers(send))


class _AnsweredError(Exception):
    """Everything has been said: no file is read for a body that nobody gets. A table is made all the same, as its
    headers say where it ends."""


def _ending_with_headers(send: Send) -> Send:
    async def send_headers(message: Message) -> None:
        await send(message)
        if message["type"] == "http.response.start":
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            raise _AnsweredError

    return send_headers


def allowed_methods(app: FastAPI, path: str) -> str:
    """The methods that a path answers to, as the header Allow names them; "" where no route knows the path."""
    methods = set[str]()
    for context in iter_route_contexts(app.routes):
        methods |= _methods_at(context, path)
    return ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))


def _methods_at(context: Any, path: str) -> set[str]:
    if not context.path or not context.methods:
        return set()
    pattern, _, _ = compile_path(context.path)
    return set(context.methods) if pattern.match(path) else set()
