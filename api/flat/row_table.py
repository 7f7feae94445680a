"""What every flat table has: a name, columns, pages as JSON says them, and chunks of Arrow for files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, Protocol

from sqlalchemy.orm import Session

from api.flat.columns import Columns
from api.flat.formats import Shape, json_row

_CHUNK_ROWS = 20_000
Rows = list[dict[str, Any]]


class Table(Protocol):
    """A flat table under a filter. A cursor continues; None begins, and ends."""

    name: ClassVar[str]
    columns: ClassVar[tuple[str, ...]]

    def json_page(
        self, session: Session, cursor: str | None, limit: int, columns: tuple[str, ...]
    ) -> tuple[Rows, str | None]:
        """Up to `limit` rows as JSON says them, and the cursor that continues."""

    def chunks(
        self, session: Session, cursor: str | None, limit: int | None, shape: Shape
    ) -> Iterator[tuple[Any, str | None]]:
        """The rows as Arrow tables, up to `limit` in all (None: everything), each with the cursor that continues."""


class RowTable(ABC):
    """A table that is read from rows of the database, column by column."""

    @abstractmethod
    def page(self, session: Session, cursor: str | None, limit: int) -> tuple[Columns, str | None]:
        """Up to `limit` rows with every column, `deleted` among them, and the cursor that continues."""

    def json_page(
        self, session: Session, cursor: str | None, limit: int, columns: tuple[str, ...]
    ) -> tuple[Rows, str | None]:
        """As `Table.json_page`."""
        found, cursor = self.page(session, cursor, limit)
        rows = zip(*(found[name] for name in columns), strict=True)
        return [json_row(dict(zip(columns, row, strict=True))) for row in rows], cursor

    def chunks(
        self, session: Session, cursor: str | None, limit: int | None, shape: Shape
    ) -> Iterator[tuple[Any, str | None]]:
        """As `Table.chunks`."""
        left = limit
        while True:
            size = _CHUNK_ROWS if left is None else min(left, _CHUNK_ROWS)
            found, cursor = self.page(session, cursor, size)
            session.expunge_all()
            yield shape.of_columns(found), cursor
            left = None if left is None else left - len(found["deleted"])
            if cursor is None or left == 0:
                return
