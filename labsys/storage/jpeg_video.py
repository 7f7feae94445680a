"""JPEG pictures as they are into Matroska, one system call a picture and no copy on the way.

A muxer of a library copies every picture twice and writes it in pieces, which costs a recorder more than all its other
work. Only what one stream of pictures needs is written: header, clusters of simple blocks, index. Until it is closed a
file has no length and no index, and reads to its last whole picture. Source: RFC 8794 (EBML), RFC 9559 (Matroska).
"""

from __future__ import annotations

import contextlib
import os
import struct
from pathlib import Path
from typing import BinaryIO

_CLUSTER_MS = 2000  # a block's time is two bytes, ms from its cluster's
_UNKNOWN = b"\x01\xff\xff\xff\xff\xff\xff\xff"
_BLOCK = struct.Struct(">BIBhB")  # simple block: id, size, track, ms from the cluster's time, flags
_BLOCK_HEAD, _KEYFRAME, _TRACK = 4, 0x80, 0x81
_MOST_BYTES = (1 << 28) - 1 - _BLOCK_HEAD

_SEGMENT, _SEEK_HEAD, _INFO = b"\x18\x53\x80\x67", b"\x11\x4d\x9b\x74", b"\x15\x49\xa9\x66"
_TRACKS, _CLUSTER, _CUES = b"\x16\x54\xae\x6b", b"\x1f\x43\xb6\x75", b"\x1c\x53\xbb\x6b"


class JpegVideo:
    """A Matroska file of Motion JPEG that is being written.

    Matroska keeps times to a millisecond: the truth about time belongs into a file of timestamps beside it. Every
    picture is handed to the system at once, so that a killed process loses none that `write` returned from.

    Raises:
        OSError: the file cannot be written, here and in every method but `begin_sync`; its errno tells a full disk.
            What was written before is whole.
    """

    def __init__(self, path: Path, *, size_px: tuple[int, int], rate_hz: float) -> None:
        self._file: BinaryIO = path.open("w+b", buffering=0)
        self._end = self._begun = 0
        self._last_ms, self._duration_ms = -1, max(round(1000.0 / rate_hz), 1)
        self._cluster_ms, self._cluster_at = -1, 0
        self._cues: list[tuple[int, int]] = []
        try:
            self._append(_begin_file())
            self._segment_at = self._end
            self._seek_at = self._end
            self._append(_void(_SEEK_BYTES))
            info = _info()
            self._duration_at = self._end + len(info) - _DURATION_BYTES
            self._append(info + _track(size_px, rate_hz))
        except OSError:
            self._file.close()
            raise

    def write(self, picture: bytes, moment_s: float) -> None:
        """Append a picture; moments count from the first one's and are made to rise by a millisecond at least."""
        if not 0 < len(picture) <= _MOST_BYTES:
            raise ValueError(f"a picture of {len(picture)} bytes")
        now_ms = max(round(1000.0 * moment_s), self._last_ms + 1)
        if self._cluster_ms < 0 or now_ms - self._cluster_ms >= _CLUSTER_MS:
            self._begin_cluster(now_ms)
        size = 0x1000_0000 | (len(picture) + _BLOCK_HEAD)
        self._append(_BLOCK.pack(0xA3, size, _TRACK, now_ms - self._cluster_ms, _KEYFRAME), picture)
        self._last_ms = now_ms

    def begin_sync(self) -> None:
        """Let the system begin to write to the disk what came since the last time, without waiting for it.

        Raises nothing: a file system that takes no advice is no disk that fails, and `sync` forces the same.
        """
        begin, self._begun = self._begun, self._end
        if hasattr(os, "posix_fadvise"):  # what it is told of is dirty: it is written, and nothing of it forgotten yet
            with contextlib.suppress(OSError):
                os.posix_fadvise(self._file.fileno(), begin, self._begun - begin, os.POSIX_FADV_DONTNEED)

    def sync(self) -> None:
        """Force what was written to the disk."""
        getattr(os, "fdatasync", os.fsync)(self._file.fileno())

    def close(self) -> None:
        """End the file, with its index."""
        if self._file.closed:
            return
        try:
            self._end_cluster()
            cues_at = self._end
            self._append(_index(self._cues))
            self._patch(self._seek_at, _seek(cues_at - self._segment_at))
            self._patch(self._duration_at, _duration(self._last_ms + self._duration_ms if self._cues else 0))
            self._patch(self._segment_at - 8, _long_size(self._end - self._segment_at))
        finally:
            self._file.close()

    def _begin_cluster(self, now_ms: int) -> None:
        self._end_cluster()
        begin = self._end
        self._append(_CLUSTER + _UNKNOWN + _element(b"\xe7", _number(now_ms)))
        self._cluster_ms, self._cluster_at = now_ms, begin
        self._cues.append((now_ms, begin - self._segment_at))

    def _end_cluster(self) -> None:
        if self._cluster_ms >= 0:
            begin = self._cluster_at + len(_CLUSTER)
            self._patch(begin, _long_size(self._end - begin - len(_UNKNOWN)))

    def _append(self, *pieces: bytes) -> None:
        wanted = sum(map(len, pieces))
        try:
            done = os.writev(self._file.fileno(), pieces)
            while done < wanted:
                done += self._file.write(b"".join(pieces)[done:])
        except OSError:
            # A disk that is full takes half a picture: what stands in the file is to be whole.
            with contextlib.suppress(OSError):
                self._file.truncate(self._end)
                self._file.seek(self._end)
            raise
        self._end += wanted

    def _patch(self, at: int, content: bytes) -> None:
        self._file.seek(at)
        self._file.write(content)
        self._file.seek(self._end)


def is_closed(path: Path) -> bool:
    """Whether a file of `JpegVideo` was ended with its index and nothing of it is gone; False for any other file."""
    begin = len(_begin_file())
    with path.open("rb") as file:
        head = file.read(begin)
    told = int.from_bytes(head[-len(_UNKNOWN) :], "big") & ~(1 << 56)
    return head[: -len(_UNKNOWN)] == _begin_file()[: -len(_UNKNOWN)] and begin + told == path.stat().st_size


def _element(name: bytes, content: bytes) -> bytes:
    size = len(content)
    told = bytes([0x80 | size]) if size < 0x7F else (0x1000_0000 | size).to_bytes(4, "big")
    return name + told + content


def _number(value: int) -> bytes:
    return value.to_bytes(max((value.bit_length() + 7) // 8, 1), "big")


def _long_size(size: int) -> bytes:
    return (1 << 56 | size).to_bytes(8, "big")


def _void(n_bytes: int) -> bytes:
    return _element(b"\xec", bytes(n_bytes - 2))


def _begin_file() -> bytes:
    version, doc_type = ((b"\x42\x86", 1), (b"\x42\xf7", 1), (b"\x42\xf2", 4), (b"\x42\xf3", 8)), b"\x42\x82"
    facts = [_element(name, _number(value)) for name, value in version]
    facts += [_element(doc_type, b"matroska"), _element(b"\x42\x87", b"\x04"), _element(b"\x42\x85", b"\x02")]
    return _element(b"\x1a\x45\xdf\xa3", b"".join(facts)) + _SEGMENT + _UNKNOWN


def _seek(cues_at: int) -> bytes:
    found = _element(b"\x53\xab", _CUES) + _element(b"\x53\xac", cues_at.to_bytes(8, "big"))
    return _element(_SEEK_HEAD, _element(b"\x4d\xbb", found))


def _duration(milliseconds: int) -> bytes:
    return _element(b"\x44\x89", struct.pack(">d", milliseconds))


_SEEK_BYTES, _DURATION_BYTES = len(_seek(0)), len(_duration(0))


def _info() -> bytes:
    """Times in ms; room for the duration stands last."""
    names = _element(b"\x4d\x80", b"labsys") + _element(b"\x57\x41", b"labsys")
    return _element(_INFO, _element(b"\x2a\xd7\xb1", _number(1_000_000)) + names + _void(_DURATION_BYTES))


def _track(size_px: tuple[int, int], rate_hz: float) -> bytes:
    width, height = size_px
    video = _element(b"\xe0", _element(b"\xb0", _number(width)) + _element(b"\xba", _number(height)))
    facts = [
        _element(b"\xd7", b"\x01"),
        _element(b"\x73\xc5", b"\x01"),
        _element(b"\x83", b"\x01"),
        _element(b"\x9c", b"\x00"),
        _element(b"\x86", b"V_MJPEG"),
        _element(b"\x23\xe3\x83", _number(round(1e9 / rate_hz))),
        video,
    ]
    return _element(_TRACKS, _element(b"\xae", b"".join(facts)))


def _index(cues: list[tuple[int, int]]) -> bytes:
    """Where each cluster begins; empty where there is none."""
    points = b""
    for moment_ms, at in cues:
        place = _element(b"\xb7", _element(b"\xf7", b"\x01") + _element(b"\xf1", _number(at)))
        points += _element(b"\xbb", _element(b"\xb3", _number(moment_ms)) + place)
    return _element(_CUES, points) if points else b""
