"""UVC cameras on Linux, through the kernel's own interface. Written against its documentation; not tried on a rig yet.

Identity is the port (/dev/v4l/by-path); numbers of /dev/video change. Controls live in the device and may survive or
not: they are written on every opening, and read back.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import select
import time
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from labsys.capture.device import (
    Applied,
    CameraInfo,
    DriverError,
    Failure,
    Frame,
    FrameFlag,
    Mode,
    StampSource,
    check_controls,
    check_mode,
)
from labsys.capture.drivers import v4l2_abi as abi
from labsys.capture.drivers.v4l2_device import V4l2Device, code_fourcc, name_fourcc
from labsys.capture.usb import read_usb_place

BY_PATH = Path("/dev/v4l/by-path")
NS_PER_US = 1000


class V4l2Driver:
    """One camera; see the module's text."""

    name: ClassVar[str] = "v4l2"

    def __init__(self, by_path: Path = BY_PATH) -> None:
        self._by_path = by_path
        self._device: V4l2Device | None = None
        self._info: CameraInfo | None = None
        self._maps: list[mmap.mmap] = []
        self._views: list[memoryview] = []
        self._numbers: dict[str, int] = {}
        self._streams = False
        self._turns, self._last = 0, -1

    def open(self, port: str) -> CameraInfo:
        """Open the camera at a port."""
        path = self._by_path / port
        if not path.exists():
            raise DriverError(Failure.GONE, "no camera is plugged in", where=port, remedy="Plug it in")
        device = V4l2Device(path, port)
        try:
            found, listed = device.query(), device.controls()
            modes = device.modes()
        except DriverError:
            device.close()
            raise
        node = path.resolve()
        place = read_usb_place(node.name)
        self._device, self._numbers = device, {name: number for name, (number, _) in listed.items()}
        self._info = CameraInfo(
            port=port,
            node=node.name,
            model=found.card.decode(errors="replace"),
            usb_id=place.usb_id,
            serial=place.serial,
            bus=place.bus,
            speed_mbps=place.speed_mbps,
            modes=modes,
            controls={name: allowed for name, (_, allowed) in listed.items()},
        )
        return self._info

    def configure(self, mode: Mode, controls: Mapping[str, int], *, triggered: bool) -> Applied:  # noqa: ARG002
        """Set mode and controls and read them back; the way into triggered mode is a control like others."""
        device, info = self._opened(), self._known()
        check_mode(info, mode, where=info.port)
        check_controls(info, controls, where=info.port)
        got = self._set_mode(device, mode)
        # While a camera adjusts something by itself it refuses a value for it, whatever the order in the rig file is.
        for name in sorted(controls, key=lambda name: "auto" not in name):
            device.write_control(self._numbers[name], name, controls[name])
        now = self.read_controls()
        # A control that cannot be read just now, as cheap cameras have them, is not known to be set.
        got_of = {name: str(now.get(name, "not readable")) for name in controls}
        wrong = [f"{name} is {got_of[name]}, not {value}" for name, value in controls.items() if now.get(name) != value]
        if got != mode:
            wrong.insert(0, f"the mode is {got}, not {mode}")
        return Applied(got, now, tuple(wrong))

    def _set_mode(self, device: V4l2Device, mode: Mode) -> Mode:
        wanted = abi.Format(type=abi.CAPTURE)
        wanted.fmt.pix.width, wanted.fmt.pix.height = mode.width, mode.height
        wanted.fmt.pix.pixelformat, wanted.fmt.pix.field = code_fourcc(mode.fourcc), abi.FIELD_NONE
        device.ask(abi.S_FMT, wanted, "setting the format")
        pace = abi.StreamParameters(type=abi.CAPTURE)
        pace.parm.capture.timeperframe = abi.Fraction(1000, round(1000 * mode.rate_hz))
        device.ask(abi.S_PARM, pace, "setting the rate")
        step, pix = pace.parm.capture.timeperframe, wanted.fmt.pix
        rate_hz = round(step.denominator / step.numerator, 3) if step.numerator else 0.0
        same = abs(rate_hz - mode.rate_hz) < 0.01
        return Mode(name_fourcc(pix.pixelformat), pix.width, pix.height, mode.rate_hz if same else rate_hz)

    def start(self, n_buffers: int) -> None:
        """Map the buffers, queue all of them, and begin to stream."""
        device = self._opened()
        asked = abi.RequestBuffers(count=n_buffers, type=abi.CAPTURE, memory=abi.MEMORY_MMAP)
        device.ask(abi.REQBUFS, asked, "asking for buffers")
        for index in range(asked.count):
            buffer = self._buffer(index)
            device.ask(abi.QUERYBUF, buffer, "asking for a buffer")
            mapped = mmap.mmap(device.descriptor, buffer.length, offset=buffer.m.offset)
            self._maps.append(mapped)
            self._views.append(memoryview(mapped))
            device.ask(abi.QBUF, buffer, "queueing a buffer")
        device.ask(abi.STREAMON, ctypes.c_int32(abi.CAPTURE), "starting the stream")
        self._streams, self._turns, self._last = True, 0, -1

    def next(self, timeout_s: float) -> Frame | None:
        """The next frame."""
        device = self._opened()
        ready = select.select([device.descriptor], [], [device.descriptor], timeout_s)
        if not (ready[0] or ready[2]):
            return None
        buffer = self._buffer(0)
        try:
            device.ask(abi.DQBUF, buffer, "taking a frame")
        except DriverError as error:
            if isinstance(error.__cause__, BlockingIOError):
                return None
            raise
        return self._as_frame(buffer)

    def _as_frame(self, buffer: abi.Buffer) -> Frame:
        if buffer.sequence + self._turns * (1 << 32) < self._last:
            self._turns += 1  # the kernel counts in 32 bits
        self._last = buffer.sequence + self._turns * (1 << 32)
        now_ns = time.monotonic_ns()
        t_ns = (buffer.timestamp.seconds * 1_000_000 + buffer.timestamp.microseconds) * NS_PER_US
        monotonic = buffer.flags & abi.BUF_FLAG_TIMESTAMP_MASK == abi.BUF_FLAG_TIMESTAMP_MONOTONIC
        exposure = buffer.flags & abi.BUF_FLAG_SRC_MASK == abi.BUF_FLAG_SRC_SOE
        source = StampSource.KERNEL_SOE if exposure else StampSource.KERNEL_EOF
        return Frame(
            seq=self._last,
            t_ns=t_ns if monotonic else now_ns,
            t_host_ns=now_ns,
            picture=self._views[buffer.index][: buffer.bytesused],
            buffer=buffer.index,
            source=source if monotonic else StampSource.HOST,
            flags=FrameFlag.ERROR if buffer.flags & abi.BUF_FLAG_ERROR else FrameFlag.NONE,
        )

    def release(self, frame: Frame) -> None:
        """Give a buffer back."""
        frame.picture.release()
        self._opened().ask(abi.QBUF, self._buffer(frame.buffer), "giving a buffer back")

    def read_controls(self) -> dict[str, int]:
        """Present values of all controls that can be read."""
        device, found = self._opened(), {}
        for name, number in self._numbers.items():
            try:
                found[name] = device.read_control(number)
            except DriverError as error:
                if error.kind is not Failure.IO and error.kind is not Failure.PERMISSION:
                    raise  # buttons and write-only controls have no value; anything else is an error
        return found

    def stop(self) -> None:
        """End the stream and give the buffers back."""
        if not self._streams or self._device is None:
            return
        self._streams = False
        self._device.ask(abi.STREAMOFF, ctypes.c_int32(abi.CAPTURE), "stopping the stream")
        self._unmap()
        none = abi.RequestBuffers(count=0, type=abi.CAPTURE, memory=abi.MEMORY_MMAP)
        self._device.ask(abi.REQBUFS, none, "giving buffers back")

    def close(self) -> None:
        """Close the camera."""
        self._unmap()
        if self._device is not None:
            self._device.close()
        self._device, self._streams = None, False

    def _unmap(self) -> None:
        for view in self._views:
            view.release()
        for mapped in self._maps:
            mapped.close()
        self._views, self._maps = [], []

    def _buffer(self, index: int) -> abi.Buffer:
        return abi.Buffer(index=index, type=abi.CAPTURE, memory=abi.MEMORY_MMAP)

    def _opened(self) -> V4l2Device:
        if self._device is None:
            raise DriverError(Failure.IO, "the camera is not open")
        return self._device

    def _known(self) -> CameraInfo:
        assert self._info is not None
        return self._info


def discover_cameras(by_path: Path = BY_PATH) -> list[CameraInfo]:
    """Cameras that are plugged in, by port; nodes without video (metadata) are not, nor those of `find_forbidden`.

    A camera that another program holds is listed all the same: opening for questions is always allowed.
    """
    found = []
    for link in sorted(by_path.iterdir()) if by_path.is_dir() else ():
        if not os.access(link, os.R_OK | os.W_OK):
            continue
        driver = V4l2Driver(by_path)
        try:
            found.append(driver.open(link.name))
        except DriverError:
            continue  # a metadata node, or unplugged this moment
        finally:
            driver.close()
    return found


def find_forbidden(by_path: Path = BY_PATH) -> list[str]:
    """Ports of video devices that this user may not open: cameras, and their nodes of metadata."""
    links = sorted(by_path.iterdir()) if by_path.is_dir() else ()
    return [link.name for link in links if not os.access(link, os.R_OK | os.W_OK)]
