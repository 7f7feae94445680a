"""Matroska that labsys writes itself: a library reads what was put in, however the file was cut."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labsys.storage.jpeg_video import JpegVideo
from labsys.storage.video import measure_packets, probe_video, read_packets

SIZES = st.lists(st.integers(4, 300_000), min_size=1, max_size=12)


def _picture(size: int, seed: int) -> bytes:
    return b"\xff\xd8" + np.random.default_rng(seed).bytes(size - 4) + b"\xff\xd9"


def _write(
    path: Path, pictures: list[bytes], *, step_s: float = 0.01, size_px: tuple[int, int] = (1280, 720)
) -> list[int]:
    """Write them; the file's size after each of them."""
    video, ends = JpegVideo(path, size_px=size_px, rate_hz=1 / step_s), []
    for i, picture in enumerate(pictures):
        video.write(picture, i * step_s)
        ends.append(path.stat().st_size)
    video.close()
    return ends


@given(sizes=SIZES, step_s=st.floats(0.004, 1.5), cut=st.floats(0, 1))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_library_reads_what_was_written_and_what_a_cut_leaves(
    tmp_path: Path, sizes: list[int], step_s: float, cut: float
) -> None:
    path = tmp_path / "a.mkv"
    pictures = [_picture(size, i) for i, size in enumerate(sizes)]
    ends = _write(path, pictures, step_s=step_s)
    assert list(read_packets(path)) == pictures
    assert measure_packets(path)[1], "read to its end without a fault"
    with av.open(str(path)) as container:
        times_ms = [p.pts for p in container.demux() if p.size]
        assert container.streams.video[0].codec_context.name == "mjpeg"
        assert container.streams.video[0].codec_context.width == 1280
        assert container.duration is not None
        assert container.duration / 1000 == pytest.approx(times_ms[-1] + round(1000 * step_s), abs=1)
    assert times_ms == pytest.approx([1000 * i * step_s for i in range(len(sizes))], abs=0.51)
    length = ends[0] + round(cut * (ends[-1] - ends[0]))
    os.truncate(path, length)
    left = list(read_packets(path))
    whole = sum(end <= length for end in ends)
    assert left[:whole] == pictures[:whole], "every whole picture is read"


def test_what_is_not_closed_reads_to_its_last_picture(tmp_path: Path) -> None:
    path, pictures = tmp_path / "a.mkv", [_picture(5000, i) for i in range(300)]
    video = JpegVideo(path, size_px=(640, 480), rate_hz=100.0)
    for i, picture in enumerate(pictures):
        video.write(picture, i / 100)
    assert list(read_packets(path)) == pictures
    video.close()
    video.close()
    assert list(read_packets(path)) == pictures


def test_a_seek_finds_its_cluster(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    _write(path, [_picture(5000, i) for i in range(900)])
    with av.open(str(path)) as container:
        container.seek(7_000_000)
        first = next(p for p in container.demux() if p.size)
        assert 5000 <= first.pts <= 7000


def test_moments_that_stand_still_are_made_to_rise(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    video = JpegVideo(path, size_px=(640, 480), rate_hz=100.0)
    for i in range(5):
        video.write(_picture(100, i), 0.0)
    video.close()
    with av.open(str(path)) as container:
        assert [p.pts for p in container.demux() if p.size] == [0, 1, 2, 3, 4]


def test_a_full_disk_is_told_and_leaves_whole_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match="No space left") as told:
        JpegVideo(Path("/dev/full"), size_px=(640, 480), rate_hz=100.0)
    assert told.value.errno == errno.ENOSPC
    path, pictures = tmp_path / "a.mkv", [_picture(100_000, i) for i in range(3)]
    video = JpegVideo(path, size_px=(640, 480), rate_hz=100.0)
    for i in range(2):
        video.write(pictures[i], i / 100)

    def write_half(descriptor: int, pieces: tuple[bytes, ...]) -> int:
        os.write(descriptor, b"".join(pieces)[:50_000])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "writev", write_half)
        with pytest.raises(OSError, match="No space left"):
            video.write(pictures[2], 0.02)
    assert list(read_packets(path)) == pictures[:2]
    with monkeypatch.context() as patch:
        patch.setattr(os, "writev", lambda d, pieces: os.write(d, b"".join(pieces)[:70_000]))
        video.write(pictures[2], 0.02)
    video.close()
    assert list(read_packets(path)) == pictures, "a disk that takes a part at a time is asked again"


def test_a_real_picture_decodes(tmp_path: Path) -> None:
    import cv2

    done, data = cv2.imencode(".jpg", np.full((48, 64, 3), 90, dtype=np.uint8))
    assert done
    _write(tmp_path / "a.mkv", [data.tobytes()] * 20, size_px=(64, 48))
    info = probe_video(tmp_path / "a.mkv")
    assert (info.size_px, info.n_frames, round(info.rate_hz)) == ((64, 48), 20, 100)
