"""The trigger box: what makes every camera expose on one pulse, and the lines that are spoken with it.

Protocol (version 1), for a serial port or a socket: one JSON object per line, UTF-8, LF. The host asks, the box answers
each request with one line in order; lines with "edge" may come at any time between answers.

    {"cmd": "hello"}                               {"fw": "name version", "id": "serial", "protocol": 1}
    {"cmd": "cfg", "fps": 100.0, "pulse_us": 1000, "pins": {"camA": 2}, "led_every": 100}
                                                   {"ok": true}
    {"cmd": "start", "n": 0}                       {"ok": true}       n pulses, 0 = until stopped; counting begins at 0
    {"cmd": "count"}                               {"count": 1234}
    {"cmd": "stop"}                                {"count": 6000}    the last pulse is whole
    once a second while pulsing                    {"edge": 1200, "t_us": 12345678}    on the box's own clock
    a request that cannot be met                   {"error": "why"}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from labsys.capture.device import DriverError, Failure

PROTOCOL = 1


@dataclass(frozen=True)
class PulseTrain:
    """What the box is to make: pulses per second, their length, and the pin of each camera."""

    rate_hz: float
    pulse_us: float
    pins: Mapping[str, int]
    led_every: int = 100


class TriggerBox(Protocol):
    """What starts and stops the pulses."""

    def configure(self, train: PulseTrain) -> None:
        """Say what is to be made (DriverError: the box refuses, or does not answer)."""

    def start(self, n_pulses: int = 0) -> None:
        """Begin to pulse (DriverError)."""

    def count(self) -> int:
        """Pulses since the start (DriverError)."""

    def stop(self) -> int:
        """End the pulses; returns how many there were, 0 where none were started (DriverError)."""


class NoTrigger:
    """Cameras that run on their own clocks."""

    def configure(self, train: PulseTrain) -> None:
        """Nothing to configure."""

    def start(self, n_pulses: int = 0) -> None:
        """Nothing to start."""

    def count(self) -> int:
        """No pulses."""
        return 0

    def stop(self) -> int:
        """No pulses."""
        return 0


class LinePort(Protocol):
    """A serial port, or anything that lines go through."""

    def write_line(self, line: bytes) -> None:
        """Send one line."""

    def read_line(self) -> bytes:
        """Receive one line; empty when none came in time."""


class LineTriggerBox:
    """A box that speaks the protocol over a line port."""

    def __init__(self, port: LinePort, *, where: str) -> None:
        self._port, self._where = port, where
        found = self._ask({"cmd": "hello"})
        if found.get("protocol") != PROTOCOL:
            raise self._refused(f"speaks protocol {found.get('protocol')}, this labsys speaks {PROTOCOL}")
        self.firmware = str(found.get("fw", ""))
        self.edges: list[tuple[int, int]] = []

    def configure(self, train: PulseTrain) -> None:
        """Say what is to be made."""
        self._ask(
            {
                "cmd": "cfg",
                "fps": train.rate_hz,
                "pulse_us": train.pulse_us,
                "pins": dict(train.pins),
                "led_every": train.led_every,
            }
        )

    def start(self, n_pulses: int = 0) -> None:
        """Begin to pulse."""
        self._ask({"cmd": "start", "n": n_pulses})

    def count(self) -> int:
        """Pulses since the start."""
        return self._counted({"cmd": "count"})

    def stop(self) -> int:
        """End the pulses."""
        return self._counted({"cmd": "stop"})

    def _counted(self, request: Mapping[str, Any]) -> int:
        count = self._ask(request).get("count")
        if not isinstance(count, int) or count < 0:
            raise self._refused("told no number of pulses")
        return count

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self._port.write_line(json.dumps(request).encode() + b"\n")
        while True:
            answer = self._parse(self._port.read_line())
            if "edge" not in answer:
                break
            self.edges.append((int(answer["edge"]), int(answer.get("t_us", 0))))
        if "error" in answer:
            raise self._refused(f"refuses {request['cmd']}: {answer['error']}")
        return answer

    def _parse(self, line: bytes) -> dict[str, Any]:
        if not line:
            raise self._refused("does not answer")
        try:
            answer = json.loads(line)
        except ValueError as error:
            raise self._refused(f"answers what is no JSON: {line[:40]!r}") from error
        if not isinstance(answer, dict):
            raise self._refused(f"answers what is no JSON object: {line[:40]!r}")
        return answer

    def _refused(self, what: str) -> DriverError:
        return DriverError(
            Failure.IO, f"the trigger box {what}", where=self._where, remedy="Check its cable, and its firmware"
        )
