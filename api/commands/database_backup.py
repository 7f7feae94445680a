"""Copying the embedded database while it is in use."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from api.database import open_database
from labsys.core.errors import InputError
from labsys.storage.atomic import replacing
from labsys.storage.lab import Lab


def backup_database(lab: Lab, out: Path) -> Path:
    """Write a whole, consistent copy of the lab's SQLite database; returns its path.

    Raises:
        InputError: the file exists, cannot be written, or the database is PostgreSQL's.
    """
    database = open_database(lab)
    try:
        url = database.engine.url
        if url.get_backend_name() != "sqlite" or not url.database:
            raise InputError("the database is not the embedded one", where=url.render_as_string(), remedy="Use pg_dump")
        if out.exists():
            raise InputError("is there already and is not overwritten", where=str(out), remedy="Choose another --out")
        with replacing(out) as temporary:
            _copy(Path(url.database), temporary)
    finally:
        database.close()
    return out


def _copy(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as reader, closing(sqlite3.connect(target)) as writer:
        reader.backup(writer)
