"""The one way labsys writes a time, and reads one that it wrote: ISO-8601 in UTC with a trailing Z."""

from __future__ import annotations

from datetime import UTC, datetime

from labsys.core.errors import InputError


def utc_now() -> str:
    """The present time, to the millisecond: 2026-11-22T18:12:00.123Z."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read_utc(text: str) -> datetime:
    """The moment that a text says, aware (InputError: it is no time, or has no zone)."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"'{text}' is not a time", remedy="Write ISO-8601 in UTC: 2026-11-22T18:12:00Z") from error
    if moment.tzinfo is None:
        raise InputError(f"the time '{text}' has no zone", remedy="Write ISO-8601 in UTC: 2026-11-22T18:12:00Z")
    return moment
