"""A database that cannot be used for a while: its disk is full or read-only, another holds it, its server is away.

That is no defect of labsys and no mistake of who asks: both are told so, and try again.
"""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import DBAPIError, OperationalError

from labsys.core.errors import LabsysError

_AGAIN = "Try again in a minute"
_WHOLE = "Restore it from a backup"
_REMEDIES = {
    sqlite3.SQLITE_FULL: "Make room on its disk",
    sqlite3.SQLITE_READONLY: "Let labsys write into its folder",
    sqlite3.SQLITE_CANTOPEN: "Check the rights on its folder",
    sqlite3.SQLITE_IOERR: "Check its disk",
    sqlite3.SQLITE_BUSY: _AGAIN,
    sqlite3.SQLITE_LOCKED: _AGAIN,
    sqlite3.SQLITE_CORRUPT: _WHOLE,
    sqlite3.SQLITE_NOTADB: _WHOLE,
}


class DatabaseAwayError(LabsysError):
    """What is asked for needs a database that cannot be used just now."""


def as_away(error: DBAPIError) -> DatabaseAwayError | None:
    """The error as people are told of it, where the database is away; None where the statement was wrong."""
    cause = error.orig
    if isinstance(cause, sqlite3.Error):
        return embedded_away(cause)
    # Of a server: the connection was lost or refused, it shuts down, has no room, or two waited for each other.
    if isinstance(error, OperationalError):
        return DatabaseAwayError("the database cannot be used just now", remedy=_AGAIN)
    return None


def embedded_away(error: sqlite3.Error) -> DatabaseAwayError | None:
    """As `as_away`, of an embedded database's own error."""
    remedy = _REMEDIES.get(primary_code(error))
    if remedy is None:
        return None
    return DatabaseAwayError("the database cannot be used just now", where=str(error), remedy=remedy)


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's code of an error without its refinements (https://sqlite.org/rescode.html); -1 where it has none."""
    return getattr(error, "sqlite_errorcode", -1) & 0xFF
