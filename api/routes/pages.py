"""The first pages: subjects, their visits and trials, the numbers of a trial, and the comparison of two visits."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import as_file, files
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from sqlalchemy import func, select
from starlette.staticfiles import StaticFiles

from api.dependencies import LabDep, SessionDep, SubjectCode, TrialNameDep
from api.index import find_problems
from api.lab_errors import lab_errors
from api.queries import compare_sessions, find_run, find_subject, find_trial, run_metrics
from api.schemas import EpisodeDocument, SessionDocument, TrialDocument
from api.schemas_results import MetricDocument, RunDocument
from api.tables import EpisodeRow, SessionRow, SubjectRow, TrialRow
from api.views import comparison_document
from labsys.core.catalogue import find_metric
from labsys.core.session import TrialKind

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

_CODE = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
Code = Annotated[str, Query(pattern=_CODE)]
_DIGITS = {"deg": 1, "mm": 1, "s": 3, "%": 1, "steps/min": 1, "m/s": 2}
_VERDICTS = {
    "possible_change": "not distinguishable from measurement error",
    "larger_than_error": "larger than measurement error",
    "indicative_only": "indicative only",
    "not_comparable": "not comparable",
    "not_measured": "not measured",
}


@router.get("/")
def show_lab(db: SessionDep, lab: LabDep) -> HTMLResponse:
    """Every subject with the number of visits and the latest one."""
    visits = func.count(SessionRow.id)
    latest = func.max(SessionRow.captured_at)
    statement = select(SubjectRow.code, visits, latest).outerjoin(SessionRow, SessionRow.subject_id == SubjectRow.id)
    rows = db.execute(statement.group_by(SubjectRow.code).order_by(SubjectRow.code)).all()
    subjects = [
        {"code": code, "visits": n, "latest": when.date().isoformat() if when else ""} for code, n, when in rows
    ]
    return _page("lab.html", lab=lab, subjects=subjects, problems=find_problems(db))


@router.get("/subjects/{subject}")
def show_subject(db: SessionDep, lab: LabDep, subject: SubjectCode) -> HTMLResponse:
    """Episodes with goals, visits with trials, and a choice of two visits to compare."""
    row = find_subject(db, subject)
    mine = SessionRow.subject_id == row.id
    episodes = db.scalars(select(EpisodeRow).where(EpisodeRow.subject_id == row.id).order_by(EpisodeRow.index_date))
    sessions = db.scalars(select(SessionRow).where(mine).order_by(SessionRow.captured_at)).all()
    trials = db.scalars(select(TrialRow).join(TrialRow.session).where(mine).order_by(TrialRow.recorded_at)).all()
    visits = [
        {"session": SessionDocument.of(s), "trials": [TrialDocument.of(t) for t in trials if t.session_id == s.id]}
        for s in sessions
    ]
    documents = [EpisodeDocument.of(e) for e in episodes]
    return _page("subject.html", lab=lab, subject=row, episodes=documents, visits=visits)


@router.get("/trials/{subject}/{session}/{trial}")
def show_trial(db: SessionDep, lab: LabDep, name: TrialNameDep) -> HTMLResponse:
    """The metrics of the run that counts, their intervals, and where they came from."""
    row = find_trial(db, name)
    run = find_run(db, name) if row.current_run is not None else None
    # Differences, drifts and spreads are on file and in JSON; a page of them all would hide what was asked for.
    rows = [m for m in run_metrics(db, run) if not find_metric(m.metric).derived_from] if run is not None else []
    return _page(
        "trial.html",
        lab=lab,
        trial=TrialDocument.of(row),
        run=RunDocument.of(run) if run is not None else None,
        metrics=[MetricDocument.of(m) for m in rows],
        strided=row.kind in (TrialKind.RUN, TrialKind.WALK),
    )


@router.get("/compare")
def show_comparison(db: SessionDep, lab: LabDep, subject: Code, pre: Code, post: Code) -> HTMLResponse:
    """Two visits against the measurement error: goals first, then all other rows."""
    comparison = comparison_document(compare_sessions(db, lab_errors(lab), subject, pre, post))
    rows = sorted(comparison["rows"], key=lambda r: (r["pair"], r["family"] != "goal"))
    return _page("compare.html", lab=lab, comparison=comparison, rows=rows)


def mount_static(app: FastAPI) -> None:
    """Serve the style sheet, from the package."""
    with as_file(files("api") / "web" / "static") as folder:
        app.mount("/static", StaticFiles(directory=folder), name="static")


def _page(template: str, **values: Any) -> HTMLResponse:
    return HTMLResponse(_templates().get_template(template).render(**values), headers={"Cache-Control": "no-store"})


@cache
def _templates() -> Environment:
    loader = PackageLoader("api", "web/templates")
    templates = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    templates.filters["figure"] = _figure
    templates.filters["verdict"] = _verdict
    templates.filters["described"] = _described
    return templates


def _described(metric_id: str) -> str:
    return find_metric(metric_id).description


def _verdict(row: Mapping[str, Any]) -> str:
    """A row's verdict in words; direction and goal only where the change is larger than the error."""
    if row["verdict"] == "no_detectable_change":
        unit = "" if row["unit"] == "none" else f" {row['unit']}"
        return f"no change larger than {_figure(row['detectable_change'], row['unit'])}{unit} could be seen"
    parts = [_VERDICTS[row["verdict"]]]
    if row["direction"]:
        parts.append(row["direction"])
    if row["goal_direction"]:
        parts.append("toward the goal" if row["goal_direction"] == "toward" else "away from the goal")
    text = ", ".join(parts)
    return f"{text}: {row['reason']}" if row["reason"] else text


def _figure(value: float | None, unit: str, *, signed: bool = False) -> str:
    """A number with the digits of its unit; a change that rounds to nothing has no sign."""
    if value is None:
        return "–"
    digits = _DIGITS.get(unit, 2)
    rounded = round(value, digits) + 0.0  # adding 0.0 turns -0.0 into 0.0
    text = f"{rounded:+.{digits}f}" if signed and rounded else f"{rounded:.{digits}f}"
    return text.replace("-", "−")
