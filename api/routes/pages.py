"""The pages of the lab and of a subject; and what all pages load."""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import UTC, date, datetime, time
from importlib.resources import as_file, files
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from api.access.authenticate import principal_of
from api.access.roles import Means
from api.access.rules import rule_named
from api.counting import Counting, counting_as_of, errors_as_of
from api.database.tables import EpisodeRow, SessionRow, SubjectRow, TrialRow
from api.dependencies import LabDep, SessionDep, SubjectCode, refusing_names
from api.indexing.index import find_problems
from api.pages.own_files import OwnFiles
from api.pages.templates import render
from api.pages.trend_chart import trend_chart
from api.queries import find_subject, find_trend
from api.releases import as_of_document, release_documents
from api.routes import (
    admin_page,
    calibration_page,
    comparison_page,
    identity_page,
    job_page,
    record_page,
    release_page,
    sign_in_page,
    trial_page,
)
from api.routing import Router
from api.schemas.episodes import EpisodeDocument
from api.schemas.sessions import SessionDocument
from api.schemas.trials import TrialDocument
from api.sharing import shared_films
from api.views.trend import trend_document
from labsys.core.catalogue import METRICS, find_metric
from labsys.core.measurement_error import ErrorTable
from labsys.core.session import Phase
from labsys.core.skeleton import Side
from labsys.storage.erasures import find_erasure

router = Router(include_in_schema=False, default_response_class=HTMLResponse)

Answer = Select[*tuple[Any, ...]]
MOST = 50
# Trends of a subject without goals.
_USUAL = ("hip_ext_excursion_stance", "pelvis_rot_rom")
Search = Annotated[str, Query(max_length=64)]
MetricChoice = Annotated[str, Query(max_length=64)]
AsOf = Annotated[str | None, Query(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


@router.get("/")
def show_lab(request: Request, db: SessionDep, q: Search = "") -> HTMLResponse:
    """Subjects and visits, the latest first; `q` searches codes, episodes, phases, operators and dates."""
    subjects, more_subjects = _first(db, _found_subjects(q))
    sessions, more_sessions = _first(db, _found_sessions(q))
    return render(
        request,
        "lab.html",
        q=q,
        most=MOST,
        subjects=[{"code": c, "visits": n, "latest": t.date().isoformat() if t else ""} for c, n, t in subjects],
        sessions=[SessionDocument.of(s) for (s,) in sessions],
        more={"subjects": more_subjects, "sessions": more_sessions},
        problems=find_problems(db),
        is_open=principal_of(request).means is Means.OPEN,
    )


def _first(db: Session, statement: Answer) -> tuple[list[Any], bool]:
    """The first rows of an answer, and whether there are more."""
    rows = db.execute(statement.limit(MOST + 1)).all()
    return list(rows[:MOST]), len(rows) > MOST


def _found_subjects(q: str) -> Answer:
    visits, latest = func.count(SessionRow.id), func.max(SessionRow.captured_at)
    statement = select(SubjectRow.code, visits, latest).outerjoin(SessionRow, SessionRow.subject_id == SubjectRow.id)
    if q:
        statement = statement.where(func.lower(SubjectRow.code).contains(q.lower(), autoescape=True))
    return statement.group_by(SubjectRow.code).order_by(latest.desc().nulls_last(), SubjectRow.code)


def _found_sessions(q: str) -> Answer:
    statement = select(SessionRow).join(SessionRow.subject).outerjoin(SessionRow.episode)
    if q:
        columns = (SessionRow.code, SubjectRow.code, EpisodeRow.label, SessionRow.operator)
        tests = [func.lower(c).contains(q.lower(), autoescape=True) for c in columns]
        tests += [SessionRow.captured_at.between(*days) for days in _days_of(q)]
        statement = statement.where(or_(*tests, SessionRow.phase.in_([p for p in Phase if q.lower() in p])))
    return statement.order_by(SessionRow.captured_at.desc(), SessionRow.id.desc())


def _days_of(q: str) -> list[tuple[datetime, datetime]]:
    """First and last moment (UTC, as pages show dates) of the year, month or day that is searched for; else none."""
    said = re.fullmatch(r"(\d{4})(?:-(\d\d))?(?:-(\d\d))?", q.strip())
    if said is None:
        return []
    year, month, day = (None if part is None else int(part) for part in said.groups())
    try:
        first = datetime(year or 0, month or 1, day or 1, tzinfo=UTC)
        last_month = date(first.year, month or 12, 1)
        last_day = day or monthrange(last_month.year, last_month.month)[1]
        return [(first, datetime.combine(last_month.replace(day=last_day), time.max, UTC))]
    except ValueError:
        return []


@router.get("/subjects/{subject}")
def show_subject(
    request: Request, db: SessionDep, lab: LabDep, subject: SubjectCode, metric: MetricChoice = "", as_of: AsOf = None
) -> HTMLResponse:
    """Trends of the goals (or of `metric`), episodes, visits with trials, and a choice of two visits to compare.

    `as_of` a release: trends by its runs and errors, and comparisons as they were in it.
    """
    row = find_subject(db, subject)
    with refusing_names():
        counting = counting_as_of(db, as_of)
    mine = SessionRow.subject_id == row.id
    episodes = db.scalars(select(EpisodeRow).where(EpisodeRow.subject_id == row.id).order_by(EpisodeRow.index_date))
    sessions = db.scalars(select(SessionRow).where(mine).order_by(SessionRow.captured_at)).all()
    trials = db.scalars(select(TrialRow).join(TrialRow.session).where(mine).order_by(TrialRow.recorded_at)).all()
    visits = [
        {"session": SessionDocument.of(s), "trials": [TrialDocument.of(t) for t in trials if t.session_id == s.id]}
        for s in sessions
    ]
    documents = [EpisodeDocument.of(e) for e in episodes]
    errors = errors_as_of(lab, counting)
    wanted = _wanted(documents, metric) if visits else []
    trends = [_trend(db, errors, subject, m, side, counting) for m, side in wanted]
    principal = principal_of(request)
    may_share = rule_named("links-create").lets_in(principal)
    return render(
        request, "subject.html", subject=row, episodes=documents, visits=visits, trends=trends, metric=metric,
        metrics=METRICS, release=as_of_document(db, counting), releases=[r.name for r in release_documents(db)],
        erasure=find_erasure(lab, subject), may_share=may_share, films=shared_films(db, lab, row) if may_share else [],
        may_know=rule_named("show_identity").lets_in(principal),
    )  # fmt: skip


def _wanted(episodes: list[EpisodeDocument], metric: str) -> list[tuple[str, Side]]:
    """The metric that was asked for, else the goals, else the usual ones; every side once."""
    goals = [(g.metric, g.side) for e in reversed(episodes) for g in e.goals]
    if not metric and goals:
        return list(dict.fromkeys(goals))
    with refusing_names():
        return [(m, side) for m in ((metric,) if metric else _USUAL) for side in find_metric(m).sided.sides]


def _trend(
    db: Session, errors: ErrorTable, subject: str, metric: str, side: Side, counting: Counting
) -> dict[str, Any]:
    document = trend_document(find_trend(db, errors, subject, metric, side, counting=counting), subject)
    return document | {"charts": [trend_chart(series, document["unit"]) for series in document["series"]]}


def mount_static(routes: APIRouter) -> None:
    """Serve the style sheet and scripts of all pages from the package."""
    with as_file(files("api") / "web" / "static") as folder:
        routes.mount("/static", OwnFiles(directory=folder), name="static")


# The lab's page first: a request looks through them in order.
ROUTERS = (
    router,
    comparison_page.router,
    trial_page.router,
    record_page.router,
    identity_page.router,
    job_page.router,
    release_page.router,
    calibration_page.router,
    admin_page.router,
    sign_in_page.router,
)
