"""An exclusive lock that the system releases when its holder dies, however it dies."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from labsys.core.errors import ConcurrencyError
from labsys.storage.atomic import make_folder

_LOOKS, _LOOK_S = 3, 0.01


@contextlib.contextmanager
def hold_lock(path: Path, *, what: str, wait: bool = False) -> Iterator[None]:
    """Hold the lock file `path` while the block runs; the file is removed afterwards.

    With `wait` (for work of milliseconds) another holder is waited for.

    Raises:
        ConcurrencyError: another process holds it.
    """
    descriptor = _acquire(path, what, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        yield
    finally:
        # Removing comes last while still holding: whoever opened the old file notices that it is gone and tries again.
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(descriptor)


@contextlib.contextmanager
def hold_file(path: Path, *, what: str, alone: bool) -> Iterator[None]:
    """Hold the file `path` while the block runs: with others of its kind, or alone. It is made where it is missing.

    Raises:
        ConcurrencyError: others hold it in a way that does not go with this, or its folder is gone.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except FileNotFoundError as error:
        raise ConcurrencyError(f"{what} was finished or removed meanwhile", where=str(path.parent)) from error
    try:
        _flock_or_refuse(descriptor, path, what, alone=alone)
        yield
    finally:
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Whether somebody holds the lock file `path` just now; a file that nobody holds, or none, is left as it is."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _flock_or_refuse(descriptor: int, path: Path, what: str, *, alone: bool) -> None:
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ConcurrencyError(
            f"{what} is held by another process", where=str(path), remedy="Wait until it is done"
        ) from error
    if not _is_still(path, descriptor):
        raise ConcurrencyError(f"{what} was finished or removed meanwhile", where=str(path.parent))


def _acquire(path: Path, what: str, operation: int) -> int:
    looked_at = 0
    while True:
        make_folder(path.parent)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except FileNotFoundError:
            continue  # the folder was removed by the last holder between the two lines above
        try:
            fcntl.flock(descriptor, operation)
        except BlockingIOError as error:
            os.close(descriptor)
            if looked_at < _LOOKS:  # who only looks whether it is held holds it for that moment, too
                looked_at += 1
                time.sleep(_LOOK_S)
                continue
            raise ConcurrencyError(
                f"{what} is being written by another process", where=str(path), remedy="Wait until it is done"
            ) from error
        if _is_still(path, descriptor):
            return descriptor
        os.close(descriptor)


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        on_disk = path.stat()
    except FileNotFoundError:
        return False
    held = os.fstat(descriptor)
    return (on_disk.st_dev, on_disk.st_ino) == (held.st_dev, held.st_ino)
