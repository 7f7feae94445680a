"""Routes as this service makes them: what a request is not about costs it next to nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, wraps
from inspect import iscoroutinefunction
from typing import Any

from fastapi import APIRouter
from fastapi.routing import APIRoute
from sqlalchemy.orm import Session
from starlette.routing import Match, Route
from starlette.types import Scope

API = "/api/v1"
Endpoint = Callable[..., Any]


class ReadingRoute(APIRoute):
    """A route whose endpoint leaves no session of the database open. Sessions open with their first question and are
    closed in the endpoint's own thread: a thread each for opening and closing took a sixth of a request."""

    def __init__(self, path: str, endpoint: Endpoint, **options: Any) -> None:
        super().__init__(path, endpoint if iscoroutinefunction(endpoint) else _closing(endpoint), **options)


def _closing(endpoint: Endpoint) -> Endpoint:
    @wraps(endpoint)
    def call(**given: Any) -> Any:
        try:
            return endpoint(**given)
        finally:
            for value in given.values():
                if isinstance(value, Session):
                    value.close()

    return call


class Router(APIRouter):
    """Routes that are only looked through for a path that begins as one of theirs does."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"route_class": ReadingRoute} | options)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """FastAPI's question to every router for every request, and again for the one that is chosen."""
        if not scope.get("root_path") and _beginning(scope["path"].removeprefix(API)) not in self._beginnings:
            return Match.NONE, {}
        return super().matches(scope)

    @cached_property
    def _beginnings(self) -> frozenset[str]:
        return frozenset(_beginning(route.path) for route in self.routes if isinstance(route, Route))


def _beginning(path: str) -> str:
    return path.split("/", 2)[1] if "/" in path else ""
