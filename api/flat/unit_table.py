"""Tables whose rows come out of units: runs with their files, visits with their captures.

A cursor names a unit, and how many of its rows were sent already where a page ended within it: `KEY~17`.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import Row, Select
from sqlalchemy.orm import Session

from api.errors import RefusedError
from api.flat.formats import FileFormat, Shape
from api.flat.row_table import Rows
from api.paging import GONE, Keyset

_CHUNK_ROWS = 200_000


@dataclass(frozen=True)
class _Place:
    """After a unit; or with `sent`, that many of its rows were sent."""

    key: str | None = None
    sent: int = 0

    @classmethod
    def parse(cls, cursor: str | None) -> _Place:
        if cursor is None:
            return cls()
        found = re.fullmatch(r"([^~]*)(?:~([0-9]{1,9}))?", cursor)
        if found is None:
            what = "the cursor cannot be read"
            raise RefusedError(HTTPStatus.BAD_REQUEST, "bad-cursor", what, remedy="Begin again without `cursor`")
        return cls(found[1], int(found[2] or 0))

    def show(self) -> str:
        return f"{self.key}~{self.sent}"


@dataclass(frozen=True)
class Drawn:
    """Rows of some units. unit: (rows,) which of the units each row is of."""

    rows: Any
    unit: np.ndarray[Any, np.dtype[np.int64]]

    @classmethod
    def join(cls, parts: Sequence[Drawn], shape: Shape) -> Drawn:
        """One after the other."""
        rows = pa.concat_tables([shape.schema.empty_table(), *(part.rows for part in parts)])
        return cls(rows, np.concatenate([np.empty(0, np.int64), *(part.unit for part in parts)]))

    def after(self, sent: int) -> Drawn:
        """Without the first rows."""
        return Drawn(self.rows.slice(sent), self.unit[sent:])


class UnitTable(ABC):
    """A table by units. How many are looked at together: `units_at_once`."""

    units_at_once = 32

    @abstractmethod
    def keyset(self) -> Keyset:
        """Order of the units."""

    @abstractmethod
    def statement(self) -> Select[Any]:
        """The units."""

    @abstractmethod
    def key_of(self, unit: Row[Any]) -> Sequence[Any]:
        """Values of the keyset's columns."""

    @abstractmethod
    def draw(self, session: Session, units: Sequence[Row[Any]], shape: Shape, most: int, /) -> Drawn:
        """The rows of these units in order, at least `most` of them where there are as many."""

    def gone(self, _session: Session, _cursor: str | None, _limit: int, /) -> tuple[Rows, str | None] | None:
        """Rows that tell of units that went, after all others; None where this is not asked for."""
        return None

    def json_page(
        self, session: Session, cursor: str | None, limit: int, columns: tuple[str, ...]
    ) -> tuple[Rows, str | None]:
        """As `Table.json_page`."""
        found: Rows = []
        for rows, following in self.chunks(session, cursor, limit, Shape(columns, FileFormat.JSON)):
            found += rows.to_pylist()
            cursor = following
        return found, cursor

    def chunks(
        self, session: Session, cursor: str | None, limit: int | None, shape: Shape
    ) -> Iterator[tuple[Any, str | None]]:
        """As `Table.chunks`."""
        left = limit
        while True:
            most = _CHUNK_ROWS if left is None else min(left, _CHUNK_ROWS)
            if cursor is not None and cursor.startswith(GONE):
                rows, cursor = self._rows_gone(session, cursor.removeprefix(GONE) or None, most, shape)
            else:
                rows, cursor = self._rows_there(session, _Place.parse(cursor), most, shape)
            session.expunge_all()
            yield rows, cursor
            left = None if left is None else left - rows.num_rows
            if cursor is None or left == 0:
                return

    def _rows_there(self, session: Session, place: _Place, most: int, shape: Shape) -> tuple[Any, str | None]:
        keyset, n = self.keyset(), self.units_at_once
        found = session.execute(keyset.page(self.statement(), place.key, n, again=place.sent > 0)).all()
        units = found[:n]
        keys = [keyset.cursor(self.key_of(unit)) for unit in units]
        # Where the unit that a page ended within has gone meanwhile, what follows it was not begun.
        sent = place.sent if keys[:1] == [place.key] else 0
        drawn = self.draw(session, units, shape, sent + most + 1).after(sent)
        if drawn.rows.num_rows > most:
            last = int(drawn.unit[most - 1])
            within = int((drawn.unit[:most] == last).sum()) + (sent if last == 0 else 0)
            return drawn.rows.slice(0, most), _Place(keys[last], within).show()
        if len(found) > n:
            return drawn.rows, keys[-1]
        return drawn.rows, GONE if self.gone(session, None, 0) is not None else None

    def _rows_gone(self, session: Session, cursor: str | None, most: int, shape: Shape) -> tuple[Any, str | None]:
        told = self.gone(session, cursor, most)
        if told is None:
            what = "the cursor belongs to another question (other filters, columns or order)"
            raise RefusedError(HTTPStatus.BAD_REQUEST, "bad-cursor", what, remedy="Begin again without `cursor`")
        rows, following = told
        return shape.of_rows(rows), None if following is None else GONE + following
