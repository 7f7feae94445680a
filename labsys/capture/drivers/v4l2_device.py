"""Calls to one video device of Linux: each asks the kernel once and turns its refusal into a DriverError."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from labsys.capture.device import ControlRange, DriverError, Failure, Mode
from labsys.capture.drivers import v4l2_abi as abi
from labsys.capture.holders import find_holders

_KINDS = {
    errno.ENODEV: (Failure.GONE, "the camera was unplugged", "Plug it in"),
    errno.ENOENT: (Failure.GONE, "no camera is plugged in", "Plug it in"),
    errno.ENXIO: (Failure.GONE, "no camera is plugged in", "Plug it in"),
    errno.EBUSY: (Failure.BUSY, "another program holds the camera", "Close it"),
    errno.ENOSPC: (
        Failure.BANDWIDTH,
        "the USB bus has no bandwidth left for this camera",
        "Plug it into another controller",
    ),
}
_OPENING = "opening"
_REFUSED = (errno.EACCES, errno.EPERM)


class V4l2Device:
    """An open device file."""

    def __init__(self, path: Path, where: str) -> None:
        self._where, self._path = where, path
        try:
            self.descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise self.refused(_OPENING, error) from error

    def close(self) -> None:
        """Close it."""
        os.close(self.descriptor)

    def ask(self, request: int, argument: ctypes.Structure | ctypes.c_int32, doing: str) -> None:
        """One request; EINTR is asked again."""
        while True:
            try:
                fcntl.ioctl(self.descriptor, request, argument)
            except InterruptedError:
                continue
            except OSError as error:
                raise self.refused(doing, error) from error
            return

    def refused(self, doing: str, error: OSError) -> DriverError:
        """What a refusal means; of an open camera it is the single request that is not allowed."""
        if error.errno in _REFUSED:
            return self._not_allowed(doing)
        if error.errno == errno.EBUSY and (holders := find_holders(self._path)):
            said = f"{' and '.join(holders)} hold{'s' * (len(holders) == 1)} the camera"
            return DriverError(Failure.BUSY, said, where=self._where, remedy="Close it")
        kind, what, remedy = _KINDS.get(
            error.errno or 0, (Failure.IO, f"{doing} failed: {error.strerror}", "Plug the camera out and in again")
        )
        return DriverError(kind, what, where=self._where, remedy=remedy)

    def _not_allowed(self, doing: str) -> DriverError:
        if doing == _OPENING:
            what, remedy = "the camera may not be opened", "Add this user to the group video"
            return DriverError(Failure.PERMISSION, what, where=self._where, remedy=remedy)
        return DriverError(
            Failure.IO,
            f"the camera does not allow {doing}",
            where=self._where,
            remedy="It can only be read, or another control rules over it: take it out of the rig file",
        )

    def query(self) -> abi.Capability:
        """What the device is (DriverError: it is no camera that streams)."""
        found = abi.Capability()
        self.ask(abi.QUERYCAP, found, "asking for its abilities")
        needed = abi.CAP_VIDEO_CAPTURE | abi.CAP_STREAMING
        if found.device_caps & needed != needed:
            raise DriverError(Failure.IO, "the device delivers no video", where=self._where)
        return found

    def modes(self) -> tuple[Mode, ...]:
        """All formats, sizes and rates that it lists."""
        return tuple(
            Mode(fourcc, width, height, rate_hz)
            for fourcc, code in self._formats()
            for width, height in self._sizes(code)
            for rate_hz in self._rates(code, width, height)
        )

    def _enumerate(self, request: int, item: ctypes.Structure) -> Iterator[ctypes.Structure]:
        """Ask with a rising index until the kernel says EINVAL."""
        index = 0
        while True:
            item.index = index
            try:
                fcntl.ioctl(self.descriptor, request, item)
            except OSError as error:
                if error.errno in (errno.EINVAL, errno.ENOTTY):
                    return
                raise self.refused("listing", error) from error
            yield item
            index += 1

    def _formats(self) -> list[tuple[str, int]]:
        item = abi.FormatDescription(type=abi.CAPTURE)
        return [(name_fourcc(f.pixelformat), f.pixelformat) for f in self._enumerate(abi.ENUM_FMT, item)]

    def _sizes(self, code: int) -> list[tuple[int, int]]:
        item = abi.FrameSize(pixel_format=code)
        found = []
        for size in self._enumerate(abi.ENUM_FRAMESIZES, item):
            if size.type != abi.FRMSIZE_DISCRETE:
                break  # a range holds no list
            found.append((size.width, size.height))
        return found

    def _rates(self, code: int, width: int, height: int) -> list[float]:
        item = abi.FrameInterval(pixel_format=code, width=width, height=height)
        found = []
        for interval in self._enumerate(abi.ENUM_FRAMEINTERVALS, item):
            if interval.type != abi.FRMIVAL_DISCRETE:
                break
            step = interval.discrete
            if step.numerator:  # some firmware lists an interval of 0
                found.append(round(step.denominator / step.numerator, 3))
        return found

    def controls(self) -> dict[str, tuple[int, ControlRange]]:
        """Name -> id and range, names as v4l2-ctl spells them."""
        found, item = dict[str, tuple[int, ControlRange]](), abi.ExtendedControlQuery(id=abi.CTRL_FLAG_NEXT)
        while True:
            try:
                fcntl.ioctl(self.descriptor, abi.QUERY_EXT_CTRL, item)
            except OSError as error:
                if error.errno in (errno.EINVAL, errno.ENOTTY):
                    return found
                raise self.refused("listing controls", error) from error
            if item.type != abi.CTRL_TYPE_CLASS and not item.flags & abi.CTRL_FLAG_DISABLED:
                name = spell_control(item.name.decode(errors="replace"))
                found[name] = (item.id, ControlRange(item.minimum, item.maximum, item.step, item.default_value))
            item.id |= abi.CTRL_FLAG_NEXT

    def read_control(self, number: int) -> int:
        """Present value."""
        control = abi.Control(id=number)
        self.ask(abi.G_CTRL, control, "reading a control")
        return int(control.value)

    def write_control(self, number: int, name: str, value: int) -> None:
        """Set a value."""
        self.ask(abi.S_CTRL, abi.Control(id=number, value=value), f"writing control {name} = {value}")


def name_fourcc(code: int) -> str:
    """Four letters of a pixel format."""
    return code.to_bytes(4, "little").decode("ascii", errors="replace")


def code_fourcc(name: str) -> int:
    """Pixel format of four letters."""
    return int.from_bytes(name.encode("ascii"), "little")


def spell_control(name: str) -> str:
    """A control's name in lower case with underscores between words, as v4l2-ctl writes it."""
    words = "".join(c.lower() if c.isalnum() else " " for c in name).split()
    return "_".join(words)
