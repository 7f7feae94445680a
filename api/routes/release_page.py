"""The page of releases: what the next one would change by subject, promoting it, and those that were."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query, Request
from fastapi.responses import HTMLResponse
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api.access.authenticate import principal_of
from api.access.rules import rule_named
from api.database.tables import SubjectRow
from api.dependencies import LabDep, SessionDep
from api.pages.templates import render
from api.queries import find_subject
from api.releases import release_documents
from api.routing import Router
from api.schemas.releases import ReleaseState
from api.views.shifts import in_candidate, shift_document
from labsys.core.release import Recipe
from labsys.storage.lab import Lab
from labsys.storage.models import list_models
from labsys.storage.releases import load_candidate, load_releases

router = Router(include_in_schema=False, default_response_class=HTMLResponse)

# Every subject costs two comparisons per visit.
MOST = 10
Code = Annotated[str, Query(pattern=r"^([A-Za-z0-9][A-Za-z0-9_.-]{0,63})?$")]


@router.get("/releases")
def show_releases(request: Request, db: SessionDep, lab: LabDep, subject: Code = "", after: Code = "") -> HTMLResponse:
    """Releases; and, where something was processed beside what counts, what it would change (one `subject`, or all)."""
    releases = release_documents(db)
    candidate = next((r for r in releases if r.state is ReleaseState.CANDIDATE), None)
    shown, more = _previews(db, lab, subject, after) if candidate is not None else ([], False)
    return render(
        request,
        "releases.html",
        releases=[r for r in reversed(releases) if r is not candidate],
        candidate=candidate,
        n_subjects=db.scalar(select(func.count()).select_from(SubjectRow).where(in_candidate())),
        differences=_differences(lab) if candidate is not None else [],
        previews=shown,
        subject=subject,
        more=more,
        may_promote=rule_named("releases-create").lets_in(principal_of(request)),
        may_reprocess=rule_named("releases-reprocess").lets_in(principal_of(request)),
        codes=list(db.scalars(select(SubjectRow.code).order_by(SubjectRow.code))),
        models=list_models(lab),
    )


def _previews(db: Session, lab: Lab, subject: str, after: str) -> tuple[list[dict[str, Any]], bool]:
    """What the candidate would change, of some subjects; and whether there are more."""
    if subject:
        return [shift_document(db, lab, find_subject(db, subject).code)], False
    codes = select(SubjectRow.code).where(in_candidate(), SubjectRow.code > after).order_by(SubjectRow.code)
    found = db.scalars(codes.limit(MOST + 1)).all()
    return [shift_document(db, lab, code) for code in found[:MOST]], len(found) > MOST


def _differences(lab: Lab) -> list[tuple[str, str, str]]:
    """What the candidate is made with, where it differs from the open release: what, there, here."""
    candidate, releases = load_candidate(lab), load_releases(lab)
    if candidate is None or not releases:
        return []
    was, becomes = (_ingredients(r) for r in (releases[-1].recipe, candidate.recipe))
    keys = sorted(k for k in was.keys() | becomes.keys() if was.get(k) != becomes.get(k))
    return [(key, was.get(key, "–"), becomes.get(key, "–")) for key in keys]


def _ingredients(recipe: Recipe) -> dict[str, str]:
    made = {"labsys": recipe.version, "metric definitions": str(recipe.definition_version)}
    return {**made, **recipe.settings, **recipe.model}
