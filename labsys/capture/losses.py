"""What became of every frame of a take: stored, or lost and why, from timestamps and events alone.

A camera ticks; every tick of the take is a frame that is due. Ticks are counted from the driver's numbers, which see
what the computer lost, and from the times, which also see what the camera itself left out. The frames just before and
just after the take (its fences) tell what was lost at its ends.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labsys.capture.stream import NS, Recorded, Stream, lay_out
from labsys.core.arrays import BoolArray, IntArray
from labsys.storage.sidecar import Rows, is_bad, lost_before

_INTERRUPTIONS = ("lost", "frozen")
_EDGE = 0.25  # of a period: how surely a missing frame must lie inside the take to be due


@dataclass(frozen=True)
class Window:
    """From when to when the take lasts, ns on the monotonic clock; until is 0 where it was cut short.

    n_pulses: pulses sent; 0 where nobody lived to count them; None where the cameras run freely.
    """

    from_ns: int
    until_ns: int
    n_pulses: int | None = None


@dataclass(frozen=True, eq=False)
class Losses:
    """Every due frame of one camera.

    Attributes:
        ticks: (N,) which tick each stored row shows; with a trigger the number of its pulse.
        unsure: (N,) rows that may as well show another: held up beside a loss that only the times show. They are
            stored, and no measurement.
        in_camera: it left frames out by itself (dark exposure, missed pulse). in_kernel: no buffer was free.
        in_recorder: its queue was full. to_disk: the disk took no more. outage: unplugged, frozen, or its process gone.
        gaps: (tick after which, how many), longest first.
        n_corrupt: stored rows that are no measurement.
        surplus: frames beyond the pulses sent, which no sound rig has.
    """

    camera: str
    ticks: IntArray
    unsure: BoolArray
    stored: int
    in_camera: int
    in_kernel: int
    in_recorder: int
    to_disk: int
    outage: int
    n_corrupt: int
    gaps: tuple[tuple[int, int], ...]
    period_s: float
    slow: bool
    surplus: int = 0

    @property
    def lost(self) -> int:
        """Frames that were due and are not there."""
        return self.in_camera + self.in_kernel + self.in_recorder + self.to_disk + self.outage

    @property
    def due(self) -> int:
        """Frames that the camera should have given."""
        return self.stored + self.lost

    @property
    def n_unsure(self) -> int:
        """Sound pictures that are no measurement, as nobody knows their tick."""
        return int(self.unsure.sum())

    def by_cause(self) -> dict[str, int]:
        """Cause -> frames, those with any."""
        causes = {
            "in the camera": self.in_camera,
            "in the kernel's buffers": self.in_kernel,
            "in the recorder's queue": self.in_recorder,
            "to a full disk": self.to_disk,
            "in an outage": self.outage,
        }
        return {cause: n for cause, n in causes.items() if n}


def account(recorded: Mapping[str, Recorded], window: Window) -> dict[str, Losses]:
    """Losses of every camera."""
    streams = {camera: lay_out(r) for camera, r in recorded.items()}
    if window.n_pulses is None:
        return {camera: _close_free(s, window) for camera, s in streams.items()}
    first_s = [s.start_s - s.period_s * s.first_seq for s in streams.values() if s.ticks.size]
    reference_s = min(first_s, default=0.0)
    n_pulses = window.n_pulses or max((_last_pulse(s, reference_s) + 1 for s in streams.values()), default=0)
    return {camera: _close_triggered(s, n_pulses, reference_s) for camera, s in streams.items()}


def _close_free(stream: Stream, window: Window) -> Losses:
    rows, parts = stream.rows, [p for p in stream.recorded.parts if p.size]
    events = {e["event"]: e for e in stream.recorded.events}
    # A process that was started again begins again: only the first time is the take's beginning.
    events |= {e["event"]: e for e in reversed(stream.recorded.events) if e["event"] == "begin"}
    if not rows.size:
        waited_ns = max(window.until_ns - window.from_ns, 0) if window.until_ns else 0
        due = math.floor(waited_ns / NS / stream.period_s)
        disk = due if "disk_full" in events else 0
        return _finish(stream, head=(0, 0, 0), tail=(0, 0, 0), outage=due - disk, to_disk=disk)
    head, outage_before = _before(stream, events.get("begin", {}).get("fence"), parts[0], window)
    tail, outage_after, to_disk = _after(stream, events, window)
    return _finish(stream, head=head, tail=tail, outage=outage_before + outage_after, to_disk=to_disk)


Ends = tuple[int, int, int]  # in the camera, in the kernel, in the recorder


def _before(stream: Stream, fence: Sequence[int] | None, part: Rows, window: Window) -> tuple[Ends, int]:
    first_ns, first_seq = int(part["t_ns"][0]), int(part["seq"][0])
    if fence is not None and fence[0] < first_seq:
        ends = _between(stream, fence[0], fence[1], first_seq, first_ns, int(lost_before(part)[0]))
        return _cap(ends, _ticks_within(first_ns - window.from_ns, stream)), 0
    waited = (first_ns - window.from_ns) / NS / stream.period_s
    return (0, 0, 0), max(math.floor(waited - _EDGE), 0)


def _after(stream: Stream, events: Mapping[str, Mapping[str, Any]], window: Window) -> tuple[Ends, int, int]:
    last = stream.rows[-1]
    to_disk = int(events.get("written", {}).get("lost_to_disk", 0))
    let_go = int(events.get("end", events.get("closed", {})).get("lost_in_queue", 0))
    cut = any(e["event"] in _INTERRUPTIONS and e["at_ns"] > last["t_host_ns"] for e in stream.recorded.events)
    fence = None if cut else events.get("end", {}).get("fence")
    if fence is not None and fence[0] > last["seq"]:
        ends = _between(stream, int(last["seq"]), int(last["t_ns"]), fence[0], fence[1], let_go + to_disk)
        ends = _cap(ends, _ticks_within(window.until_ns - int(last["t_ns"]), stream))
        return (ends[0], ends[1], ends[2] - min(to_disk, ends[2])), 0, min(to_disk, ends[2])
    if not window.until_ns:
        return (0, 0, let_go), 0, to_disk
    waited = (window.until_ns - int(last["t_ns"])) / NS / stream.period_s
    # What came and could not be kept was due, however near to the edge.
    came = min(to_disk + let_go, max(math.floor(waited), 0))
    missing = max(math.ceil(waited - _EDGE) - 1, came, 0)
    to_disk = min(to_disk, missing)
    return (0, 0, min(let_go, missing - to_disk)), max(missing - to_disk - let_go, 0), to_disk


def _ticks_within(span_ns: int, stream: Stream) -> int:
    """Ticks between a stored frame and the edge of the take."""
    return max(math.floor(span_ns / NS / stream.period_s), 0)


def _cap(ends: Ends, most: int) -> Ends:
    """A fence may lie several lost frames away: those beyond the edge of the take were not due."""
    camera, kernel, recorder = ends
    camera = min(camera, max(most - recorder, 0))
    return camera, min(kernel, max(most - recorder - camera, 0)), recorder


def _between(stream: Stream, seq: int, t_ns: int, next_seq: int, next_ns: int, let_go: int) -> Ends:
    by_number = next_seq - seq - 1
    by_time = round((next_ns - t_ns) / NS / stream.period_s - _EDGE) - 1
    let_go = min(let_go, by_number)
    return max(by_time - by_number, 0), by_number - let_go, let_go


def _before_first(stream: Stream, reference_s: float) -> int:
    """Pulses before the first stored frame; every camera saw the first pulse at the reference, or lost it."""
    return max(stream.first_seq, round((stream.start_s - reference_s) / stream.period_s))


def _last_pulse(stream: Stream, reference_s: float) -> int:
    return _before_first(stream, reference_s) + int(stream.ticks[-1]) if stream.ticks.size else -1


def _close_triggered(stream: Stream, n_pulses: int, reference_s: float) -> Losses:
    if not stream.ticks.size:
        return _finish(stream, head=(0, 0, 0), tail=(0, 0, 0), outage=n_pulses, to_disk=0)
    events = {e["event"]: e for e in stream.recorded.events}
    before = _before_first(stream, reference_s)
    let_go = int(lost_before(stream.rows)[0])
    kernel = max(stream.first_seq - let_go, 0)
    stream.ticks = stream.ticks + before
    after = n_pulses - int(stream.ticks[-1]) - 1
    to_disk = min(int(events.get("written", {}).get("lost_to_disk", 0)), max(after, 0))
    queued = min(int(events.get("closed", {}).get("lost_in_queue", 0)), max(after - to_disk, 0))
    rest = max(after - to_disk - queued, 0)
    cut = any(
        e["event"] in _INTERRUPTIONS and e["at_ns"] > stream.rows[-1]["t_host_ns"] for e in stream.recorded.events
    )
    return _finish(
        stream,
        head=(before - stream.first_seq, kernel, stream.first_seq - kernel),
        tail=(0 if cut else rest, 0, queued),
        outage=rest if cut else 0,
        to_disk=to_disk,
        surplus=max(-after, 0),
    )


def _finish(stream: Stream, *, head: Ends, tail: Ends, outage: int, to_disk: int, surplus: int = 0) -> Losses:
    gaps = list(stream.gaps)
    if sum(tail) + to_disk and stream.ticks.size:
        gaps.append((int(stream.ticks[-1]), sum(tail) + to_disk))
    if sum(head):
        gaps.append((-1, sum(head)))
    if outage:
        gaps.append((int(stream.ticks[-1]) if stream.ticks.size else 0, outage))
    return Losses(
        camera=stream.recorded.camera,
        ticks=stream.ticks,
        unsure=stream.unsure & ~is_bad(stream.rows),
        stored=int(stream.rows.size),
        in_camera=stream.in_camera + head[0] + tail[0],
        in_kernel=stream.in_kernel + head[1] + tail[1],
        in_recorder=stream.in_recorder + head[2] + tail[2],
        to_disk=to_disk,
        outage=stream.outage + outage,
        n_corrupt=int(is_bad(stream.rows).sum()) if stream.rows.size else 0,
        gaps=tuple(sorted(gaps, key=lambda gap: -gap[1])),
        period_s=stream.period_s,
        slow=stream.slow,
        surplus=surplus,
    )
