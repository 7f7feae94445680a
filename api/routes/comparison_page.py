"""The page that compares two visits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from sqlalchemy.orm import Session

from api.dependencies import LabDep, SessionDep
from api.lab_errors import lab_errors
from api.pages.curve_sources import comparison_curves
from api.pages.marks import decomposition_bars
from api.pages.sections import arrange_rows
from api.pages.templates import render
from api.queries import compare_sessions, find_run, find_session
from api.schemas import SessionDocument
from api.schemas_results import RunDocument
from api.views import comparison_document
from labsys.core.session import TrialName

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

Code = Annotated[str, Query(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


@router.get("/compare")
def show_comparison(
    request: Request, db: SessionDep, lab: LabDep, subject: Code, pre: Code, post: Code
) -> HTMLResponse:
    """Two visits against the measurement error: goals, changes, then all other rows by region."""
    comparison = comparison_document(compare_sessions(db, lab_errors(lab), subject, pre, post))
    visits = [SessionDocument.of(find_session(db, subject, code)) for code in (pre, post)]
    query = urlencode({"subject": subject, "pre": pre, "post": post})
    pairs = [_pair_values(db, comparison, query, index) for index in range(len(comparison["pairs"]))]
    return render(request, "compare.html", comparison=comparison, visits=visits, pairs=pairs, query=query)


def _pair_values(db: Session, comparison: Mapping[str, Any], query: str, index: int) -> dict[str, Any]:
    """What the page shows of one pair of conditions."""
    pair = comparison["pairs"][index]
    rows = [r for r in comparison["rows"] if r["pair"] == index]
    sides = [s for s in comparison["symmetry"] if s["pair"] == index and s["change"] is not None]
    subject, trials = comparison["subject"], {"pre": pair["pre"], "post": pair["post"]}
    names = {v: [TrialName(subject, comparison[v], t) for t in trials[v]] for v in ("pre", "post")}
    return {
        "index": index,
        "pair": pair,
        "rows": arrange_rows(rows),
        "bars": decomposition_bars(rows),
        "symmetry": sides,
        "provisional": any(r["provisional"] for r in rows),
        "error_sources": sorted({r["sem_source"] for r in rows if r["sem_source"]}),
        "curves": comparison_curves(names, rows, changes=f"/api/v1/compare/curves?{query}", pair=index),
        "runs": [(v, RunDocument.of(find_run(db, name))) for v, found in names.items() for name in found],
    }
