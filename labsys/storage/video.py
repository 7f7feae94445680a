"""Reading video in packet order, and writing a whole video of JPEG pictures.

Frame i is the i-th that the packets decode to, in presentation order. Nothing that counts frames seeks, or takes a
container's frame count or duration for the truth; they only bear witness that a file was cut short.
With film_video.py the only user of PyAV, which is imported when a video is opened: the service starts without it.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labsys.core.errors import InputError
from labsys.storage.jpeg_video import JpegVideo

_TRUNCATED = "Copy the file again from where it was recorded"
# A container may round its duration; a file that was cut loses more than this.
_DURATION_SLACK_FRAMES = 3.0
# Pixel formats whose first plane is brightness, one byte per pixel.
_LUMA_FIRST = frozenset(("yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "nv12", "gray"))


@dataclass(frozen=True)
class VideoInfo:
    """What a video holds.

    Attributes:
        size_px: (width, height) as displayed (after the rotation that a phone writes into the file).
        n_frames: packets with a picture, counted by demuxing.
        rate_hz: from the time stamps of the packets.
        codec: FFmpeg's name of the codec.
    """

    size_px: tuple[int, int]
    n_frames: int
    rate_hz: float
    codec: str


def probe_video(path: Path) -> VideoInfo:
    """Demux a whole video, decoding its first frame only.

    Raises:
        InputError: missing, no video, cut short, or no frames.
    """
    n_frames, rate_hz, codec = _count_packets(path)
    first = next(_decode(path, n_frames))
    height, width = first.height, first.width
    turned = abs(int(first.rotation)) % 180 == 90
    return VideoInfo((height, width) if turned else (width, height), n_frames, rate_hz, codec)


def read_frames(path: Path) -> Iterator[NDArray[np.uint8]]:
    """Decode every frame in order, (height, width, 3) RGB as displayed; memory holds few frames at a time.

    Raises:
        InputError: unreadable or cut short, or fewer frames decode than there are packets (names both counts).
    """
    for frame in decode_frames(path):
        picture: NDArray[np.uint8] = frame.to_ndarray(format="rgb24")
        # FFmpeg's display rotation counts counterclockwise, as rot90 does.
        yield np.ascontiguousarray(np.rot90(picture, int(frame.rotation) // 90)) if frame.rotation else picture


def decode_frames(path: Path) -> Iterator[Any]:
    """Every frame as PyAV has it, in order (InputError: as `read_frames`)."""
    n_frames, _, _ = _count_packets(path)
    yield from _decode(path, n_frames)


def read_gray_frames(path: Path) -> Iterator[NDArray[np.uint8]]:
    """Decode every frame in order, (height, width) brightness as displayed, in the range that the video codes it in.

    Where the codec keeps brightness in a plane of its own, that plane is handed on and no colours are made.

    Raises:
        InputError: as `read_frames`.
    """
    for frame in decode_frames(path):
        picture = _luma(frame)
        yield np.ascontiguousarray(np.rot90(picture, int(frame.rotation) // 90)) if frame.rotation else picture


def sample_gray_frames(path: Path, n: int) -> Iterator[NDArray[np.uint8]]:
    """As `read_gray_frames`, about n pictures spread over the video, without decoding those between them.

    Of a codec whose pictures depend on each other the nearest one before that stands alone. Which frames they are is
    not known, and of a file without a duration, as one that was cut short, it is the first one n times.
    """
    with _opened(path) as (container, stream):
        for moment in range(n):
            container.seek(int((container.duration or 0) * (moment + 0.5) / n))
            frame = next(iter(container.decode(stream)), None)
            if frame is not None:
                picture = _luma(frame)
                yield np.ascontiguousarray(np.rot90(picture, int(frame.rotation) // 90)) if frame.rotation else picture


def _luma(frame: Any) -> NDArray[np.uint8]:
    if frame.format.name not in _LUMA_FIRST:
        converted: NDArray[np.uint8] = frame.to_ndarray(format="gray")
        return converted
    plane = frame.planes[0]
    rows = np.frombuffer(plane, dtype=np.uint8).reshape(plane.height, plane.line_size)
    return np.ascontiguousarray(rows[:, : frame.width])


def check_video(path: Path) -> VideoInfo:
    """Probe a video and decode all of it, so that a damaged one is found now and not in the middle of later work.

    Raises:
        InputError: as `read_frames`.
    """
    info = probe_video(path)
    for _ in _decode(path, info.n_frames):
        pass
    return info


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """The container and its first video stream."""
    import av

    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise InputError("holds no video", where=str(path))
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            yield container, stream
    except av.FFmpegError as error:
        raise InputError(f"is no readable video: {error.strerror}", where=str(path), remedy=_TRUNCATED) from error


def _count_packets(path: Path) -> tuple[int, float, str]:
    with _opened(path) as (container, stream):
        packets = [p for p in container.demux(stream) if p.size and not p.is_discard]
        n_frames = len(packets)
        if n_frames == 0:
            raise InputError("holds no frames", where=str(path), remedy=_TRUNCATED)
        times_s = sorted(float(p.pts * p.time_base) for p in packets if p.pts is not None)
        rate_hz = _rate_hz(times_s, stream.guessed_rate)
        missing = _announced_frames(container, stream, times_s, rate_hz) - n_frames
        corrupt = next((i for i, p in enumerate(packets) if p.is_corrupt), None)
        codec = str(stream.codec_context.name)
    if missing > 0:
        raise InputError(
            f"is cut short: {n_frames} frames are there, the container announces {n_frames + missing}",
            where=str(path),
            remedy=_TRUNCATED,
        )
    if corrupt is not None:
        raise InputError(f"packet {corrupt} of {n_frames} is damaged", where=str(path), remedy=_TRUNCATED)
    return n_frames, rate_hz, codec


def _rate_hz(times_s: list[float], guessed: Fraction | None) -> float:
    if len(times_s) > 1 and times_s[-1] > times_s[0]:
        return (len(times_s) - 1) / (times_s[-1] - times_s[0])
    return float(guessed) if guessed else float("nan")


def _announced_frames(container: Any, stream: Any, times_s: list[float], rate_hz: float) -> int:
    import av

    if stream.frames:
        return int(stream.frames)
    if container.duration is None or len(container.streams) != 1 or not times_s or not np.isfinite(rate_hz):
        return 0
    lost = (container.duration / av.time_base - times_s[-1]) * rate_hz - 1.0
    return len(times_s) + round(lost) if lost > _DURATION_SLACK_FRAMES else 0


def _decode(path: Path, n_frames: int) -> Iterator[Any]:
    done = 0
    try:
        with _opened(path) as (container, stream):
            for frame in container.decode(stream):
                if frame.is_corrupt:
                    raise _damaged(path, done, n_frames)
                yield frame
                done += 1
    except InputError as error:
        raise _damaged(path, done, n_frames) from error
    if done != n_frames:
        raise _damaged(path, done, n_frames)


def _damaged(path: Path, done: int, n_frames: int) -> InputError:
    return InputError(f"is damaged: {done} of {n_frames} frames could be read", where=str(path), remedy=_TRUNCATED)


def read_pictures(path: Path) -> Iterator[bytes]:
    """The packets of a video as they are, in order; of a file that was cut short those that are whole.

    Raises:
        InputError: missing, or no video.
    """
    return (packet for packet in read_packets(path) if packet)


def read_packets(path: Path) -> Iterator[bytes]:
    """As `read_pictures`, with nothing (b"") in the place of a damaged packet, so that those behind keep their number.

    Raises:
        InputError: missing, or no video.
    """
    import av

    with _opened(path) as (container, stream):
        try:
            for packet in container.demux(stream):
                if packet.size:
                    yield b"" if _is_damaged(packet) else bytes(packet)
        except av.FFmpegError:
            return  # the end of a file that was cut short


def measure_packets(path: Path) -> tuple[NDArray[np.int64], bool]:
    """(N,) bytes of every packet, 0 for a damaged one, and whether the file can be read to its end without a fault.

    Raises:
        InputError: missing, or no video.
    """
    import av

    sizes, whole = list[int](), True
    with _opened(path) as (container, stream):
        try:
            for packet in container.demux(stream):
                if packet.size:
                    sizes.append(0 if _is_damaged(packet) else packet.size)
        except av.FFmpegError:
            whole = False  # the end of a file that was cut short
    return np.array(sizes, dtype=np.int64), whole and all(sizes)


def _is_damaged(packet: Any) -> bool:
    return bool(packet.is_corrupt)


def write_jpeg_video(
    path: Path, pictures: Iterable[bytes], times_s: Sequence[float], *, size_px: tuple[int, int], rate_hz: float
) -> int:
    """Write JPEG pictures as they are into Matroska, as a recorder does; returns how many there were.

    Args:
        times_s: of every picture, from the first one's on, increasing. size_px: (width, height).

    Raises:
        InputError: the file cannot be written, there are no pictures, or not as many as times.
    """
    count = 0
    try:
        video = JpegVideo(path, size_px=size_px, rate_hz=rate_hz)
        try:
            for data, moment in itertools.zip_longest(pictures, times_s):
                if data is None or moment is None:
                    raise InputError(f"there are not as many pictures as times ({len(times_s)})", where=str(path))
                video.write(data, moment - times_s[0])
                count += 1
        finally:
            video.close()
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", where=str(path)) from error
    if count == 0:
        raise InputError("there are no pictures to write", where=str(path))
    return count


def write_constant_rate(path: Path, pictures: Iterable[bytes], *, size_px: tuple[int, int], rate_hz: float) -> int:
    """Write JPEG pictures as they are into MP4 at an even rate, for other programs; returns how many there were.

    Raises:
        InputError: the file cannot be written.
    """
    import av

    rate = Fraction(rate_hz).limit_denominator(100_000)
    width, height = size_px
    count = 0
    try:
        with av.open(str(path), "w", format="mp4") as container:
            stream = container.add_mux_stream("mjpeg", rate=rate, width=width, height=height, time_base=1 / rate)
            for picture in pictures:
                packet = av.Packet(picture)
                packet.stream, packet.time_base, packet.is_keyframe = stream, 1 / rate, True
                packet.pts = packet.dts = count
                packet.duration = 1
                container.mux(packet)
                count += 1
    except av.FFmpegError as error:
        raise InputError(f"cannot be written: {error.strerror}", where=str(path)) from error
    return count
