"""Parquet tables whose schema says the unit of every column and the version of the layout.

File metadata `labsys` is a JSON object with `schema_version`, `table` and what a table needs beside its rows; each
field's metadata has `unit`. Numbers are float64, so that what is read equals what was written, bit for bit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from labsys.core.arrays import FloatArray
from labsys.core.errors import InputError
from labsys.storage.atomic import replacing
from labsys.storage.documents import check_schema

RESULT_SCHEMA_VERSION = 1
_KEY = b"labsys"

Column = tuple[str, pa.Array, str]


def text_column(name: str, values: Sequence[str | None]) -> Column:
    """A column of words; repeated ones take no space."""
    return name, pa.array(values, pa.string()), ""


def cycled_column(name: str, values: Sequence[str], n: int) -> Column:
    """A column of these words one after the other, `n` times."""
    return name, pa.array(values, pa.string()).take(pa.array(np.tile(np.arange(len(values)), n))), ""


def float_column(name: str, values: Any, unit: str) -> Column:
    """A float64 column in a unit; NaN stays NaN."""
    return name, pa.array(np.ascontiguousarray(values, dtype=np.float64).ravel(), pa.float64()), unit


def int_column(name: str, values: Sequence[int]) -> Column:
    """A column of whole numbers."""
    return name, pa.array(values, pa.int64()), ""


def bool_column(name: str, values: Any) -> Column:
    """A column of truth values."""
    return name, pa.array(np.ravel(np.asarray(values, dtype=np.bool_)), pa.bool_()), ""


def curve_column(name: str, values: FloatArray, unit: str) -> Column:
    """A column of curves of equal length, (S, n)."""
    flat = pa.array(np.ascontiguousarray(values, dtype=np.float64).ravel(), pa.float64())
    return name, pa.FixedSizeListArray.from_arrays(flat, values.shape[1]), unit


def write_table(path: Path, table: str, columns: Sequence[Column], extra: Mapping[str, Any] | None = None) -> None:
    """Write one Parquet file at once (InputError where the folder cannot be written)."""
    fields = [pa.field(name, array.type, metadata={"unit": unit} if unit else None) for name, array, unit in columns]
    about = {"schema_version": RESULT_SCHEMA_VERSION, "table": table, **(extra or {})}
    schema = pa.schema(fields, metadata={_KEY: json.dumps(about, allow_nan=False)})
    content = pa.Table.from_arrays([a for _, a, _ in columns], schema=schema)
    # Measured numbers hardly repeat: looking for repetitions takes four times as long and makes the file larger.
    repeating = [f.name for f in fields if not pa.types.is_floating(f.type) and not pa.types.is_nested(f.type)]
    with replacing(path) as temporary:
        pq.write_table(content, temporary, compression="zstd", use_dictionary=repeating or False)


def read_table(path: Path, table: str) -> tuple[pa.Table, dict[str, Any]]:
    """Read one Parquet file of ours, and what it says beside its rows.

    Raises:
        InputError: unreadable, damaged or another table. NewerSchemaError: a newer labsys wrote it.
    """
    try:
        content = pq.ParquetFile(path).read()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=str(path)) from error
    except pa.ArrowException as error:
        raise InputError(f"is no whole Parquet file: {error}", where=str(path)) from error
    about = json.loads((content.schema.metadata or {}).get(_KEY, b"{}"))
    check_schema(about.get("schema_version"), str(path), known=RESULT_SCHEMA_VERSION)
    if about["table"] != table:
        raise InputError(f"holds the table '{about['table']}', expected '{table}'", where=str(path))
    return content, about


def floats(content: pa.Table, name: str) -> FloatArray:
    """A float64 column as an array."""
    return np.asarray(content.column(name).to_numpy(), dtype=np.float64)


def rows(content: pa.Table) -> list[dict[str, Any]]:
    """All rows as dictionaries (for small tables)."""
    found: list[dict[str, Any]] = content.to_pylist()
    return found


def float_text(value: float) -> str:
    """A float for JSON metadata, exact, NaN and infinity included."""
    return float(value).hex()


def text_float(text: str) -> float:
    """Inverse of `float_text`."""
    return float.fromhex(text)
