"""Routes as this service makes them: what a request is not about costs it next to nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, wraps
from inspect import iscoroutinefunction
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


class ReadingRoute(APIRoute):
    """A route whose endpoint leaves no session of the database open. Sessions open with their first question and are
    closed in the endpoint's own thread: a thread each for opening and closing took a sixth of a request."""

    def __init__(self, path: str, endpoint: Endpoint, **options: Any) -> None:
        super().__init__(path, endpoint if iscoroutinefunction(endpoint) else _closing(endpoint), **options)

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
