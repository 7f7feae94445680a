"""One camera's process: a capture thread that only moves frames, and a writer thread that only writes them.

The capture thread dequeues, copies, gives the buffer back and offers the copy to the queue; it never waits for the
disk, for the supervisor or for a lock. Between two looks at the driver it rests for less than two periods. It outlives
its camera: unplugged, it waits for the port, opens it again with all settings, and goes on in another part.
"""

from __future__ import annotations

import gc
import pickle
import signal
import sys
import threading
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from labsys.capture.device import (
    CameraDriver,
    DriverError,
    Failure,
    Frame,
    FrameFlag,
    StampSource,
    check_controls,
    find_flaw,
)
from labsys.capture.driver import make_driver
from labsys.capture.memory import keep_freed_memory
from labsys.capture.part_writer import FrameQueue, Happening, PartEnd, PartWriter, StoredFrame
from labsys.capture.priority import raise_priority
from labsys.capture.status import Command, Count, Numbers, WorkerState, map_numbers
from labsys.capture.worker_plan import WorkerPlan
from labsys.core.errors import LabsysError
from labsys.storage.locks import hold_file

NS = 1_000_000_000
_POLL_S, _RETRY_S, _FROZEN_S = 0.1, 0.25, 1.0
_AHEAD_NS = NS // 2  # nobody has a frame before it was taken; clocks that were mapped onto this one may be a little off
_MOST_QUEUE_BYTES = 512 << 20
_SPARE_EVERY_NS = NS // 2
_SHOWN_EVERY_NS = NS // 10  # where somebody looks on
# Waking is the dearest part of a frame. Two frames are taken at one waking: as many as a kill may cost.
_REST_PERIODS, _REST_MOST_S, _REST_BUFFERS = 1.8, 0.015, 8


def run_worker(plan: WorkerPlan, numbers: Path, mailbox: Path) -> None:
    """Entry point of the process; what opening the camera gave goes to the mailbox, once."""
    counts, commands = map_numbers(numbers)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: commands.__setitem__(Command.QUIT, 1))
    sys.setswitchinterval(0.001)
    keep_freed_memory()
    counts[Count.PRIORITY] = raise_priority(plan.priority)
    # Until the last row is written nobody may finish what this process still writes, whoever else has ended.
    with nullcontext() if plan.lock is None else hold_file(plan.lock, what="the recording", alone=False):
        _Worker(plan, counts, commands, mailbox).run()


class _Worker:
    """See the module's text."""

    def __init__(self, plan: WorkerPlan, counts: Numbers, commands: Numbers, mailbox: Path) -> None:
        self._plan, self._counts, self._commands, self._mailbox = plan, counts, commands, mailbox
        most = max(int(plan.queue_s * plan.rate_hz), 4)
        self._queue = FrameQueue(most_frames=most, most_bytes=_MOST_QUEUE_BYTES)
        self._writer = PartWriter(plan.writer, self._queue, counts)
        self._driver: CameraDriver = make_driver(plan.driver, plan.bench, plan.nodes)
        self._lost_before = 0
        self._last_seq, self._last_ns, self._last_seen_ns, self._spare_ns = -1, 0, 0, 0
        self._fence: tuple[int, int] | None = None
        self._begun = self._finished = False
        self._cpu_s = 0.0
        self._spare_every_ns = _SPARE_EVERY_NS if plan.writer.preview is None else _SHOWN_EVERY_NS
        rest_s = min(_REST_PERIODS / plan.rate_hz, _REST_MOST_S)
        self._rest_s = rest_s if plan.n_buffers >= _REST_BUFFERS else 0.0

    def run(self) -> None:
        """Stream until told to quit."""
        writing = threading.Thread(target=self._writer.run, name="writer")
        writing.start()
        gc.collect()
        gc.freeze()
        gc.disable()
        try:
            while not self._commands[Command.QUIT]:
                if self._open():
                    self._stream_until_lost()
                elif not self._counts[Count.OPENED]:
                    break
                else:
                    self._counts[Count.HEARTBEAT_NS] = time.monotonic_ns()
                    time.sleep(_RETRY_S)
        finally:
            self._end(writing)

    def _open(self) -> bool:
        """Open, set and start the camera; what fails before it ever streamed is fatal and told to the supervisor."""
        try:
            info = self._driver.open(self._plan.port)
            controls = {
                n: v for n, v in self._plan.controls.items()
                if n not in self._plan.optional_controls or n in info.controls
            }  # fmt: skip
            check_controls(info, self._plan.exit_controls, where=f"{self._plan.camera}: trigger_exit")
            applied = self._driver.configure(self._plan.mode, controls, triggered=self._plan.triggered)
            if applied.mode != self._plan.mode:
                raise DriverError(
                    Failure.IO, f"the mode is {applied.mode}, not {self._plan.mode}", where=self._plan.camera
                )
            self._driver.start(self._plan.n_buffers)
        except LabsysError as error:
            self._driver.close()
            if not self._counts[Count.OPENED]:
                self._post("failed", error)
            return False
        facts = {"node": info.node, "model": info.model, "usb_id": info.usb_id, "serial": info.serial, "bus": info.bus,
                 "speed_mbps": info.speed_mbps}  # fmt: skip
        told = {**facts, "controls": dict(applied.controls), "mismatches": list(applied.mismatches)}
        if not self._counts[Count.OPENED]:
            self._post("opened", told)
        else:
            self._tell("reopened", **told)
        self._counts[Count.OPENED] += 1
        self._last_seq, self._last_seen_ns = -1, time.monotonic_ns()
        self._counts[Count.HEARTBEAT_NS] = self._last_seen_ns
        self._counts[Count.STATE] = WorkerState.ARMED
        return True

    def _stream_until_lost(self) -> None:
        try:
            while not self._commands[Command.QUIT]:
                if not self._take_frames():
                    self._counts[Count.HEARTBEAT_NS] = now_ns = time.monotonic_ns()
                    if self._is_frozen(now_ns):
                        self._restart()
                elif self._rest_s:
                    time.sleep(self._rest_s)
        except DriverError as error:
            self._lose(error)

    def _take_frames(self) -> bool:
        """Wait for a frame and take it, and those that wait in the driver's buffers behind it."""
        frame = self._driver.next(_POLL_S)
        if frame is None:
            return False
        while frame is not None:
            self._counts[Count.HEARTBEAT_NS] = self._last_seen_ns = frame.t_host_ns
            self._handle(frame)
            more = self._rest_s and not self._commands[Command.QUIT]
            frame = self._driver.next(0.0) if more else None
        return True

    def _lose(self, error: DriverError) -> None:
        self._tell("lost", kind=error.kind.value, why=error.what)
        self._queue.note(PartEnd())
        self._counts[Count.STATE] = WorkerState.FAULT
        self._driver.close()

    def _is_frozen(self, now_ns: int) -> bool:
        due = self._begun or (self._commands[Command.FROM_NS] and now_ns > self._commands[Command.FROM_NS] + NS)
        over = self._commands[Command.UNTIL_NS] and now_ns > self._commands[Command.UNTIL_NS]
        return bool(due) and not over and not self._finished and now_ns - self._last_seen_ns > _FROZEN_S * NS

    def _restart(self) -> None:
        self._tell("frozen", why=f"no frame for {_FROZEN_S:g} s")
        self._queue.note(PartEnd())
        self._driver.stop()
        self._driver.start(self._plan.n_buffers)
        self._last_seq, self._last_seen_ns = -1, time.monotonic_ns()
        self._counts[Count.STATE] = WorkerState.FAULT  # until it gives a frame again

    def _handle(self, frame: Frame) -> None:
        t_ns, source = frame.t_ns, frame.source
        if t_ns <= self._last_ns or t_ns > frame.t_host_ns + _AHEAD_NS:
            # A stamp that stands still, runs back or lies ahead says nothing; the host's own clock is all there is.
            t_ns, source = max(frame.t_host_ns, self._last_ns + 1), StampSource.HOST
            if self._rest_s and self._last_ns:  # it waited, and its late time must not pass the next frame's own stamp
                t_ns = min(t_ns, self._last_ns + round(NS / self._plan.rate_hz))
            self._counts[Count.HOST_STAMPS] += 1
        if source is StampSource.HOST:
            self._rest_s = 0.0  # then a frame's time is when it was taken
        flags = find_flaw(frame.picture, frame.flags)
        self._watch(frame, t_ns, flags)
        begin_ns = self._commands[Command.FROM_NS]
        if self._is_in_take(t_ns):
            self._keep(frame, t_ns, source, flags)
        elif not begin_ns or t_ns < begin_ns:
            self._pass_by(frame, t_ns, flags)
        else:
            self._finish(frame, t_ns)

    def _watch(self, frame: Frame, t_ns: int, flags: FrameFlag) -> None:
        counts = self._counts
        if self._last_seq >= 0 and frame.seq > self._last_seq + 1:
            gap = frame.seq - self._last_seq - 1
            counts[Count.SEQ_GAPS] += gap
            counts[Count.GAPS_IN_TAKE] += gap if self._is_in_take(t_ns) else 0
        if counts[Count.SEEN]:
            counts[Count.PERIOD_NS] = t_ns - self._last_ns
        else:
            counts[Count.FIRST_NS] = t_ns
        late_us = (frame.t_host_ns - frame.t_ns) // 1000
        counts[Count.DEQUEUE_LATE_US] = max(counts[Count.DEQUEUE_LATE_US], late_us)
        counts[Count.SEEN] += 1
        if flags:
            counts[Count.SEEN_DAMAGED] += 1
        size = len(frame.picture)
        counts[Count.LARGEST_BYTES] = max(counts[Count.LARGEST_BYTES], size)
        counts[Count.SEEN_BYTES] += size
        counts[Count.LAST_NS] = t_ns
        self._last_seq, self._last_ns = frame.seq, t_ns

    def _is_in_take(self, t_ns: int) -> bool:
        begin_ns, until_ns = self._commands[Command.FROM_NS], self._commands[Command.UNTIL_NS]
        return bool(begin_ns) and t_ns >= begin_ns and not (until_ns and t_ns >= until_ns)

    def _pass_by(self, frame: Frame, t_ns: int, flags: FrameFlag) -> None:
        """Before the take: remember where the count stood, and keep a sound picture in reserve."""
        if not flags and t_ns - self._spare_ns > self._spare_every_ns:
            self._writer.last_sound, self._spare_ns = bytes(frame.picture), t_ns
        self._fence = (frame.seq, t_ns)
        self._driver.release(frame)

    def _keep(self, frame: Frame, t_ns: int, source: StampSource, flags: FrameFlag) -> None:
        picture = bytes(frame.picture)
        kept = StoredFrame(
            frame.seq, t_ns, frame.t_device_ns, frame.t_host_ns, picture, source, flags,
            self._lost_before, frame.exposure_us, frame.gain,
        )  # fmt: skip
        self._driver.release(frame)
        if not self._begun:
            self._begun, self._cpu_s = True, time.process_time()
            self._tell("begin", fence=self._fence)
        if self._counts[Count.STATE] in (WorkerState.ARMED, WorkerState.FAULT):
            self._counts[Count.STATE] = WorkerState.RECORDING
        if self._queue.offer(kept):
            self._lost_before = 0
        else:
            self._lost_before += 1
            self._counts[Count.LOST_IN_QUEUE] += 1
        self._counts[Count.MOST_WAITING] = max(self._counts[Count.MOST_WAITING], self._queue.n_waiting)

    def _finish(self, frame: Frame, t_ns: int) -> None:
        """The first frame after the take: it is not kept, and it tells what was lost at the end."""
        self._driver.release(frame)
        if not self._finished:
            self._finished = True
            self._tell("end", fence=(frame.seq, t_ns), lost_in_queue=self._lost_before)
            self._queue.note(PartEnd())
            if self._counts[Count.STATE] != WorkerState.DISK_FULL:
                self._counts[Count.STATE] = WorkerState.DONE

    def _post(self, kind: str, told: object) -> None:
        letter = self._mailbox.with_suffix(".new")
        letter.write_bytes(pickle.dumps((kind, told)))
        letter.rename(self._mailbox)

    def _tell(self, event: str, **facts: Any) -> None:
        self._queue.note(Happening({"event": event, **facts}))

    def _leave_trigger(self) -> None:
        """Controls outlive the program: the next one must find a camera that streams by itself."""
        if not self._plan.exit_controls or not self._counts[Count.OPENED]:
            return
        try:
            applied = self._driver.configure(self._plan.mode, self._plan.exit_controls, triggered=False)
            failed = "; ".join(applied.mismatches)
        except LabsysError as error:
            failed = error.what
        if failed:
            self._tell("trigger_exit_failed", why=failed)

    def _end(self, writing: threading.Thread) -> None:
        controls = dict[str, int]()
        try:
            controls = self._leave()
        finally:
            # Whatever the camera does: a writer that is never told of the end would hold the process for ever.
            self._tell("closed", controls=controls, lost_in_queue=self._lost_before)
            self._writer.ended = True
            writing.join()
        self._counts[Count.CPU_US] += round((time.process_time() - self._cpu_s) * 1e6) if self._begun else 0
        if self._counts[Count.STATE] not in (WorkerState.DISK_FULL, WorkerState.FAULT):
            self._counts[Count.STATE] = WorkerState.DONE

    def _leave(self) -> dict[str, int]:
        """Stop and close the camera; its settings at the end, none where it is gone."""
        try:
            controls = self._driver.read_controls() if self._counts[Count.OPENED] else {}
            self._driver.stop()
        except DriverError:
            controls = {}
        self._leave_trigger()
        self._driver.close()
        return controls
