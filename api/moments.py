"""Times, dates and identities as text in the lab folder and outside, as values in the database."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime

from labsys.core.errors import InputError


def parse_moment(text: str) -> datetime:
    """An ISO-8601 date or time as an aware time; without a zone it is UTC, as the folder's fields are defined."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"'{text}' is not a time", remedy="Write ISO-8601 in UTC: 2026-11-22T18:12:00Z") from error
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).astimezone(UTC)


def parse_date(text: str) -> date:
    """An ISO-8601 date; of a time, its day in UTC."""
    return parse_moment(text).date()


def parse_uuid(text: str) -> str:
    """A UUID in its usual spelling."""
    try:
        return str(uuid.UUID(text))
    except ValueError as error:
        raise InputError(f"'{text}' is not a UUID", remedy="Restore the file from a backup") from error


def show_moment(moment: datetime) -> str:
    """To the millisecond, in UTC: 2026-11-22T18:12:00.123Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
