"""A virtual camera as hardware would be: its crystal, its buffers, its faults, and a log of what really happened.

A camera knows nothing of the program that reads it. Exposures follow its own crystal or the trigger bus; `expose` is
called by the bench at the moment of delivery. The truth about every exposure goes to a log that only tests read.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labsys.capture.behaviour import Behaviour
from labsys.capture.device import ControlRange, FrameFlag, Mode
from labsys.capture.pictures import FrameSource

NS = 1_000_000_000
TRUTH = np.dtype(
    [("tick", "<i8"), ("t_ns", "<i8"), ("stamp_ns", "<i8"), ("seq", "<i8"), ("fate", "<i4"), ("late_us", "<i4")]
)
CONTROLS = {
    "auto_exposure": ControlRange(0, 3, 1, 3),
    "exposure_time_absolute": ControlRange(1, 5000, 1, 166),
    "exposure_dynamic_framerate": ControlRange(0, 1, 1, 1),
    "gain": ControlRange(0, 255, 1, 64),
    "white_balance_automatic": ControlRange(0, 1, 1, 1),
    "white_balance_temperature": ControlRange(2800, 6500, 1, 4600),
    "power_line_frequency": ControlRange(0, 2, 1, 1),
}


class Fate(IntEnum):
    """What became of an exposure."""

    DELIVERED = 0
    LOST_IN_CAMERA = 1
    LOST_IN_KERNEL = 2
    NO_BUFFER = 3
    CORRUPT = 4
    PULSE_MISSED = 5


class Delivery(NamedTuple):
    """A frame that lies in a buffer of the driver."""

    buffer: int
    seq: int
    stamp_ns: int
    n_bytes: int
    flags: int


@dataclass(frozen=True)
class CameraPlug:
    """What is plugged in where, and what it shows."""

    name: str
    port: str
    usb_id: str
    mode: Mode
    behaviour: Behaviour
    source: FrameSource
    buffer_bytes: int


class VirtualCamera:
    """One camera; see the module's text."""

    def __init__(self, plug: CameraPlug, truth: Path, seed: int) -> None:
        self.plug = plug
        self.rng = np.random.default_rng(seed)
        self.controls = {name: c.default for name, c in CONTROLS.items()}
        self.triggered = self.streaming = self.frozen = self.slow = self.corrupt_next = False
        self.epoch_ns: int | None = None
        self.first_stream_ns: int | None = None
        self.seq = 0
        self.tick = 0
        self.stamp_ns = 0
        self.free: deque[int] = deque()
        # Down with it at a stop only: a disk that is busy with recordings would hold a camera up.
        self._truth: BinaryIO = truth.open("ab", buffering=1 << 22)

    @property
    def info(self) -> dict[str, object]:
        """What the camera says of itself, as the driver rebuilds it."""
        mode = self.plug.mode
        return {
            "port": self.plug.port,
            "model": "virtual camera",
            "usb_id": self.plug.behaviour.usb_id or self.plug.usb_id,
            "speed_mbps": self.plug.behaviour.usb_speed_mbps,
            "modes": [[mode.fourcc, mode.width, mode.height, mode.rate_hz]],
            "controls": {n: [c.low, c.high, c.step, c.default] for n, c in CONTROLS.items()},
        }

    @property
    def period_ns(self) -> float:
        """Time between two ticks of its own crystal."""
        return NS / self.plug.mode.rate_hz * (1.0 + self.plug.behaviour.ppm * 1e-6)

    def configure(self, controls: dict[str, int], *, triggered: bool) -> dict[str, object]:
        """Set what it does not reject; returns what it is set to now."""
        self.triggered = triggered
        self.controls |= {n: v for n, v in controls.items() if n not in self.plug.behaviour.control_rejects}
        mode = self.plug.mode
        width = mode.width // 2 if self.plug.behaviour.wrong_resolution else mode.width
        return {"mode": [mode.fourcc, width, mode.height, mode.rate_hz], "controls": self.controls}

    def start(self, n_buffers: int, now_ns: int) -> None:
        """STREAMON: the count of frames begins anew, the crystal never stopped."""
        if self.epoch_ns is None:
            self.epoch_ns = now_ns
        if self.first_stream_ns is None:
            self.first_stream_ns = now_ns
        self.free = deque(range(n_buffers))
        self.seq, self.streaming, self.frozen = 0, True, False
        if not self.triggered:
            begun = (now_ns - self.epoch_ns - self.plug.behaviour.phase_ms * 1e6) / self.period_ns
            self.tick = max(self.tick, math.ceil(max(begun, 0.0)))

    def stop(self) -> None:
        """STREAMOFF."""
        self.streaming = False
        self._truth.flush()

    def reset(self) -> None:
        """What losing power does: controls fall back to their defaults."""
        self.stop()
        self.controls = {name: c.default for name, c in CONTROLS.items()}

    def exposure_ns(self) -> int:
        """When the next tick of the crystal exposes."""
        assert self.epoch_ns is not None
        return self.epoch_ns + round(self.plug.behaviour.phase_ms * 1e6 + self.tick * self.period_ns)

    def draw_delay_ns(self) -> int:
        """How long after its exposure a frame's first packet arrives: latency, one-sided jitter, rare stalls."""
        how = self.plug.behaviour
        delay_ms = how.latency_ms + 1e-3 * float(self.rng.exponential(how.jitter_us or 1e-9))
        if how.stall_p and self.rng.random() < how.stall_p:
            delay_ms += how.stall_ms
        return round(delay_ms * 1e6)

    def expose(self, tick: int, t_ns: int, now_ns: int, due_ns: int, memory: memoryview) -> Delivery | None:
        """Deliver an exposure into a free buffer, or lose it; either way the truth is noted."""
        # Stamps come from an interrupt at the first packet and never overtake each other.
        stamp_ns = max(due_ns, self.stamp_ns + 1)
        self.stamp_ns = stamp_ns
        fate = self._draw_fate()
        delivered = None
        seq = self.seq
        if fate in (Fate.DELIVERED, Fate.CORRUPT):
            if self.free:
                delivered = self._fill(tick, stamp_ns, fate, memory)
            else:
                fate = Fate.NO_BUFFER
        if fate not in (Fate.LOST_IN_CAMERA, Fate.PULSE_MISSED):
            self.seq += 1
        late_us = min((now_ns - due_ns) // 1000, 2**31 - 1)
        self._truth.write(np.array([(tick, t_ns, stamp_ns, seq, fate, late_us)], dtype=TRUTH).tobytes())
        return delivered

    def _draw_fate(self) -> Fate:
        how = self.plug.behaviour
        chance = self.rng.random(4)
        if self.triggered and chance[0] < how.miss_p:
            return Fate.PULSE_MISSED
        if chance[1] < how.drop_p:
            return Fate.LOST_IN_CAMERA
        if chance[2] < how.kdrop_p:
            return Fate.LOST_IN_KERNEL
        if self.corrupt_next or chance[3] < how.corrupt_p:
            self.corrupt_next = False
            return Fate.CORRUPT
        return Fate.DELIVERED

    def _fill(self, tick: int, stamp_ns: int, fate: Fate, memory: memoryview) -> Delivery:
        picture = self.plug.source.picture(tick)
        if fate is Fate.CORRUPT:
            picture = picture[: len(picture) // 2]
        buffer = self.free.popleft()
        begin = buffer * self.plug.buffer_bytes
        memory[begin : begin + len(picture)] = picture
        flags = FrameFlag.ERROR if fate is Fate.CORRUPT else FrameFlag.NONE
        told_ns = (self.first_stream_ns or 0) if self.plug.behaviour.stuck_timestamp else stamp_ns
        return Delivery(buffer, self.seq, told_ns, len(picture), int(flags))


def read_truth(path: Path) -> NDArray[np.void]:
    """What really happened to every exposure of a virtual camera, oldest first."""
    return np.fromfile(path, dtype=TRUTH)
