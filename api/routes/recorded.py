"""Jobs that the page of recordings asks for: to calibrate from a waved board, to check with one, to look at a take."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import Request, Response

from api.access.audit import record
from api.access.authenticate import actor_of
from api.database.connection import Database
from api.dependencies import DatabaseDep, LabDep, refusing_names
from api.documents import send
from api.errors import RefusedError, problem_responses
from api.jobs.kinds import JobKind, target_of
from api.jobs.queue import JobRequest, find_unfinished, submit
from api.queries import find_trial
from api.recording.after_take import find_obstacle
from api.routing import Router
from api.schemas.capture import BoardCheckNew, BoardJobNew, LookNew
from api.schemas.jobs import JobDocument
from labsys.capture.tags import load_surveyed_tags
from labsys.core.session import TrialName
from labsys.storage.board_takes import board_take_folder, find_made_calibration
from labsys.storage.calibrations import calibration_folder, latest_calibration
from labsys.storage.templates import find_template
from labsys.storage.trials import load_trial

router = Router(prefix="/capture", tags=["capture"])

_SOON = 10  # of the queue: somebody stands there and waits


@router.post("/calibrations", status_code=202, response_model=JobDocument, responses=problem_responses(409, 413))
def calibrate(request: Request, lab: LabDep, database: DatabaseDep, body: BoardJobNew) -> Response:
    """Calibrate from the take of a waved board; answers with the job that does, which waits while cameras record."""
    placing = body.placing.model_dump()
    with refusing_names():
        board_take_folder(lab, body.take)
        if body.board:
            find_template(lab, "board", body.board)
        if body.placing.tags:
            load_surveyed_tags(lab, body.placing.tags)
        if body.lenses:
            calibration_folder(lab, body.lenses)
    facts = {"board": body.board, "lenses": body.lenses}
    find_made_calibration(lab, body.take, {**facts, **placing})
    asked = JobRequest(JobKind.CALIBRATE.value, target_of(body.take), parameters={**facts, "placing": placing})
    return _submit(request, database, asked)


@router.post("/checks", status_code=202, response_model=JobDocument, responses=problem_responses(409, 413))
def check_calibration(request: Request, lab: LabDep, database: DatabaseDep, body: BoardCheckNew) -> Response:
    """Check a calibration with the take of a waved board, as `labsys calibrate --check` does; answers with the job."""
    with refusing_names():
        board_take_folder(lab, body.take)
        if body.board:
            find_template(lab, "board", body.board)
        if body.tags:
            load_surveyed_tags(lab, body.tags)
        calibration = body.calibration or latest_calibration(lab)
        calibration_folder(lab, calibration)
    parameters = {"calibration": calibration, "board": body.board, "tags": body.tags}
    asked = JobRequest(JobKind.CHECK_CALIBRATION.value, target_of(body.take), parameters=parameters)
    return _submit(request, database, asked)


@router.post("/looks", status_code=202, response_model=JobDocument, responses=problem_responses(409, 413))
def look(request: Request, lab: LabDep, database: DatabaseDep, body: LookNew) -> Response:
    """A first look at a trial that was recorded, as `labsys quick` takes it; answers with the job. Nothing of it is
    stored but in the job's outcome."""
    from pipelines.trial_inputs import calibrated_take

    name = TrialName.parse(body.trial)
    with refusing_names():
        take = calibrated_take(lab, load_trial(lab, name))
    obstacle = find_obstacle(lab, take)
    if obstacle:
        raise RefusedError(HTTPStatus.CONFLICT, "no-look", f"{name} cannot be looked at: {obstacle}")
    with database.read() as session, refusing_names():
        subject_id = find_trial(session, name).session.subject_id
    return _submit(request, database, JobRequest(JobKind.QUICK.value, str(name), subject_id, priority=_SOON))


def _submit(request: Request, database: Database, asked: JobRequest) -> Response:
    """The job; one that waits or works already for the same is the answer to asking again."""
    actor = actor_of(request)
    with database.write() as session:
        job = find_unfinished(session, asked.kind, asked.target)
        if job is None:
            job = submit(session, actor.name, asked)
            record(session, actor, "job.submit", f"{job.id} {asked.kind} {asked.target}")
        document = JobDocument.of(job)
    return send(request, document, status=202, location=f"/api/v1/jobs/{document.id}")
