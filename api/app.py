"""The service: one application per lab, bound to this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute

import labsys
from api.boundary import Boundary
from api.database import Database, open_database
from api.dependencies import refuse_unknown_parameters
from api.errors import Problem, install_error_handlers
from api.index import ensure_indexed
from api.routes import analysis, episodes, pages, runs, sessions, subjects, tables, trials
from api.settings import ServiceSettings
from labsys.storage.lab import Lab

API = "/api/v1"


def create_app(lab: Lab, settings: ServiceSettings | None = None) -> FastAPI:
    """The service of one lab, its database open and indexed.

    Raises:
        InputError: the database cannot be opened, or belongs to another lab.
    """
    settings = settings or ServiceSettings()
    database = open_database(lab)
    ensure_indexed(lab, database)
    app = FastAPI(
        title="labsys",
        version=labsys.__version__,
        summary="Markerless motion capture for treadmill running, with measurement error attached to every number",
        openapi_url=f"{API}/openapi.json",
        docs_url=None,  # the interactive pages of FastAPI load scripts from elsewhere
        redoc_url=None,
        lifespan=_closing(database),
        generate_unique_id_function=_operation_id,
        dependencies=[Depends(refuse_unknown_parameters)],
    )
    app.state.lab = lab
    app.state.database = database
    install_error_handlers(app)
    app.add_middleware(Boundary, max_body_bytes=settings.max_body_bytes)
    app.include_router(_api_router())
    app.include_router(pages.router)
    pages.mount_static(app)
    app.openapi = _with_problems(app)  # type: ignore[method-assign] # FastAPI documents this as its way to extend it
    return app


def _api_router() -> APIRouter:
    router = APIRouter(prefix=API)
    for module in (subjects, episodes, sessions, trials, runs, analysis, tables):
        router.include_router(module.router)
    return router


def _operation_id(route: APIRoute) -> str:
    """Stable, and readable in generated clients: subjects-list_all."""
    return f"{route.tags[0]}-{route.name}" if route.tags else route.name


def _closing(database: Database) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        database.close()

    return lifespan


def _with_problems(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """OpenAPI with the schema of problems in the place of FastAPI's own validation errors."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        schemas = document["components"]["schemas"]
        problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= problem.pop("$defs") | {"Problem": problem}
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        return document

    return openapi
