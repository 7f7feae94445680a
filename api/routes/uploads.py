"""Uploads: files by their SHA-256, then a recording made of them, then its results."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Path, Request, Response
from fastapi.concurrency import contextmanager_in_threadpool
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from api.access.audit import record
from api.access.authenticate import actor_of
from api.database.connection import Database
from api.database.tables import SubjectRow
from api.dependencies import DatabaseDep, LabDep
from api.documents import send
from api.errors import RefusedError, problem_responses
from api.jobs.kinds import JobKind
from api.jobs.queue import JobRequest, Slots, find_unfinished, submit
from api.jobs.unused_uploads import remove_unused_uploads
from api.once import ONCE, OnceRoute, answered_before, keep_answer
from api.routing import Router
from api.schemas.jobs import JobDocument
from api.schemas.uploads import RecordingNew, UploadDocument
from api.uploads import Upload, find_upload, receiving
from calibration.align import WorldAxes
from labsys.core.errors import UnknownNameError
from labsys.core.session import TrialName
from labsys.storage.erasures import refuse_new_take
from labsys.storage.lab import Lab, take_folder

router = Router(prefix="/uploads", tags=["uploads"])
recordings = Router(prefix="/recordings", tags=["recordings"], route_class=OnceRoute)

Sha256 = Annotated[
    str, Path(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the file's content", examples=["ab" * 32])
]
_BYTES: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.get("/{sha256}", response_model=UploadDocument, responses=problem_responses(404))
def get_file(request: Request, lab: LabDep, sha256: Sha256) -> Response:
    """Whether a file is here already; it stays for a day after the last look."""
    found = find_upload(lab, sha256)
    if found is None:
        raise UnknownNameError("upload", sha256, valid=())
    return send(request, _document(found))


@router.put("/{sha256}", response_model=UploadDocument, responses=problem_responses(400, 413), openapi_extra=_BYTES)
async def put_file(request: Request, lab: LabDep, database: DatabaseDep, sha256: Sha256) -> Response:
    """Send one file. Sent again, it is there once; cut off or changed on the way, it is not there at all."""
    found = await run_in_threadpool(find_upload, lab, sha256)
    if found is None:
        await run_in_threadpool(remove_unused_uploads, lab, database)
        await _receive(request, lab, sha256)
        found = await run_in_threadpool(_note, request, lab, database, sha256)
    return send(request, _document(found))


async def _receive(request: Request, lab: Lab, sha256: str) -> None:
    announced = request.headers.get("content-length", "")
    try:
        # In a thread, as the end flushes the whole file to the disk: other requests are answered meanwhile.
        arriving = receiving(lab, sha256, int(announced) if announced.isdecimal() else 0)
        async with contextmanager_in_threadpool(arriving) as incoming:
            async for chunk in request.stream():
                await run_in_threadpool(incoming.write, chunk)
    except ClientDisconnect as error:
        raise RefusedError(
            HTTPStatus.BAD_REQUEST, "cut-short", "the file was cut off", remedy="Send it again"
        ) from error


def _note(request: Request, lab: Lab, database: Database, sha256: str) -> Upload:
    found = find_upload(lab, sha256)
    assert found is not None
    with database.write() as session:
        record(session, actor_of(request), "upload", f"{sha256} {found.size_bytes} bytes")
    return found


def _document(found: Upload) -> UploadDocument:
    return UploadDocument(sha256=found.sha256, size_bytes=found.size_bytes)


@recordings.post(
    "", dependencies=[ONCE], status_code=202, response_model=JobDocument, responses=problem_responses(409, 413)
)
def create(request: Request, lab: LabDep, database: DatabaseDep, body: RecordingNew) -> Response:
    """Make a trial of uploaded files and process it: one job, whose outcome names the run."""
    name = TrialName(body.subject, body.session, body.trial)
    with database.write() as session:
        answered = answered_before(session, request)
        if answered is not None:
            return answered
        _refuse(lab, name, body)
        _refuse_second(session, name)
        subject_id = session.scalars(select(SubjectRow.id).where(SubjectRow.code == body.subject)).first()
        asked = JobRequest(
            JobKind.IMPORT, str(name), subject_id, body.model_dump(mode="json"), Slots(1, body.gpu), body.priority
        )
        actor = actor_of(request)
        document = JobDocument.of(submit(session, actor.name, asked))
        record(session, actor, "recording.import", f"{document.id} {name}")
        answer = send(request, document, status=202, location=f"/api/v1/jobs/{document.id}")
        return keep_answer(session, request, answer)


def _refuse_second(session: Session, name: TrialName) -> None:
    """Two recordings for one trial: only one of them could become its take."""
    first = find_unfinished(session, JobKind.IMPORT, str(name))
    if first is not None:
        raise RefusedError(
            HTTPStatus.CONFLICT,
            "exists",
            f"job {first.id} is making trial {name} already",
            remedy="Wait for it, or send this as another trial",
        )


def _refuse(lab: Lab, name: TrialName, body: RecordingNew) -> None:
    """What can be said at once: the trial has a take, its subject was erased, or a file is not here."""
    refuse_new_take(lab, name.subject)
    if take_folder(lab, name).exists():
        raise RefusedError(
            HTTPStatus.CONFLICT, "exists", f"trial {name} has a take already", remedy="Send it as another trial"
        )
    if body.world_axes:
        WorldAxes.parse(body.world_axes)
    missing = [file for file in body.files() if find_upload(lab, file.sha256) is None]
    if missing:
        raise RefusedError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "not-uploaded",
            f"{missing[0].name} is not here",
            remedy=f"PUT it to /api/v1/uploads/{missing[0].sha256}",
        )
