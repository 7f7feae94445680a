"""When each frame of a camera was taken: a straight clock under late timestamps.

A camera's crystal ticks evenly; the stamp of a frame is taken when the computer gets round to it, so it is late by
little or much and never early. The clock is therefore the lower envelope of the stamps over the frame's number: the
line of their 10 % quantile, bent every 30 s where a long recording warms the crystal.
Source: quantile regression after Koenker & Bassett 1978, doi:10.2307/1913643, by reweighted least squares.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from labsys.core.arrays import BoolArray, FloatArray, IntArray
from labsys.core.errors import InputError

_QUANTILE = 0.1
_KNOT_S = 30.0
_STRAIGHT_UP_TO_S = 60.0
_RUN_ON_FRAMES = 12  # a stamp held up for longer than this many frames looks like lost frames
_EARLY_AT_MOST = 0.25  # of a frame
_OFTEN = 8.0  # times the median lateness: one frame in two hundred where stamps are late by chance alone
_FEWEST_FRAMES = 3
_BACK_AT_MOST = 0.5  # of a frame: what jitter may do; more is a clock that was set back
_SLOWEST_HZ, _FASTEST_HZ, _RATE_TOLERANCE = 5.0, 2000.0, 0.01
# Less of a recording than this is lost to cameras that start by hand.
_CUT_SHARE, _CUT_S = 0.05, 0.5


@dataclass(frozen=True, eq=False)
class FrameStamps:
    """What a recorder noted of each frame of one camera.

    Attributes:
        times_s: (N,) s, on a clock that all cameras share; NaN where the frame has none.
        number: (N,) the camera's own count of frames, gaps where frames were lost; None where it was not noted.
        measured: (N,) False where the frame repeats another or is bad.
    """

    times_s: FloatArray
    number: IntArray | None
    measured: BoolArray


@dataclass(frozen=True, eq=False)
class FrameClock:
    """The clock of one camera.

    Attributes:
        times_s: (N,) s, when each frame was taken; rows that are no measurement have a time as well.
        measured: (N,) False where the frame repeats another or is bad.
        period_s: mean time between two frames. jitter_s: 99th percentile of how far stamps lie from the clock.
        n_lost: frames that the camera took and nobody stored.
    """

    times_s: FloatArray
    measured: BoolArray
    period_s: float
    jitter_s: float
    n_lost: int

    def shifted(self, offset_s: float, drift: float, middle_s: float) -> FrameClock:
        """The clock of a camera that looks later by offset_s + drift (s/s) x time since middle_s."""
        times_s = self.times_s + offset_s + drift * (self.times_s - middle_s)
        return FrameClock(times_s, self.measured, self.period_s * (1.0 + drift), self.jitter_s, self.n_lost)


@dataclass(frozen=True, eq=False)
class CameraClocks:
    """The clocks of one recording.

    Attributes:
        clocks: camera -> clock. stamped: whether they rest on timestamps; else frame i is one moment.
        n_repeated: camera -> frames that repeat another. n_bad: camera -> frames marked as bad.
    """

    clocks: Mapping[str, FrameClock]
    stamped: bool
    n_repeated: Mapping[str, int]
    n_bad: Mapping[str, int]

    @property
    def period_s(self) -> float:
        """Median over the cameras of the time between two frames."""
        return float(np.median([c.period_s for c in self.clocks.values()]))

    def grid_s(self) -> FloatArray:
        """Moments of the common clock, s on the timestamps' clock.

        Raises:
            InputError: there is no moment at which all cameras ran.
        """
        spans_s = self._spans_s()
        start_s, end_s = max(first for first, _ in spans_s.values()), min(last for _, last in spans_s.values())
        count = math.floor((end_s - start_s) / self.period_s + 1e-6) + 1
        if count < 1:
            spans = ", ".join(f"{camera} {first:.3f} to {last:.3f} s" for camera, (first, last) in spans_s.items())
            raise InputError(f"the cameras never ran together: {spans}", remedy="Give timestamps of one recording")
        return np.asarray(start_s + self.period_s * np.arange(count), dtype=np.float64)

    def describe_cut(self) -> str:
        """What one camera's late start or early end costs all of them; "" where it is little.

        Times count from the first frame of any camera.
        """
        spans_s = self._spans_s()
        late = max(spans_s, key=lambda camera: spans_s[camera][0])
        early = min(spans_s, key=lambda camera: spans_s[camera][1])
        first_s, last_s = min(first for first, _ in spans_s.values()), max(last for _, last in spans_s.values())
        starts_s, ends_s, whole_s = spans_s[late][0] - first_s, spans_s[early][1] - first_s, last_s - first_s
        lost_s = starts_s + whole_s - ends_s
        if not self.stamped or lost_s <= max(_CUT_S, _CUT_SHARE * whole_s):
            return ""
        causes = {f"{late} starts at {starts_s:.1f} s": starts_s, f"{early} ends at {ends_s:.1f} s": whole_s - ends_s}
        because = " and ".join(cause for cause, cost_s in causes.items() if cost_s > 0.1 * lost_s)
        return f"cut to {ends_s - starts_s:.1f} of {whole_s:.1f} s because {because}"

    def _spans_s(self) -> dict[str, tuple[float, float]]:
        """Camera -> moments of its first and last measured frame."""
        seen = {camera: c.times_s[c.measured] for camera, c in self.clocks.items()}
        return {camera: (float(t[0]), float(t[-1])) for camera, t in seen.items()}


def even_clock(n_frames: int, measured: BoolArray, *, rate_hz: float) -> FrameClock:
    """The clock of a camera that was triggered together with the others: frame i is moment i."""
    return FrameClock(np.arange(n_frames) / rate_hz, measured, 1.0 / rate_hz, 0.0, 0)


def require_plausible_rate(clock: FrameClock, *, where: str) -> None:
    """Refuse a clock that no camera has (InputError), as stamps in milliseconds make."""
    rate_hz = 1.0 / clock.period_s
    if not _SLOWEST_HZ * (1.0 - _RATE_TOLERANCE) <= rate_hz <= _FASTEST_HZ * (1.0 + _RATE_TOLERANCE):
        raise InputError(
            f"timestamps give {rate_hz:.3g} frames a second: seconds, not milliseconds?",
            where=where,
            remedy=f"Give timestamps in s; {_SLOWEST_HZ:g} to {_FASTEST_HZ:g} frames a second are read",
        )


def fit_clock(stamps: FrameStamps, *, where: str) -> FrameClock:
    """Replace late stamps by the even ticks under them.

    Raises:
        InputError: fewer than three stamped frames, or stamps that run backwards, on the whole or at once by more than
            half a frame.
    """
    known = stamps.measured & np.isfinite(stamps.times_s)
    repeated = np.zeros_like(known)
    rows = np.flatnonzero(known)
    repeated[rows[1:]] = np.diff(stamps.times_s[rows]) == 0.0  # an export fills its grid with the last frame's stamp
    rows = np.flatnonzero(known & ~repeated)
    if rows.size < _FEWEST_FRAMES:
        raise InputError(
            f"{rows.size} of {known.size} frames have a timestamp of their own",
            where=where,
            remedy="Give one timestamp per frame, in s",
        )
    seen_s = stamps.times_s[rows]
    _require_forwards(seen_s, where)
    ticks, unsure = _number_frames(seen_s, None if stamps.number is None else stamps.number[rows])
    fitted_s = _lower_envelope(ticks.astype(np.float64), seen_s)
    period_s = float((fitted_s[-1] - fitted_s[0]) / (ticks[-1] - ticks[0]))
    every = _fill_in(rows, fitted_s, known.size, period_s)
    jitter_s = float(np.quantile(np.abs(seen_s - fitted_s), 0.99))
    n_lost = int(ticks[-1] - ticks[0] + 1 - rows.size)
    measured = known & ~repeated
    measured[rows[unsure | _may_be_the_frame_before(ticks, seen_s - fitted_s, period_s)]] = False
    return FrameClock(every, measured, period_s, jitter_s, n_lost)


def _require_forwards(times_s: FloatArray, where: str) -> None:
    steps_s = np.diff(times_s)
    period_s = float(np.median(steps_s))
    if not period_s > 0:
        raise InputError("timestamps do not run forwards", where=where, remedy="Give seconds, frames in order")
    back = np.flatnonzero(steps_s < -_BACK_AT_MOST * period_s)
    if back.size:
        raise InputError(
            f"timestamps step back by {-1000 * steps_s[back[0]]:.1f} ms after {times_s[back[0]]:.3f} s",
            where=where,
            remedy="The clock was set while recording: stamp frames with a clock that nobody sets (monotonic)",
        )


def _may_be_the_frame_before(ticks: IntArray, late_s: FloatArray, period_s: float) -> BoolArray:
    """(N,) rows after a lost frame whose stamp is too early for their tick: they may be the lost frame, very late."""
    after_a_loss = np.concatenate([[False], np.diff(ticks) > 1])
    return np.asarray(after_a_loss & (late_s < -_EARLY_AT_MOST / 2 * period_s), dtype=np.bool_)


def _number_frames(times_s: FloatArray, number: IntArray | None) -> tuple[IntArray, BoolArray]:
    if number is not None and (np.diff(number) > 0).all() and number[-1] - number[0] >= number.size:
        return np.asarray(number - number[0], dtype=np.int64), np.zeros(number.size, dtype=np.bool_)
    rows, period_s = np.arange(times_s.size), float(np.median(np.diff(times_s)))
    ticks = count_ticks(times_s, rows, period_s=period_s)
    return ticks, find_unsure(times_s, rows, ticks, period_s=period_s)


def count_ticks(times_s: FloatArray, number: IntArray, *, period_s: float) -> IntArray:
    """(N,) how often the camera ticked before each frame, from 0: what `number` counts, and what only the times show.

    number: (N,) rising; the recorder's count of frames, with gaps where it knows of lost ones.
    """
    count = number - number[0]
    late_s = times_s - period_s * count
    # A stamp held up is followed by one that is not; a lost frame moves all that follow.
    padded = np.concatenate([late_s, np.full(_RUN_ON_FRAMES - 1, math.inf)])
    soonest_s = np.lib.stride_tricks.sliding_window_view(padded, _RUN_ON_FRAMES).min(axis=1)
    lost = np.zeros(times_s.size, dtype=np.int64)
    recent: deque[float] = deque([float(soonest_s[0])], maxlen=_RUN_ON_FRAMES)
    for i in range(1, times_s.size):
        # Late, never early: half a frame late is late, not the next frame half a frame early.
        lost[i] = math.floor((float(soonest_s[i]) - min(recent)) / period_s + _EARLY_AT_MOST)
        recent.append(float(late_s[i]) - period_s * int(lost[i]))
    # A late stamp between two losses may be taken for one more; the frames after it know better.
    lost = np.minimum.accumulate(lost[::-1])[::-1]
    return np.asarray(count + lost, dtype=np.int64)


def find_unsure(times_s: FloatArray, number: IntArray, ticks: IntArray, *, period_s: float) -> BoolArray:
    """(N,) rows whose tick nobody knows: late ones from a loss on that only the times show, up to the next one in time.

    A stamp that was held up beside such a loss fits on either side of it: before it, later still, as well as after it.
    number, ticks: as `count_ticks` was given and returned.
    """
    late_s = times_s - period_s * ticks
    late_s = late_s - _soonest_around(late_s)
    # A camera whose stamps all jitter is not late by what all of them are.
    held_up_s = np.clip(_OFTEN * float(np.median(late_s)), _EARLY_AT_MOST * period_s, 3 * _EARLY_AT_MOST * period_s)
    beside = np.concatenate([[False], np.diff(ticks) > np.diff(number)])
    unsure = np.zeros(ticks.size, dtype=np.bool_)
    for i in np.flatnonzero(late_s > held_up_s):
        unsure[i] = beside[i] or (i > 0 and unsure[i - 1])
    return unsure


def _soonest_around(late_s: FloatArray) -> FloatArray:
    """(N,) s: the least late of the frames around each, so that a crystal that drifts is not late."""
    padded = np.pad(late_s, _RUN_ON_FRAMES, constant_values=math.inf)
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, 2 * _RUN_ON_FRAMES + 1).min(axis=1))


def _lower_envelope(ticks: FloatArray, times_s: FloatArray) -> FloatArray:
    """(N,) s, the 10 % quantile of the times as a line in the ticks, with a knot every 30 s of long recordings."""
    basis = _hats(ticks, float(times_s[-1] - times_s[0]))
    weight, fitted = np.ones(ticks.size), times_s
    nearest_s = float(np.median(np.diff(times_s)))
    while nearest_s > 1e-7:
        for _ in range(4):
            normal = (basis * weight[:, None]).T @ basis
            fitted = basis @ np.linalg.lstsq(normal, (basis * weight[:, None]).T @ times_s, rcond=None)[0]
            late_s = times_s - fitted
            weight = np.where(late_s > 0, _QUANTILE, 1.0 - _QUANTILE) / np.maximum(np.abs(late_s), nearest_s)
        nearest_s /= 4.0
    return np.asarray(fitted, dtype=np.float64)


def _hats(ticks: FloatArray, duration_s: float) -> FloatArray:
    """(N, knots) how much each knot of a piecewise line counts at each tick."""
    pieces = max(1, round(duration_s / _KNOT_S)) if duration_s > _STRAIGHT_UP_TO_S else 1
    knots = np.linspace(ticks[0], ticks[-1], pieces + 1)
    return np.stack([np.interp(ticks, knots, row) for row in np.eye(knots.size)], axis=1)


def _fill_in(rows: IntArray, fitted_s: FloatArray, n_frames: int, period_s: float) -> FloatArray:
    """(n_frames,) s; rows without a time of their own lie evenly between their neighbours."""
    every = np.interp(np.arange(n_frames), rows, fitted_s)
    before, after = np.arange(rows[0]), np.arange(rows[-1] + 1, n_frames)
    every[before] = fitted_s[0] + (before - rows[0]) * period_s
    every[after] = fitted_s[-1] + (after - rows[-1]) * period_s
    return every
