"""The process behind a bench of virtual cameras: one loop over sockets and due moments. What it speaks: bench.py."""

from __future__ import annotations

import heapq
import itertools
import json
import select
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from labsys.capture.bench_camera import PluggedCamera
from labsys.capture.priority import Wish, raise_priority
from labsys.capture.virtual_camera import NS, CameraPlug, VirtualCamera
from labsys.capture.virtual_wire import FRAME, MAX_BUFFERS

_LEVEL = 50  # above the recorder's: a camera does not wait for a program


def serve_bench(plugs: list[CameraPlug], folder: Path, seed: int, triggered: bool, wish: Wish) -> None:
    """Entry point of the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise_priority(wish, level=_LEVEL)
    server = _Server(plugs, folder, seed, triggered)
    signal.signal(signal.SIGTERM, lambda *_: server.end())
    (folder / "ready").touch()
    server.run()


class _Server:
    """The event loop of the bench."""

    def __init__(self, plugs: list[CameraPlug], folder: Path, seed: int, triggered: bool) -> None:
        (folder / "by-path").mkdir()
        (folder / "truth").mkdir()
        self._triggered = triggered
        self._events: list[tuple[int, int, Callable[[], object]]] = []
        self._order = itertools.count()
        self._ended = False
        self._cameras = [
            PluggedCamera(VirtualCamera(p, folder / "truth" / f"{p.name}.bin", seed + 7919 * i), folder, i)
            for i, p in enumerate(plugs)
        ]
        for camera in self._cameras:
            if not camera.camera.plug.behaviour.absent:
                camera.plug_in()
        self._lines = {name: _listen(folder / name) for name in ("trigger", "faults")}
        self._talking: dict[socket.socket, str] = {}
        self._pulse_ns, self._pulse, self._pulses_left, self._train = 0.0, 0, 0, 0
        self._pulsing = False

    def end(self) -> None:
        """Leave the loop."""
        self._ended = True

    def run(self) -> None:
        """Serve until told to end."""
        while not self._ended:
            self._run_due()
            wait_s = 0.2 if not self._events else max((self._events[0][0] - time.monotonic_ns()) / NS, 0.0)
            readable, _, _ = select.select(self._sockets(), [], [], min(wait_s, 0.2))
            for sock in readable:
                self._attend(sock)
        for camera in self._cameras:
            camera.camera.stop()

    def _sockets(self) -> list[socket.socket]:
        found = [*self._lines.values(), *self._talking]
        for c in self._cameras:
            found += [s for s in (c.listener, c.reader) if s is not None]
        return found

    def _run_due(self) -> None:
        while self._events and self._events[0][0] <= time.monotonic_ns():
            heapq.heappop(self._events)[2]()

    def _at(self, t_ns: int, action: Callable[[], object]) -> None:
        heapq.heappush(self._events, (t_ns, next(self._order), action))

    def _attend(self, sock: socket.socket) -> None:
        for name, listener in self._lines.items():
            if sock is listener:
                self._talking[listener.accept()[0]] = name
                return
        if sock in self._talking:
            self._hear_line(sock)
            return
        for camera in self._cameras:
            if sock is camera.listener:
                self._accept(camera)
            elif sock is camera.reader:
                self._hear_reader(camera)

    def _accept(self, camera: PluggedCamera) -> None:
        assert camera.listener is not None
        reader, _ = camera.listener.accept()
        if camera.reader is not None:
            with suppress(OSError):
                reader.send(b'{"busy": true}')
            reader.close()
            return
        camera.reader = reader
        reader.setblocking(False)
        told = {**camera.camera.info, "buffer_bytes": camera.camera.plug.buffer_bytes}
        with suppress(OSError):  # a reader that went at once is noticed when it is heard next
            socket.send_fds(reader, [json.dumps(told).encode()], [camera.memory_fd])

    def _hear_reader(self, camera: PluggedCamera) -> None:
        assert camera.reader is not None
        try:
            message = camera.reader.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            message = b""
        if not message:
            camera.drop_reader()
        else:
            with suppress(OSError):
                camera.reader.send(json.dumps(self._answer(camera, json.loads(message))).encode())

    def _answer(self, camera: PluggedCamera, request: dict[str, Any]) -> dict[str, object]:
        device, how = camera.camera, camera.camera.plug.behaviour
        match request["op"]:
            case "configure":
                return device.configure(request["controls"], triggered=request["triggered"])
            case "read":
                return {"controls": device.controls}
            case "start" if how.no_bandwidth:
                return {"error": "bandwidth"}
            case "start":
                self._start(camera, min(int(request["n_buffers"]), MAX_BUFFERS))
            case "stop":
                device.stop()
                camera.wave += 1
        return {"ok": True}

    def _start(self, camera: PluggedCamera, n_buffers: int) -> None:
        device, now_ns = camera.camera, time.monotonic_ns()
        first = device.first_stream_ns is None
        camera.start(n_buffers, now_ns)
        if first:
            self._plan_faults(camera, now_ns)
        if not device.triggered:
            self._plan_tick(camera, camera.wave)

    def _plan_faults(self, camera: PluggedCamera, now_ns: int) -> None:
        how = camera.camera.plug.behaviour
        planned = {
            "unplug": how.unplug_at_s,
            "replug": how.replug_at_s,
            "freeze": how.freeze_at_s,
            "slow": how.slow_at_s,
        }
        for command, at_s in planned.items():
            if at_s is not None:
                self._at(now_ns + round(at_s * NS), partial(self._fault, camera, command))

    def _plan_tick(self, camera: PluggedCamera, wave: int) -> None:
        device = camera.camera
        tick, t_ns = device.tick, device.exposure_ns()
        due_ns = t_ns + device.draw_delay_ns()
        self._at(due_ns, lambda: self._tick(camera, wave, tick, t_ns, due_ns))

    def _tick(self, camera: PluggedCamera, wave: int, tick: int, t_ns: int, due_ns: int) -> None:
        if wave != camera.wave:
            return
        self._deliver(camera, tick, t_ns, due_ns)
        camera.camera.tick += 2 if camera.camera.slow else 1
        self._plan_tick(camera, wave)

    def _deliver(self, camera: PluggedCamera, tick: int, t_ns: int, due_ns: int) -> None:
        device = camera.camera
        if not device.streaming or device.frozen:
            return
        found = camera.expose(tick, t_ns, time.monotonic_ns(), due_ns)
        if found is not None and camera.reader is not None:
            with suppress(OSError):
                camera.reader.send(b"F" + FRAME.pack(*found))

    def _hear_line(self, sock: socket.socket) -> None:
        text = sock.recv(65536)
        if not text:
            del self._talking[sock]
            sock.close()
            return
        for line in text.splitlines():
            request = json.loads(line)
            answer = self._trigger(request) if self._talking[sock] == "trigger" else self._fault_by_name(request)
            with suppress(OSError):
                sock.sendall(json.dumps(answer).encode() + b"\n")

    def _trigger(self, request: dict[str, Any]) -> dict[str, object]:
        match request.get("cmd"):
            case "hello":
                return {"fw": "labsys virtual trigger bus", "id": "virtual", "protocol": 1}
            case "cfg" if self._triggered:
                self._pulse_ns = NS / float(request["fps"])
                return {"ok": True}
            case "start" if self._pulse_ns:
                self._begin_pulses(int(request.get("n", 0)))
                return {"ok": True}
            case "count":
                return {"count": self._pulse}
            case "stop":
                self._pulsing = False
                self._train += 1
                return {"count": self._pulse}
        return {"error": f"unknown or untimely request {request.get('cmd')}"}

    def _begin_pulses(self, n_pulses: int) -> None:
        self._pulse, self._pulses_left, self._pulsing = 0, n_pulses, True
        self._train += 1
        start_ns, train = time.monotonic_ns() + NS // 50, self._train
        self._at(start_ns, lambda: self._fire(start_ns, train))

    def _fire(self, start_ns: int, train: int) -> None:
        if not self._pulsing or train != self._train:
            return
        number = self._pulse
        t_ns = start_ns + round(number * self._pulse_ns)
        for camera in self._cameras:
            if camera.camera.streaming and camera.camera.triggered:
                self._plan_pulse(camera, number, t_ns)
        self._pulse += 1
        if self._pulses_left and self._pulse >= self._pulses_left:
            self._pulsing = False
            return
        self._at(start_ns + round(self._pulse * self._pulse_ns), lambda: self._fire(start_ns, train))

    def _plan_pulse(self, camera: PluggedCamera, number: int, t_ns: int) -> None:
        # Delays vary by less than a period here: frames of one camera stay in order.
        due_ns = max(t_ns + camera.camera.draw_delay_ns(), camera.camera.stamp_ns + 1)
        wave = camera.wave
        self._at(due_ns, lambda: self._deliver(camera, number, t_ns, due_ns) if wave == camera.wave else None)

    def _fault_by_name(self, request: dict[str, Any]) -> dict[str, object]:
        for camera in self._cameras:
            if camera.camera.plug.name == request.get("camera"):
                return self._fault(camera, str(request.get("cmd")))
        return {"error": f"no camera {request.get('camera')}"}

    def _fault(self, camera: PluggedCamera, command: str) -> dict[str, object]:
        match command:
            case "unplug":
                camera.unplug()
            case "replug":
                camera.plug_in()
            case "freeze":
                camera.camera.frozen = True
            case "slow":
                camera.camera.slow = True
            case "corrupt":
                camera.camera.corrupt_next = True
            case _:
                return {"error": f"no fault {command}"}
        return {"ok": True}


def _listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(8)
    path.chmod(0o600)
    return listener
