"""Alembic's entry: the connection is handed in by api.database.connection, which owns the transaction and the lock."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

import api.database.tables_owned  # noqa: F401 - its tables belong to the same metadata
from api.database.columns import Base


def _migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,
        compare_type=True,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()


_migrate(context.config.attributes["connection"])
