"""The writing half of a camera's process: a bounded queue that never blocks, and files that outlive a crash.

A camera's recording is one part (CAMERA.part1.mkv and .fts), or several where the camera or its process was lost in
between; CAMERA.events.jsonl says what happened. Order per frame: packet, then row.
"""

from __future__ import annotations

import contextlib
import errno
import json
import queue
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from labsys.capture.device import FrameFlag, StampSource
from labsys.capture.preview import PreviewWriter
from labsys.capture.status import Count, Numbers, WorkerState
from labsys.storage.atomic import sync_folder
from labsys.storage.jpeg_video import JpegVideo
from labsys.storage.sidecar import PACKED, SidecarWriter, pack_flags

NS = 1_000_000_000
_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
_BUSY_SHARE = 0.6  # of the queue: from here on frames come before forced writes to the disk
# Seconds of pictures that the disk is given at once hold up everything on the machine for tens of milliseconds.
_BEGIN_EVERY_NS = NS // 4
_LATE_SHARE = 0.25  # and from here on nobody is shown pictures


class StoredFrame(NamedTuple):
    """A frame that was copied out of the driver's buffer."""

    seq: int
    t_ns: int
    t_device_ns: int
    t_host_ns: int
    picture: bytes
    source: StampSource
    flags: FrameFlag
    lost_before: int
    exposure_us: float
    gain: float


@dataclass(frozen=True, slots=True)
class PartEnd:
    """The stream ended: what follows belongs to another part."""


@dataclass(frozen=True, slots=True)
class Happening:
    """A line for the camera's events."""

    facts: Mapping[str, Any]


Item = StoredFrame | PartEnd | Happening


class FrameQueue:
    """Frames that wait for the disk. `offer` never blocks: a full queue refuses."""

    def __init__(self, *, most_frames: int, most_bytes: int) -> None:
        self._items: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self._most_frames, self._most_bytes = most_frames, most_bytes
        # Each of the four counters has one writer.
        self._frames_in = self._frames_out = self._bytes_in = self._bytes_out = 0

    @property
    def n_waiting(self) -> int:
        """Frames that wait."""
        return self._frames_in - self._frames_out

    @property
    def is_busy(self) -> bool:
        """Whether the disk falls behind."""
        return self.n_waiting > _BUSY_SHARE * self._most_frames

    @property
    def is_late(self) -> bool:
        """Whether the disk begins to fall behind."""
        return self.n_waiting > _LATE_SHARE * self._most_frames

    def offer(self, frame: StoredFrame) -> bool:
        """Take a frame, or refuse it where the queue is full."""
        size = len(frame.picture)
        if self.n_waiting >= self._most_frames or self._bytes_in - self._bytes_out + size > self._most_bytes:
            return False
        self._frames_in += 1
        self._bytes_in += size
        self._items.put(frame)
        return True

    def note(self, item: PartEnd | Happening) -> None:
        """Take what is no frame; there are few of these."""
        self._items.put(item)

    def take(self, timeout_s: float) -> Item | None:
        """The next item; None where none came."""
        try:
            item = self._items.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if isinstance(item, StoredFrame):
            self._frames_out += 1
            self._bytes_out += len(item.picture)
        return item


@dataclass(frozen=True)
class WriterPlan:
    """Where and how one camera's parts are written.

    sync_turn: of the time between two forced writes, after which this camera's first is due: not all at once.
    """

    camera: str
    raw: Path
    size_px: tuple[int, int]
    rate_hz: float
    sync_every_s: float
    reserve: Path
    sync_turn: float = 1.0
    preview: Path | None = None


class PartWriter:
    """Takes items from the queue to the disk; what the disk refuses is counted, never raised at the capture thread."""

    def __init__(self, plan: WriterPlan, waiting: FrameQueue, counts: Numbers) -> None:
        self._plan, self._queue, self._counts = plan, waiting, counts
        self._video: JpegVideo | None = None
        self._sidecar: SidecarWriter | None = None
        self._first_ns, self._skipped = 0, 0
        self._next_ns = self._sync_ns = 0
        # A flush takes tens of milliseconds: frames that come meanwhile are written, so that a kill costs none of them.
        self._flusher = ThreadPoolExecutor(1, "flush")
        self._flushing: Future[None] | None = None
        self._is_named = True  # whether the disk knows of the part's files, not only of what is in them
        self._refused = False
        self._preview = None if plan.preview is None else PreviewWriter(plan.preview)
        self.last_sound = b""
        self.ended = False

    def run(self) -> None:
        """Write until told to end and nothing waits any more."""
        while True:
            ending = self.ended  # asked before: what came between an empty queue and the end is written too
            item = self._queue.take(0.1)
            if isinstance(item, StoredFrame):
                self._store(item)
            elif item is not None:
                self._write_other(item)
            elif ending:
                break
            self._counts[Count.WAITING] = self._queue.n_waiting
            if self._preview is not None and self.last_sound and not self._queue.is_late:
                self._preview.offer(self.last_sound, time.monotonic_ns())
            self._sync_if_due()
        self._close_part()
        self._flusher.shutdown()
        told = {"stored": self._counts[Count.STORED], "lost_to_disk": self._counts[Count.LOST_TO_DISK]}
        self._note({"event": "written", **told})

    def _write_other(self, item: PartEnd | Happening) -> None:
        match item:
            case PartEnd():
                self._close_part()
            case Happening():
                self._note(item.facts)

    def _store(self, frame: StoredFrame) -> None:
        if self._refused:
            self._counts[Count.LOST_TO_DISK] += 1
            return
        # A decoder never sees a damaged picture: its row repeats the last sound one and says that it is bad.
        picture = self.last_sound if frame.flags else frame.picture
        if frame.flags:
            self._counts[Count.CORRUPT] += 1
        if not picture:
            self._skipped += 1
            return
        try:
            self._append(frame, picture)
        except OSError as error:
            self._counts[Count.LOST_TO_DISK] += 1
            self._refuse(error)
            return
        self._counts[Count.STORED] += 1
        self._counts[Count.BYTES] += len(picture)
        self.last_sound = picture

    def _append(self, frame: StoredFrame, picture: bytes) -> None:
        if self._video is None or self._sidecar is None:
            self._open_part(frame.t_ns)
        assert self._video is not None
        assert self._sidecar is not None
        self._video.write(picture, (frame.t_ns - self._first_ns) / NS)
        lost = frame.lost_before + self._skipped
        flags = pack_flags(bad=int(frame.flags), source=int(frame.source), lost_before=lost)
        self._skipped = 0
        self._sidecar.append(
            PACKED.pack(
                frame.seq, frame.t_ns, frame.t_device_ns, frame.t_host_ns, len(picture), flags,
                frame.exposure_us, frame.gain,
            )
        )  # fmt: skip

    def _open_part(self, first_ns: int) -> None:
        number = 1
        while (self._plan.raw / f"{self._plan.camera}.part{number}.fts").exists():
            number += 1
        stem = self._plan.raw / f"{self._plan.camera}.part{number}"
        self._sidecar = SidecarWriter(stem.with_name(stem.name + ".fts"))
        video = stem.with_name(stem.name + ".mkv")
        self._video = JpegVideo(video, size_px=self._plan.size_px, rate_hz=self._plan.rate_hz)
        self._first_ns, self._is_named = first_ns, False
        now_ns, turn = time.monotonic_ns(), self._plan.sync_turn
        self._sync_ns = now_ns + round(turn * self._plan.sync_every_s * NS)
        self._next_ns = min(now_ns + round(turn * _BEGIN_EVERY_NS), self._sync_ns)

    def _close_part(self) -> None:
        self._settle_flush()  # files stay open as long as they are flushed
        for closing in (self._video, self._sidecar):
            if closing is not None:
                try:
                    closing.close()
                except OSError as error:
                    if error.errno not in _FULL:
                        self._note({"event": "close_failed", "why": str(error)})
        self._video = self._sidecar = None

    def _refuse(self, error: OSError) -> None:
        """The disk takes no more: give up the reserve, end the files, count what follows."""
        self._refused = True
        self._plan.reserve.unlink(missing_ok=True)
        self._close_part()
        full = error.errno in _FULL
        self._counts[Count.STATE] = WorkerState.DISK_FULL
        self._note({"event": "disk_full" if full else "disk_failed", "why": str(error)})

    def _note(self, facts: Mapping[str, Any]) -> None:
        line = json.dumps({"at_ns": time.monotonic_ns(), **facts}) + "\n"
        # A disk that takes no line either still has told its state to the supervisor.
        with contextlib.suppress(OSError), (self._plan.raw / f"{self._plan.camera}.events.jsonl").open("a") as file:
            file.write(line)

    def _sync_if_due(self) -> None:
        now_ns = time.monotonic_ns()
        if now_ns < self._next_ns or not self._has_flushed() or self._video is None or self._sidecar is None:
            return
        if self._queue.is_busy:
            return
        if now_ns < self._sync_ns:
            self._flushing = self._flusher.submit(self._video.begin_sync)
        else:
            self._sync_ns = now_ns + round(self._plan.sync_every_s * NS)
            self._flushing = self._flusher.submit(self._flush, self._video, self._sidecar, is_named=self._is_named)
            self._is_named = True
        self._next_ns = min(now_ns + _BEGIN_EVERY_NS, self._sync_ns)

    def _has_flushed(self) -> bool:
        """Whether nothing is being flushed, and nothing failed to be."""
        if self._flushing is not None and not self._flushing.done():
            return False
        self._settle_flush()
        return not self._refused

    def _settle_flush(self) -> None:
        """Wait for what is being flushed; what the disk did not take after all ends the part."""
        if self._flushing is None:
            return
        error, self._flushing = self._flushing.exception(), None
        if isinstance(error, OSError):
            if not self._refused:
                self._refuse(error)
        elif error is not None:
            raise error

    def _flush(self, video: JpegVideo, sidecar: SidecarWriter, *, is_named: bool) -> None:
        video.sync()
        sidecar.sync()
        if not is_named:
            sync_folder(self._plan.raw)
