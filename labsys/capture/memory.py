"""Memory of processes that must not wait: files that no disk ever sees, and room that is kept once it is had."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path

_FOLDER = Path("/dev/shm")
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # mallopt(3)
_TRIM_BYTES, _MMAP_BYTES = 1 << 30, 32 << 20  # 32 MiB is the most that is taken
_YOUNG_S = 60.0  # a folder is made before it is held


def make_memory_folder(prefix: str) -> Path:
    """A folder of this user's own, in memory where there is such a place, else where temporary files are.

    What processes share through a mapped file must not lie on a disk: when the kernel has written such a page down, the
    next process that changes it waits for the file system.
    """
    if _FOLDER.is_dir():
        with contextlib.suppress(OSError):  # a container may have one that is full, or that nobody may write to
            return Path(tempfile.mkdtemp(prefix=prefix, dir=_FOLDER))
    return Path(tempfile.mkdtemp(prefix=prefix))


class HeldFolder:
    """A folder that this process holds until it removes it; of a process that was killed, the next one removes it.

    Attributes:
        path: of a folder that only this user may look into. All folders of one prefix lie in one place.
    """

    def __init__(self, prefix: str, *, in_memory: bool) -> None:
        self.path = make_memory_folder(prefix) if in_memory else Path(tempfile.mkdtemp(prefix=prefix))
        self._held: int | None = _hold(self.path)
        for left in self.path.parent.glob(prefix + "*"):
            _remove_left(left)

    def remove(self) -> None:
        """Remove it with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._held is not None:
            os.close(self._held)
            self._held = None


def _hold(folder: Path) -> int | None:
    """What holds a folder while this process lives; None where it is gone, another user's or held by another one."""
    try:
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(held)
        return None
    return held


def _remove_left(folder: Path) -> None:
    held = _hold(folder)
    if held is None:
        return
    told = os.fstat(held)
    if told.st_uid == os.geteuid() and time.time() - told.st_mtime > _YOUNG_S:
        shutil.rmtree(folder, ignore_errors=True)
    os.close(held)


def keep_freed_memory() -> None:
    """Let this process keep what it frees, where its C library can: a picture's room is asked for again at once.

    By default glibc gives a free end of its heap back, and each of its pages is then a fault for every picture.
    """
    setting = getattr(ctypes.CDLL(None), "mallopt", None)
    if setting is not None:
        setting(_TRIM_THRESHOLD, _TRIM_BYTES)
        setting(_MMAP_THRESHOLD, _MMAP_BYTES)
