"""Where in each picture a waved board was seen while a calibration is recorded: from the previews, twice a second.

A process of its own looks, at a low priority, so that the recorder is not held up; what it has seen lies in a small
file that the station reads. The calibration itself looks at the pictures of the take later on.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from api.recording.coverage_file import COLUMNS, COVERAGE_FILE, ROWS
from calibration.board.detector import BoardFinder
from labsys.capture.preview import PreviewReader, preview_file
from labsys.core.arrays import FloatArray
from labsys.core.board import Board
from labsys.storage.atomic import write_json_atomic

_LEAST_CORNERS = 4
_LOOK_EVERY_S = 0.5


@dataclass
class CameraCoverage:
    """One camera. seen: looks that showed the board; together: those in which another camera saw it as well;
    cells: corners seen in each part of the picture, rows of COLUMNS from the top left."""

    seen: int = 0
    together: int = 0
    cells: list[int] = field(default_factory=lambda: [0] * (COLUMNS * ROWS))


def note_look(covered: Mapping[str, CameraCoverage], seen: Mapping[str, tuple[FloatArray, tuple[int, int]]]) -> None:
    """Add one look at all cameras. seen: camera -> corners (n, 2) px, picture's (width, height) px; only those that
    show the board."""
    for camera, (xy_px, (width, height)) in seen.items():
        found = covered[camera]
        found.seen += 1
        found.together += len(seen) > 1
        column = np.clip(xy_px[:, 0] * COLUMNS // width, 0, COLUMNS - 1).astype(int)
        row = np.clip(xy_px[:, 1] * ROWS // height, 0, ROWS - 1).astype(int)
        for cell in row * COLUMNS + column:
            found.cells[int(cell)] += 1


def watch_board(board: Board, previews: Path, cameras: Sequence[str]) -> None:
    """Entry point of the process: look until it is ended."""
    os.nice(5)
    readers = {camera: PreviewReader(preview_file(previews, camera)) for camera in cameras}
    detectors = {camera: BoardFinder(board) for camera in cameras}
    covered, shown = {camera: CameraCoverage() for camera in cameras}, dict.fromkeys(cameras, 0)
    while previews.is_dir():
        began_s = time.monotonic()
        seen = dict[str, tuple[FloatArray, tuple[int, int]]]()
        for camera, reader in readers.items():
            preview = reader.latest(after=shown[camera])
            if preview is not None:
                shown[camera] = preview.number
                found = find_board(detectors[camera], preview.picture)
                seen |= {} if found is None else {camera: found}
        note_look(covered, seen)
        write_json_atomic(previews / COVERAGE_FILE, {c: vars(found) for c, found in covered.items()})
        time.sleep(max(_LOOK_EVERY_S - (time.monotonic() - began_s), 0.05))


def find_board(detector: BoardFinder, picture: bytes) -> tuple[FloatArray, tuple[int, int]] | None:
    """Corners (n, 2) px of the board in a JPEG, and its (width, height) px; None where too little of it shows."""
    import cv2

    gray = cv2.imdecode(np.frombuffer(picture, dtype=np.uint8), cv2.IMREAD_GRAYSCALE)
    if gray is None:
        return None
    sighting = detector.find(np.asarray(gray, dtype=np.uint8))
    return (sighting.xy_px, (gray.shape[1], gray.shape[0])) if sighting.ids.size >= _LEAST_CORNERS else None
