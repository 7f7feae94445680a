"""Memory of processes that must not wait: files that no disk ever sees, and room that is kept once it is had."""

from __future__ import annotations

import ctypes
import tempfile
from pathlib import Path

_FOLDER = Path("/dev/shm")
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # mallopt(3)
_TRIM_BYTES, _MMAP_BYTES = 1 << 30, 32 << 20  # 32 MiB is the most that is taken


def make_memory_folder(prefix: str) -> Path:
    """A folder of this user's own, in memory where there is such a place, else where temporary files are.

    What processes share through a mapped file must not lie on a disk: when the kernel has written such a page down, the
    next process that changes it waits for the file system.
    """
    return Path(tempfile.mkdtemp(prefix=prefix, dir=_FOLDER if _FOLDER.is_dir() else None))


def keep_freed_memory() -> None:
    """Let this process keep what it frees, where its C library can: a picture's room is asked for again at once.

    By default glibc gives a free end of its heap back, and each of its pages is then a fault for every picture.
    """
    setting = getattr(ctypes.CDLL(None), "mallopt", None)
    if setting is not None:
        setting(_TRIM_THRESHOLD, _TRIM_BYTES)
        setting(_MMAP_THRESHOLD, _MMAP_BYTES)
