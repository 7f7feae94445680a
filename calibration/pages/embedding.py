"""Parts of pictures inside a page."""

from __future__ import annotations

import base64

import cv2
import numpy as np
from numpy.typing import NDArray


def embed_part(picture: NDArray[np.uint8], box_px: tuple[float, float, float, float], *, largest_px: int) -> str:
    """The part of a picture in a box (x, y, width, height) as a JPEG data URL, at most so wide and high.

    What lies outside the picture is grey; "" where it cannot be encoded.
    """
    x, y, width, height = box_px
    scale = min(1.0, largest_px / max(width, height))
    move = np.array([[scale, 0.0, -x * scale], [0.0, scale, -y * scale]])
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.warpAffine(picture, move, size, flags=cv2.INTER_AREA, borderValue=(128.0,))
    done, encoded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode("ascii") if done else ""
