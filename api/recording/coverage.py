"""Where in each picture a waved board was seen while a calibration is recorded: from the previews, twice a second.

A process of its own looks, at a low priority, so that the recorder is not held up; what it has seen lies in a small
file that the station reads. The calibration itself looks at the pictures of the take later on.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from api.recording.coverage_file import COLUMNS, COVERAGE_FILE, ROWS
from calibration.board.coverage import map_coverage
from calibration.board.detector import BoardFinder
from calibration.rig.extrinsics import MIN_SHARED_BOARDS
from calibration.rig.grade import GradeLimits
from calibration.rig.poses import PoseLimits
from labsys.capture.preview import PreviewReader, preview_file
from labsys.core.arrays import BoolArray, FloatArray
from labsys.core.board import Board
from labsys.storage.atomic import write_json_atomic

_LEAST_CORNERS = 4
_LOOK_EVERY_S = 0.5
_NINTHS = (
    ("upper left", "top", "upper right"),
    ("left", "middle", "right"),
    ("lower left", "bottom", "lower right"),
)


@dataclass
class CameraCoverage:
    """One camera. seen: looks that showed the board; together: those in which another camera saw it as well;
    cells: corners seen in each part of the picture, rows of COLUMNS from the top left; covered: what lay inside the
    outline of some board, as a calibration's report counts it."""

    seen: int = 0
    together: int = 0
    cells: list[int] = field(default_factory=lambda: [0] * (COLUMNS * ROWS))
    covered: BoolArray = field(default_factory=lambda: map_coverage(np.empty((0, 0, 2)), (1, 1)))


def join_groups(names: Sequence[str], pairs: Mapping[tuple[str, str], int]) -> list[set[str]]:
    """Cameras that are connected by looks at one board, directly or through others, as a calibration asks for them."""
    groups = [{name} for name in names]
    for (a, b), shared in pairs.items():
        one, other = (next(g for g in groups if name in g) for name in (a, b))
        if shared >= MIN_SHARED_BOARDS and one is not other:
            groups.remove(other)
            one |= other
    return groups


def note_look(covered: Mapping[str, CameraCoverage], seen: Mapping[str, tuple[FloatArray, tuple[int, int]]]) -> None:
    """Add one look at all cameras. seen: camera -> corners (n, 2) px, picture's (width, height) px; only those that
    show the board."""
    for camera, (xy_px, (width, height)) in seen.items():
        found = covered[camera]
        found.seen += 1
        found.together += len(seen) > 1
        found.covered |= map_coverage(xy_px[None], (width, height))
        column = np.clip(xy_px[:, 0] * COLUMNS // width, 0, COLUMNS - 1).astype(int)
        row = np.clip(xy_px[:, 1] * ROWS // height, 0, ROWS - 1).astype(int)
        for cell in row * COLUMNS + column:
            found.cells[int(cell)] += 1


def describe_coverage(
    covered: Mapping[str, CameraCoverage], pairs: Mapping[tuple[str, str], int]
) -> dict[str, dict[str, Any]]:
    """As it lies in the file, of each camera: counts, share of the picture, and what is missing."""
    names = tuple(covered)
    groups = {name: group for group in join_groups(names, pairs) for name in group}
    return {
        name: {
            "seen": found.seen,
            "together": found.together,
            "cells": found.cells,
            "covered_pct": 100.0 * float(found.covered.mean()),
            "missing": say_missing(found, [other for other in names if other not in groups[name]]),
        }
        for name, found in covered.items()
    }


def say_missing(found: CameraCoverage, apart: Sequence[str] = ()) -> str:
    """What grade A of a calibration still wants of a camera, in words; "" where nothing is missing. apart: cameras that
    are not connected with it yet."""
    limits, poses = GradeLimits(), PoseLimits().poses
    share = float(found.covered.mean())
    said = []
    if found.seen < limits.boards:
        said.append(f"seen {found.seen} of {limits.boards} times")
    if share < limits.coverage:
        bare = _say_bare(found.covered)
        said.append(f"{100 * share:.0f} of {100 * limits.coverage:.0f} % of its picture{bare}")
    if found.together < poses:
        said.append(f"with another camera {found.together} of {poses} times")
    elif apart:
        said.append(f"at the same time as {' or '.join(apart)}, held still")
    return "; ".join(said)


def _say_bare(covered: BoolArray) -> str:
    """Which ninths of the picture are covered by less than half: by their names, or by those that are not bare."""
    thirds = [np.array_split(rows, 3, axis=1) for rows in np.array_split(covered, 3, axis=0)]
    is_bare = {_NINTHS[r][c]: bool(thirds[r][c].mean() < 0.5) for r in range(3) for c in range(3)}
    bare, done = [n for n in is_bare if is_bare[n]], [n for n in is_bare if not is_bare[n]]
    if not bare or not done:
        return ""
    return f", bare at {', '.join(bare)}" if len(bare) <= len(done) else f", bare but for {', '.join(done)}"


def watch_board(board: Board, previews: Path, cameras: Sequence[str]) -> None:
    """Entry point of the process: look until it is ended."""
    os.nice(5)
    readers = {camera: PreviewReader(preview_file(previews, camera)) for camera in cameras}
    detectors = {camera: BoardFinder(board) for camera in cameras}
    covered, shown = {camera: CameraCoverage() for camera in cameras}, dict.fromkeys(cameras, 0)
    pairs = dict.fromkeys(combinations(cameras, 2), 0)
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
        for pair in combinations([camera for camera in cameras if camera in seen], 2):
            pairs[pair] += 1
        write_json_atomic(previews / COVERAGE_FILE, describe_coverage(covered, pairs))
        time.sleep(max(_LOOK_EVERY_S - (time.monotonic() - began_s), 0.05))


def find_board(detector: BoardFinder, picture: bytes) -> tuple[FloatArray, tuple[int, int]] | None:
    """Corners (n, 2) px of the board in a JPEG, and its (width, height) px; None where too little of it shows."""
    import cv2

    gray = cv2.imdecode(np.frombuffer(picture, dtype=np.uint8), cv2.IMREAD_GRAYSCALE)
    if gray is None:
        return None
    sighting = detector.find(np.asarray(gray, dtype=np.uint8))
    return (sighting.xy_px, (gray.shape[1], gray.shape[0])) if sighting.ids.size >= _LEAST_CORNERS else None
