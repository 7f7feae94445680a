"""Routes as this service makes them: what a request is not about costs it next to nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, wraps
from inspect import iscoroutinefunction
from threading import RLock
from typing import Any

from fastapi import APIRouter
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel
from sqlalchemy.orm import Session
from starlette.routing import Match, Route
from starlette.types import Scope

API = "/api/v1"
Endpoint = Callable[..., Any]
_READING = RLock()


class ReadingRoute(APIRoute):
    """A route whose endpoint leaves no session of the database open. Sessions open with their first question and are
    closed in the endpoint's own thread: a thread each for opening and closing took a sixth of a request.

    Its signature is read when somebody first looks at more of it than where it is: reading all of them took a tenth of
    a start, and the first page needs two.
    """

    def __init__(self, path: str, endpoint: Endpoint, **options: Any) -> None:
        closing = endpoint if iscoroutinefunction(endpoint) else _closing(endpoint)
        self._unread = {"path": path, "endpoint": closing, **options}
        self.path, self.endpoint = path, closing
        self.name = options.get("name") or endpoint.__name__
        self.methods = {method.upper() for method in options.get("methods") or ("GET",)}
        self.tags = list(options.get("tags") or ())

    def __getattr__(self, name: str) -> Any:
        """What a route has once its signature is read; Python asks here for nothing that is there already."""
        with _READING:
            unread = self.__dict__.pop("_unread", None)
            if unread is not None:
                super().__init__(**unread)
        return object.__getattribute__(self, name)

    @cached_property
    def parameters(self) -> dict[str, bool]:
        """Name of every query parameter -> whether it may be repeated; read once and not for every request."""
        return _parameters(self.dependant)


def query_parameters(route: APIRoute) -> dict[str, bool]:
    """Name of every query parameter of a route -> whether it may be repeated."""
    return route.parameters if isinstance(route, ReadingRoute) else _parameters(route.dependant)


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


def _parameters(dependant: Dependant) -> dict[str, bool]:
    known: dict[str, bool] = {}
    for inner in dependant.dependencies:
        known |= _parameters(inner)
    for field in dependant.query_params:
        annotation = field.field_info.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            known |= {f.alias or name: _is_list(f.annotation) for name, f in annotation.model_fields.items()}
        else:
            known[field.alias] = _is_list(annotation)
    return known


def _is_list(annotation: Any) -> bool:
    return getattr(annotation, "__origin__", None) is list
