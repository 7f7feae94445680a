"""Trials: takes with their meaning."""

from __future__ import annotations

from dataclasses import replace

from fastapi import Request, Response
from sqlalchemy import select

from api.database.tables import SessionRow, SubjectRow, TrialRow
from api.dependencies import CodeFilter, Cursor, DatabaseDep, LabDep, Limit, SessionDep, TrialNameDep
from api.documents import send
from api.edits import Kept, change_noun, make_noun, with_fields
from api.errors import problem_responses
from api.once import ONCE, OnceRoute
from api.paging import Keyset
from api.queries import find_trial
from api.routing import Router
from api.schemas.results import Page
from api.schemas.trials import TrialChange, TrialDocument, TrialNew
from labsys.core.session import Trial, TrialKind, TrialName
from labsys.storage.lab import Lab
from labsys.storage.trials import load_trial, save_trial

router = Router(prefix="/trials", tags=["trials"], route_class=OnceRoute)

PATH = "/{subject}/{session}/{trial}"


@router.get("", response_model=Page[TrialDocument], responses=problem_responses())
def list_all(
    request: Request,
    db: SessionDep,
    subject: CodeFilter = None,
    session: CodeFilter = None,
    kind: TrialKind | None = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """Trials by time, excluded ones among them."""
    statement = select(TrialRow).join(TrialRow.session).join(SessionRow.subject)
    if subject is not None:
        statement = statement.where(SubjectRow.code == subject)
    if session is not None:
        statement = statement.where(SessionRow.code == session)
    if kind is not None:
        statement = statement.where(TrialRow.kind == kind)
    keys = Keyset.of((TrialRow.recorded_at, TrialRow.id), {"subject": subject, "session": session, "kind": kind})
    rows, following = keys.fetch(db, statement, cursor, limit)
    return send(request, Page(items=[TrialDocument.of(r) for r in rows], next_cursor=following))


@router.post(
    "", dependencies=[ONCE], status_code=201, response_model=TrialDocument, responses=problem_responses(409, 413)
)
def create(request: Request, lab: LabDep, database: DatabaseDep, body: TrialNew) -> Response:
    """Make a trial."""
    name = TrialName(body.subject, body.session, body.trial)
    empty = Trial(uuid="", name=name, kind=body.kind, recorded_at="")
    return make_noun(request, lab, database, _kept(lab, name), _changed(empty, body))


@router.get(PATH, response_model=TrialDocument, responses=problem_responses(404))
def get(request: Request, db: SessionDep, name: TrialNameDep) -> Response:
    """One trial."""
    return send(request, TrialDocument.of(find_trial(db, name)))


@router.patch(PATH, response_model=TrialDocument, responses=problem_responses(404, 409, 412, 413))
def change(request: Request, lab: LabDep, database: DatabaseDep, name: TrialNameDep, body: TrialChange) -> Response:
    """Change the named fields of a trial. Excluding needs a reason, and keeps its rows with quality "excluded"."""
    return change_noun(request, lab, database, _kept(lab, name), lambda noun: _changed(noun, body))


def _changed(trial: Trial, body: TrialChange) -> Trial:
    given = body.given()
    if "conditions" in given:
        given["conditions"] = replace(trial.conditions, **body.conditions.given())
    if "static" in given:
        given["static"] = body.static or ""
    if given.get("excluded") is False:
        given.setdefault("exclusion_reason", "")
    names = {name: given.pop(name) for name in ("subject", "session", "trial") if name in given}
    return with_fields(replace(trial, name=replace(trial.name, **names)), given)


def _kept(lab: Lab, name: TrialName) -> Kept[Trial]:
    return Kept(
        kind="trial",
        subject=name.subject,
        visit=name.session,
        location=f"trials/{name}",
        load=lambda: load_trial(lab, name),
        save=lambda noun: save_trial(lab, noun),
        find=lambda session: TrialDocument.of(find_trial(session, name)),
    )
