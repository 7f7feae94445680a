"""A film: pictures of several videos side by side, at an even rate, as browsers play it (H.264 in MP4).

Frame i of a film shows moment i of a clock; its time in the file is i over the rate. All pictures of one moment are one
frame, so that they cannot run apart; and every frame holds its number, as a row of black and white blocks below the
pictures, so that whoever shows one knows which it is. With video.py the only user of PyAV.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from labsys.core.arrays import IntArray
from labsys.core.errors import InputError
from labsys.storage.film_layout import NUMBER_BITS, NUMBER_BLOCK_PX, Panel, film_size, number_top
from labsys.storage.video import decode_frames

# Brightness, and two planes of colour at half the size.
Planes = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]
_BLACK = (16, 128, 128)
# A picture every fifth of a second stands alone: stepping back costs little.
_OPTIONS = {"preset": "veryfast", "crf": "24", "bf": "0", "movflags": "+faststart"}
_KEY_EVERY_S = 0.2
_WHITE_LUMA, _BLACK_LUMA = 235, 16


def read_chosen(path: Path, rows: IntArray, *, panel: Panel) -> Iterator[Planes]:
    """Frames of a video by their numbers, reduced to the size of a panel.

    rows: (T,) never falling; a number that stands there twice gives its picture twice.

    Raises:
        InputError: as `video.read_frames`; a number that the video does not have.
    """
    wanted = iter(rows.tolist())
    row = next(wanted, None)
    for number, frame in enumerate(decode_frames(path)):
        if row is None:
            return
        if number != row:
            continue
        picture = _reduce(frame, panel)
        while row == number:
            yield picture
            row = next(wanted, None)
    if row is not None:
        raise InputError(f"has no frame {row}", where=str(path))


def _reduce(frame: Any, panel: Panel) -> Planes:
    turns = int(frame.rotation) // 90 % 4
    width, height = (panel.height, panel.width) if turns % 2 else (panel.width, panel.height)
    small = frame.reformat(width=width, height=height, format="yuv420p")
    # FFmpeg's display rotation counts counterclockwise, as rot90 does.
    found = [np.rot90(_rows(plane), turns) for plane in small.planes]
    return found[0], found[1], found[2]


def _rows(plane: Any) -> NDArray[np.uint8]:
    rows = np.frombuffer(plane, dtype=np.uint8).reshape(plane.height, plane.line_size)
    return rows[:, : plane.width].copy()


def write_film(
    path: Path, panels: Sequence[Panel], pictures: Iterable[Sequence[Planes]], *, rate_hz: float
) -> Iterator[None]:
    """Write a film, one frame at each step of the iterator; it is whole when the iterator has ended.

    pictures: one per panel, moment by moment.

    Raises:
        InputError: the file cannot be written.
    """
    rate = Fraction(rate_hz).limit_denominator(100_000)
    width, height = film_size(panels)
    try:
        with av.open(str(path), "w", format="mp4", options={"movflags": _OPTIONS["movflags"]}) as container:
            stream: Any = container.add_stream("libx264", rate=rate, options=_OPTIONS)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.codec_context.time_base = 1 / rate
            stream.codec_context.gop_size = max(1, round(_KEY_EVERY_S * rate_hz))
            for number, together in enumerate(pictures):
                frame = _compose((width, height), panels, together, number)
                frame.pts, frame.time_base = number, 1 / rate
                container.mux(stream.encode(frame))
                yield
            container.mux(stream.encode(None))
    except FFmpegError as error:
        raise InputError(f"cannot be written: {error.strerror}", where=str(path)) from error


def _compose(size_px: tuple[int, int], panels: Sequence[Panel], pictures: Sequence[Planes], number: int) -> Any:
    width, height = size_px
    frame = av.VideoFrame(width, height, "yuv420p")
    for i, plane in enumerate(frame.planes):
        half = 2 if i else 1
        whole = np.full((height // half, plane.line_size), _BLACK[i], dtype=np.uint8)
        for panel, picture in zip(panels, pictures, strict=True):
            top, left = panel.top // half, panel.left // half
            rows, columns = picture[i].shape
            whole[top : top + rows, left : left + columns] = picture[i]
        if i == 0:
            _write_number(whole[number_top(panels) :], number)
        plane.update(whole.tobytes())
    return frame


def _write_number(row: NDArray[np.uint8], number: int) -> None:
    bits = number >> np.arange(NUMBER_BITS)[::-1] & 1
    blocks = np.where(bits, _WHITE_LUMA, _BLACK_LUMA).astype(np.uint8).repeat(NUMBER_BLOCK_PX)
    row[:NUMBER_BLOCK_PX, : blocks.size] = blocks
