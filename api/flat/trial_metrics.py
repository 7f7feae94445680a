"""The flat table `trial_metrics`: one row per trial, run, metric and side. Columns may be added, never renamed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, StrEnum
from functools import cache
from typing import Any, ClassVar

import numpy as np
from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from api.counting import NOW, Counting
from api.database.tables import TombstoneRow as T
from api.database.tables import TrialMetricRow as M
from api.flat.columns import Columns, fetch_rows, read_columns, select_rows
from api.flat.row_table import RowTable
from api.flat.sequences import Repeated, Scaled
from api.moments import parse_moment
from api.paging import GONE, Keyset
from labsys.core.catalogue import find_metric
from labsys.core.errors import InputError, UnknownNameError
from labsys.core.session import Phase, TrialKind
from labsys.core.skeleton import Side, Tier

COLUMNS: tuple[str, ...] = (
    *("lab", "subject", "episode", "phase", "weeks_from_index", "session", "captured_at", "trial", "kind", "surface"),
    *("speed_mps", "incline_pct", "footwear", "metric", "side", "unit", "n", "mean", "sd", "ci95_low", "ci95_high"),
    *("sem_measurement", "sem_source", "tier", "quality", "interpolated_share", "reason", "not_for_comparison"),
    *("calibration_grade", "run", "is_current", "pipeline_version", "model_hash", "updated_at", "deleted"),
)
_SCALED = frozenset({"mean", "sd", "ci95_low", "ci95_high", "sem_measurement"})
_KEY = (M.captured_at, M.trial_id, M.run, M.metric, M.side)
_KEY_NAMES = ("subject", "session", "trial", "run", "metric", "side")
_GONE_KEY = (T.deleted_at, *(getattr(T, name) for name in _KEY_NAMES))
_TIERS: dict[int | None, str | None] = {None: None} | {tier.value: tier.name for tier in Tier}
# What a filter names and an edit may change.
_CHANGING = ("phase", "episode", "kind")


class RunChoice(StrEnum):
    """Whether only the run that counts is given, or every run."""

    CURRENT = "current"
    ALL = "all"


@dataclass(frozen=True)
class TableFilter:
    """What rows are asked for; None and empty mean "any". Times are aware."""

    subject: str | None = None
    metrics: tuple[str, ...] = ()
    side: Side | None = None
    phase: Phase | None = None
    episode: str | None = None
    kind: TrialKind | None = None
    since: datetime | None = None
    until: datetime | None = None
    updated_since: datetime | None = None
    run: RunChoice = RunChoice.CURRENT
    counting: Counting = NOW

    def __post_init__(self) -> None:
        for metric in self.metrics:
            find_metric(metric)

    def conditions(self) -> list[ColumnElement[bool]]:
        """As SQL. With `updated_since`, what an edit may have taken out of the filter stays in: `takes` tells it."""
        found = self._of_key(M)
        if self.updated_since is not None:
            return [*found, M.updated_at >= self.updated_since]
        equal = ((M.phase, self.phase), (M.episode, self.episode), (M.kind, self.kind))
        found += [column == value for column, value in equal if value is not None]
        if self.since is not None:
            found.append(M.captured_at >= self.since)
        if self.until is not None:
            found.append(M.captured_at < self.until)
        if self.run is RunChoice.CURRENT:
            found.append(self.counting.of(M))
        return found

    def gone_conditions(self) -> list[ColumnElement[bool]]:
        """Of the tombstones that whoever asks what changed is told, as SQL."""
        return [*self._of_key(T), T.deleted_at >= self.updated_since]

    def takes(self, columns: Columns) -> list[bool]:
        """Whether the filter holds for rows as they are now; their keys were asked for already."""
        equal = [(list(columns[n]), wanted) for n in _CHANGING if (wanted := getattr(self, n)) is not None]
        any_run = self.run is RunChoice.ALL or self.counting != NOW
        return [
            all(values[i] == wanted for values, wanted in equal)
            and (self.since is None or at >= self.since)
            and (self.until is None or at < self.until)
            and (any_run or is_current)
            for i, (at, is_current) in enumerate(zip(columns["captured_at"], columns["is_current"], strict=True))
        ]

    def _of_key(self, kind: type[M] | type[T]) -> list[ColumnElement[bool]]:
        """What never changes of a row."""
        equal = ((kind.subject, self.subject), (kind.side, self.side))
        found: list[ColumnElement[bool]] = [column == value for column, value in equal if value is not None]
        return [*found, kind.metric.in_(self.metrics)] if self.metrics else found


@dataclass(frozen=True)
class FlatTable(RowTable):
    """The table under a filter, for one lab."""

    name: ClassVar[str] = "trial_metrics"
    columns: ClassVar[tuple[str, ...]] = COLUMNS

    lab: str
    filter: TableFilter

    def page(self, session: Session, cursor: str | None, limit: int) -> tuple[Columns, str | None]:
        """Up to `limit` rows after the cursor, and the cursor that continues (None at the end). Who asks what changed
        is told, after the rows that are there, of those that went."""
        there = _no_rows()
        if self.filter.updated_since is None or cursor is None or not cursor.startswith(GONE):
            there, cursor = self._there(session, cursor, limit)
            if cursor is not None or self.filter.updated_since is None:
                return there, cursor
            cursor = GONE
        gone, cursor = self._gone(session, cursor.removeprefix(GONE) or None, limit - len(there["deleted"]))
        return {name: [*there[name], *gone[name]] for name in COLUMNS}, cursor

    def _there(self, session: Session, cursor: str | None, limit: int) -> tuple[Columns, str | None]:
        asked = select_rows().where(*self.filter.conditions())
        found = fetch_rows(session, self._keyset.page(asked, cursor, limit))
        if not found:
            return _no_rows(), None
        columns = self._columns(read_columns(session, found[:limit]))
        last = [columns[c.key][-1] for c in _KEY]
        return columns, self._keyset.cursor(last) if len(found) > limit else None

    def _gone(self, session: Session, cursor: str | None, limit: int) -> tuple[Columns, str | None]:
        keys = Keyset.of(_GONE_KEY, {"table": "trial_metrics", "gone": True, "filter": self.filter})
        statement = select(T).where(*self.filter.gone_conditions())
        if limit == 0:
            there_are = session.scalars(keys.page(statement, cursor, 0)).first() is not None
            return _no_rows(), GONE if there_are else None
        found, following = keys.fetch(session, statement, cursor, limit)
        return self._tombstones(found), None if following is None else GONE + following

    def _tombstones(self, found: Sequence[T]) -> Columns:
        n = len(found)
        keys = {name: [_plain_of(getattr(t, name)) for t in found] for name in _KEY_NAMES}
        special = {"lab": [self.lab] * n, "is_current": [False] * n, "deleted": [True] * n}
        return dict.fromkeys(COLUMNS, [None] * n) | keys | special | {"updated_at": [t.deleted_at for t in found]}

    @property
    def _keyset(self) -> Keyset:
        return Keyset.of(_KEY, {"table": "trial_metrics", "filter": self.filter})

    def _columns(self, read: Columns) -> Columns:
        """In outside units, with what no row says."""
        metrics = Repeated.of(read["metric"])
        factors = np.array([unit_of(metric)[1] for metric in metrics.values])[metrics.places]
        return (
            read
            | {name: Scaled(read[name], factors) for name in _SCALED}
            | {
                "lab": Repeated.everywhere(self.lab, len(metrics)),
                "metric": metrics,
                "unit": metrics.map(lambda metric: unit_of(metric)[0]),
                "tier": _repeated(read["tier"]).map(_TIERS.__getitem__),
                "deleted": self._deleted(read, len(metrics)),
                "footwear": _repeated(read["footwear"]).map(lambda text: text or None),
                "sem_source": _repeated(read["sem_source"]).map(lambda text: text or None),
            }
        )

    def _deleted(self, read: Columns, n_rows: int) -> Sequence[bool]:
        if self.filter.updated_since is None:
            return Repeated.everywhere(False, n_rows)  # the question itself leaves out what the filter does not take
        return [not taken for taken in self.filter.takes(read)]


def _repeated(values: Sequence[Any]) -> Repeated:
    return values if isinstance(values, Repeated) else Repeated.of(values)


def _no_rows() -> Columns:
    return dict.fromkeys(COLUMNS, ())


@cache
def unit_of(metric: str) -> tuple[str, float]:
    """Name of a metric's unit outside, and what an inside value is multiplied with."""
    unit = find_metric(metric).unit
    return unit.value, unit.factor


def _plain_of(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def choose_columns(asked: Sequence[str], columns: tuple[str, ...] = COLUMNS) -> tuple[str, ...]:
    """Of a table's columns those asked for, in that order; all where none is named (UnknownNameError: nearest).

    Names may be repeated parameters or comma-separated.
    """
    names = tuple(name.strip() for text in asked for name in text.split(","))
    for name in names:
        if name not in columns:
            raise UnknownNameError("column", name, valid=columns)
    return tuple(dict.fromkeys(names)) or columns


def parse_when(text: str, *, end: bool = False) -> datetime:
    """A time as dashboards write it: ISO-8601, or milliseconds since 1970. As an `end`, a date includes its day.

    Raises:
        InputError: neither.
    """
    # A "+" that was not escaped in a URL arrives as a space.
    said = re.sub(r" (\d\d:?\d\d)$", r"+\1", text.strip())
    try:
        moment = _EPOCH + timedelta(milliseconds=int(said)) if re.fullmatch(r"-?\d{9,}", said) else parse_moment(said)
        whole_day = end and re.fullmatch(r"\d{4}-\d\d-\d\d", said) is not None
        return moment + timedelta(days=1) if whole_day else moment + timedelta(microseconds=1 if end else 0)
    except OverflowError as error:
        raise InputError(f"'{text}' is beyond all calendars") from error


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
