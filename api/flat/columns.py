"""Rows of `trial_metric` read as columns: numbers row by row, and what a run says of its trial once per run.

A full refresh reads half a million rows, of which 119 in a row repeat the same twenty texts and times. Neither is an
entity made of a row nor a value of its type: rows stay as the driver gives them, and a column's type is asked once for
every value that differs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Boolean, ColumnElement, Select, String, Uuid, select, type_coerce
from sqlalchemy import Enum as SqlEnum
from sqlalchemy.orm import Session
from sqlalchemy.types import NullType

from api.database.columns import UtcDateTime
from api.database.tables import TrialMetricRow as M
from api.flat.sequences import Repeated

# Values by the name of their column, all of one length.
Columns = dict[str, Sequence[Any]]
Selected = Select[*tuple[Any, ...]]
# A run as (trial, run), and one of its rows as (metric, side).
Run = tuple[str, str]
RowOfRun = tuple[str, str]

_RUN_KEY = ("trial_id", "run")
_OF_ROW = (
    *("metric", "side", "n", "mean", "sd", "ci95_low", "ci95_high", "sem_measurement", "sem_source", "quality"),
    *("interpolated_share", "reason"),
)
# What api.indexing.gather_run writes alike into all rows of a run.
OF_RUN = (
    *("subject", "episode", "phase", "weeks_from_index", "session", "captured_at", "trial", "kind", "surface"),
    *("speed_mps", "incline_pct", "footwear", "tier", "not_for_comparison", "calibration_grade", "is_current"),
    *("pipeline_version", "model_hash", "updated_at"),
)
# A statement takes so many values and not many more (SQLite: 32,766).
_RUNS_AT_ONCE = 5000


def select_rows() -> Selected:
    """Rows for `read_columns`, to be filtered and ordered."""
    return _select(*_RUN_KEY, *_OF_ROW)


def plain_column(name: str) -> ColumnElement[Any]:
    """A column of `trial_metric` by itself, as text where it holds a word of an Enum."""
    column: Any = getattr(M, name)
    return type_coerce(column, String).label(name) if isinstance(column.type, SqlEnum) else column


def fetch_rows(session: Session, asked: Selected) -> list[tuple[Any, ...]]:
    """Rows as the driver gives them, of what the session may see."""
    found: Any = session.execute(asked)
    rows: list[tuple[Any, ...]] = found.raw.cursor.fetchall()
    found.close()
    return rows


def read_columns(session: Session, found: Sequence[tuple[Any, ...]]) -> Columns:
    """Columns of rows (at least one) that `select_rows` found in this session; words of an Enum stay words."""
    columns: Columns = dict(zip((*_RUN_KEY, *_OF_ROW), zip(*found, strict=True), strict=True))
    begins = _begins(columns)
    trials = _values_of(session, "trial_id", [columns["trial_id"][i] for i in begins])
    runs = list(zip(trials, [columns["run"][i] for i in begins], strict=True))
    rows = {run: (columns["metric"][i], columns["side"][i]) for run, i in zip(runs, begins, strict=True)}
    said = _read_runs(session, rows)
    place = {run: i for i, run in enumerate(zip(said["trial_id"], said["run"], strict=True))}
    places = np.repeat(np.array([place[run] for run in runs], np.int32), np.diff([*begins, len(found)]))
    return columns | {name: Repeated(said[name], places) for name in (*_RUN_KEY, *OF_RUN)}


def _begins(columns: Columns) -> list[int]:
    """Where another run begins, the first row included."""
    trials, runs = (np.array(columns[name], dtype=object) for name in _RUN_KEY)
    another = (trials[1:] != trials[:-1]) | (runs[1:] != runs[:-1])
    return [0, *(np.flatnonzero(another) + 1).tolist()]


def _read_runs(session: Session, rows: dict[Run, RowOfRun]) -> Columns:
    """What one row of every run says of it. Other runs may be among the answer."""
    runs_by_row: dict[RowOfRun, list[Run]] = {}
    for run, row in rows.items():
        runs_by_row.setdefault(row, []).append(run)
    found = [row for asked in _questions(runs_by_row) for row in fetch_rows(session, asked)]
    names = (*_RUN_KEY, *OF_RUN)
    said: Columns = dict(zip(names, zip(*found, strict=True), strict=True))
    return {name: _values_of(session, name, said[name]) for name in names}


def _questions(runs_by_row: dict[RowOfRun, list[Run]]) -> Iterator[Selected]:
    for (metric, side), runs in runs_by_row.items():
        for begin in range(0, len(runs), _RUNS_AT_ONCE):
            trials, names = zip(*runs[begin : begin + _RUNS_AT_ONCE], strict=True)
            one_each = _select(*_RUN_KEY, *OF_RUN).where(M.metric == metric, M.side == side)
            yield one_each.where(M.trial_id.in_(sorted(set(trials))), M.run.in_(sorted(set(names))))


def _select(*names: str) -> Selected:
    """Columns as the database's driver gives them."""
    return select(*(type_coerce(getattr(M, name), NullType()).label(name) for name in names))


def _values_of(session: Session, name: str, values: Sequence[Any]) -> Sequence[Any]:
    """What a column's type makes of the driver's values, each made once."""
    kind, dialect = getattr(M, name).type, session.get_bind().dialect
    if not isinstance(kind, UtcDateTime | Uuid | Boolean):
        return values  # numbers and words are what they are; words of an Enum stay words
    process = kind.dialect_impl(dialect).result_processor(dialect, None)
    if process is None:
        return values
    made = {value: process(value) for value in set(values)}
    return [made[value] for value in values]
