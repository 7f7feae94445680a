"""Timestamps beside a video: CAMERA.fts, a 64-byte header and 48 bytes per frame; row i belongs to packet i.

Little endian. Rows are only ever appended, each with one write, after its packet: a file that was cut short loses its
last rows and nothing else. `flags`: bits 0-7 what is wrong with the frame (0: it is a measurement), bits 8-11 whose
clock `t_ns` comes from, bits 16-31 how many frames the recorder itself had to let go just before this one.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from labsys.core.errors import InputError, NewerSchemaError
from labsys.storage.atomic import replacing

ROW = np.dtype(
    [
        ("seq", "<i8"),
        ("t_ns", "<i8"),
        ("t_device_ns", "<i8"),
        ("t_host_ns", "<i8"),
        ("bytes", "<u4"),
        ("flags", "<u4"),
        ("exposure_us", "<f4"),
        ("gain", "<f4"),
    ]
)
PACKED = struct.Struct("<qqqqIIff")
_HEADER = struct.Struct("<8sII48s")
HEADER_BYTES = _HEADER.size
_MAGIC, _VERSION = b"LABSYSFT", 1
_MEANING = b"seq t_ns t_device_ns t_host_ns bytes flags exp gain"[:48]
BAD_MASK, SOURCE_SHIFT, SOURCE_MASK, LOST_SHIFT, LOST_MOST = 0xFF, 8, 0xF, 16, 0xFFFF

Rows = NDArray[np.void]


def pack_flags(*, bad: int, source: int, lost_before: int) -> int:
    """The `flags` of a row; more than 65535 frames let go at once count as 65535."""
    return (bad & BAD_MASK) | (source & SOURCE_MASK) << SOURCE_SHIFT | min(lost_before, LOST_MOST) << LOST_SHIFT


def is_bad(rows: Rows) -> NDArray[np.bool_]:
    """(N,) whether a frame is no measurement."""
    return np.asarray((rows["flags"] & BAD_MASK) != 0)


def lost_before(rows: Rows) -> NDArray[np.int64]:
    """(N,) frames that the recorder let go just before each row."""
    return np.asarray(rows["flags"] >> LOST_SHIFT, dtype=np.int64)


def stamp_source(rows: Rows) -> NDArray[np.int64]:
    """(N,) whose clock the times come from."""
    return np.asarray((rows["flags"] >> SOURCE_SHIFT) & SOURCE_MASK, dtype=np.int64)


class SidecarWriter:
    """Appends rows to a new sidecar, unbuffered (OSError where the disk refuses)."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb", buffering=0)
        self._file.write(_header())

    def append(self, row: bytes) -> None:
        """Append one packed row."""
        self._file.write(row)

    def sync(self) -> None:
        """Flush to the disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """End the file."""
        self._file.close()

    def __enter__(self) -> SidecarWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def read_sidecar(path: Path) -> Rows:
    """All whole rows (InputError: unreadable, or no sidecar; NewerSchemaError)."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=str(path)) from error
    if len(content) < _HEADER.size or content[:8] != _MAGIC:
        raise InputError("holds no timestamps of labsys", where=str(path))
    _, version, size, _ = _HEADER.unpack_from(content)
    if version > _VERSION or size != ROW.itemsize:
        raise NewerSchemaError(f"has version {version}, this labsys reads {_VERSION}", where=str(path))
    whole = (len(content) - _HEADER.size) // ROW.itemsize
    return np.frombuffer(content, dtype=ROW, count=whole, offset=_HEADER.size)


def write_sidecar(path: Path, rows: Rows) -> None:
    """Write a whole sidecar at once."""
    with replacing(path) as temporary:
        temporary.write_bytes(_header() + rows.tobytes())


def _header() -> bytes:
    return _HEADER.pack(_MAGIC, _VERSION, ROW.itemsize, _MEANING)
