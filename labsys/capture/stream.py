"""One camera's rows laid out on its own count of ticks: what each stored frame is, and what was lost between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labsys.core.arrays import BoolArray, FloatArray, IntArray
from labsys.core.frame_clock import count_ticks, find_unsure
from labsys.storage.sidecar import ROW, Rows, lost_before

NS = 1_000_000_000
_NEAR = 0.2  # of the nominal period: a step this far off is a loss or a stall, not the camera's period
_FEWEST_STEPS = 12  # jitter of fewer says less of the period than what the camera is set to
_SLOW = 1.5  # times the nominal period: the camera runs in another mode than it should


@dataclass(frozen=True, eq=False)
class Recorded:
    """One camera's parts as they lie on the disk, and its events."""

    camera: str
    parts: tuple[Rows, ...]
    events: tuple[Mapping[str, Any], ...]
    period_s: float

    @property
    def rows(self) -> Rows:
        """All rows in order."""
        return np.concatenate(self.parts) if self.parts else np.zeros(0, dtype=ROW)


def measure_period(rows: Sequence[Rows], nominal_s: float) -> tuple[float, bool]:
    """The camera's period, s, and whether it is far slower than it should be for more than a tenth of its frames."""
    steps = [np.diff(p["t_ns"]) / NS / np.maximum(np.diff(p["seq"]), 1) for p in rows if p.size > 1]
    found = np.concatenate(steps) if steps else np.zeros(0)
    near = found[np.abs(found / nominal_s - 1.0) < _NEAR]
    slow = found.size > 0 and float(np.mean(found > _SLOW * nominal_s)) > 0.1
    return (float(np.median(near)) if near.size >= _FEWEST_STEPS else nominal_s), slow


@dataclass(eq=False)
class Stream:
    """A camera's rows on its own count of ticks, with what was lost between them; unsure: which may be of another."""

    recorded: Recorded
    ticks: IntArray
    unsure: BoolArray
    period_s: float
    slow: bool
    start_s: float
    first_seq: int
    in_camera: int
    in_kernel: int
    in_recorder: int
    outage: int
    gaps: list[tuple[int, int]]

    @property
    def rows(self) -> Rows:
        return self.recorded.rows


def lay_out(recorded: Recorded) -> Stream:
    parts = [p for p in recorded.parts if p.size]
    period_s, slow = measure_period(parts, recorded.period_s)
    nothing = np.zeros(0, np.int64)
    stream = Stream(recorded, nothing, nothing.astype(np.bool_), period_s, slow, 0.0, 0, 0, 0, 0, 0, [])
    pieces: list[IntArray] = []
    origin_s = 0.0
    for number, part in enumerate(parts):
        times_s = _seconds(part["t_ns"], parts[0])
        ticks = _count(times_s, part["seq"], period_s)
        unsure = find_unsure(times_s, part["seq"].astype(np.int64), ticks, period_s=period_s)
        stream.unsure = np.concatenate([stream.unsure, unsure])
        begin_s = _start(times_s, ticks, period_s)
        if number == 0:
            origin_s = begin_s
            stream.start_s = begin_s + float(parts[0]["t_ns"][0]) / NS
            stream.first_seq = int(part["seq"][0])
        else:
            before = int(pieces[-1][-1])
            ticks = ticks + max(before + 1, round((begin_s - origin_s) / period_s))
            stream.outage += int(ticks[0]) - before - 1
            stream.gaps.append((before, int(ticks[0]) - before - 1))
        _count_inside(stream, part, ticks)
        pieces.append(ticks)
    stream.ticks = np.concatenate(pieces) if pieces else stream.ticks
    return stream


def _count_inside(stream: Stream, part: Rows, ticks: IntArray) -> None:
    by_number = np.diff(part["seq"]) - 1
    missing = np.diff(ticks) - 1
    let_go = np.minimum(lost_before(part)[1:], by_number)
    stream.in_recorder += int(let_go.sum())
    stream.in_kernel += int((by_number - let_go).sum())
    stream.in_camera += int((missing - by_number).sum())
    stream.gaps += [(int(ticks[i]), int(missing[i])) for i in np.flatnonzero(missing)]


def _count(times_s: FloatArray, seq: IntArray, period_s: float) -> IntArray:
    if times_s.size < 2:
        return np.zeros(times_s.size, dtype=np.int64)
    ticks = count_ticks(times_s, seq.astype(np.int64), period_s=period_s)
    # Numbers never overcount; what a jump of the times backwards took away is given back.
    lowest = seq.astype(np.int64) - int(seq[0])
    return np.maximum.accumulate(np.maximum(ticks - lowest, 0)) + lowest


def _start(times_s: FloatArray, ticks: IntArray, period_s: float) -> float:
    """When tick 0 of this part was, under the lateness of single stamps."""
    return float(np.quantile(times_s - period_s * ticks, 0.1))


def _seconds(t_ns: IntArray, first: Rows) -> FloatArray:
    return np.asarray((t_ns - first["t_ns"][0]) / NS, dtype=np.float64)
