"""What every driver speaks: frames, modes, what a camera says of itself, and how it fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag, StrEnum
from typing import ClassVar, NamedTuple, Protocol

from labsys.core.errors import InputError, LabsysError


class StampSource(IntEnum):
    """Whose clock a frame's time comes from; only HOST is no time of the frame itself."""

    KERNEL_SOE = 0
    KERNEL_EOF = 1
    DEVICE_LATCHED = 2
    PTP = 3
    TRIGGER = 4
    HOST = 5


class FrameFlag(IntFlag):
    """What is wrong with a frame; a frame with any of these is not a measurement."""

    NONE = 0
    ERROR = 1
    TRUNCATED = 2
    NO_EOI = 4


class Frame(NamedTuple):
    """One frame in the driver's own buffer; `picture` is valid until `release`.

    A tuple, as is what is stored of it: one is made for every frame, and a frozen dataclass takes far longer to make.

    Attributes:
        seq: the driver's count, a gap is a loss; -1 where the driver does not count.
        t_ns: when the frame was taken, as the driver says, on CLOCK_MONOTONIC. t_host_ns: when it was dequeued.
        t_device_ns: on the camera's own clock; 0 where it has none.
        buffer: the driver's number of the buffer.
    """

    seq: int
    t_ns: int
    t_host_ns: int
    picture: memoryview
    buffer: int
    source: StampSource
    flags: FrameFlag = FrameFlag.NONE
    t_device_ns: int = 0
    exposure_us: float = float("nan")
    gain: float = float("nan")


@dataclass(frozen=True)
class Mode:
    """Format, size and rate of a stream."""

    fourcc: str
    width: int
    height: int
    rate_hz: float

    def __str__(self) -> str:
        return f"{self.fourcc} {self.width}x{self.height} at {self.rate_hz:g} fps"


@dataclass(frozen=True)
class ControlRange:
    """What a control may be set to."""

    low: int
    high: int
    step: int = 1
    default: int = 0


@dataclass(frozen=True)
class CameraInfo:
    """A camera that is plugged in.

    Attributes:
        port: where it is plugged in; this is its identity. node: how the system calls it today.
        usb_id: vendor:product; "" where it is no USB camera.
        speed_mbps: of its bus, 0 where unknown. bus: the controller that it shares with others.
    """

    port: str
    node: str
    model: str = ""
    usb_id: str = ""
    serial: str = ""
    bus: str = ""
    speed_mbps: int = 0
    modes: tuple[Mode, ...] = ()
    controls: Mapping[str, ControlRange] = field(default_factory=dict)


@dataclass(frozen=True)
class Applied:
    """What a camera was really set to, read back."""

    mode: Mode
    controls: Mapping[str, int]
    mismatches: tuple[str, ...] = ()


class Failure(StrEnum):
    """How a driver fails."""

    GONE = "gone"
    BANDWIDTH = "bandwidth"
    BUSY = "busy"
    PERMISSION = "permission"
    IO = "io"


class DriverError(LabsysError):
    """A camera failed; `kind` says how."""

    exit_code = 2

    def __init__(self, kind: Failure, what: str, *, where: str = "", remedy: str = "") -> None:
        self.kind = kind
        super().__init__(what, where=where, remedy=remedy)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (self.kind, self.what, self.where, self.remedy)


def _rebuild(kind: Failure, what: str, where: str, remedy: str) -> DriverError:
    return DriverError(kind, what, where=where, remedy=remedy)


class CameraDriver(Protocol):
    """One camera. A driver never prints, never waits and tries again, and swallows no error."""

    name: ClassVar[str]

    def open(self, port: str) -> CameraInfo:
        """Open the camera at a port (DriverError: GONE, BUSY, PERMISSION)."""

    def configure(self, mode: Mode, controls: Mapping[str, int], *, triggered: bool) -> Applied:
        """Set mode and controls and read them back (InputError: a control or mode that the camera does not offer)."""

    def start(self, n_buffers: int) -> None:
        """Begin to stream (DriverError: BANDWIDTH, GONE)."""

    def next(self, timeout_s: float) -> Frame | None:
        """The next frame; None where none came in time, which is normal before the pulses (DriverError).

        With a timeout of 0, one that waits already; only asked for where frames carry times of their own.
        """

    def release(self, frame: Frame) -> None:
        """Give a frame's buffer back; call it as soon as its bytes are copied."""

    def read_controls(self) -> dict[str, int]:
        """Present values of all controls (DriverError)."""

    def stop(self) -> None:
        """End the stream; nothing happens where none runs."""

    def close(self) -> None:
        """Close the camera; nothing happens where none is open."""


def check_mode(info: CameraInfo, mode: Mode, *, where: str) -> None:
    """Refuse a mode that the camera does not offer (InputError lists those that it does)."""
    if info.modes and mode not in info.modes:
        offered = "; ".join(str(m) for m in info.modes)
        raise InputError(f"the camera has no mode {mode}", where=where, remedy=f"It offers {offered}")


def check_controls(info: CameraInfo, controls: Mapping[str, int], *, where: str) -> None:
    """Refuse a control that the camera lacks or a value outside its range (InputError lists what it offers)."""
    offered = ", ".join(sorted(info.controls))
    for name, value in controls.items():
        if name not in info.controls:
            raise InputError(
                f"the camera has no control '{name}'",
                where=where,
                remedy=f"It offers {offered}",
            )
        allowed = info.controls[name]
        if not allowed.low <= value <= allowed.high:
            raise InputError(
                f"control {name} cannot be {value}", where=where, remedy=f"It takes {allowed.low} to {allowed.high}"
            )


def find_flaw(picture: memoryview, flags: FrameFlag = FrameFlag.NONE) -> FrameFlag:
    """What is wrong with a JPEG picture as its two ends show: it must begin with FFD8 and end with FFD9.

    Cameras may pad with zeros after the end, so the last 1 kB is searched.
    """
    if len(picture) < 4 or picture[0] != 0xFF or picture[1] != 0xD8:
        return flags | FrameFlag.TRUNCATED
    if picture[-2] == 0xFF and picture[-1] == 0xD9:
        return flags
    tail = bytes(picture[-1024:]).rstrip(b"\x00")
    return flags if tail.endswith(b"\xff\xd9") else flags | FrameFlag.NO_EOI
