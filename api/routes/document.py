"""The service in OpenAPI, for whoever writes a client of it."""

from __future__ import annotations

from fastapi import Request, Response

from api.documents import send
from api.routing import Router

router = Router(tags=["access"], include_in_schema=False)


@router.get("/openapi.json")
def get_document(request: Request) -> Response:
    """Every operation with its parameters, answers and problems."""
    return send(request, request.app.openapi())
