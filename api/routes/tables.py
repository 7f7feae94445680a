"""Flat tables for dashboards, pandas and R: JSON, CSV, Parquet or Arrow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import IO, Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from api.access.exports import note_export
from api.counting import counting_as_of
from api.dependencies import LabDep, SessionDep, refuse_name
from api.documents import as_bytes
from api.errors import problem_responses
from api.flat_table import FlatTable, RunChoice, TableFilter, as_rows, choose_columns, parse_when
from api.schemas_results import TablePage
from api.table_files import FileFormat, choose_format, json_row, write_table
from labsys.core.errors import InputError, UnknownNameError
from labsys.core.session import Phase, TrialKind
from labsys.core.skeleton import Side

router = APIRouter(prefix="/tables", tags=["tables"])

_JSON_ROWS = 1000
_CODE = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
_WHEN = "ISO-8601, or milliseconds since 1970"
_SENT_BYTES = 1 << 18


class TableQuery(BaseModel):
    """What a table may be asked for."""

    model_config = ConfigDict(extra="forbid")

    subject: str | None = _CODE
    metric: list[str] = Field(default=[], description="Repeat it for several", examples=[["hip_ext_pelvis_peak"]])
    side: Side | None = None
    phase: Phase | None = None
    episode: str | None = _CODE
    kind: TrialKind | None = None
    since: str | None = Field(default=None, alias="from", max_length=40, description=f"Captured from: {_WHEN}")
    until: str | None = Field(default=None, alias="to", max_length=40, description=f"To, a date with its day: {_WHEN}")
    updated_since: str | None = Field(
        default=None,
        max_length=40,
        description=f"Only rows that changed then or later: {_WHEN}. With deleted=true come those that went: of "
        "deleted or moved trials, of superseded runs, and what no longer fits the filter.",
    )
    run: RunChoice = RunChoice.CURRENT
    as_of: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$",
        description="A named release: rows of the runs that count in it. Goes with neither updated_since nor run=all",
    )
    columns: list[str] = Field(default=[], description="Comma-separated or repeated; all where none is named")
    format: FileFormat | None = Field(default=None, description="Overrules the Accept header")
    limit: int | None = Field(
        default=None, ge=1, le=1_000_000, description=f"Rows; JSON gives {_JSON_ROWS} where it is not set, files all"
    )
    cursor: str | None = Field(default=None, max_length=2000)


_FORMATS: dict[str, Any] = {kind.media_type: {} for kind in FileFormat if kind is not FileFormat.JSON}


@router.get(
    "/trial_metrics",
    response_model=TablePage,
    responses={**problem_responses(429), 200: {"content": _FORMATS, "description": "Rows; `Link` continues"}},
)
def trial_metrics(
    request: Request,
    db: SessionDep,
    lab: LabDep,
    query: Annotated[TableQuery, Query()],
    accept: Annotated[str, Header()] = "",
) -> Response:
    """One row per trial, run, metric and side, with units, intervals, conditions and provenance."""
    try:
        columns = choose_columns(query.columns)
        table = FlatTable(lab.uuid, _filter(db, query))
    except UnknownNameError as error:
        raise refuse_name(error) from error
    kind = choose_format(query.format, accept)
    # One page is looked at; more than that, at once or page by page, leaves as a whole.
    if kind is not FileFormat.JSON or query.cursor is not None or (query.limit or 0) > _JSON_ROWS:
        note_export(request, f"trial_metrics as {kind}: {request.url.query}")
    if kind is FileFormat.JSON:
        found, cursor = table.page(db, query.cursor, query.limit or _JSON_ROWS)
        rows = [json_row(row) for row in as_rows(found, columns)]
        page = TablePage(columns=list(columns), rows=rows, next_cursor=cursor)
        return Response(as_bytes(page), media_type=kind.media_type, headers=_headers(request, cursor))
    return _send_file(request, db, table, query, columns, kind)


def _send_file(
    request: Request, db: Session, table: FlatTable, query: TableQuery, columns: tuple[str, ...], kind: FileFormat
) -> StreamingResponse:
    last: list[str | None] = [None]

    def chunks() -> Iterator[Mapping[str, Sequence[Any]]]:
        for found, cursor in table.pages(db, query.cursor, query.limit):
            last[0] = cursor
            yield found

    file = write_table(chunks(), columns, kind)
    name = f"trial_metrics.{kind}"
    headers = _headers(request, last[0]) | {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(_blocks(file), HTTPStatus.OK, headers, media_type=kind.media_type)


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while block := file.read(_SENT_BYTES):
            yield block


def _filter(db: Session, query: TableQuery) -> TableFilter:
    if query.as_of is not None and (query.updated_since is not None or query.run is RunChoice.ALL):
        raise InputError(
            "as_of goes with neither updated_since nor run=all",
            remedy="A closed release does not change; ask for it whole",
        )
    return TableFilter(
        subject=query.subject,
        metrics=tuple(query.metric),
        side=query.side,
        phase=query.phase,
        episode=query.episode,
        kind=query.kind,
        since=parse_when(query.since) if query.since else None,
        until=parse_when(query.until, end=True) if query.until else None,
        updated_since=parse_when(query.updated_since) if query.updated_since else None,
        run=query.run,
        counting=counting_as_of(db, query.as_of),
    )


def _headers(request: Request, cursor: str | None) -> dict[str, str]:
    headers = {"Cache-Control": "private, no-cache", "Vary": "Accept"}
    if cursor is None:
        return headers
    following = request.url.include_query_params(cursor=cursor)
    return headers | {"X-Next-Cursor": cursor, "Link": f'<{following}>; rel="next"'}
