"""Files of takes and runs, streamed: by range for video, with the hash of the content as ETag."""

from __future__ import annotations

import mimetypes
import re
from http import HTTPStatus
from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import FileResponse
from sqlalchemy import select

from api.access.authenticate import actor_of
from api.access.exports import note_export
from api.access.throttle import Throttle
from api.dependencies import LabDep, SessionDep
from api.documents import holds
from api.errors import RefusedError, problem_responses
from api.tables import FileRow
from labsys.core.errors import UnknownNameError
from labsys.storage.lab import Lab

router = APIRouter(prefix="/files", tags=["files"])

PathInLab = Annotated[
    str,
    Path(
        max_length=1000, description="`path` of a file's document", examples=["subjects/S01/2026-11-22/run1/take/a.trc"]
    ),
]
_RANGE = re.compile(r"bytes=((?:\d{1,18}-\d{0,18}|-\d{1,18})(?:, *(?:\d{1,18}-\d{0,18}|-\d{1,18}))*)")
_WHOLE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": {}}, "description": "The file"},
    206: {"content": {"application/octet-stream": {}}, "description": "The range that was asked for"},
    304: {"description": "You hold it already"},
}


@router.get("/{path:path}", response_class=Response, responses={**problem_responses(404, 416, 429), **_WHOLE})
def get_file(request: Request, db: SessionDep, lab: LabDep, path: PathInLab) -> Response:
    """One file that the index names. Files of runs never change."""
    row = db.scalars(select(FileRow).where(FileRow.path == path)).first()
    place = None if row is None else _place(lab, row)
    if row is None or place is None:
        raise UnknownNameError("file", path, valid=())
    stat = place.stat()
    etag = f'"{row.sha256 or f"{stat.st_mtime_ns:x}-{stat.st_size:x}"}"'
    lasting = "max-age=31536000, immutable" if row.run is not None and row.sha256 else "no-cache"
    headers = {"ETag": etag, "Cache-Control": f"private, {lasting}"}
    if holds(request, etag):
        return Response(status_code=304, headers=headers)
    kind = mimetypes.guess_type(place.name)[0] or "application/octet-stream"
    # Only video is shown in a page; anything else that a browser could run is saved.
    shown = "inline" if kind.startswith("video/") else "attachment"
    answer = FileResponse(
        place, headers=headers, media_type=kind, filename=place.name, content_disposition_type=shown, stat_result=stat
    )
    _check_range(request, answer, stat.st_size)
    _note_once(request, path)
    return answer


def _place(lab: Lab, row: FileRow) -> FilePath | None:
    """Where the file is, None where it is gone or a link leads out of the lab."""
    place = (lab.root / row.path).resolve()
    return place if place.is_relative_to(lab.root) and place.is_file() else None


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
