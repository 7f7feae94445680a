"""Recording from cameras: the lab's station is opened, shown, and told what to record. For operators alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import Path, Query, Request, Response
from fastapi.responses import StreamingResponse

import labsys
from api.access.audit import record
from api.access.authenticate import actor_of
from api.database.connection import Database
from api.dependencies import DatabaseDep, LabDep, refusing_names
from api.documents import send
from api.errors import RefusedError, problem_responses
from api.recording.line import ask_station, open_station, station_folder
from api.recording.watching import follow_pictures, follow_state
from api.routing import Router
from api.schemas.capture import (
    CalibrationNew,
    RecoveriesDocument,
    StationDocument,
    StationNew,
    StationPhase,
    TakeNew,
    VisitNew,
)
from labsys.capture.preview import PreviewReader, preview_file
from labsys.core.errors import UnknownNameError
from labsys.storage.lab import Lab
from labsys.storage.templates import find_template

router = Router(prefix="/capture", tags=["capture"])

_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {}}, "description": "A `station` event for every change, until it closes"}
}
_PICTURES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"multipart/mixed": {}}, "description": "Pictures of all cameras as they come, each with X-Camera"}
}
_PICTURE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/jpeg": {}}, "description": "The picture, as the camera compressed it"}
}
CameraName = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", examples=["camA"])]
Incomplete = Annotated[bool, Query(description="Although the visit has no standing trial")]
Kept = Annotated[str, Query(max_length=200, description="The take that was kept last; none where none was kept of it")]
Reason = Annotated[str, Query(min_length=1, max_length=500, description="Why the take before is excluded")]


@router.get("", response_model=StationDocument, responses=problem_responses(409))
def get(request: Request, lab: LabDep) -> Response:
    """The station: its cameras, what it does, the visit that it leads, the last verdict; closed where there is none."""
    try:
        found = StationDocument.model_validate(ask_station(lab, "state"))
    except RefusedError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise  # busy, not closed
        found = StationDocument(version=labsys.__version__, rig="", phase=StationPhase.CLOSED)
    return send(request, found)


@router.post("", status_code=202, response_model=StationDocument, responses=problem_responses(409, 413))
def open_rig(request: Request, lab: LabDep, database: DatabaseDep, body: StationNew) -> Response:
    """Open the cameras of a rig. They stay open until closed, or until nobody has looked for half an hour."""
    path = _rig_file(lab, body.rig)
    from labsys.capture.rig import load_recordable_rig  # a twentieth of a start, which records nothing

    load_recordable_rig(path)
    state = open_station(lab, path, by=actor_of(request).name)
    _note(request, database, "capture.open", body.rig)
    return _answer(request, state)


def _rig_file(lab: Lab, rig: str) -> FilePath:
    """The file of a rig of the lab; no other file is opened for a page."""
    with refusing_names():
        return find_template(lab, "rig", rig)


@router.delete("", status_code=202, response_model=StationDocument, responses=problem_responses(404, 409))
def close_rig(request: Request, lab: LabDep, database: DatabaseDep) -> Response:
    """Let the cameras go; refused while a take is under way."""
    return _order(request, lab, database, "close")


@router.post("/check", status_code=202, response_model=StationDocument, responses=problem_responses(404, 409))
def check(request: Request, lab: LabDep, database: DatabaseDep) -> Response:
    """Check all cameras together, as `labsys rig check` does."""
    return _order(request, lab, database, "check")


@router.post("/visit", status_code=202, response_model=StationDocument, responses=problem_responses(404, 409, 413))
def begin_visit(request: Request, lab: LabDep, database: DatabaseDep, body: VisitNew) -> Response:
    """Begin a visit, or go on with one: its session is saved with the answers; the rig is checked if that is due."""
    return _order(request, lab, database, "visit", said=f"{body.subject} {body.protocol}", **body.model_dump())


@router.delete("/visit", status_code=202, response_model=StationDocument, responses=problem_responses(404, 409))
def end_visit(request: Request, lab: LabDep, database: DatabaseDep, incomplete: Incomplete = False) -> Response:
    """End the visit; refused while the standing trial is missing."""
    return _order(request, lab, database, "leave", incomplete=incomplete)


@router.post("/start", status_code=202, response_model=StationDocument, responses=problem_responses(404, 409, 413))
def start(request: Request, lab: LabDep, database: DatabaseDep, body: TakeNew) -> Response:
    """Record the step that is next; where no check passed in the last ten minutes, check first."""
    return _order(request, lab, database, "start", unchecked=body.unchecked)


@router.post(
    "/calibration", status_code=202, response_model=StationDocument, responses=problem_responses(404, 409, 413)
)
def record_calibration(request: Request, lab: LabDep, database: DatabaseDep, body: CalibrationNew) -> Response:
    """Record a waved board, and tell where each camera has seen it; `labsys calibrate` calibrates from it."""
    return _order(request, lab, database, "calibrate", said=body.board, **body.model_dump())


@router.post("/stop", status_code=202, response_model=StationDocument, responses=problem_responses(404, 409))
def stop(request: Request, lab: LabDep, database: DatabaseDep) -> Response:
    """End the take that is under way; it is judged at once."""
    return _order(request, lab, database, "stop")


@router.post("/next", status_code=202, response_model=StationDocument, responses=problem_responses(404, 409))
def go_on(request: Request, lab: LabDep, database: DatabaseDep) -> Response:
    """Leave out the step that is next, or say that getting used to the belt is done."""
    return _order(request, lab, database, "next")


@router.post("/repeat", status_code=202, response_model=StationDocument, responses=problem_responses(404, 409))
def repeat(request: Request, lab: LabDep, database: DatabaseDep, reason: Reason, trial: Kept = "") -> Response:
    """Record the step of the take that was kept last again; it is excluded with the reason, not deleted."""
    return _order(request, lab, database, "repeat", reason=reason, trial=trial)


@router.post("/recover", response_model=RecoveriesDocument, responses=problem_responses())
def recover(request: Request, lab: LabDep, database: DatabaseDep) -> Response:
    """Finish recordings that were cut short, as `labsys recover` does."""
    from api.recording.recovering import recover_lab  # with it comes all of a recorder

    found = recover_lab(lab, database)
    _note(request, database, "capture.recover", f"{len(found.recordings)} recordings")
    return send(request, found)


@router.get("/events", response_class=StreamingResponse, responses={**problem_responses(404), **_EVENTS})
def watch(request: Request, lab: LabDep) -> StreamingResponse:
    """Server-sent events: the station now, and at every change."""
    ask_station(lab, "state")
    return _stream(follow_state(request, lab), "text/event-stream")


@router.get("/pictures", response_class=StreamingResponse, responses={**problem_responses(404), **_PICTURES})
def watch_pictures(request: Request, lab: LabDep) -> StreamingResponse:
    """Pictures of all cameras on one line, at most ten a second of each, as fast as they are taken from it."""
    folder = station_folder(lab)
    cameras = [camera["name"] for camera in ask_station(lab, "state")["cameras"]]
    boundary, parts = follow_pictures(request, folder, cameras)
    return _stream(parts, f"multipart/mixed; boundary={boundary}")


@router.get("/pictures/{camera}", response_class=Response, responses={**problem_responses(404), **_PICTURE})
def get_picture(lab: LabDep, camera: CameraName) -> Response:
    """The latest picture of one camera."""
    path = preview_file(station_folder(lab), camera)
    found = PreviewReader(path).latest() if path.is_file() else None
    if found is None:
        raise UnknownNameError("picture of camera", camera, valid=())
    return Response(found.picture, media_type="image/jpeg", headers={"Cache-Control": "no-store"})


def _stream(parts: AsyncIterator[bytes], kind: str) -> StreamingResponse:
    return StreamingResponse(parts, media_type=kind, headers={"Cache-Control": "no-store"})


def _order(request: Request, lab: Lab, database: Database, order: str, *, said: str = "", **facts: Any) -> Response:
    """Tell the station, and write down who did."""
    state = ask_station(lab, order, **facts)
    visit = state["visit"]
    _note(request, database, f"capture.{order}", said or (f"{visit['subject']}/{visit['session']}" if visit else ""))
    return _answer(request, state)


def _note(request: Request, database: Database, action: str, what: str) -> None:
    with database.write() as session:
        record(session, actor_of(request), action, what)


def _answer(request: Request, state: dict[str, Any], *, status: int = 202) -> Response:
    return send(request, StationDocument.model_validate(state), status=status)
