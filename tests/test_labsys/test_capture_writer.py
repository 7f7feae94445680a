"""The writing half of a camera's process: when the disk gets what it has, and what a disk that fails costs."""

from __future__ import annotations

import errno
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from labsys.capture.crew import Crew
from labsys.capture.part_writer import FrameQueue, PartEnd, StoredFrame
from labsys.capture.status import Count, WorkerState, make_numbers
from labsys.core.errors import InputError
from labsys.storage.jpeg_video import JpegVideo
from labsys.storage.recordings import begin_recording
from labsys.storage.sidecar import read_sidecar
from tests.test_labsys.recorded_scene import rig_document, write_rig
from tests.test_labsys.test_capture_losses import _frame, _writer


def test_the_disk_knows_of_the_files_and_not_only_of_what_is_in_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Content that was forced to the disk is lost with a name that was not."""
    synced = list[Path]()
    monkeypatch.setattr("labsys.capture.part_writer.sync_folder", synced.append)
    monkeypatch.setattr("labsys.storage.recordings.sync_folder", synced.append)
    with begin_recording(tmp_path / "run1/take") as recording:
        assert synced == [tmp_path / "run1"]
    writer, queue, _ = _writer(tmp_path)
    writer._plan = replace(writer._plan, sync_every_s=0.0)
    for tick in range(3):
        queue.offer(_frame(tick))
    queue.note(PartEnd())
    queue.offer(_frame(3))
    writer.ended = True
    writer.run()
    assert synced[1:] == [tmp_path] * 2, "once a part"
    assert recording.folder.is_dir()


def test_a_frame_that_comes_just_before_the_end_is_written(tmp_path: Path) -> None:
    """The queue was empty a moment ago, and the end is told before the writer looks whether it has come."""
    writer, queue, counts = _writer(tmp_path)

    class LateQueue(FrameQueue):
        def take(self, timeout_s: float) -> StoredFrame | None:
            if writer.ended:
                item = queue.take(timeout_s)
                assert item is None or isinstance(item, StoredFrame)
                return item
            queue.offer(_frame(0))
            writer.ended = True
            return None

    writer._queue = LateQueue(most_frames=1, most_bytes=1)
    writer.run()
    assert counts[Count.STORED] == 1


def test_cameras_take_turns_to_give_the_disk_what_they_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begun four times a second without waiting, forced every two; and never all cameras at the same moment."""
    given = list[tuple[float, str]]()
    now_ns = [0]
    monkeypatch.setattr("labsys.capture.part_writer.time.monotonic_ns", lambda: now_ns[0])
    monkeypatch.setattr(JpegVideo, "begin_sync", lambda _: given.append((now_ns[0] / 1e9, "begun")))
    monkeypatch.setattr(JpegVideo, "sync", lambda _: given.append((now_ns[0] / 1e9, "forced")))
    writer, _, _ = _writer(tmp_path)
    writer._plan = replace(writer._plan, sync_every_s=2.0, sync_turn=0.5)
    for tick in range(400):
        now_ns[0] = tick * 10_000_000
        writer._store(_frame(tick))
        writer._sync_if_due()
        writer._settle_flush()
    writer._close_part()
    assert [t for t, how in given if how == "forced"] == pytest.approx([1.0, 3.0], abs=0.02)
    begun = [t for t, _ in given]
    assert begun[0] == pytest.approx(0.125, abs=0.02)
    assert np.diff(begun).max() == pytest.approx(0.25, abs=0.02), "or sooner, where a forced one is due"


def test_a_file_system_that_takes_no_advice_ends_no_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is only told sooner what it will be forced to write anyway."""
    asked = list[int]()

    def refuse(descriptor: int, *_: int) -> None:
        asked.append(descriptor)
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr("labsys.storage.jpeg_video.os.posix_fadvise", refuse, raising=False)
    writer, _, counts = _writer(tmp_path)
    writer._plan = replace(writer._plan, sync_every_s=60.0)
    for tick in range(3):
        writer._store(_frame(tick))
        writer._next_ns = 0
        writer._sync_if_due()
        writer._settle_flush()
    writer._close_part()
    assert len(asked) == 3
    assert (counts[Count.STORED], counts[Count.LOST_TO_DISK]) == (3, 0)


def test_frames_are_written_while_the_disk_flushes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is killed then loses what waits; a flush may take longer than a frame."""
    begun, over = threading.Event(), threading.Event()

    def flush(_: JpegVideo) -> None:
        begun.set()
        assert over.wait(10.0)

    monkeypatch.setattr(JpegVideo, "sync", flush)
    writer, queue, counts = _writer(tmp_path)
    writer._plan = replace(writer._plan, sync_every_s=0.0)
    queue.offer(_frame(0))
    running = threading.Thread(target=writer.run)
    running.start()
    assert begun.wait(10.0)
    for tick in range(1, 6):
        queue.offer(_frame(tick))
    deadline = time.monotonic() + 10.0
    while counts[Count.STORED] < 6 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert counts[Count.STORED] == 6
    queue.note(PartEnd())
    over.set()
    writer.ended = True
    running.join(10.0)
    assert read_sidecar(tmp_path / "camA.part1.fts")["seq"].tolist() == list(range(6))


def test_a_flush_that_fails_ends_the_part_and_counts_what_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: JpegVideo) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(JpegVideo, "sync", fail)
    writer, queue, counts = _writer(tmp_path)
    writer._plan = replace(writer._plan, sync_every_s=0.0)
    queue.offer(_frame(0))
    running = threading.Thread(target=writer.run)
    running.start()
    deadline = time.monotonic() + 10.0
    while counts[Count.STATE] != WorkerState.DISK_FULL and time.monotonic() < deadline:
        time.sleep(0.01)
    queue.offer(_frame(1))
    writer.ended = True
    running.join(10.0)
    assert (counts[Count.STORED], counts[Count.LOST_TO_DISK]) == (1, 1)
    assert "disk_failed" in (tmp_path / "camA.events.jsonl").read_text(encoding="utf-8")


def test_a_flush_that_fails_at_the_very_end_of_a_take_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk may find that it is full only when it is to keep what it took."""
    begun, over = threading.Event(), threading.Event()

    def fail(_: JpegVideo) -> None:
        begun.set()
        assert over.wait(10.0)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(JpegVideo, "sync", fail)
    writer, queue, counts = _writer(tmp_path)
    writer._plan = replace(writer._plan, sync_every_s=0.0)
    queue.offer(_frame(0))
    running = threading.Thread(target=writer.run)
    running.start()
    assert begun.wait(10.0)
    queue.note(PartEnd())  # waits for the flush
    writer.ended = True
    threading.Timer(0.3, over.set).start()
    running.join(10.0)
    assert counts[Count.STATE] == WorkerState.DISK_FULL
    assert "disk_full" in (tmp_path / "camA.events.jsonl").read_text(encoding="utf-8")


def test_what_processes_share_lies_on_no_disk(tmp_path: Path) -> None:
    """The capture thread writes there with every frame; a page that was written down makes it wait for the disk."""
    if not Path("/dev/shm").is_dir():
        pytest.skip("this system has no /dev/shm")
    crew = Crew(write_rig(tmp_path / "rig.yaml", rig_document()), None)
    try:
        assert crew._folder.is_relative_to("/dev/shm")
    finally:
        crew.leave()


def test_no_room_for_what_processes_share_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no place for what processes tell each other"):
        make_numbers(tmp_path / "absent" / "numbers")
