"""Restoring a lab from its backup into an empty folder, every file compared with its hash.

The restored lab has its own embedded database unless another, empty one is named: the one that the lab was using may
still be in use. Identity can be read where the lab's key store is (LABSYS_KEYS), and is locked elsewhere.
"""

from __future__ import annotations

import itertools
import shutil
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session

from api.access.audit import TERMINAL, record
from api.backup import DATABASE, FOLDER, MANIFEST, Manifest, copy_rows, is_untouched
from api.database.columns import Base
from api.database.connection import Database, open_database
from api.database.tables_owned import ApiKeyRow, LinkRow, LoginRow, UserRow
from api.indexing.index import IndexReport, index_lab
from labsys.core.errors import InputError
from labsys.core.progress import Progress, SilentProgress
from labsys.storage.atomic import appearing, hash_file, is_there
from labsys.storage.documents import load_document
from labsys.storage.folder_copy import FolderCopy, copy_back
from labsys.storage.lab import Lab, open_lab, set_database

_EMBEDDED = "labsys.db"


@dataclass(frozen=True)
class LiveAccess:
    """How many users may sign in and how many keys open the lab, as they were when it was backed up."""

    users: int
    keys: int


@dataclass(frozen=True)
class Restored:
    """A restored lab, the manifest of its backup, what indexing it found, and who can get in again."""

    lab: Lab
    manifest: Manifest
    index: IndexReport
    access: LiveAccess


def restore_lab(backup: Path, root: Path, *, database: str = "", progress: Progress | None = None) -> Restored:
    """Make a lab from a backup: folder, database and index.

    Args:
        root: a folder that is empty or not there.
        database: URL of an empty one on a server; without, it is a file in the lab.

    Raises:
        InputError: no whole backup, a file that differs from its hash, or a folder or database that holds anything.
    """
    backup, root = backup.expanduser().resolve(), root.expanduser().resolve()
    manifest = load_manifest(backup)
    _refuse_full(root)
    if database.startswith("postgresql"):
        _refuse_full_database(root, manifest, database)  # before hours of copying
    with ExitStack() as undo:
        with appearing(root) as folder:
            lab = _restore_folder(backup, folder, manifest, database, progress or SilentProgress())
            index, access = _fill_database(backup, lab, manifest.database.sha256, undo)
        undo.pop_all()
    return Restored(open_lab(root), manifest, index, access)


def load_manifest(backup: Path) -> Manifest:
    """What a backup says it holds (InputError: it is no whole backup)."""
    path = backup / MANIFEST
    if not is_there(path):
        raise InputError("is no whole backup", where=str(backup), remedy="Name a folder that `labsys db backup` made")
    return load_document(path, Manifest)


def _refuse_full(root: Path) -> None:
    if root.is_symlink() or (root.exists() and (not root.is_dir() or any(root.iterdir()))):
        raise InputError("is not empty", where=str(root), remedy="Restore into an empty folder")


def _restore_folder(backup: Path, folder: Path, manifest: Manifest, database: str, progress: Progress) -> Lab:
    held = FolderCopy(manifest.files, manifest.folders)
    copy_back(backup / FOLDER, folder, held, progress=progress)
    set_database(folder, database or _free_name(manifest))
    lab = open_lab(folder)
    if lab.uuid != manifest.lab:
        raise InputError(f"holds lab {lab.uuid}, its manifest says {manifest.lab}", where=str(backup))
    return lab


def _free_name(manifest: Manifest) -> str:
    """A lab that went over to a server may still hold the file it had before."""
    others = (f"restored-{n}.db" for n in itertools.count(1))
    return next(name for name in itertools.chain([_EMBEDDED], others) if name not in manifest.files)


def _fill_database(backup: Path, lab: Lab, sha256: str, undo: ExitStack) -> tuple[IndexReport, LiveAccess]:
    """The owned rows into the lab's new database; the index is made from the folder. undo: empties a server again."""
    path = lab.root / f".{DATABASE}"
    shutil.copyfile(backup / DATABASE, path)
    if hash_file(path) != sha256:
        raise InputError(
            "differs from what was backed up", where=str(backup / DATABASE), remedy="Restore from another backup"
        )
    # A copy, because opening it migrates what an older labsys backed up.
    old, new = open_database(replace(lab, database=f"sqlite:///{path}")), open_database(lab)
    try:
        access = _copy_owned(old, new)
        if new.engine.dialect.name == "postgresql":
            undo.callback(_empty_database, lab)
        return index_lab(lab, database=new), access
    finally:
        for opened in (old, new):
            opened.close()
        for file in lab.root.glob(f".{DATABASE}*"):
            file.unlink()


def _copy_owned(old: Database, new: Database) -> LiveAccess:
    with new.write() as session, old.engine.connect() as reader:
        _refuse_touched(new, session)
        copy_rows(reader, session.connection())
        access = _close_doors(session)
        record(session, TERMINAL, "restore", str(new.engine.url.get_backend_name()))
    return access


def _close_doors(session: Session) -> LiveAccess:
    """End every login and link, as some were withdrawn since the backup; returns what people must look at."""
    now = datetime.now(UTC)
    session.execute(delete(LoginRow))
    session.execute(update(LinkRow).where(LinkRow.revoked_at.is_(None)).values(revoked_at=now))
    users = select(func.count()).select_from(UserRow).where(UserRow.disabled.is_(False))
    unexpired = or_(ApiKeyRow.expires_at.is_(None), ApiKeyRow.expires_at > now)
    keys = select(func.count()).select_from(ApiKeyRow).where(ApiKeyRow.revoked_at.is_(None), unexpired)
    return LiveAccess(session.scalar(users) or 0, session.scalar(keys) or 0)


def _refuse_touched(new: Database, session: Session) -> None:
    if not is_untouched(session.connection()):
        raise InputError(
            "the database holds something already",
            where=new.engine.url.render_as_string(hide_password=True),
            remedy="Name an empty one with --database",
        )


def _refuse_full_database(root: Path, manifest: Manifest, url: str) -> None:
    opened = open_database(Lab(root, manifest.lab, manifest.name, 1, url))
    try:
        with opened.read() as session:
            _refuse_touched(opened, session)
    finally:
        opened.close()


def _empty_database(lab: Lab) -> None:
    """Take out again what a restore put into a server's database before it failed; it was empty before."""
    opened = open_database(lab)
    try:
        with opened.write() as session:
            for table in reversed(Base.metadata.sorted_tables):
                session.execute(delete(table))
    finally:
        opened.close()
