"""A virtual camera as the bench has it: a device file that comes and goes, its buffers, and the one reader it has."""

from __future__ import annotations

import mmap
import os
import socket
from pathlib import Path

from labsys.capture.virtual_camera import Delivery, VirtualCamera
from labsys.capture.virtual_wire import MAX_BUFFERS


class PluggedCamera:
    """A camera with the socket that it listens on and the one reader that it has."""

    def __init__(self, camera: VirtualCamera, folder: Path, number: int) -> None:
        self.camera, self._folder, self.number = camera, folder, number
        pictures_bytes = camera.plug.buffer_bytes * MAX_BUFFERS
        size = pictures_bytes + MAX_BUFFERS
        # On a disk the kernel would write buffers down, and the next picture would wait for it: no camera does.
        self.memory_fd = os.memfd_create(camera.plug.name)
        os.truncate(self.memory_fd, size)
        self._view = memoryview(mmap.mmap(self.memory_fd, size))
        self._held, self._out = self._view[pictures_bytes:], set[int]()
        self.listener: socket.socket | None = None
        self.reader: socket.socket | None = None
        self.wave = 0  # raised with every start, so that an event of an ended stream is known as such

    def start(self, n_buffers: int, now_ns: int) -> None:
        """Begin to stream with all buffers free."""
        self.camera.start(n_buffers, now_ns)
        self._held[:] = bytes(MAX_BUFFERS)
        self._out.clear()
        self.wave += 1

    def expose(self, tick: int, t_ns: int, now_ns: int, due_ns: int) -> Delivery | None:
        """Expose into a buffer that the reader does not hold; it gives one back by clearing the buffer's byte."""
        for buffer in [b for b in self._out if not self._held[b]]:
            self._out.remove(buffer)
            self.camera.free.append(buffer)
        found = self.camera.expose(tick, t_ns, now_ns, due_ns, self._view)
        if found is not None:
            self._held[found.buffer] = 1
            self._out.add(found.buffer)
        return found

    def plug_in(self) -> None:
        """Appear under a new number, at the same port."""
        if self.listener is not None:
            return
        node = self._folder / f"video{self.number}"
        self.number += 4
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(str(node))
        self.listener.listen(4)
        link = self._folder / "by-path" / self.camera.plug.port
        link.symlink_to(f"../{node.name}")

    def unplug(self) -> None:
        """Vanish."""
        self.camera.reset()
        self.drop_reader()
        if self.listener is not None:
            Path(self.listener.getsockname()).unlink()
            self.listener.close()
            self.listener = None
            (self._folder / "by-path" / self.camera.plug.port).unlink()

    def drop_reader(self) -> None:
        """What happens to a device file when its program ends."""
        self.camera.stop()
        self.wave += 1
        if self.reader is not None:
            self.reader.close()
            self.reader = None
