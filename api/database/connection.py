"""The database behind a lab: where it is, how it is opened, and who may write.

SQLite (WAL) is embedded and needs no server; PostgreSQL comes by URL. One code path serves both. A write holds the
one write lock from its first moment (BEGIN IMMEDIATE, or an advisory lock), so that "read the folder, then write rows"
cannot be overtaken by another process. Reads see one snapshot.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, ExceptionContext, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from api.database.away import as_away, primary_code
from api.database.filesystem import network_file_system
from api.database.migrations import HEAD
from api.database.reads_file import ReadsFile
from labsys.core.errors import ConcurrencyError, InputError, NewerSchemaError
from labsys.storage.lab import Lab

_PATIENCE_MS = 60_000
_PRAGMAS = (
    # Readers never wait (WAL). A writer may have to wait for another process that indexes a large lab.
    f"busy_timeout={_PATIENCE_MS}",
    "journal_mode=WAL",
    "synchronous=NORMAL",
    "foreign_keys=ON",
    "cache_size=-65536",
    "mmap_size=268435456",
)
# Any fixed number that other programs on the same PostgreSQL are unlikely to use.
# Up to the next part of the message: SQLAlchemy writes its own lines behind.
_DETAIL = re.compile(r"\n(DETAIL|CONTEXT): .*?(?=\n[A-Z[(]|\Z)", re.DOTALL)
_ADVISORY_LOCK = 0x6C61_6273_7973
_WRITES = "labsys_writes"
_AT_ONCE = "labsys_at_once"


@dataclass(frozen=True)
class Database:
    """An open, migrated database. reads: where reads are written down, None where the database takes them itself."""

    engine: Engine
    sessions: sessionmaker[Session]
    writers: sessionmaker[Session]
    updaters: sessionmaker[Session]
    reads: ReadsFile | None = None

    def read(self) -> Session:
        """A session to read with; use it in a `with` statement."""
        return self.sessions()

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session that is the only writer from its first statement on; commits at the end, rolls back on an error.

        Raises:
            ConcurrencyError: another process held the lock for a minute. DatabaseAwayError: it cannot be written.
        """
        with _telling_away(), self.writers() as session, session.begin():
            try:
                session.connection()
            except OperationalError as error:
                if _is_busy(error):
                    raise ConcurrencyError(
                        "another process is writing the index", where=str(error.orig), remedy="Try again in a minute"
                    ) from error
                raise
            yield session

    @contextmanager
    def update(self) -> Iterator[Session]:
        """A short transaction on rows that no index rebuilds (jobs): PostgreSQL locks rows, and does not wait for one
        who indexes a large lab; SQLite has one writer in any case (DatabaseAwayError: it cannot be written)."""
        with _telling_away(), self.updaters() as session, session.begin():
            yield session

    def update_if_free(self, change: Callable[[Session], None]) -> bool:
        """As `update`, for what may as well be written the next time: False at once where another writes an embedded
        database just now, and where nothing can be written."""
        try:
            with self.updaters() as session, session.begin():
                session.connection(execution_options={_AT_ONCE: True})
                change(session)
        except DBAPIError as error:
            if as_away(error) is None:
                raise
            return False
        return True

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()
        if self.reads is not None:
            self.reads.close()


@contextmanager
def _telling_away() -> Iterator[None]:
    """Have whoever writes told why a database cannot be written, at the end of it too."""
    try:
        yield
    except DBAPIError as error:
        away = as_away(error)
        if away is None:
            raise
        raise away from error


def _is_busy(error: OperationalError) -> bool:
    return isinstance(error.orig, sqlite3.Error) and primary_code(error.orig) == sqlite3.SQLITE_BUSY


def open_database(lab: Lab) -> Database:
    """Open the lab's database, creating and migrating it where needed.

    Raises:
        InputError: the database cannot be reached, or lies on a network file system.
        NewerSchemaError: a newer labsys migrated it.
    """
    engine = _make_engine(_database_url(lab))
    try:
        with engine.connect() as connection:
            found = _read_revision(connection)
        if found != HEAD:
            _upgrade(engine, found)
    except DBAPIError as error:
        engine.dispose()
        raise InputError(
            "the database cannot be opened",
            where=f"{engine.url.render_as_string(hide_password=True)}: {error.orig}",
            remedy="Check `database` in labsys.toml and the rights on that folder or server",
        ) from error
    except NewerSchemaError:
        engine.dispose()
        raise
    writer = engine.execution_options(**{_WRITES: True})
    updater: Engine = writer
    if engine.dialect.name == "postgresql":
        updater = engine
        engine = engine.execution_options(isolation_level="REPEATABLE READ")
    sessions, writers, updaters = (sessionmaker(e, expire_on_commit=False) for e in (engine, writer, updater))
    return Database(engine, sessions, writers, updaters, _reads_beside(engine.url))


def _reads_beside(url: URL) -> ReadsFile | None:
    return ReadsFile.beside(Path(url.database)) if url.get_backend_name() == "sqlite" and url.database else None


def upgrade_database(lab: Lab) -> str:
    """Migrate the lab's database to this version's schema and return the revision (`labsys db upgrade`)."""
    from api.database.reader_views import renew_views

    database = open_database(lab)
    with database.engine.begin() as connection:
        renew_views(connection)
    database.close()
    return HEAD


def _database_url(lab: Lab) -> URL:
    place = lab.database
    if isinstance(place, str) and "://" in place:
        try:
            url = make_url(place)
        except ArgumentError as error:
            raise InputError(
                "`database` is no URL", where="labsys.toml", remedy="postgresql://USER@HOST/NAME"
            ) from error
        if url.get_backend_name() == "sqlite" and url.database:
            place = url.database
        else:
            return url
    path = (lab.root / place).resolve()
    refuse_network_file_system(path)
    if not path.parent.is_dir():
        raise InputError("the folder of the database does not exist", where=str(path.parent), remedy="Make it")
    return URL.create("sqlite", database=str(path))


def refuse_network_file_system(path: Path) -> None:
    """Refuse a place for SQLite where file locks cannot be trusted (InputError says which file system)."""
    kind = network_file_system(path)
    if kind is not None:
        raise InputError(
            f"SQLite on a network file system ({kind}) can lose data",
            where=str(path),
            remedy="Set `database` in labsys.toml to a file on a local disk, or to a PostgreSQL URL",
        )


def _make_engine(url: URL) -> Engine:
    backend = url.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        raise InputError(
            f"labsys does not know databases of kind '{backend}'", remedy="Use a file path or postgresql://"
        )
    # An error of the database goes into the log; what was to be written does not: notes, hashes, sealed identity.
    # A server that was restarted is noticed before a request runs into a connection of before.
    engine = create_engine(url, hide_parameters=True, pool_pre_ping=backend == "postgresql")
    if backend == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        event.listen(engine, "begin", _begin_postgresql)
        event.listen(engine, "handle_error", _keep_rows_back)
    return engine


def _keep_rows_back(context: ExceptionContext) -> None:
    """PostgreSQL says the row that was refused, all of its columns, in a line of its own."""
    for error in (context.original_exception, context.sqlalchemy_exception):
        if error is not None:
            error.args = tuple(_DETAIL.sub("", a) if isinstance(a, str) else a for a in error.args)


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # The driver must not open transactions by itself: `begin` below does, also around DDL.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    if not options.get(_WRITES, False):
        connection.exec_driver_sql("BEGIN")
    elif options.get(_AT_ONCE, False):
        connection.exec_driver_sql("PRAGMA busy_timeout=0")
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        finally:
            connection.exec_driver_sql(f"PRAGMA busy_timeout={_PATIENCE_MS}")
    else:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin_postgresql(connection: Connection) -> None:
    if connection.get_execution_options().get(_WRITES, False):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})")


def _read_revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _upgrade(engine: Engine, found: str | None) -> None:
    # Alembic takes a third of a second to import and is needed once in the life of a database.
    from api.database.migrate import known_revisions, migrate_up
    from api.database.reader_views import drop_views, make_views

    if found is not None and found not in known_revisions():
        raise NewerSchemaError(
            f"the database has schema '{found}', which this labsys does not know",
            where=engine.url.render_as_string(hide_password=True),
            remedy="Use the newer labsys. Do not delete it: users, names and the audit are in it alone",
        )
    with engine.execution_options(**{_WRITES: True}).begin() as connection:
        # Another process may have been faster while this one waited for the lock.
        if _read_revision(connection) != HEAD:
            had_views = connection.dialect.name == "postgresql" and drop_views(connection)
            migrate_up(connection)
            if had_views:
                make_views(connection)
