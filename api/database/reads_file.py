"""Beside an embedded database: a file in which reads are written down while somebody else writes the database.

SQLite has one writer, who may index a large lab for a minute. Nobody who only looks should wait for that, and nobody
should be answered without being written down. The file is another SQLite database with one table; it is as lasting as
the first, and rows leave it once they stand there.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from api.database.away import DatabaseAwayError, embedded_away, primary_code
from labsys.storage.locks import hold_lock

COLUMNS = ("id", "at", "actor", "action", "object", "request_id", "address")
_MOST_AT_ONCE = 5000
_SETUP = (
    # Those who write here have one row each.
    "PRAGMA busy_timeout=10000",
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=NORMAL",
    f"CREATE TABLE IF NOT EXISTS read_event (id TEXT PRIMARY KEY, {', '.join(COLUMNS[1:])})",
)


class ReadsFile:
    """The file of one process; any number of processes may have it open. It appears with its first row."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()

    @classmethod
    def beside(cls, database: Path) -> ReadsFile:
        """labsys-reads.db for labsys.db."""
        return cls(database.with_name(f"{database.stem}-reads{database.suffix}"))

    def add(self, row: Sequence[Any]) -> None:
        """Write down one read, as COLUMNS; it is there when this returns (DatabaseAwayError: it cannot be)."""
        marks = ", ".join("?" * len(COLUMNS))
        self._change(f"INSERT INTO read_event ({', '.join(COLUMNS)}) VALUES ({marks})", [row])

    def first(self) -> list[tuple[Any, ...]]:
        """Some thousand rows at most, in the order in which they were added; none where there is no file
        (DatabaseAwayError: they cannot be read)."""
        if not self.path.exists():
            return []
        asked = f"SELECT {', '.join(COLUMNS)} FROM read_event ORDER BY rowid LIMIT {_MOST_AT_ONCE}"
        with self._using() as cursor:
            return cursor.execute(asked).fetchall()

    def remove(self, ids: Sequence[str]) -> None:
        """Forget rows that stand in the database by now."""
        self._change("DELETE FROM read_event WHERE id = ?", [(i,) for i in ids])

    def close(self) -> None:
        """Let go of the file."""
        if "_connection" in self.__dict__:
            self._connection.close()
            del self.__dict__["_connection"]

    @cached_property
    def _connection(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        # Nobody waits for who makes a database's log: of two that begin with a new file at once, one would be refused.
        making = self.path.with_name(f".{self.path.name}.lock")
        with hold_lock(making, what="the file of reads", wait=True):
            for statement in _SETUP:
                connection.execute(statement)
        return connection

    def _change(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        with self._using() as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            try:
                cursor.executemany(statement, rows)
                cursor.execute("COMMIT")
            finally:
                if cursor.connection.in_transaction:  # it failed; all who come after would find it open
                    cursor.execute("ROLLBACK")

    @contextmanager
    def _using(self) -> Iterator[sqlite3.Cursor]:
        try:
            with self._lock, closing(self._connection.cursor()) as cursor:
                yield cursor
        except sqlite3.DatabaseError as error:
            away = embedded_away(error)
            if away is None:
                raise
            is_damaged = primary_code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
            remedy = "Move it elsewhere: reads that it holds are in no audit yet" if is_damaged else away.remedy
            raise self._away(str(error), remedy) from error
        except OSError as error:  # of the lock beside it
            raise self._away(error.strerror or str(error), "Let labsys write into its folder, and make room") from error

    def _away(self, what: str, remedy: str) -> DatabaseAwayError:
        where = f"{self.path}: {what}"
        return DatabaseAwayError("reads cannot be written down, so nothing is shown", where=where, remedy=remedy)
