"""Pictures for those who look on: the newest, whole, at most ten a second, and never in the way of a take."""

from __future__ import annotations

import resource
import stat
import threading
import time
from pathlib import Path

import pytest

from labsys.capture.preview import PREVIEW_HZ, PreviewReader, PreviewWriter, make_preview, preview_file
from labsys.core.errors import InputError

SIZE = (64, 48)
TICK_NS = round(1e9 / PREVIEW_HZ)


def _file(folder: Path) -> Path:
    path = preview_file(folder, "camA")
    make_preview(path, SIZE)
    return path


def test_the_newest_picture_is_shown_once(tmp_path: Path) -> None:
    path = _file(tmp_path)
    reader, writer = PreviewReader(path), PreviewWriter(path)
    assert reader.latest() is None
    numbers = []
    for i in range(1, 5):
        writer.offer(b"picture %d" % i, i * TICK_NS)
        found = reader.latest()
        assert found is not None
        assert (found.picture, found.t_ns) == (b"picture %d" % i, i * TICK_NS)
        assert reader.latest(after=found.number) is None
        numbers.append(found.number)
    assert numbers == [1, 2, 3, 4]


def test_its_room_is_taken_at_once_and_where_there_is_none_it_is_said(tmp_path: Path) -> None:
    path = _file(tmp_path)
    assert 512 * path.stat().st_blocks >= path.stat().st_size > 2 * 64 * 48, "a hole ends who writes into it"
    allowed = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, allowed[1]))
    try:
        with pytest.raises(InputError, match="no place for the pictures that are shown"):
            make_preview(preview_file(tmp_path, "camB"), SIZE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, allowed)


def test_another_process_of_the_camera_goes_on_counting(tmp_path: Path) -> None:
    path = _file(tmp_path)
    PreviewWriter(path).offer(b"first", TICK_NS)
    PreviewWriter(path).offer(b"second", TICK_NS)
    found = PreviewReader(path).latest(after=1)
    assert found is not None
    assert (found.number, found.picture) == (2, b"second")


def test_pictures_come_ten_times_a_second_and_the_same_one_not_twice(tmp_path: Path) -> None:
    path = _file(tmp_path)
    writer, reader = PreviewWriter(path), PreviewReader(path)
    for i in range(1200):  # ten seconds at 120 Hz
        writer.offer(b"%d" % i, 10 * TICK_NS + i * round(1e9 / 120))
    found = reader.latest()
    assert found is not None
    assert found.number == pytest.approx(100, abs=8)
    same = b"still"
    for i in range(5):
        writer.offer(same, 1000 * TICK_NS + i * TICK_NS)
    after = reader.latest()
    assert after is not None
    assert after.number == found.number + 1


def test_what_has_no_room_is_not_shown(tmp_path: Path) -> None:
    path = _file(tmp_path)
    writer = PreviewWriter(path)
    writer.offer(bytes(SIZE[0] * SIZE[1] + 1), TICK_NS)
    assert PreviewReader(path).latest() is None
    writer.offer(bytes(SIZE[0] * SIZE[1]), 2 * TICK_NS)
    assert PreviewReader(path).latest() is not None


def test_others_of_the_machine_may_not_look(tmp_path: Path) -> None:
    assert stat.S_IMODE(_file(tmp_path).stat().st_mode) == 0o600


def test_no_picture_is_torn(tmp_path: Path) -> None:
    """A reader that copies while pictures are replaced as fast as can be gets whole ones or none."""
    path = _file(tmp_path)
    reader, ended = PreviewReader(path), threading.Event()

    def write() -> None:
        writer, n = PreviewWriter(path), 0
        while not ended.is_set():
            n += 1
            writer.offer(bytes([n % 256]) * (SIZE[0] * SIZE[1]), n * TICK_NS)

    thread = threading.Thread(target=write)
    thread.start()
    whole, deadline = 0, time.monotonic() + 0.3
    while time.monotonic() < deadline:
        found = reader.latest()
        if found is not None:
            assert len(set(found.picture)) == 1
            assert found.picture[0] == found.number % 256
            whole += 1
    ended.set()
    thread.join()
    assert whole > 20
