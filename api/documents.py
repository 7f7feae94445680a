"""Documents with their ETag: what a client holds, and whether that is still the present state."""

from __future__ import annotations

import hashlib
import json
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from fastapi import Request, Response
from pydantic import BaseModel

from api.errors import RefusedError


def as_bytes(document: BaseModel | dict[str, Any]) -> bytes:
    """The one way a document is written; equal documents give equal bytes."""
    plain = document.model_dump(mode="json") if isinstance(document, BaseModel) else document
    return json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def etag_of(body: bytes) -> str:
    """A strong validator: the hash of exactly these bytes."""
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def send(request: Request, document: BaseModel | dict[str, Any], *, status: int = 200, location: str = "") -> Response:
    """A document with its ETag; 304 where the client holds it already."""
    body = as_bytes(document)
    headers = {"ETag": etag_of(body), "Cache-Control": "private, no-cache"}
    if location:
        headers["Location"] = quote(location)
    reading = request.method == "GET" and status == HTTPStatus.OK
    if reading and holds(request, headers["ETag"]):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(body, status_code=status, media_type="application/json", headers=headers)


def holds(request: Request, etag: str) -> bool:
    """Whether the client says that it holds this very content."""
    return _names(request.headers.get("if-none-match", ""), etag, weak=True)


def check_if_match(request: Request, present: BaseModel) -> None:
    """Refuse a change of something that has changed since the client read it (412). Without If-Match all is well."""
    asked = request.headers.get("if-match")
    if asked is not None and not _names(asked, etag_of(as_bytes(present)), weak=False):
        raise RefusedError(
            HTTPStatus.PRECONDITION_FAILED,
            "changed-meanwhile",
            "this has changed since you read it; nothing was written",
            remedy="Read it again, and apply your change to what is there now",
        )


def _names(header: str, etag: str, *, weak: bool) -> bool:
    tags = [tag.strip() for tag in header.split(",")]
    if weak:
        tags = [tag.removeprefix("W/") for tag in tags]
    return "*" in tags or etag in tags
