"""JPEG pictures with circles blurred: decoded, blurred, coded anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from labsys.core.arrays import FloatArray
from pipelines.playback.blurring import blur_head
from pipelines.playback.heads import Heads

_QUALITY = 92


def recode_blurred(pictures: Iterable[bytes], heads: Heads) -> Iterator[bytes]:
    """The frames of a video with their heads blurred; one that is damaged, or that nobody knows of, comes out empty."""
    for data, discs_px in zip(pictures, heads.discs_px, strict=False):
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
        yield b"" if picture is None else _coded(np.asarray(picture, dtype=np.uint8), discs_px)


def _coded(picture: np.ndarray, discs_px: FloatArray) -> bytes:
    return bytes(cv2.imencode(".jpg", blur_head(picture, discs_px), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes())
