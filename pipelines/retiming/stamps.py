"""Timestamps of free-running cameras as a CSV `cam_id,frame_time[,frame][,kind]`, one row per frame."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from pathlib import Path

import numpy as np

from calibration.match import match_cameras
from labsys.core.errors import InputError, UnknownNameError
from labsys.core.frame_clock import FrameStamps

TIMESTAMPS = "timestamps"  # role of the file among a take's files
_REMEDY = "The file holds one row per frame: cam_id,frame_time[,frame][,kind], times in seconds"


class FrameKind(StrEnum):
    """What a row of the file stands for: a frame of its own, a repeated one, or one that cannot be used.

    unsure: a late frame beside a lost one, which may be from before it or from after it.
    """

    REAL = "real"
    DUPLICATE = "dup"
    MISSING = "missing"
    BAD = "bad"
    UNSURE = "unsure"


@dataclass(frozen=True)
class _Row:
    """One row: where it stands, the frame's number (its line where the file counts none), its time, if it is real."""

    where: str
    number: int
    time_s: float
    real: bool


def read_stamps(path: Path, cameras: Iterable[str]) -> dict[str, FrameStamps]:
    """Timestamps by the given cameras' names (case, '-' and '_' do not matter, 0 is cam0), in the order of the file.

    Rows of a kind other than `real` are no measurements and need no time.

    Raises:
        InputError: unreadable, columns missing, a time that is no finite number or a frame's number that does not
            exceed the one before (names line and camera), or a camera without timestamps. UnknownNameError: a kind
            that does not exist.
    """
    rows = _read_rows(path)
    by_camera: dict[str, list[_Row]] = {}
    numbered = "frame" in rows[0]
    for line, row in enumerate(rows, start=2):
        camera = (row["cam_id"] or "").strip()
        where = f"{path}, line {line}, camera {camera}"
        real = _kind(row.get("kind"), where) is FrameKind.REAL
        moment = _number(row["frame_time"], where, needed=real)
        number = int(_number(row["frame"], where, needed=True)) if numbered else line
        by_camera.setdefault(f"cam{camera}" if camera.isdigit() else camera, []).append(
            _Row(where, number, moment, real)
        )
    asked = tuple(cameras)
    try:
        match = match_cameras(by_camera, asked)
    except UnknownNameError as error:
        raise InputError(
            f"camera {', '.join(asked)} expected, timestamps are of {', '.join(by_camera)}",
            where=str(path),
            remedy="Give timestamps of every camera",
        ) from error
    return {name: _as_stamps(by_camera[match[name]], numbered=numbered) for name in asked}


def _read_rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream, skipinitialspace=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"the timestamps cannot be read: {error}", where=str(path), remedy=_REMEDY) from error
    if not rows or not {"cam_id", "frame_time"} <= set(rows[0]):
        raise InputError("the timestamps lack the columns cam_id and frame_time", where=str(path), remedy=_REMEDY)
    return rows


def _kind(text: str | None, where: str) -> FrameKind:
    word = (text or FrameKind.REAL).strip()
    if word not in set(FrameKind):
        raise UnknownNameError("kind of frame", word, valid=[k.value for k in FrameKind], where=where)
    return FrameKind(word)


def _number(text: str | None, where: str, *, needed: bool) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value) and needed:
        raise InputError(f"'{text}' is no frame time or number", where=where, remedy=_REMEDY)
    return value


def _as_stamps(rows: list[_Row], *, numbered: bool) -> FrameStamps:
    for before, row in pairwise(rows):
        # Never put in order: after a wrap the order of the numbers is not that of the pictures.
        if row.number <= before.number:
            raise InputError(
                f"frame {row.number} follows frame {before.number}: the numbers must rise from row to row",
                where=row.where,
                remedy="Unwrap the counter where it restarts, or leave the column frame out; one recording per file",
            )
    number = np.array([row.number for row in rows], dtype=np.int64) if numbered else None
    times_s = np.array([row.time_s for row in rows])
    return FrameStamps(times_s, number, np.array([row.real for row in rows], dtype=np.bool_))
