"""Flat tables as CSV, Parquet and Arrow: written chunk by chunk, so that a large table does not fill the memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import IO, Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from api.flat.sequences import Repeated, Scaled
from api.moments import show_moment

_FLOATS = frozenset(
    {
        "weeks_from_index",
        "speed_mps",
        "incline_pct",
        "mean",
        "sd",
        "ci95_low",
        "ci95_high",
        "sem_measurement",
        "interpolated_share",
        "value",
        "foot_strike_s",
        "toe_off_s",
        "next_foot_strike_s",
        "contra_foot_strike_s",
        "mass_kg",
        "height_m",
        "leg_length_m",
    }
)
_WHOLE = frozenset({"n", "n_captures", "stride", "percent", "definition_version"})
_TIMES = frozenset({"captured_at", "updated_at"})
_FLAGS = frozenset({"is_current", "deleted"})
# Text that people typed; a spreadsheet would run it if it began like a formula.
_FREE_TEXT = frozenset({"lab", "footwear", "reason", "not_for_comparison", "sem_source", "calibration_grade"})
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
_MEMORY_BYTES = 32 << 20


class FileFormat(StrEnum):
    """How rows are sent."""

    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"
    ARROW = "arrow"

    @property
    def media_type(self) -> str:
        """As HTTP names it."""
        return _MEDIA_TYPES[self]


_MEDIA_TYPES = {
    FileFormat.JSON: "application/json",
    FileFormat.CSV: "text/csv",
    FileFormat.PARQUET: "application/vnd.apache.parquet",
    FileFormat.ARROW: "application/vnd.apache.arrow.stream",
}


# Where a time is text.
_TEXTS = (FileFormat.JSON, FileFormat.CSV)


def choose_format(asked: FileFormat | None, accept: str) -> FileFormat:
    """The format asked for, else the first that an Accept header names, else JSON."""
    if asked is not None:
        return asked
    by_type = {media_type: kind for kind, media_type in _MEDIA_TYPES.items()}
    named = (part.split(";")[0].strip().lower() for part in accept.split(","))
    return next((by_type[name] for name in named if name in by_type), FileFormat.JSON)


def json_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """One row as JSON says it: times as ISO-8601 in UTC."""
    return {name: show_moment(value) if isinstance(value, datetime) else value for name, value in row.items()}


def guard_formula(text: str | None) -> str | None:
    """Free text that a spreadsheet will not run: a quote before what begins like a formula."""
    return f"'{text}" if text is not None and text.startswith(_FORMULA_STARTS) else text


@dataclass(frozen=True)
class Shape:
    """Which columns a table is sent with, and how it is written."""

    columns: tuple[str, ...]
    kind: FileFormat

    @property
    def schema(self) -> Any:
        """Of Arrow; JSON and CSV say times as text."""
        return pa.schema([(name, _arrow_type(name, self.kind)) for name in self.columns])

    def of_columns(self, columns: Mapping[str, Sequence[Any]]) -> Any:
        """An Arrow table of these columns, of which there may be more; in CSV free text is guarded against spreadsheets
        that would run it."""
        schema = self.schema
        arrays = [_array(columns[name], name, schema.field(name).type, self.kind) for name in self.columns]
        return pa.Table.from_arrays(arrays, schema=schema)

    def of_rows(self, rows: Sequence[Mapping[str, Any]]) -> Any:
        """As `of_columns`, of rows."""
        return self.of_columns({name: [row[name] for row in rows] for name in self.columns})


def write_table(chunks: Iterable[Any], shape: Shape) -> IO[bytes]:
    """Arrow tables as one file, positioned at its beginning; past 32 MiB it lies on the disk. The caller closes it."""
    with ExitStack() as on_error:
        target = on_error.enter_context(tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES))
        with _writer(shape, target) as writer:
            for table in chunks:
                writer.write_table(table)
        target.seek(0)
        on_error.pop_all()
    return target


def _writer(shape: Shape, target: Any) -> Any:
    match shape.kind:
        case FileFormat.CSV:
            return pyarrow.csv.CSVWriter(target, shape.schema)
        case FileFormat.PARQUET:
            return pyarrow.parquet.ParquetWriter(target, shape.schema, compression="zstd")
        case _:
            return pa.ipc.new_stream(target, shape.schema)


def _arrow_type(name: str, kind: FileFormat) -> Any:
    if name in _TIMES:
        return pa.string() if kind in _TEXTS else pa.timestamp("ms", tz="UTC")
    if name in _FLOATS:
        return pa.float64()
    if name in _WHOLE:
        return pa.int64()
    return pa.bool_() if name in _FLAGS else pa.string()


def _array(values: Sequence[Any], name: str, kind_of_value: Any, kind: FileFormat) -> Any:
    if isinstance(values, Scaled):
        return values.as_array(kind_of_value)
    # Said once and taken many times: a table repeats the times and texts of a run in all of its rows.
    if name in _TIMES | _FREE_TEXT and not isinstance(values, Repeated):
        values = Repeated.of(values)
    if not isinstance(values, Repeated):
        return pa.array(values, kind_of_value)
    if name in _TIMES | _FREE_TEXT and kind in _TEXTS:
        guarded = kind is FileFormat.CSV and name in _FREE_TEXT
        values = values.map(lambda value: _cell(value, guarded=guarded))
    return values.as_array(kind_of_value)


def _cell(value: Any, *, guarded: bool) -> Any:
    """As text says it."""
    if isinstance(value, datetime):
        return show_moment(value)
    return guard_formula(value) if guarded else value
