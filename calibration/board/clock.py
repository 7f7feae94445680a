"""One clock for board corners: by frame number for triggered cameras, by timestamps for free-running ones."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from calibration.board.detect import BoardCorners, CameraCorners
from calibration.match import match_cameras
from labsys.core.arrays import FloatArray, IntArray
from labsys.core.board import Board
from labsys.core.errors import InputError

_LONGEST_GAP_FRAMES = 1.6  # a corner is not carried over a lost frame
_REMEDY = "The file holds one row per frame: cam_id,frame_time[,frame], times in seconds"


def read_timestamps(path: Path) -> dict[str, FloatArray]:
    """Frame times per camera from a CSV `cam_id,frame_time[,frame]`, in the order of the frames.

    Raises:
        InputError: unreadable, columns missing, a time that is no finite number, or frame numbers or times that do not
            rise from row to row; names camera and row.
    """
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the timestamps cannot be read: {error}", where=str(path), remedy=_REMEDY) from error
    if not rows or not {"cam_id", "frame_time"} <= set(rows[0]):
        raise InputError("the timestamps lack the columns cam_id and frame_time", where=str(path), remedy=_REMEDY)
    times: dict[str, list[float]] = {}
    last: dict[str, tuple[float, float]] = {}
    for number, row in enumerate(rows, start=2):
        camera, where = row["cam_id"], f"{path}, line {number}, camera {row['cam_id']}"
        moment = _number(row["frame_time"], where)
        order = _number(row["frame"], where) if row.get("frame") else float(number)
        before = last.get(camera, (-np.inf, -np.inf))
        if order <= before[0]:
            raise InputError(
                f"frame {order:g} comes after frame {before[0]:g}", where=where, remedy="Unwrap the camera's counter"
            )
        if moment <= before[1]:
            raise InputError(f"{moment:.6f} s comes after {before[1]:.6f} s", where=where, remedy=_REMEDY)
        times.setdefault(camera, []).append(moment)
        last[camera] = (order, moment)
    return {camera: np.array(moments) for camera, moments in times.items()}


def _number(text: str | None, where: str) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise InputError(f"'{text}' is no frame time", where=where, remedy=_REMEDY)
    return value


def set_clock(cameras: tuple[CameraCorners, ...], times_s: Mapping[str, FloatArray]) -> tuple[CameraCorners, ...]:
    """Give every frame its time (names match as camera names do: case, '-' and '_' do not matter, 0 is cam0).

    Raises:
        InputError: a camera without times, or another number of times than frames.
    """
    named = {(f"cam{n}" if n.strip().isdigit() else n): t for n, t in times_s.items()}
    match = match_cameras(named, [c.camera for c in cameras])
    for camera in cameras:
        count = len(named[match[camera.camera]])
        if count != len(camera.times_s):
            raise InputError(
                f"{count} timestamps for {len(camera.times_s)} frames",
                where=f"camera {camera.camera}",
                remedy="Give the timestamps that were written with this video",
            )
    return tuple(replace(c, times_s=named[match[c.camera]]) for c in cameras)


def join_by_frame(cameras: tuple[CameraCorners, ...], board: Board, *, rate_hz: float) -> BoardCorners:
    """Take frame i of every camera as one instant; a video that ends early has no corners from there on."""
    count = max(len(c.times_s) for c in cameras)
    xy = np.full((count, len(cameras), board.n_corners, 2), np.nan)
    for i, camera in enumerate(cameras):
        xy[: len(camera.times_s), i] = camera.xy_px
    return _as_corners(cameras, board, np.arange(count) / rate_hz, xy)


def join_by_time(cameras: tuple[CameraCorners, ...], board: Board) -> BoardCorners:
    """Carry the corners of free-running cameras to the frame times of the camera with most frames.

    Between two frames of a camera a corner moves along a cubic through its neighbours where they were seen, along a
    line otherwise; over a lost frame nothing is carried.
    """
    reference = max(cameras, key=lambda c: len(c.times_s))
    xy = np.stack([_carry(c, reference.times_s) for c in cameras], axis=1)
    return _as_corners(cameras, board, reference.times_s, xy)


def _carry(camera: CameraCorners, times_s: FloatArray) -> FloatArray:
    if len(camera.times_s) < 2:
        return np.full((len(times_s), *camera.xy_px.shape[1:]), np.nan)
    known, xy = camera.times_s, camera.xy_px
    period = float(np.median(np.diff(known)))
    before = np.clip(np.searchsorted(known, times_s, side="right") - 1, 0, len(known) - 2)
    gap = known[before + 1] - known[before]
    share = (times_s - known[before]) / gap
    at = share[:, None, None]
    a, b = xy[before], xy[before + 1]
    chord = b - a
    slope_a = _slope(xy, known, before, gap, chord)
    slope_b = _slope(xy, known, before + 1, gap, chord)
    curve = a + at * chord + at * (1 - at) * ((1 - at) * (slope_a - chord) - at * (slope_b - chord))
    curve = np.where(at == 0.0, a, np.where(at == 1.0, b, curve))
    usable = ((share == 0.0) | (gap <= _LONGEST_GAP_FRAMES * period)) & (share >= 0.0) & (share <= 1.0)
    return np.asarray(np.where(usable[:, None, None], curve, np.nan), dtype=np.float64)


def _slope(xy: FloatArray, times_s: FloatArray, index: IntArray, gap: FloatArray, chord: FloatArray) -> FloatArray:
    """Central difference over one frame's gap where both neighbours were seen, else the chord."""
    last = len(times_s) - 1
    low, high = np.clip(index - 1, 0, last), np.clip(index + 1, 0, last)
    span = np.where(high - low == 2, times_s[high] - times_s[low], np.nan)
    central = (xy[high] - xy[low]) * (gap / span)[:, None, None]
    return np.asarray(np.where(np.isfinite(central), central, chord), dtype=np.float64)


def _as_corners(
    cameras: tuple[CameraCorners, ...], board: Board, times_s: FloatArray, xy_px: FloatArray
) -> BoardCorners:
    names = tuple(c.camera for c in cameras)
    return BoardCorners(board, names, tuple(c.size_px for c in cameras), times_s, xy_px)
