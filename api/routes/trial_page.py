"""The page of one trial: findings, metrics, curves, events, quality, files and provenance of the run that counts."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query, Request
from fastapi.responses import HTMLResponse
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.access.authenticate import principal_of
from api.access.faces import RECORDING, faces_for, may_see_recordings
from api.access.rules import rule_named
from api.database.tables import FileRow, TrialRow
from api.dependencies import LabDep, SessionDep, TrialNameDep
from api.pages.templates import render
from api.pages.trial_sections import arrange_findings, arrange_metrics, event_rows, trial_curves
from api.queries import find_run, find_trial, run_metrics
from api.routing import Router
from api.schemas.results import FileDocument, MetricDocument, RunDocument
from api.schemas.trials import TrialDocument
from api.views.findings import finding_document
from api.views.results import audit_document
from labsys.core.camera_audit import ReconstructionAudit
from labsys.core.catalogue import find_metric
from labsys.core.session import TrialKind, TrialName
from labsys.storage.films import Faces
from labsys.storage.lab import Lab
from labsys.storage.results import AUDIT_FILE, FINDINGS_FILE, read_audit, read_findings
from labsys.storage.runs import load_run, run_file

router = Router(include_in_schema=False, default_response_class=HTMLResponse)

FacesChoice = Annotated[Faces | None, Query()]


@router.get("/trials/{subject}/{session}/{trial}")
def show_trial(
    request: Request, db: SessionDep, lab: LabDep, name: TrialNameDep, faces: FacesChoice = None
) -> HTMLResponse:
    """What the run that counts found, and how far it can be trusted."""
    row, shown = find_trial(db, name), faces_for(request, faces)
    choice = may_see_recordings(request, lab, name.subject)
    files = _files(db, row)
    values: dict[str, Any] = {"trial": TrialDocument.of(row), "run": None}
    values["films"] = {"faces": shown.value, "choice": choice and any(f.kind == RECORDING for f in files)}
    values["files"] = [f for f in files if choice or f.kind != RECORDING]
    values["may_make_film"] = rule_named("playback-make_film").lets_in(principal_of(request))
    values["may_see_calibration"] = rule_named("show_calibration").lets_in(principal_of(request))
    values["strided"] = row.kind in (TrialKind.RUN, TrialKind.WALK)
    if row.current_run is not None:
        values |= _run_values(db, lab, name)
    return render(request, "trial.html", **values)


def _run_values(db: Session, lab: Lab, name: TrialName) -> dict[str, Any]:
    run = find_run(db, name)
    # Differences, drifts and spreads are on file and in JSON; a page of them all would hide what was asked for.
    rows = [m for m in run_metrics(db, run) if not find_metric(m.metric).derived_from]
    metrics = [MetricDocument.of(m).model_dump(mode="json") for m in rows]
    _, findings, notes = read_findings(run_file(lab, name, run.run, FINDINGS_FILE))
    return {
        "run": RunDocument.of(run),
        "findings": arrange_findings([finding_document(f) for f in findings]),
        "notes": notes,
        "metrics": arrange_metrics(metrics) if metrics else None,
        "events": event_rows(metrics),
        "curves_data": trial_curves(str(name), metrics),
        "audit": audit_document(_audit(lab, name, run.run)),
    }


def _audit(lab: Lab, name: TrialName, run: str) -> ReconstructionAudit:
    """Empty for runs without cameras and of earlier versions."""
    if AUDIT_FILE not in load_run(lab, name, run).files:
        return ReconstructionAudit()
    return read_audit(run_file(lab, name, run, AUDIT_FILE))


def _files(db: Session, trial: TrialRow) -> list[FileDocument]:
    """Files of the take and of the run that counts."""
    rows = db.scalars(select(FileRow).where(FileRow.trial_id == trial.id).order_by(FileRow.path))
    return [FileDocument.of(r) for r in rows if r.run in (None, trial.current_run)]
