"""Pictures for virtual cameras: JPEG whose top strip is a barcode of the frame's number.

A picture is encoded once. JPEG restart intervals are independent of each other, so the two intervals of the top row of
blocks can be replaced by those of another number without encoding anything: every frame of a stream is a valid JPEG of
its own at the cost of joining bytes. Source: ITU-T T.81 (1992), B.2.4.4 and E.1.4.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from labsys.core.errors import InputError

_BLOCK_PX = 16  # of a 4:2:0 JPEG, and of the barcode
_BITS = 8
_QUALITY = 80
COUNT_LIMIT = 1 << (2 * _BITS)
MIN_WIDTH_PX = 2 * 2 * _BITS * _BLOCK_PX

Picture = NDArray[np.uint8]


class FrameSource(Protocol):
    """What a virtual camera shows."""

    size_px: tuple[int, int]

    def picture(self, tick: int) -> bytes:
        """The JPEG of the camera's `tick`-th exposure."""


class CountedPictures:
    """Pictures in a loop, each carrying the number of its exposure (modulo 65536) as a barcode.

    Width: a multiple of 32 px and at least 512 px; height: a multiple of 16 px.

    Raises:
        InputError: no pictures, of different sizes, or of a size that does not fit.
    """

    def __init__(self, images: Sequence[Picture], *, quality: int = _QUALITY) -> None:
        if not images or len({i.shape[:2] for i in images}) != 1:
            raise InputError("pictures of one size are needed")
        height, width = images[0].shape[:2]
        if width % (2 * _BLOCK_PX) or width < MIN_WIDTH_PX or height % _BLOCK_PX or height < 2 * _BLOCK_PX:
            raise InputError(
                f"pictures of {width}x{height} px carry no barcode",
                remedy="Use a width of 512 px or more in steps of 32, a height in steps of 16",
            )
        self.size_px = (width, height)
        self._heads, self._tails = zip(*[_split(_encode(image, quality)) for image in images], strict=True)
        self._high = _strips(width, quality, high=True)
        self._low = _strips(width, quality, high=False)

    def picture(self, tick: int) -> bytes:
        """The JPEG of this exposure."""
        code, which = tick % COUNT_LIMIT, tick % len(self._heads)
        picture: bytes = self._heads[which] + self._high[code >> _BITS] + self._low[code & 0xFF] + self._tails[which]
        return picture

    @property
    def largest_bytes(self) -> int:
        """Size of the largest picture."""
        strips = max(map(len, self._high)) + max(map(len, self._low))
        return max(len(h) + len(t) for h, t in zip(self._heads, self._tails, strict=True)) + strips


def load_pictures(folder: Path) -> CountedPictures:
    """Pictures of a folder, in the order of their names (InputError: none, or unreadable)."""
    import cv2

    files = sorted(p for p in folder.glob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
    images = [cv2.imread(str(p), cv2.IMREAD_COLOR) for p in files]
    if not images or any(i is None for i in images):
        raise InputError("holds no readable pictures", where=str(folder))
    return CountedPictures([np.asarray(i, dtype=np.uint8) for i in images])


def draw_test_pattern(size_px: tuple[int, int], *, n_pictures: int = 4, seed: int = 0) -> list[Picture]:
    """Grey clouds with a bar that moves from picture to picture; their JPEG is about as large as a camera's."""
    import cv2

    width, height = size_px
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(40, 200, (height // 16 + 1, width // 16 + 1)).astype(np.float32)
    clouds = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) + rng.normal(0, 6, (height, width))
    pictures = []
    for i in range(n_pictures):
        image = clouds.copy()
        left = (i * width) // n_pictures
        image[height // 2 : height // 2 + 32, left : left + 32] = 255
        pictures.append(np.repeat(np.clip(image, 0, 255).astype(np.uint8)[..., None], 3, axis=2))
    return pictures


def read_barcode(image: Picture) -> int | None:
    """The number that a decoded picture carries, (H, W) grey or (H, W, 3); None where it carries none."""
    grey = image if image.ndim == 2 else image.mean(axis=2)
    half_px = grey.shape[1] // 2
    code = 0
    for begin in (0, half_px):
        bits = [
            grey[4:12, begin + _BLOCK_PX * b + 4 : begin + _BLOCK_PX * b + 12].mean() > 127.5 for b in range(2 * _BITS)
        ]
        if any(bits[b] == bits[b + _BITS] for b in range(_BITS)):
            return None
        code = (code << _BITS) | sum(int(bit) << (_BITS - 1 - b) for b, bit in enumerate(bits[:_BITS]))
    return code


def read_jpeg_barcode(picture: bytes) -> int | None:
    """The number that a JPEG carries; None where it carries none or is damaged."""
    import cv2

    image = cv2.imdecode(np.frombuffer(picture, dtype=np.uint8), cv2.IMREAD_GRAYSCALE)
    return None if image is None else read_barcode(np.asarray(image, dtype=np.uint8))


def _encode(image: Picture, quality: int) -> bytes:
    import cv2

    interval = image.shape[1] // (2 * _BLOCK_PX)
    colour = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_RST_INTERVAL, interval]
    sampling = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]
    done, data = cv2.imencode(".jpg", colour, options + sampling)
    if not done:
        raise InputError("a picture cannot be encoded as JPEG")
    return bytes(data.tobytes())


def _intervals(jpeg: bytes) -> tuple[int, list[int]]:
    """Where the coded picture begins, and where its restart markers stand."""
    scan = jpeg.index(b"\xff\xda")
    begin = scan + 2 + int.from_bytes(jpeg[scan + 2 : scan + 4], "big")
    marks, at = [], begin
    while (at := jpeg.find(b"\xff", at)) >= 0 and at + 1 < len(jpeg):
        if 0xD0 <= jpeg[at + 1] <= 0xD7:
            marks.append(at)
        at += 2
    return begin, marks


def _split(jpeg: bytes) -> tuple[bytes, bytes]:
    """What stands before the two intervals of the barcode, and what stands after them."""
    begin, marks = _intervals(jpeg)
    return jpeg[:begin], jpeg[marks[1] + 2 :]


@functools.cache
def _strips(width: int, quality: int, *, high: bool) -> tuple[bytes, ...]:
    """For each byte its interval with the restart marker after it."""
    return tuple(_cut_strip(_draw_strip(width, byte), quality, second=not high) for byte in range(1 << _BITS))


def _draw_strip(width: int, byte: int) -> Picture:
    # Two rows of blocks: were there one, its last interval would end with the end of the picture, not with a marker.
    strip = np.zeros((2 * _BLOCK_PX, width, 3), dtype=np.uint8)
    for half in (0, width // 2):
        for b in range(2 * _BITS):
            bit = (byte >> (_BITS - 1 - b % _BITS)) & 1
            left = half + _BLOCK_PX * b
            strip[:_BLOCK_PX, left : left + _BLOCK_PX] = 255 if bit != (b >= _BITS) else 0
    return strip


def _cut_strip(strip: Picture, quality: int, *, second: bool) -> bytes:
    jpeg = _encode(strip, quality)
    begin, marks = _intervals(jpeg)
    return jpeg[marks[0] + 2 : marks[1] + 2] if second else jpeg[begin : marks[0] + 2]
