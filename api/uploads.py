"""Files that come in over HTTP and wait to become part of a recording.

They are named by their SHA-256: the same file sent twice is there once, and one that was cut off or changed on the way
is not there at all. Nothing is ever unpacked, and no name that a client gives becomes a path. What nobody used for a
day, and no import still needs, is removed.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO

from api.errors import RefusedError
from labsys.storage.atomic import make_folder, sync_folder
from labsys.storage.lab import Lab

# Hidden, so that no backup takes it along.
_FOLDER = ".uploads.partial"
_KEPT_S = 86_400.0
# Left free for everything else that the lab writes.
_RESERVE_BYTES = 1 << 30
# What comes without a length, or beside others, is noticed as it fills the disk.
_LOOK_EVERY_BYTES = 64 << 20
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Upload:
    """A file that is here whole."""

    sha256: str
    size_bytes: int
    path: Path


class Incoming:
    """A file on its way in."""

    def __init__(self, file: BinaryIO, folder: Path) -> None:
        self._file, self._folder, self._digest = file, folder, hashlib.sha256()
        self.size_bytes, self._looked_at = 0, 0

    def write(self, chunk: bytes) -> None:
        """The next bytes (RefusedError: 413, no room is left for them)."""
        if self.size_bytes - self._looked_at >= _LOOK_EVERY_BYTES:
            self._looked_at = self.size_bytes
            _require_room(self._folder, len(chunk))
        self._digest.update(chunk)
        self.size_bytes += self._file.write(chunk)

    def finish(self) -> str:
        """Flush it to the disk; the SHA-256 of what came."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._digest.hexdigest()


def find_upload(lab: Lab, sha256: str) -> Upload | None:
    """A file by its hash, None where it is not here; whoever asks keeps it for another day."""
    path = lab.root / _FOLDER / sha256
    try:
        os.utime(path)
        return Upload(sha256, path.stat().st_size, path)
    except FileNotFoundError:
        return None


@contextmanager
def naming_uploads(lab: Lab) -> Iterator[Path]:
    """A folder on the same disk to give uploads other names in (links); removed with the block."""
    make_folder(lab.root / _FOLDER)
    with tempfile.TemporaryDirectory(prefix="import-", dir=lab.root / _FOLDER) as folder:
        yield Path(folder)


@contextmanager
def receiving(lab: Lab, sha256: str, announced_bytes: int) -> Iterator[Incoming]:
    """Take a file in; it is there once the block ends, or not at all.

    Raises:
        RefusedError: 413, no room for it; 422, what came has another hash than was announced.
    """
    folder = lab.root / _FOLDER
    make_folder(folder)
    _require_room(folder, announced_bytes)
    hidden = folder / f"{sha256}.{uuid.uuid4().hex}"
    try:
        with hidden.open("xb") as file:
            incoming = Incoming(file, folder)
            yield incoming
            found = incoming.finish()
        if found != sha256:
            raise RefusedError(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "other-content",
                f"{incoming.size_bytes} bytes came, and their SHA-256 is {found}",
                remedy="Send the file again, under the SHA-256 of its content",
            )
        hidden.replace(folder / sha256)
        sync_folder(folder)
    except OSError as error:
        if error.errno in _FULL:
            raise _no_room() from error
        raise
    finally:
        hidden.unlink(missing_ok=True)


def _require_room(folder: Path, size_bytes: int) -> None:
    if shutil.disk_usage(folder).free < size_bytes + _RESERVE_BYTES:
        raise _no_room()


def _no_room() -> RefusedError:
    return RefusedError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "no-room", "the lab has no room for this file", remedy="Make room"
    )


def remove_old(lab: Lab, needed: frozenset[str]) -> None:
    """Remove what nobody used for a day, but the files of these hashes; also what a crash left half-written."""
    folder = lab.root / _FOLDER
    for path in folder.iterdir() if folder.exists() else ():
        try:
            if path.name in needed or time.time() - path.stat().st_mtime <= _KEPT_S:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()
        except FileNotFoundError:
            continue  # another process was faster
