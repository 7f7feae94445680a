"""Pictures from files, as frames, and back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from labsys.core.errors import InputError


def read_picture(path: Path) -> NDArray[np.uint8]:
    """A picture (H, W, 3) RGB (InputError: it cannot be read)."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise InputError("is no readable picture", where=str(path), remedy="Restore it, or delete its row of labels")
    return np.ascontiguousarray(picture[..., ::-1], dtype=np.uint8)


def read_pictures(folder: Path, names: Sequence[str]) -> Iterator[NDArray[np.uint8]]:
    """Pictures of a folder, (H, W, 3) RGB each, in the order of their names given (InputError: one is unreadable)."""
    return (read_picture(folder / name) for name in names)


def write_picture(path: Path, picture: NDArray[np.uint8], *, quality: int) -> None:
    """Write a picture (H, W, 3) RGB as JPEG, `quality` 1 to 100 (InputError: it cannot be written)."""
    written = False
    with contextlib.suppress(cv2.error, OSError):
        written = cv2.imwrite(str(path), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not written:
        raise InputError("cannot be written", where=str(path), remedy="See whether the disk is full")
