"""Reading a virtual camera: the same steps as a V4L2 device (open by port, buffers, queue, dequeue), over a socket."""

from __future__ import annotations

import errno
import json
import mmap
import os
import socket
import struct
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

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
from labsys.capture.trigger import LineTriggerBox
from labsys.capture.virtual_wire import FRAME, MAX_BUFFERS, parse_info

_ANSWER_S = 5.0
_FRAME_BYTES = 256  # more than a frame's message has; what is longer is an answer that nobody waits for any more


class VirtualDriver:
    """One camera of a bench."""

    name: ClassVar[str] = "virtual"

    def __init__(self, bench: Path) -> None:
        self._bench = bench
        self._socket: socket.socket | None = None
        self._memory: mmap.mmap | None = None
        self._view: memoryview | None = None
        self._held: memoryview | None = None
        self._waiting: deque[bytes] = deque()
        self._info: CameraInfo | None = None
        self._buffer_bytes = 0
        self._streams = False
        self._timeout_s = 0.0

    def open(self, port: str) -> CameraInfo:
        """Open the camera at a port of the bench."""
        link = self._bench / "by-path" / port
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.settimeout(_ANSWER_S)
        try:
            node = link.resolve(strict=True)
            sock.connect(str(node))
            told, memory, _, _ = socket.recv_fds(sock, 65536, 1)
        except PermissionError as error:
            sock.close()
            raise DriverError(Failure.PERMISSION, "the camera may not be opened", where=port) from error
        except OSError as error:
            sock.close()
            raise DriverError(Failure.GONE, "no camera is plugged in", where=port, remedy="Plug it in") from error
        if not told:
            sock.close()
            raise DriverError(Failure.GONE, "the camera was unplugged", where=port, remedy="Plug it in")
        if b'"busy"' in told[:20]:
            sock.close()
            raise DriverError(Failure.BUSY, "another program holds the camera", where=port, remedy="Close it")
        with os.fdopen(memory[0], "r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 0)
        self._view, self._buffer_bytes = memoryview(self._memory), json.loads(told)["buffer_bytes"]
        self._socket = sock
        self._held = self._view[MAX_BUFFERS * self._buffer_bytes :]
        sock.setblocking(True)
        self._timeout_s = 0.0
        self._info = parse_info(told, node.name)
        return self._info

    def configure(self, mode: Mode, controls: Mapping[str, int], *, triggered: bool) -> Applied:
        """Set mode and controls and read them back."""
        info = self._opened()
        check_mode(info, mode, where=info.port)
        check_controls(info, controls, where=info.port)
        answer = self._ask({"op": "configure", "controls": dict(controls), "triggered": triggered})
        got = Mode(*answer["mode"])
        wrong = [f"{n} is {answer['controls'][n]}, not {v}" for n, v in controls.items() if answer["controls"][n] != v]
        if got != mode:
            wrong.insert(0, f"the mode is {got}, not {mode}")
        return Applied(got, answer["controls"], tuple(wrong))

    def start(self, n_buffers: int) -> None:
        """Begin to stream."""
        answer = self._ask({"op": "start", "n_buffers": n_buffers})
        if answer.get("error") == "bandwidth":
            raise DriverError(
                Failure.BANDWIDTH,
                "the bus has no bandwidth left for this camera",
                where=self._opened().port,
                remedy="Plug it into another controller",
            )
        self._streams = True

    def next(self, timeout_s: float) -> Frame | None:
        """The next frame."""
        if self._waiting:
            return self._as_frame(self._waiting.popleft())
        sock = self._connected()
        if timeout_s:
            self._wait_at_most(sock, timeout_s)
        try:
            message = sock.recv(_FRAME_BYTES, 0 if timeout_s else socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        except OSError as error:
            raise self._gone() from error
        if not message:
            raise self._gone()
        return self._as_frame(message) if message[:1] == b"F" else None

    def release(self, frame: Frame) -> None:
        """Give a buffer back."""
        frame.picture.release()
        if self._held is not None:
            self._held[frame.buffer] = 0

    def read_controls(self) -> dict[str, int]:
        """Present values of all controls."""
        return dict(self._ask({"op": "read"})["controls"])

    def stop(self) -> None:
        """End the stream."""
        if self._streams and self._socket is not None:
            self._streams = False
            self._ask({"op": "stop"})
            self._waiting.clear()

    def close(self) -> None:
        """Close the camera."""
        if self._socket is not None:
            self._socket.close()
        for view in (self._held, self._view):
            if view is not None:
                view.release()
        if self._memory is not None:
            self._memory.close()
        self._socket = self._view = self._held = self._memory = None
        self._waiting.clear()
        self._streams = False

    def _opened(self) -> CameraInfo:
        if self._info is None:
            raise DriverError(Failure.IO, "the camera is not open")
        return self._info

    def _connected(self) -> socket.socket:
        if self._socket is None:
            raise DriverError(Failure.IO, "the camera is not open")
        return self._socket

    def _wait_at_most(self, sock: socket.socket, timeout_s: float) -> None:
        """Let the kernel end a wait: Python's own timeout asks it twice for every frame."""
        if timeout_s != self._timeout_s:
            seconds, rest = divmod(timeout_s, 1.0)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", int(seconds), int(1e6 * rest)))
            self._timeout_s = timeout_s

    def _receive(self, sock: socket.socket) -> bytes:
        self._wait_at_most(sock, _ANSWER_S)
        try:
            message = sock.recv(65536)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.ETIMEDOUT):
                raise DriverError(Failure.IO, "the camera does not answer", where=self._opened().port) from error
            raise self._gone() from error
        if not message:
            raise self._gone()
        return message

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        sock = self._connected()
        try:
            sock.send(json.dumps(request).encode())
        except OSError as error:
            raise self._gone() from error
        while (message := self._receive(sock))[:1] == b"F":
            self._waiting.append(message)
        answer = json.loads(message)
        assert isinstance(answer, dict)
        return answer

    def _as_frame(self, message: bytes) -> Frame:
        assert self._view is not None
        buffer, seq, t_ns, n_bytes, flags = FRAME.unpack_from(message, 1)
        begin = buffer * self._buffer_bytes
        picture = self._view[begin : begin + n_bytes]
        return Frame(
            seq,
            t_ns,
            time.monotonic_ns(),
            picture,
            buffer,
            StampSource.KERNEL_SOE,
            FrameFlag(flags) if flags else FrameFlag.NONE,
        )

    def _gone(self) -> DriverError:
        return DriverError(Failure.GONE, "the camera was unplugged", where=self._opened().port, remedy="Plug it in")


class SocketLine:
    """A line port over a Unix socket."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(_ANSWER_S)
        self._socket.connect(str(path))
        self._file = self._socket.makefile("rb")

    def write_line(self, line: bytes) -> None:
        """Send one line."""
        self._socket.sendall(line)

    def close(self) -> None:
        """End the talk."""
        self._file.close()
        self._socket.close()

    def read_line(self) -> bytes:
        """Receive one line."""
        try:
            return self._file.readline()
        except TimeoutError:
            return b""


@contextmanager
def open_virtual_trigger(bench: Path) -> Iterator[LineTriggerBox]:
    """The bench's trigger bus."""
    line = SocketLine(bench / "trigger")
    try:
        yield LineTriggerBox(line, where="virtual trigger bus")
    finally:
        line.close()
