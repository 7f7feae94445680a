"""Parts become one video: nothing that was stored is lost, whatever does not fit, is damaged, or has no room."""

from __future__ import annotations

import errno
import os
import tracemalloc
from collections import namedtuple
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from labsys.capture import parts
from labsys.capture.parts import UNMATCHED, join_parts, read_events, read_parts
from labsys.core.errors import InputError
from labsys.storage.jpeg_video import JpegVideo
from labsys.storage.sidecar import ROW, read_sidecar, write_sidecar
from labsys.storage.video import measure_packets, read_packets, read_pictures

FACTS = {"size_px": [64, 48], "rate_hz": 100.0}
Usage = namedtuple("Usage", "total used free")


def _picture(number: int, n_bytes: int = 0) -> bytes:
    """Not two of a part are as long as one another: what is out of step shows."""
    return b"\xff\xd8" + number.to_bytes(4, "big") + bytes(n_bytes or 200 + number) + b"\xff\xd9"


def _write_part(raw: Path, number: int, pictures: Sequence[bytes], told: Sequence[int] | None = None) -> Path:
    """A part as a camera's process leaves it. told: bytes that its rows tell, where not those of the pictures."""
    path = raw / f"camA.part{number}.mkv"
    video = JpegVideo(path, size_px=(64, 48), rate_hz=100.0)
    for i, picture in enumerate(pictures):
        video.write(picture, i / 100)
    video.close()
    sizes = [len(p) for p in pictures] if told is None else list(told)
    rows = np.zeros(len(sizes), dtype=ROW)
    rows["bytes"] = sizes
    rows["seq"] = 1000 * number + np.arange(len(sizes))
    rows["t_ns"] = 10_000_000_000 * number + 10_000_000 * np.arange(len(sizes))
    write_sidecar(path.with_suffix(".fts"), rows)
    return path


def _joined(raw: Path) -> tuple[list[bytes], list[int]]:
    pictures, rows = list(read_pictures(raw / "camA.mkv")), read_sidecar(raw / "camA.fts")
    assert [len(p) for p in pictures] == rows["bytes"].tolist(), "packet i is row i"
    return pictures, rows["seq"].tolist()


def _full(_: object) -> Usage:
    return Usage(10, 10, 0)


def test_one_sound_part_becomes_the_video_without_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = _write_part(tmp_path, 1, [_picture(i) for i in range(20)])
    inode = part.stat().st_ino
    monkeypatch.setattr(parts.shutil, "disk_usage", _full)
    join_parts(tmp_path, "camA", FACTS)
    assert (tmp_path / "camA.mkv").stat().st_ino == inode
    assert _joined(tmp_path)[1] == list(range(1000, 1020))
    assert not list(tmp_path.glob("*part1*")), "the part is gone"


def test_one_sound_part_is_copied_where_it_cannot_be_linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    pictures = [_picture(i) for i in range(20)]
    _write_part(tmp_path, 1, pictures)
    monkeypatch.setattr(Path, "hardlink_to", refuse)
    join_parts(tmp_path, "camA", FACTS)
    assert _joined(tmp_path) == (pictures, list(range(1000, 1020)))


def test_what_parts_became_is_on_the_disk_before_they_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = [_picture(i) for i in range(20)]
    told = [len(p) + (i == 4) for i, p in enumerate(pictures)]
    _write_part(tmp_path, 1, pictures, told)
    _write_part(tmp_path, 2, pictures)
    synced, fsync, put_away = set[int](), os.fsync, parts._put_away

    def note(descriptor: int) -> None:
        fsync(descriptor)
        synced.add(os.fstat(descriptor).st_ino)

    def look(sidecar: Path, *, keep: bool) -> None:
        for name in ("camA.mkv", "camA.fts", "camA.parts.json", "camA.events.jsonl"):
            assert (tmp_path / name).stat().st_ino in synced, name
        put_away(sidecar, keep=keep)

    monkeypatch.setattr(os, "fsync", note)
    monkeypatch.setattr(parts, "_put_away", look)
    join_parts(tmp_path, "camA", FACTS)
    assert len(_joined(tmp_path)[0]) == 39


def test_parts_are_joined_in_order_and_known_afterwards(tmp_path: Path) -> None:
    for number in (1, 2, 10):
        _write_part(tmp_path, number, [_picture(i) for i in range(number)])
    join_parts(tmp_path, "camA", FACTS)
    assert _joined(tmp_path)[1] == [1000, 2000, 2001, *range(10000, 10010)]
    assert [p.size for p in read_parts(tmp_path, "camA")] == [1, 2, 10]
    join_parts(tmp_path, "camA", FACTS)
    assert [p.size for p in read_parts(tmp_path, "camA")] == [1, 2, 10], "asking again changes nothing"


def test_one_damaged_row_costs_one_row_and_its_part_is_kept(tmp_path: Path) -> None:
    pictures = [_picture(i) for i in range(40)]
    told = [len(p) for p in pictures]
    told[10] += 5
    _write_part(tmp_path, 1, pictures, told)
    join_parts(tmp_path, "camA", FACTS)
    kept, seq = _joined(tmp_path)
    assert seq == [1000 + i for i in range(40) if i != 10]
    assert kept == [p for i, p in enumerate(pictures) if i != 10]
    (event,) = read_events(tmp_path, "camA")
    assert event["event"] == UNMATCHED
    assert "1 rows of camA.part1 did not match" in event["why"]
    assert list(read_pictures(tmp_path / UNMATCHED / "camA.part1.mkv")) == pictures, "the original is whole"
    assert read_sidecar(tmp_path / UNMATCHED / "camA.part1.fts").size == 40
    join_parts(tmp_path, "camA", FACTS)
    assert len(read_events(tmp_path, "camA")) == 1


def test_rows_out_of_step_are_cut_off_and_their_part_is_kept(tmp_path: Path) -> None:
    """A packet more than rows in the middle: from there on no row tells of its packet."""
    pictures = [_picture(i) for i in range(40)]
    told = [len(p) for i, p in enumerate(pictures) if i != 15]
    _write_part(tmp_path, 1, pictures, told)
    _write_part(tmp_path, 2, [_picture(i) for i in range(5)])
    join_parts(tmp_path, "camA", FACTS)
    kept, seq = _joined(tmp_path)
    assert seq == [*range(1000, 1015), *range(2000, 2005)]
    assert kept[:15] == pictures[:15]
    assert [e["part"] for e in read_events(tmp_path, "camA")] == ["camA.part1"]
    assert len(list(read_pictures(tmp_path / UNMATCHED / "camA.part1.mkv"))) == 40
    assert not list(tmp_path.glob("camA.part2.*")), "what is in the video may go"


@pytest.mark.parametrize("more", ["pictures", "rows"])
def test_a_part_with_many_more_of_one_than_of_the_other_is_kept(tmp_path: Path, more: str) -> None:
    pictures = [_picture(i) for i in range(30)]
    sizes = [len(p) for p in pictures]
    _write_part(tmp_path, 1, *((pictures, sizes[:20]) if more == "pictures" else (pictures[:20], sizes)))
    join_parts(tmp_path, "camA", FACTS)
    assert _joined(tmp_path)[0] == pictures[:20]
    (event,) = read_events(tmp_path, "camA")
    assert "10 rows of camA.part1 did not match" in event["why"]
    assert list(read_pictures(tmp_path / UNMATCHED / "camA.part1.mkv")) == pictures[: 30 if more == "pictures" else 20]
    assert read_sidecar(tmp_path / UNMATCHED / "camA.part1.fts").size == (20 if more == "pictures" else 30)


def test_a_video_that_cannot_be_opened_is_kept(tmp_path: Path) -> None:
    part = _write_part(tmp_path, 1, [_picture(i) for i in range(30)], [])
    torn = bytes(64) + part.read_bytes()[64:]
    part.write_bytes(torn)
    join_parts(tmp_path, "camA", FACTS)
    assert (tmp_path / UNMATCHED / "camA.part1.mkv").read_bytes() == torn
    assert not (tmp_path / "camA.mkv").exists()


def test_what_a_kill_leaves_at_the_end_is_cut_without_a_word(tmp_path: Path) -> None:
    pictures = [_picture(i) for i in range(30)]
    part = _write_part(tmp_path, 1, pictures, [len(p) for p in pictures[:29]])
    with part.open("r+b") as file:
        file.truncate(part.stat().st_size - 150)
    join_parts(tmp_path, "camA", FACTS)
    assert 27 <= len(_joined(tmp_path)[0]) <= 29
    assert read_events(tmp_path, "camA") == []
    assert not (tmp_path / UNMATCHED).exists()


def test_a_damaged_packet_keeps_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those behind it keep their number, where a reader that leaves it out would shift them by one."""
    pictures = [_picture(i) for i in range(30)]
    _write_part(tmp_path, 1, pictures)
    monkeypatch.setattr("labsys.storage.video._is_damaged", lambda packet: packet.size == len(pictures[7]))
    join_parts(tmp_path, "camA", FACTS)
    assert _joined(tmp_path)[1] == [1000 + i for i in range(30) if i != 7]
    assert (tmp_path / UNMATCHED / "camA.part1.mkv").exists()


def test_without_room_every_part_stays_and_the_message_says_how_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        _write_part(tmp_path, number, [_picture(i, 50_000) for i in range(20)])
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr(parts.shutil, "disk_usage", _full)
        with pytest.raises(
            InputError, match=r"not enough room to join the parts of camA: 0\.002 GB needed, 0 free"
        ) as e:
            join_parts(tmp_path, "camA", FACTS)
    assert "labsys recover" in e.value.remedy
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
    with monkeypatch.context() as patch:
        patch.setattr(JpegVideo, "write", _refuse)
        with pytest.raises(InputError, match="not enough room"):
            join_parts(tmp_path, "camA", FACTS)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before, "no half of a video is left"
    join_parts(tmp_path, "camA", FACTS)
    assert len(_joined(tmp_path)[0]) == 40


def _refuse(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_joining_takes_the_memory_of_a_few_pictures(tmp_path: Path) -> None:
    for number in (1, 2):
        _write_part(tmp_path, number, [_picture(i, 100_000) for i in range(120)])
    whole = sum(p.stat().st_size for p in tmp_path.glob("*.mkv"))
    tracemalloc.start()
    try:
        join_parts(tmp_path, "camA", FACTS)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert whole > 20_000_000
    assert most < 4_000_000, f"{most / 1e6:.1f} MB for videos of {whole / 1e6:.0f} MB"


def test_packets_are_measured_as_they_are_read(tmp_path: Path) -> None:
    part = _write_part(tmp_path, 1, [_picture(i) for i in range(12)])
    sizes, whole = measure_packets(part)
    assert whole
    assert sizes.tolist() == [len(p) for p in read_packets(part)]
