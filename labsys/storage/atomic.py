"""Writing files so that a reader, or a machine that lost power, finds the old content or the new, never a mixture.

Every write goes to a hidden temporary file in the same folder, is flushed to the disk, renamed over the target, and the
folder is flushed too.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from labsys.core.errors import InputError

_CHUNK = 1 << 20


def sync_folder(folder: Path) -> None:
    """Flush a folder's own entries (names that were added, renamed or removed) to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Flush a file's content to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Flush every file and folder below, and the folder itself."""
    for path in folder.rglob("*"):
        if path.is_dir():
            sync_folder(path)
        else:
            sync_file(path)
    sync_folder(folder)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing, and flush their names to the disk."""
    missing = [f for f in (folder, *folder.parents) if not f.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for made in missing:
        sync_folder(made.parent)


def is_there(path: Path) -> bool:
    """Whether something is at a path; unlike `Path.exists`, a folder that may not be read is an error everywhere.

    Raises:
        InputError: a folder on the way cannot be read.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=str(path)) from error
    return True


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on leaving without an error it replaces `path` at once.

    For writers that want a path of their own (Parquet, HDF5). After an error the temporary file is removed and the
    old content stays.

    Raises:
        InputError: the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}{path.suffix}")
    try:
        make_folder(path.parent)
        yield temporary
        sync_file(temporary)
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise InputError(
            f"cannot write: {error.strerror or error}", where=str(path), remedy="Check permissions and free space"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


@contextlib.contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """Give a hidden folder beside `path`; on leaving without an error it becomes `path`, an empty one giving way.

    After an error nothing of it stays.

    Raises:
        InputError: a file cannot be read or written.
    """
    hidden = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        make_folder(hidden)
        yield hidden
        sync_tree(hidden)
        if path.is_dir():
            path.rmdir()
        hidden.rename(path)
        sync_folder(path.parent)
    except OSError as error:
        raise InputError(
            f"cannot be made: {error.strerror or error}", where=str(path), remedy="Check permissions and free space"
        ) from error
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def write_bytes_atomic(path: Path, data: bytes) -> None:
    """Write bytes at once (InputError where the folder cannot be written)."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text_atomic(path: Path, text: str) -> None:
    """Write UTF-8 text at once (InputError where the folder cannot be written)."""
    write_bytes_atomic(path, text.encode("utf-8"))


def write_json_atomic(path: Path, document: dict[str, Any]) -> None:
    """Write a JSON object at once, indented, in the order given.

    Raises:
        InputError: the folder cannot be written, or the document holds NaN or infinity, which JSON cannot say.
    """
    try:
        text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise InputError(f"cannot be said in JSON: {error}", where=str(path)) from error
    write_text_atomic(path, text + "\n")


def read_text(path: Path) -> str:
    """Read UTF-8 text (InputError naming the file where it is missing, unreadable or not text)."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError("is not UTF-8 text", where=str(path)) from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=str(path)) from error


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object (InputError naming the file where it is missing, unreadable, corrupt or no object)."""
    text = read_text(path)
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"is not valid JSON: {error.msg} in line {error.lineno}", where=str(path), remedy="Restore it from a backup"
        ) from error
    if not isinstance(document, dict):
        raise InputError("holds no JSON object", where=str(path))
    return document


def hash_file(path: Path) -> str:
    """SHA-256 of a file's content, hexadecimal (InputError where it cannot be read)."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=str(path)) from error
    return digest.hexdigest()
