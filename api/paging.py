"""Strict keyset pages: a cursor is the last row's key, and belongs to the question that made it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from http import HTTPStatus
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Select, literal, tuple_
from sqlalchemy.orm import Session

from api.errors import RefusedError
from api.moments import parse_moment
from labsys.core.errors import InputError

Row = TypeVar("Row")
# Begins a cursor that is among the tombstones of a table; no other one holds a point.
GONE = "gone."


@dataclass(frozen=True)
class Keyset:
    """The columns that order a question uniquely, and a hash of everything else that was asked."""

    columns: tuple[ColumnElement[Any], ...]
    question: str

    @classmethod
    def of(cls, columns: Sequence[Any], asked: Mapping[str, Any]) -> Keyset:
        """From the order and the filters of a question."""
        text = json.dumps({k: str(v) for k, v in sorted(asked.items())}) + str([str(c) for c in columns])
        return cls(tuple(columns), hashlib.sha256(text.encode()).hexdigest()[:16])

    def page(self, statement: Select[Any], cursor: str | None, limit: int, *, again: bool = False) -> Select[Any]:
        """The statement in order, after the cursor, with one row more than asked: it tells whether more follow.
        again: the cursor's own row comes once more."""
        ordered = statement.order_by(*self.columns).limit(limit + 1)
        if cursor is None:
            return ordered
        mine, other = tuple_(*self.columns), tuple_(*self._key_of(cursor))
        return ordered.where(mine >= other if again else mine > other)

    def fetch(
        self, session: Session, statement: Select[Row], cursor: str | None, limit: int
    ) -> tuple[Sequence[Row], str | None]:
        """The rows of one page of entities, and the cursor that continues (None at the end)."""
        found = session.scalars(self.page(statement, cursor, limit)).all()
        if len(found) <= limit:
            return found, None
        last = found[limit - 1]
        return found[:limit], self.cursor([getattr(last, c.key or "") for c in self.columns])

    def cursor(self, key: Sequence[Any]) -> str:
        """The cursor that continues after the row with this key."""
        text = json.dumps({"q": self.question, "k": [_as_text(v) for v in key]}, separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    def _key_of(self, cursor: str) -> list[ColumnElement[Any]]:
        try:
            said = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
            values, question = said["k"], said["q"]
            typed = [_as_value(v, c) for v, c in zip(values, self.columns, strict=True)]
        except (ValueError, KeyError, TypeError, InputError) as error:
            raise _refused("the cursor cannot be read") from error
        if question != self.question:
            raise _refused("the cursor belongs to another question (other filters, columns or order)")
        return [literal(v, c.type) for v, c in zip(typed, self.columns, strict=True)]


def _refused(what: str) -> RefusedError:
    return RefusedError(HTTPStatus.BAD_REQUEST, "bad-cursor", what, remedy="Begin again without `cursor`")


def _as_text(value: Any) -> str:
    if isinstance(value, date):  # a datetime is one too
        return value.isoformat()
    return str(value.value) if isinstance(value, Enum) else str(value)


def _as_value(text: Any, column: ColumnElement[Any]) -> Any:
    if not isinstance(text, str) or "\x00" in text:
        raise TypeError("a key is text")
    kind = column.type.python_type
    if kind is datetime:
        return parse_moment(text)
    if kind is date:
        return date.fromisoformat(text)
    if kind is UUID or "uuid" in type(column.type).__name__.lower():
        return str(UUID(text))
    return kind(text) if issubclass(kind, Enum) else text
