"""What all tables share: the root, types that are equal on every database, and names of constraints."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, Double, Enum, MetaData, Uuid
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeDecorator

from labsys.core.motion import Quality
from labsys.core.session import GoalDirection, Phase, Surface, TrialKind
from labsys.core.skeleton import Side

# Bound for codes and labels (core.session.check_code) and for ids of the catalogue.
CODE_LENGTH = 64


_Process = Callable[[Any], Any] | None


class UuidText(Uuid[str]):
    """A UUID as text. Where the database has no type of its own for it, 32 digits come back and are cut into groups:
    making a UUID of each and text of that took a tenth of a trend."""

    def __init__(self) -> None:
        super().__init__(as_uuid=False)

    def result_processor(self, dialect: Dialect, coltype: object) -> _Process:
        """SQLAlchemy's way to say what is made of the driver's value."""
        if dialect.supports_native_uuid:
            native: _Process = super().result_processor(dialect, coltype)  # type: ignore[no-untyped-call]
            return native
        return _group_digits


def _group_digits(digits: str | None) -> str | None:
    if digits is None:
        return None
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


UUID_TEXT = UuidText()


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time, kept as UTC on every database (SQLite forgets the zone)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    @property
    def python_type(self) -> type[datetime]:
        """What queries bind and give."""
        return datetime

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """To the database; a time without zone is a mistake of the caller."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value.isoformat()} has no time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """From the database."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _text_of(kind: type[Any]) -> Enum:
    """An enum kept as its text, so that a new member needs no migration."""
    return Enum(kind, native_enum=False, length=32, values_callable=lambda members: [m.value for m in members])


class Base(DeclarativeBase):
    """Root of all tables; constraints have names that are equal on every database."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - the attribute that SQLAlchemy reads
        datetime: UtcDateTime(),
        float: Double(),
        dict[str, Any]: JSON(),
        list[str]: JSON(),
        TrialKind: _text_of(TrialKind),
        Surface: _text_of(Surface),
        Phase: _text_of(Phase),
        Side: _text_of(Side),
        Quality: _text_of(Quality),
        GoalDirection: _text_of(GoalDirection),
    }
