"""The one way labsys writes a time: ISO-8601 in UTC with a trailing Z."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> str:
    """The present time, to the millisecond: 2026-11-22T18:12:00.123Z."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
