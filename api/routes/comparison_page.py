"""The page that compares two visits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Query, Request
from fastapi.responses import HTMLResponse
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.access.authenticate import principal_of
from api.access.faces import faces_for, may_see_recordings
from api.access.rules import rule_named
from api.counting import counting_as_of
from api.database.tables import FileRow
from api.dependencies import LabDep, SessionDep, refusing_names
from api.pages.curve_sources import comparison_curves
from api.pages.marks import decomposition_bars
from api.pages.sections import arrange_rows
from api.pages.templates import render
from api.queries import find_run, find_session, find_trial
from api.releases import release_documents
from api.routing import Router
from api.schemas.results import RunDocument
from api.schemas.sessions import SessionDocument
from api.views.compared import compared_document
from labsys.core.session import TrialName
from labsys.storage.films import Faces

router = Router(include_in_schema=False, default_response_class=HTMLResponse)

Code = Annotated[str, Query(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
AsOf = Annotated[str | None, Query(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
FacesChoice = Annotated[Faces | None, Query()]


@router.get("/compare")
def show_comparison(
    request: Request,
    db: SessionDep,
    lab: LabDep,
    subject: Code,
    pre: Code,
    post: Code,
    as_of: AsOf = None,
    faces: FacesChoice = None,
) -> HTMLResponse:
    """Two visits against the measurement error: goals, changes, then all other rows by region."""
    with refusing_names():
        counting = counting_as_of(db, as_of)
    shown = faces_for(request, faces)
    comparison = compared_document(db, lab, subject, pre, post, counting=counting)
    visits = [SessionDocument.of(find_session(db, subject, code)) for code in (pre, post)]
    may_make = rule_named("playback-make_pair_film").lets_in(principal_of(request))
    asked = {"subject": subject, "pre": pre, "post": post}
    query = urlencode(asked | ({"as_of": as_of} if as_of else {}))
    pairs = [_pair_values(db, comparison, query, index, shown) for index in range(len(comparison["pairs"]))]
    return render(
        request,
        "compare.html",
        comparison=comparison,
        visits=visits,
        pairs=pairs,
        query=query,
        present=urlencode(asked),
        releases=[r.name for r in release_documents(db)],
        may_make_film=may_make,
        films={"faces": shown.value, "choice": may_see_recordings(request, lab, subject)},
    )


def _pair_values(db: Session, comparison: Mapping[str, Any], query: str, index: int, faces: Faces) -> dict[str, Any]:
    """What the page shows of one pair of conditions."""
    pair = comparison["pairs"][index]
    rows = [r for r in comparison["rows"] if r["pair"] == index]
    sides = [s for s in comparison["symmetry"] if s["pair"] == index and s["change"] is not None]
    subject, trials = comparison["subject"], {"pre": pair["pre"], "post": pair["post"]}
    runs = pair["runs"] if comparison["as_of"] else {}
    names = {v: [TrialName(subject, comparison[v], t) for t in trials[v]] for v in ("pre", "post")}
    return {
        "index": index,
        "pair": pair,
        "rows": arrange_rows(rows),
        "bars": decomposition_bars(rows),
        "symmetry": sides,
        "provisional": any(r["provisional"] for r in rows),
        "error_sources": sorted({r["sem_source"] for r in rows if r["sem_source"]}),
        "curves": comparison_curves(names, rows, runs=runs, changes=f"/api/v1/compare/curves?{query}", pair=index),
        # A film is made of the runs that count now.
        "film": "" if comparison["as_of"] else _film_address(db, names, faces),
        "runs": [
            (v, RunDocument.of(find_run(db, name, pair["runs"][f"{name.session}/{name.trial}"])))
            for v, found in names.items()
            for name in found
        ],
    }


def _film_address(db: Session, names: Mapping[str, list[TrialName]], faces: Faces) -> str:
    """Where the film of the first trials with videos is asked for; "" where a visit has none."""
    shown = {v: next((n for n in found if _has_videos(db, n)), None) for v, found in names.items()}
    if None in shown.values():
        return ""
    visits = {v: f"{n.session}/{n.trial}" for v, n in shown.items() if n is not None}
    subject = next(n.subject for n in shown.values() if n is not None)
    return f"/api/v1/compare/film?{urlencode({'subject': subject, **visits, 'faces': faces.value}, safe='/')}"


def _has_videos(db: Session, name: TrialName) -> bool:
    videos = select(FileRow.path).where(FileRow.trial_id == find_trial(db, name).id, FileRow.kind == "video")
    return db.scalars(videos.limit(1)).first() is not None
