"""Named releases, what the next one would change, and promoting it."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query, Request, Response
from sqlalchemy import select

from api.access.audit import record
from api.access.authenticate import actor_of
from api.database.tables import SubjectRow
from api.dependencies import CodeFilter, Cursor, DatabaseDep, LabDep, SessionDep, refusing_names
from api.documents import send
from api.errors import problem_responses
from api.once import ONCE, OnceRoute, answered_before, keep_answer
from api.paging import Keyset
from api.promotion import promote_release
from api.queries import find_subject
from api.releases import find_release, release_documents
from api.reprocessing import reprocess_parameters, submit_reprocessing
from api.routing import Router
from api.schemas.releases import ReleaseDocument, ReleaseNew, ReprocessDocument, ReprocessNew, SubjectPreview
from api.schemas.results import Page
from api.views.shifts import in_candidate, require_candidate, shift_document
from labsys.storage.models import load_model
from labsys.storage.recorded_trials import all_recorded_trials

router = Router(prefix="/releases", tags=["releases"], route_class=OnceRoute)

ReleaseName = Annotated[
    str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", description="Name of the release", examples=["2026-autumn"])
]
# Every subject costs two comparisons per visit.
Subjects = Annotated[int, Query(ge=1, le=50, description="Most subjects on this page")]


@router.get("", response_model=Page[ReleaseDocument], responses=problem_responses())
def list_all(request: Request, db: SessionDep) -> Response:
    """Every release, the oldest first. The open one takes in what is processed alike; `candidate` is none yet."""
    return send(request, Page(items=release_documents(db), next_cursor=None))


@router.post(
    "", dependencies=[ONCE], status_code=201, response_model=ReleaseDocument, responses=problem_responses(409, 413)
)
def create(request: Request, lab: LabDep, database: DatabaseDep, body: ReleaseNew) -> Response:
    """Let the candidate count, under a name; closes the release that was open."""
    with database.write() as session:
        answered = answered_before(session, request)
    if answered is not None:
        return answered
    actor = actor_of(request)
    promote_release(lab, database, body.name, actor=actor, note=body.note, of_present=body.of_present)
    with database.write() as session:
        document = find_release(session, body.name)
        answer = send(request, document, status=201, location=f"/api/v1/releases/{body.name}")
        return keep_answer(session, request, answer)


@router.post(
    "/candidate",
    dependencies=[ONCE],
    status_code=202,
    response_model=ReprocessDocument,
    responses=problem_responses(409, 413),
)
def reprocess(request: Request, lab: LabDep, database: DatabaseDep, body: ReprocessNew) -> Response:
    """Process trials anew beside what counts, a job each, as `labsys reprocess` does. Nothing changes until the
    candidate is promoted."""
    actor = actor_of(request)
    with database.write() as session:
        answered = answered_before(session, request)
        if answered is not None:
            return answered
        with refusing_names():
            if body.subject is not None:
                find_subject(session, body.subject)
            parameters = reprocess_parameters(body.profile, body.settings, body.model)
            names = all_recorded_trials(lab, body.subject)
            if body.model:
                load_model(lab, body.model)
        jobs = submit_reprocessing(session, actor.name, names, parameters, gpu=body.gpu)
        record(session, actor, "release.reprocess", f"{body.subject or 'all'}: {len(jobs)} trials")
        says = (
            f"{len(jobs)} trial{'' if len(jobs) == 1 else 's'} will be processed anew; the page of jobs shows how far."
        )
        document = ReprocessDocument(jobs={str(name): job for name, job in jobs.items()}, says=says)
        return keep_answer(session, request, send(request, document, status=202))


@router.get("/candidate/preview", response_model=Page[SubjectPreview], responses=problem_responses(404))
def preview(
    request: Request,
    db: SessionDep,
    lab: LabDep,
    subject: CodeFilter = None,
    limit: Subjects = 5,
    cursor: Cursor = None,
) -> Response:
    """By subject: how far each metric would shift, and which verdicts would flip, were the candidate promoted."""
    require_candidate(db)
    statement = select(SubjectRow).where(in_candidate())
    if subject is not None:
        statement = statement.where(SubjectRow.id == find_subject(db, subject).id)
    keys = Keyset.of((SubjectRow.code,), {"subject": subject})
    rows, following = keys.fetch(db, statement, cursor, limit)
    items = [SubjectPreview.model_validate(shift_document(db, lab, row.code)) for row in rows]
    return send(request, Page(items=items, next_cursor=following))


@router.get("/{release}", response_model=ReleaseDocument, responses=problem_responses(404))
def get(request: Request, db: SessionDep, release: ReleaseName) -> Response:
    """One release; `candidate` is what was processed beside and is not promoted."""
    return send(request, find_release(db, release))
