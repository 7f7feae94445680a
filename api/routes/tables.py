"""Flat tables for dashboards, pandas and R: JSON, CSV, Parquet or Arrow."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import IO, Annotated, Any

from fastapi import Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session

from api.access.audit import tell_query
from api.access.exports import note_export
from api.counting import counting_as_of, errors_as_of
from api.dependencies import LabDep, SessionDep, refusing_names
from api.documents import as_bytes
from api.errors import problem_responses
from api.flat.filters import (
    JSON_ROWS,
    CurveQuery,
    PageQuery,
    StrideQuery,
    TableQuery,
    VisitMetricQuery,
    VisitQuery,
    run_filter,
    table_filter,
    visit_filter,
)
from api.flat.formats import FileFormat, Shape, choose_format, write_table
from api.flat.row_table import Table
from api.flat.session_metrics import Asked, VisitMetricTable
from api.flat.sessions import VisitTable
from api.flat.strides import CurveTable, StrideTable
from api.flat.trial_metrics import FlatTable, choose_columns
from api.lab_errors import learnt_errors
from api.moments import parse_moment
from api.routing import Router
from api.schemas.results import TablePage
from labsys.core.catalogue import find_angle, find_metric

router = Router(prefix="/tables", tags=["tables"])

_SENT_BYTES = 1 << 18
_FORMATS: dict[str, Any] = {kind.media_type: {} for kind in FileFormat if kind is not FileFormat.JSON}
_ANSWER: dict[str, Any] = {
    "response_model": TablePage,
    "responses": {**problem_responses(429), 200: {"content": _FORMATS, "description": "Rows; `Link` continues"}},
}
Accept = Annotated[str, Header()]


@router.get("/trial_metrics", **_ANSWER)
def trial_metrics(
    request: Request, db: SessionDep, lab: LabDep, query: Annotated[TableQuery, Query()], accept: Accept = ""
) -> Response:
    """One row per trial, run, metric and side, with units, intervals, conditions and provenance."""
    with refusing_names():
        table = FlatTable(lab.uuid, table_filter(db, query))
    return _answer(request, db, table, query, accept)


@router.get("/sessions", **_ANSWER)
def sessions(
    request: Request, db: SessionDep, lab: LabDep, query: Annotated[VisitQuery, Query()], accept: Accept = ""
) -> Response:
    """One row per visit, with its phase, measures of the body and scores."""
    return _answer(request, db, VisitTable(lab.uuid, visit_filter(query)), query, accept)


@router.get("/session_metrics", **_ANSWER)
def session_metrics(
    request: Request, db: SessionDep, lab: LabDep, query: Annotated[VisitMetricQuery, Query()], accept: Accept = ""
) -> Response:
    """One row per visit, condition, metric and side, as trends measure a visit; excluded trials do not count."""
    with refusing_names():
        for metric in query.metric:
            find_metric(metric)
        counting = counting_as_of(db, query.whole_release)
    learnt = learnt_errors(lab)
    table = VisitMetricTable(
        lab=lab.uuid,
        filter=visit_filter(query),
        asked=Asked(tuple(query.metric), query.side, query.kind),
        errors=errors_as_of(lab, counting),
        counting=counting,
        learnt_at=parse_moment(learnt[1].made_at) if learnt is not None and query.as_of is None else None,
    )
    return _answer(request, db, table, query, accept)


@router.get("/strides", **_ANSWER)
def strides(
    request: Request, db: SessionDep, lab: LabDep, query: Annotated[StrideQuery, Query()], accept: Accept = ""
) -> Response:
    """One row per trial, run, metric, side and stride that counts, read from the files of the runs."""
    with refusing_names():
        for metric in query.metric:
            find_metric(metric)
        table = StrideTable(lab, run_filter(db, query), tuple(query.metric), query.side)
    return _answer(request, db, table, query, accept)


@router.get("/curves", **_ANSWER)
def curves(
    request: Request, db: SessionDep, lab: LabDep, query: Annotated[CurveQuery, Query()], accept: Accept = ""
) -> Response:
    """One row per trial, run, angle, side and percent of the stride: mean and SD over the run's strides."""
    with refusing_names():
        for angle in query.angle:
            find_angle(angle)
        table = CurveTable(lab, run_filter(db, query), tuple(query.angle), query.side)
    return _answer(request, db, table, query, accept)


def _answer(request: Request, db: Session, table: Table, query: PageQuery, accept: str) -> Response:
    with refusing_names():
        columns = choose_columns(query.columns, table.columns)
    kind = choose_format(query.format, accept)
    # One page is looked at; more than that, at once or page by page, leaves as a whole.
    if kind is not FileFormat.JSON or query.cursor is not None or (query.limit or 0) > JSON_ROWS:
        note_export(request, f"{table.name} as {kind}: {tell_query(request.url.query)}")
    if kind is not FileFormat.JSON:
        return _send_file(request, db, table, query, Shape(columns, kind))
    rows, cursor = table.json_page(db, query.cursor, query.limit or JSON_ROWS, columns)
    page = TablePage(columns=list(columns), rows=rows, next_cursor=cursor)
    return Response(as_bytes(page), media_type=kind.media_type, headers=_headers(request, cursor))


def _send_file(request: Request, db: Session, table: Table, query: PageQuery, shape: Shape) -> StreamingResponse:
    last: list[str | None] = [None]

    def chunks() -> Iterator[Any]:
        for rows, cursor in table.chunks(db, query.cursor, query.limit, shape):
            last[0] = cursor
            yield rows

    file = write_table(chunks(), shape)
    headers = _headers(request, last[0]) | {"Content-Disposition": f'attachment; filename="{table.name}.{shape.kind}"'}
    return StreamingResponse(_blocks(file), HTTPStatus.OK, headers, media_type=shape.kind.media_type)


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while block := file.read(_SENT_BYTES):
            yield block


def _headers(request: Request, cursor: str | None) -> dict[str, str]:
    headers = {"Cache-Control": "private, no-cache", "Vary": "Accept"}
    if cursor is None:
        return headers
    following = request.url.include_query_params(cursor=cursor)
    return headers | {"X-Next-Cursor": cursor, "Link": f'<{following}>; rel="next"'}
