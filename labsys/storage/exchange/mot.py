"""MOT, OpenSim's motion file: a header, then one row per time; angles in degrees, translations in m."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labsys.core.arrays import FloatArray
from labsys.core.errors import InputError, UnknownNameError
from labsys.core.units import Unit, to_outside_array
from labsys.storage.atomic import write_text_atomic
from labsys.storage.exchange.text import parse_number, read_lines


@dataclass(frozen=True, eq=False)
class MotTable:
    """Columns of a MOT file over time, as the file has them.

    Attributes:
        times_s: (T,) s. columns: name -> (T,) in the file's unit.
        in_degrees: unit of rotational columns: what the header says; without a version, a .mot is in degrees as
            OpenSim takes it (SIMM wrote them so); otherwise None.
        ambiguous: names that several columns with different values bear; they are not in `columns`.
    """

    times_s: FloatArray
    columns: Mapping[str, FloatArray]
    in_degrees: bool | None
    ambiguous: frozenset[str] = frozenset()

    def angle_rad(self, name: str) -> FloatArray:
        """A rotational column, (T,) rad (UnknownNameError; InputError where the unit is not stated)."""
        values = self._find(name)
        if self.in_degrees is None:
            raise InputError(f"the unit of '{name}' is not stated", remedy="Write inDegrees=yes or no in the header")
        return np.asarray(values / Unit.DEG.factor if self.in_degrees else values, dtype=np.float64)

    def length_m(self, name: str) -> FloatArray:
        """A translational column, (T,) m (UnknownNameError)."""
        return self._find(name)

    def _find(self, name: str) -> FloatArray:
        if name in self.ambiguous:
            raise InputError(f"several columns are named '{name}' and differ")
        if name not in self.columns:
            raise UnknownNameError("column", name, valid=self.columns)
        return self.columns[name]


def read_mot(path: Path) -> MotTable:
    """Read a MOT or STO file.

    Raises:
        InputError: unreadable, no such file, counts that contradict each other, or cells that are no numbers.
    """
    lines = read_lines(path)
    end = next((i for i, line in enumerate(lines) if line.strip().casefold() == "endheader"), None)
    if end is None:
        raise InputError("is no MOT file (no line 'endheader')", where=str(path))
    header = _read_header(lines[:end])
    body = [(i, line.split()) for i, line in enumerate(lines[end + 1 :], end + 2) if line.strip()]
    if len(body) < 2:
        raise InputError("holds no rows", where=str(path))
    (_, names), *rows = body
    _check_counts(header, len(rows), len(names), path)
    times_s, columns, ambiguous = _read_columns(names, rows, path)
    return MotTable(times_s, columns, _in_degrees(header, path), ambiguous)


def write_mot(
    path: Path, times_s: FloatArray, *, angles_rad: Mapping[str, FloatArray], lengths_m: Mapping[str, FloatArray]
) -> None:
    """Write coordinates under OpenSim's names: angles in degrees first, then translations in m.

    Raises:
        InputError: no rows, columns of another length, or the folder cannot be written.
    """
    columns = {name: to_outside_array(values, Unit.DEG) for name, values in angles_rad.items()}
    columns |= {name: np.asarray(values, dtype=np.float64) for name, values in lengths_m.items()}
    for name, values in columns.items():
        if values.shape != times_s.shape or not times_s.size or len(name.split()) != 1:
            raise InputError(f"column '{name}' has shape {values.shape} for {times_s.shape} times", where=str(path))
    table = np.column_stack([times_s, *columns.values()]).tolist()
    lines = [
        "Coordinates",
        "version=1",
        f"nRows={len(table)}",
        f"nColumns={len(columns) + 1}",
        "inDegrees=yes",
        "",
        "Angles are in degrees, translations in metres, time in seconds.",
        "",
        "endheader",
        "\t".join(["time", *columns]),
        *("\t".join(f"{v:.9f}" if math.isfinite(v) else "NaN" for v in row) for row in table),
    ]
    write_text_atomic(path, "\n".join(lines) + "\n")


def _read_header(lines: list[str]) -> dict[str, str]:
    """Fields of both dialects: `nRows=10` of OpenSim, `datarows 10` of SIMM."""
    header: dict[str, str] = {}
    for line in lines:
        key, _, value = line.strip().replace("=", " ", 1).partition(" ")
        header.setdefault(key.casefold(), value.strip())
    return header


def _check_counts(header: dict[str, str], n_rows: int, n_columns: int, path: Path) -> None:
    for keys, found, what in (
        (("nrows", "datarows"), n_rows, "rows"),
        (("ncolumns", "datacolumns"), n_columns, "columns"),
    ):
        announced = next((header[key] for key in keys if key in header), None)
        if announced is not None and int(parse_number(announced, f"{path}, {what}")) != found:
            raise InputError(f"the header announces {announced} {what}, the file holds {found}", where=str(path))


def _read_columns(
    names: list[str], rows: list[tuple[int, list[str]]], path: Path
) -> tuple[FloatArray, dict[str, FloatArray], frozenset[str]]:
    if names[0].casefold() != "time":
        raise InputError(f"the first column is '{names[0]}', expected 'time'", where=str(path))
    for line, cells in rows:
        if len(cells) != len(names):
            raise InputError(f"has {len(cells)} cells, expected {len(names)}", where=f"{path}, line {line}")
    table = np.array([[parse_number(cell, f"{path}, line {line}") for cell in cells] for line, cells in rows])
    columns: dict[str, FloatArray] = {}
    ambiguous: set[str] = set()
    for name, values in zip(names[1:], table.T[1:], strict=True):
        if name in columns and not np.array_equal(columns[name], values, equal_nan=True):
            ambiguous.add(name)
        columns.setdefault(name, values)
    return table[:, 0], {n: v for n, v in columns.items() if n not in ambiguous}, frozenset(ambiguous)


def _in_degrees(header: dict[str, str], path: Path) -> bool | None:
    stated = header.get("indegrees", "").casefold()
    if stated:
        if stated not in ("yes", "no"):
            raise InputError(f"inDegrees is '{stated}', expected yes or no", where=str(path))
        return stated == "yes"
    return True if "version" not in header and path.suffix.lower() == ".mot" else None
