"""The report of a trial, and of two visits, to hand on: the same documents as `labsys report` writes."""

from __future__ import annotations

from enum import StrEnum
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Query, Request, Response
from sqlalchemy.orm import Session

from api.access.exports import note_export
from api.counting import Counting, counting_as_of
from api.dependencies import LabDep, SessionDep, TrialNameDep, refusing_names
from api.errors import RefusedError, problem_responses
from api.queries import find_run
from api.routing import Router

router = Router(tags=["reports"])

_CODE = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"


class ReportFormat(StrEnum):
    """As what a report is written."""

    PDF = "pdf"
    HTML = "html"


_KINDS = {ReportFormat.PDF: "application/pdf", ReportFormat.HTML: "text/html; charset=utf-8"}
_WRITTEN: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"application/pdf": {}, "text/html": {}},
        "description": "One or two pages of A4, or one page of HTML that needs no network",
    }
}
Format = Annotated[ReportFormat, Query(description="One to two pages of A4, or a page", examples=["pdf"])]
Subject = Annotated[str, Query(pattern=_CODE, examples=["S01"])]
Before = Annotated[str, Query(pattern=_CODE, description="The visit before", examples=["2026-11-01"])]
After = Annotated[str, Query(pattern=_CODE, description="The visit after", examples=["2026-12-13"])]
AsOf = Annotated[str | None, Query(pattern=_CODE, description="A named release: the report as it was in it")]


@router.get(
    "/trials/{subject}/{session}/{trial}/report",
    response_class=Response,
    responses={**problem_responses(404, 429), **_WRITTEN},
)
def get_trial_report(
    request: Request,
    db: SessionDep,
    lab: LabDep,
    name: TrialNameDep,
    format: Format = ReportFormat.PDF,
    as_of: AsOf = None,
) -> Response:
    """The run that counts, now or in a release, on one or two pages."""
    # Drawings and typesetting are loaded when somebody wants a report.
    from api.report.sources import trial_sources
    from api.report.trial import report_trial

    run = find_run(db, name, counting=_counting(db, as_of))
    report = report_trial(trial_sources(db, lab, name, None if as_of else run.run, as_of=as_of))
    note_export(request, f"report of {name}, {format}")
    return _write(report, format, f"{name.subject}_{name.session}_{name.trial}")


@router.get("/compare/report", response_class=Response, responses={**problem_responses(404, 409, 429), **_WRITTEN})
def get_comparison_report(
    request: Request,
    db: SessionDep,
    lab: LabDep,
    subject: Subject,
    pre: Before,
    post: After,
    format: Format = ReportFormat.PDF,
    as_of: AsOf = None,
) -> Response:
    """Two visits against the measurement error on one or two pages; 409 where they may not be compared."""
    from api.report.comparison import report_comparison
    from api.report.sources import comparison_sources

    _counting(db, as_of)
    sources = comparison_sources(db, lab, subject, pre, post, as_of=as_of)
    if not sources.comparison["comparable"]:
        what = f"{pre} and {post} cannot be compared: {sources.comparison['reason']}"
        raise RefusedError(HTTPStatus.CONFLICT, "not-comparable", what, remedy="Ask for the report of a trial")
    note_export(request, f"report of {subject}/{pre} and {subject}/{post}, {format}")
    return _write(report_comparison(sources), format, f"{subject}_{pre}_{post}")


def _counting(db: Session, as_of: str | None) -> Counting:
    with refusing_names():
        return counting_as_of(db, as_of)


def _write(report: Any, format: ReportFormat, name: str) -> Response:
    from api.report.page import make_page
    from api.report.pdf import make_pdf

    body = make_pdf(report) if format is ReportFormat.PDF else make_page(report).encode()
    # Saved, never shown in place: a page that is opened from here would be one of ours.
    headers = {"Content-Disposition": f'attachment; filename="{name}.{format}"', "Cache-Control": "no-store"}
    return Response(body, media_type=_KINDS[format], headers=headers)
