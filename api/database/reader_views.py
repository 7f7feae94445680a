"""Read-only views `v_*` for programs that speak SQL, and the role `labsys_reader` that sees them and nothing else.

They exist in PostgreSQL alone, where `labsys db reader` makes them. They show what the flat tables show: no identity,
no secrets, no notes. Units stand in the catalogue of this labsys, so another version makes the views anew.
"""

from __future__ import annotations

import hashlib

from sqlalchemy import Connection, text

from api.database.reader_sql import VIEWS
from labsys.core.errors import InputError

READER = "labsys_reader"
MIN_PASSWORD = 12
_MADE = "labsys views "


def make_reader(connection: Connection) -> bool:
    """Make the views and let the role read them, inside the caller's transaction; whether the role is new.

    Raises:
        InputError: this is no PostgreSQL, the role may not be made here, or it could read or write more than the views.
    """
    if connection.dialect.name != "postgresql":
        raise InputError(
            "views for readers need PostgreSQL; this lab's database is a SQLite file",
            remedy="Set `database` in labsys.toml to a PostgreSQL URL, or read /api/v1/tables as CSV or Parquet",
        )
    is_new = connection.execute(text("SELECT 1 FROM pg_roles WHERE rolname = :r"), {"r": READER}).first() is None
    if is_new:
        _make_role(connection)
    make_views(connection)
    _check_reader(connection)
    return is_new


def set_password(connection: Connection, password: str) -> None:
    """Let the role sign in with this password (InputError: it is shorter than twelve characters)."""
    if len(password) < MIN_PASSWORD:
        raise InputError(f"the password is shorter than {MIN_PASSWORD} characters", remedy="Choose a longer one")
    # ALTER ROLE takes no parameters; the server itself quotes the literal.
    quoted = connection.execute(text("SELECT quote_literal(CAST(:p AS text))"), {"p": password}).scalar_one()
    connection.exec_driver_sql(f"ALTER ROLE {READER} LOGIN PASSWORD {quoted}".replace("%", "%%"))


def make_views(connection: Connection) -> None:
    """Make every view anew, and let the role read them."""
    drop_views(connection)
    for name, sql in VIEWS.items():
        connection.exec_driver_sql(f"CREATE VIEW {name} AS {sql}".replace("%", "%%"))
        connection.exec_driver_sql(f"COMMENT ON VIEW {name} IS '{_MADE}{_digest()}'")
        connection.exec_driver_sql(f"GRANT SELECT ON {name} TO {READER}")
    schema = _schema(connection)
    connection.exec_driver_sql(f'GRANT USAGE ON SCHEMA "{schema}" TO {READER}')


def drop_views(connection: Connection) -> bool:
    """Remove the views, which a migration of the tables below them would trip over; whether there were any."""
    were = _made_by(connection) is not None
    for name in reversed(VIEWS):
        connection.exec_driver_sql(f"DROP VIEW IF EXISTS {name}")
    return were


def renew_views(connection: Connection) -> None:
    """Make the views anew where another version of labsys made them; a lab without them stays without."""
    if connection.dialect.name == "postgresql" and _made_by(connection) not in (None, _digest()):
        make_views(connection)


def _made_by(connection: Connection) -> str | None:
    asked = (
        "SELECT coalesce(obj_description(c.oid, 'pg_class'), '') FROM pg_class c "
        "WHERE c.relname = :name AND c.relkind = 'v' AND c.relnamespace = current_schema()::regnamespace"
    )
    found = connection.execute(text(asked), {"name": next(iter(VIEWS))}).scalar()
    return None if found is None else str(found).removeprefix(_MADE)


def _digest() -> str:
    return hashlib.sha256("\n".join(f"{n}: {sql}" for n, sql in VIEWS.items()).encode()).hexdigest()[:16]


def _make_role(connection: Connection) -> None:
    may = connection.execute(
        text("SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = current_user")
    ).scalar()
    if not may:
        raise InputError(
            f"this database's user may not make the role {READER}",
            remedy=f"Let an administrator of the server run CREATE ROLE {READER}; then run this again",
        )
    connection.exec_driver_sql(f"CREATE ROLE {READER} NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE")


def _schema(connection: Connection) -> str:
    return str(connection.execute(text("SELECT current_schema()")).scalar())


def _check_reader(connection: Connection) -> None:
    """Before PostgreSQL 15 everybody may make tables; and somebody may have granted more."""
    schema = _schema(connection)
    may_create = f"SELECT has_schema_privilege('{READER}', :schema, 'CREATE')"
    if connection.execute(text(may_create), {"schema": schema}).scalar():
        connection.exec_driver_sql(f'REVOKE CREATE ON SCHEMA "{schema}" FROM PUBLIC')
    more = (
        "SELECT c.relname FROM pg_class c "
        "WHERE c.relkind IN ('r', 'p') AND c.relnamespace = current_schema()::regnamespace "
        f"AND has_table_privilege('{READER}', c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE') ORDER BY 1"
    )
    tables = list(connection.execute(text(more)).scalars())
    if tables or connection.execute(text(may_create), {"schema": schema}).scalar():
        what = f"the tables {', '.join(tables)}" if tables else f"a new table in the schema {schema}"
        raise InputError(
            f"the role {READER} could reach {what}, which it must not",
            remedy="Take from it, and from PUBLIC, whatever was granted beyond the views; then run this again",
        )
