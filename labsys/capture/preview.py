"""The latest picture of each camera for whoever looks on, as the camera compressed it: a small file with two slots.

The writer thread of a camera's process fills the slot that is not the newest and then counts up; a reader copies the
newest and looks at the count again. Nothing is decoded, nobody waits for anybody, and the capture thread of a take has
no part in it. The file holds pictures of a person: it lies in memory where there is such a place, for its owner alone.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

from labsys.capture.memory import make_memory_folder
from labsys.core.errors import InputError

PREVIEW_HZ = 10.0
_HEAD = struct.Struct("<QQqQq")  # count; bytes and time of each slot
_BODY = 64
FOLDER_PREFIX = "labsys-station-"


@dataclass(frozen=True)
class Preview:
    """One picture. number: grows with every picture of the camera. t_ns: when it was taken, monotonic clock."""

    number: int
    t_ns: int
    picture: bytes


def make_preview_folder() -> Path:
    """A folder of this user's own for previews, in memory where there is such a place."""
    return make_memory_folder(FOLDER_PREFIX)


def preview_file(folder: Path, camera: str) -> Path:
    """Where the pictures of a camera lie."""
    return folder / f"{camera}.preview"


def make_preview(path: Path, size_px: tuple[int, int]) -> None:
    """An empty file for pictures of a size; a JPEG of more than a byte per pixel is not shown.

    Raises:
        InputError: no room for it.
    """
    try:
        with path.open("xb") as file:
            path.chmod(0o600)
            # Not a hole: memory that is full later would end the process that writes a picture into it, and its take.
            file.write(bytes(_BODY + 2 * size_px[0] * size_px[1]))
    except OSError as error:
        raise InputError(
            f"no place for the pictures that are shown: {error.strerror or error}",
            where=str(path.parent),
            remedy="Make room there (in a container: a larger --shm-size)",
        ) from error


class PreviewWriter:
    """Shows pictures of one camera; goes on counting where another process of the same camera ended."""

    def __init__(self, path: Path) -> None:
        self._memory = _map(path)
        self._room = (len(self._memory) - _BODY) // 2
        self._shown_ns = 0
        self._shown = b""

    def offer(self, picture: bytes, now_ns: int) -> None:
        """Show a picture, unless the last one was shown a moment ago or it is that one."""
        if picture is self._shown or now_ns - self._shown_ns < 0.95e9 / PREVIEW_HZ:
            return
        self._shown, self._shown_ns = picture, now_ns
        if len(picture) > self._room:
            return
        count, *told = _HEAD.unpack_from(self._memory)
        slot = (count + 1) % 2
        begin = _BODY + slot * self._room
        self._memory[begin : begin + len(picture)] = picture
        told[2 * slot : 2 * slot + 2] = len(picture), now_ns
        _HEAD.pack_into(self._memory, 0, count, *told)
        struct.pack_into("<Q", self._memory, 0, count + 1)


class PreviewReader:
    """Looks at the pictures of one camera (OSError: there is no such file)."""

    def __init__(self, path: Path) -> None:
        self._memory = _map(path, mmap.ACCESS_READ)
        self._room = (len(self._memory) - _BODY) // 2

    def latest(self, after: int = 0) -> Preview | None:
        """The newest picture; None where none is newer than `after`, or it was replaced while it was copied."""
        count, *told = _HEAD.unpack_from(self._memory)
        if count <= after:
            return None
        slot = count % 2
        size, t_ns = told[2 * slot], told[2 * slot + 1]
        begin = _BODY + slot * self._room
        picture = self._memory[begin : begin + size]
        # Two counts later the slot is written again; one later it may be about to be.
        return Preview(count, t_ns, picture) if _HEAD.unpack_from(self._memory)[0] == count else None


def _map(path: Path, access: int = mmap.ACCESS_WRITE) -> mmap.mmap:
    with path.open("r+b" if access == mmap.ACCESS_WRITE else "rb") as file:
        return mmap.mmap(file.fileno(), 0, access=access)
