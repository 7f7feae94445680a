"""Runs: what one processing of a trial gave and where it came from. The run "current" is the one that counts."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request, Response
from sqlalchemy import select

from api.access.faces import RECORDING, may_see_recordings
from api.database.tables import FileRow, RunRow, SessionRow, SubjectRow, TrialRow
from api.dependencies import CodeFilter, Cursor, LabDep, Limit, RunCode, SessionDep, TrialNameDep
from api.documents import send
from api.errors import problem_responses
from api.paging import Keyset
from api.queries import find_run, find_trial, run_metrics
from api.routing import Router
from api.schemas.results import FileDocument, MetricDocument, Page, RunCurves, RunDocument, RunMetrics
from api.views.curves import load_curves
from api.views.trial import load_trial_document
from labsys.core.session import TrialName
from labsys.core.skeleton import Side
from labsys.storage.lab import Lab

router = Router(tags=["runs"])

_TRIAL = "/trials/{subject}/{session}/{trial}"
_RUN = "/runs/{subject}/{session}/{trial}/{run}"

Angle = Annotated[str | None, Query(max_length=64, description="Only this angle", examples=["hip_flexion"])]
OneSide = Annotated[Side | None, Query(description="Only this side")]
PerStride = Annotated[bool, Query(description="Also every single stride, not only mean and SD")]


@router.get("/runs", response_model=Page[RunDocument], responses=problem_responses())
def list_runs(
    request: Request,
    db: SessionDep,
    subject: CodeFilter = None,
    session: CodeFilter = None,
    trial: CodeFilter = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """Runs by the time they were started."""
    statement = select(RunRow).join(RunRow.trial).join(TrialRow.session).join(SessionRow.subject)
    asked = ((SubjectRow.code, subject), (SessionRow.code, session), (TrialRow.code, trial))
    for column, value in asked:
        if value is not None:
            statement = statement.where(column == value)
    keys = Keyset.of((RunRow.started_at, RunRow.trial_id, RunRow.run), {str(c): v for c, v in asked})
    rows, following = keys.fetch(db, statement, cursor, limit)
    return send(request, Page(items=[RunDocument.of(r) for r in rows], next_cursor=following))


@router.get(_RUN, response_model=RunDocument, responses=problem_responses(404))
def get_run(request: Request, db: SessionDep, name: TrialNameDep, run: RunCode) -> Response:
    """One run with its provenance: versions, hashes, parameters."""
    return send(request, RunDocument.of(find_run(db, name, run)))


@router.get(f"{_TRIAL}/files", response_model=Page[FileDocument], responses=problem_responses(404))
def list_files(
    request: Request, db: SessionDep, lab: LabDep, name: TrialNameDep, limit: Limit = 100, cursor: Cursor = None
) -> Response:
    """Files of the trial's take and of its runs, by path; recordings only for those who may see faces."""
    trial = find_trial(db, name)
    keys = Keyset.of((FileRow.path,), {"trial": trial.id})
    statement = select(FileRow).where(FileRow.trial_id == trial.id)
    if not may_see_recordings(request, lab, name.subject):
        statement = statement.where(FileRow.kind != RECORDING)
    rows, following = keys.fetch(db, statement, cursor, limit)
    return send(request, Page(items=[FileDocument.of(r) for r in rows], next_cursor=following))


@router.get(f"{_RUN}/metrics", response_model=RunMetrics, responses=problem_responses(404))
def get_run_metrics(request: Request, db: SessionDep, name: TrialNameDep, run: RunCode) -> Response:
    """The metrics of one run; what could not be measured is there with its reason."""
    return send(request, _metrics(find_run(db, name, run), db))


@router.get(f"{_TRIAL}/metrics", response_model=RunMetrics, responses=problem_responses(404))
def get_trial_metrics(request: Request, db: SessionDep, name: TrialNameDep) -> Response:
    """The metrics of the run that counts."""
    return send(request, _metrics(find_run(db, name), db))


@router.get(f"{_RUN}/curves", response_model=RunCurves, responses=problem_responses(404))
def get_run_curves(
    request: Request,
    db: SessionDep,
    lab: LabDep,
    name: TrialNameDep,
    run: RunCode,
    angle: Angle = None,
    side: OneSide = None,
    strides: PerStride = False,
) -> Response:
    """Stride curves of one run: mean and SD at 101 points of the stride."""
    return send(request, load_curves(lab, name, find_run(db, name, run).run, angle=angle, side=side, strides=strides))


@router.get(f"{_TRIAL}/curves", response_model=RunCurves, responses=problem_responses(404))
def get_trial_curves(
    request: Request,
    db: SessionDep,
    lab: LabDep,
    name: TrialNameDep,
    angle: Angle = None,
    side: OneSide = None,
    strides: PerStride = False,
) -> Response:
    """Stride curves of the run that counts."""
    return send(request, load_curves(lab, name, find_run(db, name).run, angle=angle, side=side, strides=strides))


@router.get(f"{_RUN}/result", responses=problem_responses(404))
def get_run_result(request: Request, db: SessionDep, lab: LabDep, name: TrialNameDep, run: RunCode) -> Response:
    """One run as `labsys show TRIAL --json` prints it."""
    return _result(request, db, lab, name, find_run(db, name, run).run)


@router.get(f"{_TRIAL}/result", responses=problem_responses(404))
def get_trial_result(request: Request, db: SessionDep, lab: LabDep, name: TrialNameDep) -> Response:
    """The run that counts as `labsys show TRIAL --json` prints it."""
    return _result(request, db, lab, name, find_run(db, name).run)


def _result(request: Request, db: SessionDep, lab: Lab, name: TrialName, run: str) -> Response:
    # The reason as who asks may read it; the folder has it in any case.
    reason = find_trial(db, name).exclusion_reason or None
    return send(request, load_trial_document(lab, name, run) | {"exclusion_reason": reason})


def _metrics(run: RunRow, db: SessionDep) -> RunMetrics:
    trial = run.trial
    return RunMetrics(
        trial=f"{trial.session.subject.code}/{trial.session.code}/{trial.code}",
        run=run.run,
        is_current=run.is_current,
        excluded=trial.excluded,
        not_for_comparison=run.not_for_comparison,
        metrics=[MetricDocument.of(row) for row in run_metrics(db, run)],
    )
