"""Style sheet and scripts of all pages, as files."""

from __future__ import annotations

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from api.dependencies import refuse_name
from labsys.core.errors import UnknownNameError


class OwnFiles(StaticFiles):
    """A folder of files that refuses parameters, as every route does."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """As `StaticFiles.get_response` (RefusedError 422 where there is a query)."""
        if scope["query_string"]:
            name = scope["query_string"].decode("latin-1").partition("=")[0]
            raise refuse_name(UnknownNameError("query parameter", name, valid=()), kind="unknown-parameter")
        return await super().get_response(path, scope)
