"""The service: one application per lab."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute

import labsys
from api.access.authenticate import COOKIE, CSRF_HEADER, authorize
from api.access.rules import check_every_route_has_a_rule, operation_id, rule_named
from api.access.throttle import Throttle
from api.access.users import is_open
from api.begun_edits import finish_begun
from api.boundary import Boundary
from api.database.connection import Database, open_database
from api.dependencies import refuse_unknown_parameters
from api.errors import Problem, install_error_handlers
from api.head import HeadAsGet
from api.indexing.index import ensure_indexed
from api.pages.problem_page import install_problem_pages
from api.routes import (
    access,
    analysis,
    audit,
    capture,
    compared_film,
    document,
    episodes,
    files,
    identity,
    jobs,
    keys,
    pages,
    playback,
    recorded,
    releases,
    reports,
    runs,
    sessions,
    subjects,
    tables,
    trials,
    uploads,
    users,
)
from api.routing import API
from api.settings import ServiceSettings
from labsys.core.errors import LabsysError
from labsys.storage.lab import Lab

_LOG = logging.getLogger("labsys.service")
# Programs in pages of other origins come with a key; cookies stay with our own pages.
_CORS: dict[str, Any] = {
    "allow_credentials": False,
    "allow_methods": ("GET", "POST", "PATCH", "PUT", "DELETE"),
    "allow_headers": ("Authorization", "Content-Type", "If-Match", "If-None-Match", "Idempotency-Key", CSRF_HEADER),
    "expose_headers": ("ETag", "Link", "Location", "X-Next-Cursor", "X-Request-ID"),
}


_API_ROUTERS = (
    document.router,
    access.router,
    subjects.router,
    identity.router,
    episodes.router,
    sessions.router,
    trials.router,
    runs.router,
    playback.router,
    compared_film.router,
    reports.router,
    analysis.router,
    releases.router,
    tables.router,
    users.router,
    audit.router,
    jobs.router,
    files.router,
    uploads.router,
    capture.router,
    recorded.router,
    keys.keys,
    keys.links,
    uploads.recordings,
)


def _renew_views(database: Database) -> None:
    if database.engine.dialect.name != "postgresql":
        return
    from api.database.reader_views import renew_views  # only labs on a server have views

    with database.engine.begin() as connection:
        renew_views(connection)


def create_app(lab: Lab, settings: ServiceSettings | None = None) -> FastAPI:
    """The service of one lab, its database open and indexed.

    Raises:
        InputError: the database cannot be opened, or belongs to another lab; or the service would answer strangers.
    """
    settings = settings or ServiceSettings()
    database = open_database(lab)
    ensure_indexed(lab, database)
    try:
        finish_begun(lab, database)
    except LabsysError as error:
        _LOG.warning("an edit that was cut short cannot be finished just now: %s", error)
    _renew_views(database)
    with database.read() as session:
        settings.refuse_open_doors(has_credentials=not is_open(session))
    app = FastAPI(
        title="labsys",
        version=labsys.__version__,
        summary="Markerless motion capture for treadmill running, with measurement error attached to every number",
        description="Every GET answers HEAD too: the same status and headers, no body.",
        openapi_url=None,  # api/routes/document.py; and no interactive pages, which load scripts from elsewhere
        lifespan=_closing(database),
        routes=_routes(),
    )
    app.state.lab = lab
    app.state.database = database
    app.state.settings = settings
    # A name may be tried ten times, then every half minute.
    app.state.login_throttle = Throttle(burst=10, every_s=30.0)
    # Many people may come through one address (a proxy).
    app.state.address_throttle = Throttle(burst=100, every_s=3.0)
    app.state.export_throttle = Throttle(burst=120, every_s=0.5)
    app.state.seen_files = Throttle(burst=1, every_s=600.0)
    install_error_handlers(app)
    if settings.cors_origins:
        app.add_middleware(CORSMiddleware, allow_origins=settings.cors_origins, **_CORS)
    app.add_middleware(HeadAsGet)
    app.add_middleware(Boundary, settings=settings)
    install_problem_pages(app)
    app.openapi = _completed(app)  # type: ignore[method-assign] # FastAPI documents this as its way to extend it
    return app


@cache
def _routes() -> list[BaseRoute]:
    """What every lab serves, each with a rule; made once per process, because FastAPI reads every signature anew.

    Pages come first: routers are looked through in order, and FastAPI reads the signatures of one for good when it is
    first looked through. So the first page does not wait for those of the whole API.
    """
    everything = APIRouter(
        generate_unique_id_function=operation_id, dependencies=[Depends(authorize), Depends(refuse_unknown_parameters)]
    )
    for prefix, parts in (("", pages.ROUTERS), (API, _API_ROUTERS)):
        for part in parts:
            check_every_route_has_a_rule(part)
            everything.include_router(part, prefix=prefix)
    pages.mount_static(everything)
    return everything.routes


def _closing(database: Database) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        database.close()

    return lifespan


# How somebody is known to a route that is not open to all.
_SECURITY: dict[str, Any] = {
    "key": {"type": "http", "scheme": "bearer", "description": "A key, or the token of a link"},
    "login": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": "A browser that signed in"},
}


def _completed(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """OpenAPI with the schema of problems in the place of FastAPI's own validation errors, and with who is let in."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        components = document["components"]
        problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        components["schemas"] |= problem.pop("$defs") | {"Problem": problem}
        for unused in ("HTTPValidationError", "ValidationError"):
            components["schemas"].pop(unused, None)
        components["securitySchemes"] = _SECURITY
        for operation in (o for path in document["paths"].values() for o in path.values()):
            if rule_named(operation["operationId"]).role is not None:
                operation["security"] = [{name: []} for name in _SECURITY]
        return document

    return openapi
