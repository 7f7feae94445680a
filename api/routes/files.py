"""Files of takes and runs, streamed: by range for video, with the hash of the content as ETag."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Annotated

from fastapi import Path, Request, Response
from sqlalchemy import select

from api.access.faces import RECORDING, refuse_erased, refuse_recording
from api.database.tables import FileRow
from api.dependencies import LabDep, SessionDep
from api.errors import problem_responses
from api.routing import Router
from api.streaming import STREAMED, stream_file
from labsys.core.errors import UnknownNameError
from labsys.storage.lab import Lab

router = Router(prefix="/files", tags=["files"])

PathInLab = Annotated[
    str,
    Path(
        max_length=1000, description="`path` of a file's document", examples=["subjects/S01/2026-11-22/run1/take/a.trc"]
    ),
]


@router.get("/{path:path}", response_class=Response, responses={**problem_responses(404, 416, 429), **STREAMED})
def get_file(request: Request, db: SessionDep, lab: LabDep, path: PathInLab) -> Response:
    """One file that the index names. Files of runs never change. Recordings only to those who may see faces."""
    row = db.scalars(select(FileRow).where(FileRow.path == path)).first()
    place = None if row is None else _place(lab, row)
    if row is None or place is None:
        raise UnknownNameError("file", path, valid=())
    refuse_recording(request, row.kind)
    if row.kind == RECORDING:
        refuse_erased(lab, path.split("/")[1])  # subjects/CODE/…
    lasting = row.run is not None and bool(row.sha256)
    return stream_file(request, place, what=path, sha256=row.sha256 or "", lasting=lasting)


def _place(lab: Lab, row: FileRow) -> FilePath | None:
    """Where the file is, None where it is gone or a link leads out of the lab."""
    place = (lab.root / row.path).resolve()
    return place if place.is_relative_to(lab.root) and place.is_file() else None
