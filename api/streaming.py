"""Files as answers: by range for video, with the hash of the content as ETag."""

from __future__ import annotations

import mimetypes
import re
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import Request, Response
from fastapi.responses import FileResponse

from api.access.authenticate import actor_of
from api.access.exports import note_export
from api.access.throttle import Throttle
from api.documents import holds
from api.errors import RefusedError

_RANGE = re.compile(r"bytes=((?:\d{1,18}-\d{0,18}|-\d{1,18})(?:, *(?:\d{1,18}-\d{0,18}|-\d{1,18}))*)")
STREAMED: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": {}}, "description": "The file"},
    206: {"content": {"application/octet-stream": {}}, "description": "The range that was asked for"},
    304: {"description": "You hold it already"},
}


def stream_file(request: Request, place: Path, *, what: str, sha256: str = "", lasting: bool = False) -> Response:
    """A file, or the range of it that was asked for; the audit notes `what`. lasting: it never changes.

    Raises:
        RefusedError: 416 a range that the file does not have, 429 too many exports.
    """
    stat = place.stat()
    etag = f'"{sha256 or f"{stat.st_mtime_ns:x}-{stat.st_size:x}"}"'
    kept = "max-age=31536000, immutable" if lasting else "no-cache"
    headers = {"ETag": etag, "Cache-Control": f"private, {kept}"}
    if holds(request, etag):
        return Response(status_code=304, headers=headers)
    kind = mimetypes.guess_type(place.name)[0] or "application/octet-stream"
    # Only video is shown in a page; anything else that a browser could run is saved.
    shown = "inline" if kind.startswith("video/") else "attachment"
    answer = FileResponse(
        place, headers=headers, media_type=kind, filename=place.name, content_disposition_type=shown, stat_result=stat
    )
    _check_range(request, answer, stat.st_size)
    _note_once(request, what)
    return answer


def _check_range(request: Request, answer: Response, size_bytes: int) -> None:
    """Refuse a range that the file does not have, as a problem like every other."""
    asked, only_if = request.headers.get("range"), request.headers.get("if-range")
    if asked is None or only_if not in (None, answer.headers["etag"], answer.headers["last-modified"]):
        return
    ranges = _RANGE.fullmatch(asked.strip())
    if ranges is None or not all(_is_within(part.strip(), size_bytes) for part in ranges[1].split(",")):
        raise RefusedError(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            "range",
            f"the file has {size_bytes} bytes, and not the range '{asked[:100]}'",
            remedy="Ask for bytes=FIRST-LAST within it",
        )


def _is_within(part: str, size_bytes: int) -> bool:
    first, last = part.split("-")
    if not first:
        return size_bytes > 0 and int(last) > 0
    return int(first) < size_bytes and (not last or int(first) <= int(last))


def _note_once(request: Request, path: str) -> None:
    """A player asks for a video in hundreds of ranges; the audit says once in ten minutes that it was seen."""
    seen: Throttle = request.app.state.seen_files
    name = f"{actor_of(request).name} {path}"
    if seen.take(name) > 0.0:
        return
    try:
        note_export(request, path)
    except BaseException:
        seen.forgive(name)  # nothing was written down: a second try is not one that was seen
        raise
