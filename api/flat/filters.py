"""What the flat tables may be asked for, and the filters that follow from it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from api.counting import counting_as_of
from api.flat.formats import FileFormat
from api.flat.sessions import VisitFilter
from api.flat.trial_metrics import RunChoice, TableFilter, parse_when
from labsys.core.errors import InputError
from labsys.core.session import Phase, TrialKind
from labsys.core.skeleton import Side

JSON_ROWS = 1000
_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
_CODE = Field(default=None, pattern=_PATTERN)
_WHEN = "ISO-8601, or milliseconds since 1970"
_METRICS: Any = Field(default=[], description="Repeat it for several", examples=[["hip_ext_pelvis_peak"]])
_AS_OF = Field(
    default=None,
    pattern=_PATTERN,
    description="A named release: rows of the runs that count in it. Goes with neither updated_since nor run=all",
)


class PageQuery(BaseModel):
    """What every table may be asked for."""

    model_config = ConfigDict(extra="forbid")

    subject: str | None = _CODE
    phase: Phase | None = None
    episode: str | None = _CODE
    since: str | None = Field(default=None, alias="from", max_length=40, description=f"Captured from: {_WHEN}")
    until: str | None = Field(default=None, alias="to", max_length=40, description=f"To, a date with its day: {_WHEN}")
    updated_since: str | None = Field(
        default=None,
        max_length=40,
        description=f"Only rows that changed then or later: {_WHEN}. With deleted=true come those that went: of "
        "deleted or moved trials, of superseded runs, and what no longer fits the filter.",
    )
    columns: list[str] = Field(default=[], description="Comma-separated or repeated; all where none is named")
    format: FileFormat | None = Field(default=None, description="Overrules the Accept header")
    limit: int | None = Field(
        default=None, ge=1, le=1_000_000, description=f"Rows; JSON gives {JSON_ROWS} where it is not set, files all"
    )
    cursor: str | None = Field(default=None, max_length=2000)


class VisitQuery(PageQuery):
    """Of `sessions`."""


class _ReleaseQuery(PageQuery):
    """Of tables whose rows follow from runs."""

    side: Side | None = None
    kind: TrialKind | None = None
    as_of: str | None = _AS_OF

    @property
    def whole_release(self) -> str | None:
        """`as_of`; InputError where it comes with `updated_since`."""
        if self.as_of is not None and self.updated_since is not None:
            raise _refused()
        return self.as_of


class VisitMetricQuery(_ReleaseQuery):
    """Of `session_metrics`."""

    metric: list[str] = _METRICS


class RunQuery(_ReleaseQuery):
    """Of tables that tell runs apart."""

    run: RunChoice = RunChoice.CURRENT

    @property
    def whole_release(self) -> str | None:
        """`as_of`; InputError where it comes with `updated_since` or `run=all`."""
        if self.as_of is not None and (self.updated_since is not None or self.run is RunChoice.ALL):
            raise _refused()
        return self.as_of


class TableQuery(RunQuery):
    """Of `trial_metrics`."""

    metric: list[str] = _METRICS


class StrideQuery(TableQuery):
    """Of `strides`."""


class CurveQuery(RunQuery):
    """Of `curves`."""

    angle: list[str] = Field(default=[], description="Repeat it for several", examples=[["hip_flexion"]])


def table_filter(db: Session, query: TableQuery) -> TableFilter:
    """Of `trial_metrics` (UnknownNameError, InputError)."""
    return _filter(db, query, metrics=tuple(query.metric), side=query.side)


def run_filter(db: Session, query: RunQuery) -> TableFilter:
    """Of runs, whatever is within them (UnknownNameError, InputError)."""
    return _filter(db, query, metrics=(), side=None)


def visit_filter(query: PageQuery) -> VisitFilter:
    """Of visits (InputError)."""
    return VisitFilter(
        subject=query.subject,
        phase=query.phase,
        episode=query.episode,
        since=parse_when(query.since) if query.since else None,
        until=parse_when(query.until, end=True) if query.until else None,
        updated_since=parse_when(query.updated_since) if query.updated_since else None,
    )


def _filter(db: Session, query: RunQuery, *, metrics: tuple[str, ...], side: Side | None) -> TableFilter:
    release, visits = query.whole_release, visit_filter(query)
    return TableFilter(
        subject=query.subject,
        metrics=metrics,
        side=side,
        phase=query.phase,
        episode=query.episode,
        kind=query.kind,
        since=visits.since,
        until=visits.until,
        updated_since=visits.updated_since,
        run=query.run,
        counting=counting_as_of(db, release),
    )


def _refused() -> InputError:
    return InputError(
        "as_of goes with neither updated_since nor run=all",
        remedy="A closed release does not change; ask for it whole",
    )
