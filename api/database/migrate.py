"""Alembic behind three functions; nothing else of labsys knows it."""

from __future__ import annotations

from importlib.resources import files

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(files("api.database").joinpath("migrations")).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def known_revisions() -> frozenset[str]:
    """Every revision that this labsys can migrate from."""
    return frozenset(script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions())


def migrate_up(connection: Connection, revision: str = "head") -> None:
    """Bring the database up to a revision, inside the caller's transaction."""
    command.upgrade(_config(connection), revision)


def migrate_down(connection: Connection, revision: str) -> None:
    """Bring the database back to a revision ("base": no tables), inside the caller's transaction."""
    command.downgrade(_config(connection), revision)
