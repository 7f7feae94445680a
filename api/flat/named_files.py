"""DuckDB over files that the database names, and over no other: a query reads these paths or nothing.

Every file is compared with its hash first. A question over files of which one is gone or altered has no answer: what it
left out would be missed by nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from api.database.tables import FileRow
from labsys.core.errors import InputError
from labsys.storage.atomic import hash_file
from labsys.storage.lab import Lab

_NAMED = 3
# Extensions come from a server of DuckDB's, and this machine may have no network: none is ever looked for.
_CONFIG = {
    "threads": "2",
    "memory_limit": "1GB",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}


def check_files(lab: Lab, files: Iterable[FileRow]) -> dict[str, Path]:
    """Where the files are, by their path in the lab.

    Raises:
        InputError: some are gone, differ from what the database knows, or a link leads out of the lab; names them.
    """
    places = {file.path: (lab.root / file.path).resolve() for file in files}
    hashes = {file.path: file.sha256 for file in files}
    root = lab.root.resolve()
    found = {path: _what_is_wrong(place, root, hashes[path]) for path, place in places.items()}
    wrong = [f"{path} {what}" for path, what in found.items() if what]
    if wrong:
        more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        raise InputError(
            "a file that the table is made of cannot be used: " + "; ".join(wrong[:_NAMED]) + more,
            remedy="Restore it from a backup, then `labsys index`; or ask for other subjects, or another time, alone",
        )
    return places


def _what_is_wrong(place: Path, root: Path, sha256: str | None) -> str:
    if not place.is_relative_to(root):
        return "lies outside the lab"
    try:
        return "" if hash_file(place) == sha256 else "differs from what the run wrote"
    except (OSError, InputError):
        return "is gone"


def ask_files(sql: str, places: Sequence[Path], tables: Mapping[str, Any]) -> Any:
    """Answer of a query of ours over these files and Arrow tables, as an Arrow table.

    Inside the query, `read_parquet` is given nothing but parameters that are among `places`.
    """
    import duckdb  # takes longer to import than most questions take

    with duckdb.connect(config=dict(_CONFIG)) as connection:
        allowed = ", ".join(_quoted(place) for place in places)
        connection.execute(f"SET allowed_paths = [{allowed}]")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        for name, table in tables.items():
            connection.register(name, table)
        return connection.sql(sql).to_arrow_table()


def file_list(places: Iterable[Path]) -> str:
    """The paths as SQL says a list."""
    return "[" + ", ".join(_quoted(place) for place in places) + "]"


def _quoted(place: Path) -> str:
    return "'" + str(place).replace("'", "''") + "'"
