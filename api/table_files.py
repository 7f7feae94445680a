"""Flat tables as CSV, Parquet and Arrow: written chunk by chunk, so that a large table does not fill the memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from enum import StrEnum
from typing import IO, Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

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
    }
)
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


def write_table(chunks: Iterable[Mapping[str, Sequence[Any]]], columns: tuple[str, ...], kind: FileFormat) -> IO[bytes]:
    """All rows as one file, positioned at its beginning; past 32 MiB it lies on the disk. The caller closes it.

    chunks: values by column, which may be more columns than are written.
    """
    with ExitStack() as on_error:
        target = on_error.enter_context(tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES))
        schema = pa.schema([(name, _arrow_type(name, kind)) for name in columns])
        with _writer(kind, target, schema) as writer:
            for chunk in chunks:
                arrays = [_array(chunk[name], name, schema.field(name).type, kind) for name in columns]
                writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
        target.seek(0)
        on_error.pop_all()
    return target


def _writer(kind: FileFormat, target: Any, schema: Any) -> Any:
    match kind:
        case FileFormat.CSV:
            return pyarrow.csv.CSVWriter(target, schema)
        case FileFormat.PARQUET:
            return pyarrow.parquet.ParquetWriter(target, schema, compression="zstd")
        case _:
            return pa.ipc.new_stream(target, schema)


def _arrow_type(name: str, kind: FileFormat) -> Any:
    if name in _TIMES:
        return pa.string() if kind is FileFormat.CSV else pa.timestamp("ms", tz="UTC")
    if name in _FLOATS:
        return pa.float64()
    if name == "n":
        return pa.int64()
    return pa.bool_() if name in _FLAGS else pa.string()


def _array(values: Sequence[Any], name: str, kind_of_value: Any, kind: FileFormat) -> Any:
    if name not in _TIMES | _FREE_TEXT:
        return pa.array(values, kind_of_value)
    # Said once and taken many times: a table repeats the times and texts of a run in all of its rows.
    number = {value: i for i, value in enumerate(dict.fromkeys(values))}
    said = [_cell(value, name) for value in number] if kind is FileFormat.CSV else list(number)
    return pa.array(said, kind_of_value).take(pa.array([number[value] for value in values], pa.int32()))


def _cell(value: Any, name: str) -> Any:
    """As CSV says it."""
    if isinstance(value, datetime):
        return show_moment(value)
    return guard_formula(value) if name in _FREE_TEXT else value
