"""How well the cameras of a take were held together, in ms and in mm at the speed of the task, and its grade.

A: one trigger, as many frames as pulses, clocks that do not slip by 0.2 ms. C: free-running, offsets not verified yet
(processing verifies them from the landmarks). D: times of the host, a rolling shutter, or more than 1 % lost. The B of
a verified free-running recording is given when the landmarks are known, and not here.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from labsys.capture.device import StampSource
from labsys.capture.losses import Losses
from labsys.capture.stream import NS, Recorded
from labsys.core.arrays import FloatArray
from labsys.core.errors import InputError
from labsys.core.frame_clock import FrameClock, FrameStamps, fit_clock
from labsys.storage.sidecar import Rows, is_bad, stamp_source

_SLIP_S = 0.0002
_LOST_SHARE = 0.01
_STEADY_S = 0.001
_MOST_PPM = 100.0
_ORDER = "ABCD"


@dataclass(frozen=True)
class CameraSync:
    """One camera's clock. jitter: how far stamps lie from it, s; ppm: against the rate that was asked for."""

    rate_hz: float
    ppm: float
    jitter_p50_s: float
    jitter_p99_s: float
    jitter_max_s: float
    host_stamps: int


@dataclass(frozen=True, eq=False)
class SyncQuality:
    """What is known of a take's synchronization.

    Attributes:
        cameras: camera -> its clock; cameras with fewer than three frames have none.
        clocks: the fitted clocks. skew_s: largest distance between two cameras' clocks beyond a constant one.
        timing_s: how far off a frame's time may be. error_m: what that is at the task's fastest speed.
        grade: A to D. reasons: what it rests on.
        standing: those for D that lie in what the rig is. faults: those that began during the take, losses aside.
    """

    cameras: Mapping[str, CameraSync]
    clocks: Mapping[str, FrameClock]
    skew_s: float
    timing_s: float
    error_m: float
    grade: str
    reasons: tuple[str, ...]
    standing: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


def judge_sync(
    recorded: Mapping[str, Recorded],
    losses: Mapping[str, Losses],
    *,
    n_pulses: int | None,
    rolling: bool,
    v_max_mps: float,
    cap: str,
) -> SyncQuality:
    """Fit every camera's clock and grade the take. n_pulses: None where the cameras run freely."""
    clocks = fit_clocks(recorded, losses)
    cameras = {name: _describe(recorded[name], clock) for name, clock in clocks.items()}
    skew_s = _skew(clocks, losses)
    jitter_s = max((c.jitter_p99_s for c in cameras.values()), default=float("nan"))
    timing_s = skew_s if n_pulses is not None else jitter_s
    standing = [*(["a rolling shutter"] if rolling else []), *_unstamped(recorded)]
    faults = _find_faults(recorded, cameras)
    preview = [*standing, *faults, *_much_lost(losses)]
    slow, good = _judge(cameras, losses, n_pulses, skew_s)
    grade = "D" if preview else "C" if slow or n_pulses is None else "A"
    if n_pulses is None and not preview:
        slow.append("the offsets of free-running cameras are not verified yet")
    grade = max(grade, cap, key=_ORDER.index)
    reasons = (*preview, *slow, *good)
    return SyncQuality(
        cameras, clocks, skew_s, timing_s, v_max_mps * timing_s, grade, reasons, tuple(standing), tuple(faults)
    )


def fit_clocks(recorded: Mapping[str, Recorded], losses: Mapping[str, Losses]) -> dict[str, FrameClock]:
    """Each camera's clock under its stamps, s on the monotonic clock; cameras whose stamps make none are left out."""
    clocks = {}
    for name, camera in recorded.items():
        rows = camera.rows
        sound = ~is_bad(rows) & (stamp_source(rows) != StampSource.HOST) & ~losses[name].unsure
        try:
            clocks[name] = fit_clock(FrameStamps(rows["t_ns"] / NS, losses[name].ticks, sound), where=name)
        except InputError:
            continue
    return clocks


def pulse_times(clocks: Mapping[str, FrameClock], losses: Mapping[str, Losses], n_pulses: int) -> FloatArray:
    """(n_pulses,) s: when each pulse was, on the monotonic clock, by the earliest camera, its latency included."""
    lines = [np.polyfit(losses[name].ticks, clock.times_s - clock.times_s[0], 1) for name, clock in clocks.items()]
    starts = [clock.times_s[0] for clock in clocks.values()]
    slope = float(np.median([line[0] for line in lines]))
    begin_s = min(line[1] + start for line, start in zip(lines, starts, strict=True))
    return np.asarray(begin_s + slope * np.arange(n_pulses), dtype=np.float64)


def _describe(recorded: Recorded, clock: FrameClock) -> CameraSync:
    rows = recorded.rows
    late_s = np.abs(rows["t_ns"] / NS - clock.times_s)[clock.measured]
    rate_hz = 1.0 / clock.period_s
    return CameraSync(
        rate_hz=rate_hz,
        ppm=1e6 * (rate_hz * recorded.period_s - 1.0),
        jitter_p50_s=float(np.quantile(late_s, 0.5)) if late_s.size else float("nan"),
        jitter_p99_s=clock.jitter_s,
        jitter_max_s=float(late_s.max()) if late_s.size else float("nan"),
        host_stamps=_host_stamps(rows),
    )


def _skew(clocks: Mapping[str, FrameClock], losses: Mapping[str, Losses]) -> float:
    """How far two cameras' clocks move against each other on the ticks that both stored, s."""
    worst = 0.0
    for one, other in itertools.combinations(clocks, 2):
        _, i, j = np.intersect1d(losses[one].ticks, losses[other].ticks, return_indices=True)
        if i.size:
            apart = clocks[one].times_s[i] - clocks[other].times_s[j]
            worst = max(worst, float(apart.max() - apart.min()))
    return worst


def _unstamped(recorded: Mapping[str, Recorded]) -> list[str]:
    """Cameras whose driver never gives a time of the frame itself."""
    return [
        f"{name} carries the host's time only"
        for name, camera in recorded.items()
        if camera.rows.size and _host_stamps(camera.rows) == camera.rows.size
    ]


def _find_faults(recorded: Mapping[str, Recorded], cameras: Mapping[str, CameraSync]) -> list[str]:
    """Clocks that failed during the take."""
    faults = []
    for name, camera in recorded.items():
        n_host, n = _host_stamps(camera.rows), camera.rows.size
        if 0 < n_host < n:
            faults.append(f"{n_host} frames of {name} carry the host's time only")
        if name not in cameras and n_host < max(n, 1):
            faults.append(f"no clock of {name}")
    return faults


def _host_stamps(rows: Rows) -> int:
    return int((stamp_source(rows) == StampSource.HOST).sum())


def _much_lost(losses: Mapping[str, Losses]) -> list[str]:
    return [
        f"{name} lost {found.lost / found.due:.1%} of its frames"
        for name, found in losses.items()
        if found.due and found.lost / found.due > _LOST_SHARE
    ]


def _judge(
    cameras: Mapping[str, CameraSync], losses: Mapping[str, Losses], n_pulses: int | None, skew_s: float
) -> tuple[list[str], list[str]]:
    slow, good = list[str](), list[str]()
    for name, camera in cameras.items():
        if abs(camera.ppm) > _MOST_PPM and n_pulses is None:
            slow.append(f"{name} runs at {camera.rate_hz:.3f} frames a second")
        if camera.jitter_p99_s >= _STEADY_S:
            (good if n_pulses is not None else slow).append(
                f"stamps of {name} up to {1000 * camera.jitter_p99_s:.2g} ms off its clock (99 %)"
            )
    if n_pulses is not None:
        _judge_pulses(losses, n_pulses, skew_s, slow, good)
    return slow, good


def _judge_pulses(losses: Mapping[str, Losses], n_pulses: int, skew_s: float, slow: list[str], good: list[str]) -> None:
    unequal = [f"{name} has {f.stored} frames" for name, f in losses.items() if f.stored != n_pulses]
    if unequal:
        slow.append(f"of {n_pulses} pulses {', '.join(unequal)}")
    else:
        good.append(f"{n_pulses} pulses and as many frames of every camera")
    (slow if skew_s > _SLIP_S else good).append(f"clocks slip by {1000 * skew_s:.2g} ms")
