"""Backup of a whole lab: its folder file by file with hashes, and its database, in a folder that is whole or not there.

OUT/manifest.json    which lab, when, every file with its SHA-256; written last
    folder/          the lab folder without derived files
    database.sqlite  what the database owns, of either kind of database; the index is made again from the folder

The folder is copied while the lab works. Last short passes under the write lock, until nothing moves any more, make
folder and database fit. The keys that identity is encrypted with are not in it: they lie elsewhere, and who destroys
one has erased it here too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, Connection, Table, create_engine, insert, select

import labsys
from api.access.audit import TERMINAL, record
from api.access.reads import collect_reads
from api.database.columns import Base
from api.database.connection import Database, open_database
from api.database.migrate import migrate_up
from api.database.migrations import HEAD
from api.database.reads_file import ReadsFile
from api.database.tables import INDEX_TABLES
from api.indexing.index import ensure_indexed
from labsys.core.clock import utc_now
from labsys.core.errors import InputError
from labsys.core.progress import Progress, SilentProgress
from labsys.storage.atomic import appearing, hash_file
from labsys.storage.documents import save_document
from labsys.storage.folder_copy import CopiedFile, FolderCopy, copy_changes, is_settled
from labsys.storage.lab import Lab

MANIFEST, FOLDER, DATABASE = "manifest.json", "folder", "database.sqlite"
OWNED_TABLES = tuple(t for t in Base.metadata.sorted_tables if t.name not in INDEX_TABLES)
# The first pass may take hours, the second what changed meanwhile, those after it hold the write lock.
_PASSES_BESIDE_WORK = 2
_PASSES_UNDER_LOCK = 10
_ROWS_AT_ONCE = 1000


@dataclass(frozen=True)
class Manifest:
    """What a backup holds. lab: UUID of the lab; revision: of the database's schema; files, folders: as FolderCopy."""

    lab: str
    name: str
    made_at: str
    labsys_version: str
    revision: str
    database: CopiedFile
    files: Mapping[str, CopiedFile]
    folders: tuple[str, ...]


def backup_lab(lab: Lab, out: Path, *, progress: Progress | None = None) -> Manifest:
    """Back the lab up into a new folder, while it is in use; the backup appears whole, or not at all.

    Raises:
        InputError: `out` is there already or inside the lab, something cannot be read or written, or the folder never
            rested.
        ConcurrencyError: another process held the database for a minute.
    """
    out = out.expanduser().resolve()
    _refuse_place(lab, out)
    database = open_database(lab)
    try:
        ensure_indexed(lab, database)
        with appearing(out) as folder:
            return _fill(lab, database, folder, progress or SilentProgress())
    finally:
        database.close()


def copy_rows(source: Connection, target: Connection) -> None:
    """Copy every row that the database owns; the target has the tables and no rows."""
    for table in OWNED_TABLES:
        rows = source.execute(select(table)).mappings()
        for part in rows.partitions(_ROWS_AT_ONCE):
            target.execute(insert(table), [dict(row) for row in part])


def is_untouched(connection: Connection) -> bool:
    """Whether no table holds anything yet."""
    return not any(_holds_rows(connection, table) for table in Base.metadata.sorted_tables)


def _holds_rows(connection: Connection, table: Table) -> bool:
    return connection.execute(select(table).limit(1)).first() is not None


def _refuse_place(lab: Lab, out: Path) -> None:
    if out.exists() or out.is_symlink():
        raise InputError("is there already and is not overwritten", where=str(out), remedy="Choose another --out")
    if out.is_relative_to(lab.root):
        raise InputError(
            "lies inside the lab, and the next backup would take it along",
            where=str(out),
            remedy="Choose a folder elsewhere, best on another disk",
        )


def _fill(lab: Lab, database: Database, folder: Path, progress: Progress) -> Manifest:
    target, leave_out, copy = folder / FOLDER, _database_files(lab, database.engine.url), FolderCopy()
    for _ in range(_PASSES_BESIDE_WORK):
        copy = copy_changes(lab.root, target, copy, leave_out=leave_out, progress=progress)
    collect_reads(database)  # here, as those passes may have taken hours
    with database.write() as session:
        # Before the last pass: of a run that comes in between, the folder knows; its job is done again, to no effect.
        copied = _copy_database(database, folder / DATABASE)
        copy = _copy_until_settled(lab.root, target, copy, leave_out=leave_out, progress=progress)
        record(session, TERMINAL, "backup", lab.name)
    manifest = Manifest(lab.uuid, lab.name, utc_now(), labsys.__version__, HEAD, copied, dict(copy.files), copy.folders)
    save_document(folder / MANIFEST, manifest)
    return manifest


def _copy_until_settled(
    source: Path, target: Path, copy: FolderCopy, *, leave_out: tuple[Path, ...], progress: Progress
) -> FolderCopy:
    """Pass after pass, as trials are moved and runs come to count without the database's lock."""
    for _ in range(_PASSES_UNDER_LOCK):
        before, copy = copy, copy_changes(source, target, copy, leave_out=leave_out, progress=progress)
        if is_settled(before, copy):
            return copy
    raise InputError(
        f"the lab folder changed during each of {_PASSES_UNDER_LOCK} passes, and no copy of it would be of one moment",
        where=str(source),
        remedy="Back up while less is going on",
    )


def _database_files(lab: Lab, url: URL) -> tuple[Path, ...]:
    """The files of an embedded database, whose copies would be torn."""
    if url.get_backend_name() != "sqlite" or not url.database:
        return ()
    path = lab.root / url.database
    both = (path, ReadsFile.beside(path).path)
    return tuple(p.with_name(p.name + ending) for p in both for ending in ("", "-wal", "-shm", "-journal"))


def _copy_database(database: Database, target: Path) -> CopiedFile:
    """The owned rows of one snapshot, from either kind of database into one that opens anywhere."""
    engine = create_engine(URL.create("sqlite", database=str(target)))
    try:
        with database.engine.connect() as reader, engine.begin() as writer:
            migrate_up(writer)
            copy_rows(reader, writer)
    finally:
        engine.dispose()
    stat = target.stat()
    return CopiedFile(hash_file(target), stat.st_size, stat.st_mtime_ns)
