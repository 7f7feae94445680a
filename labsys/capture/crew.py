"""The camera processes of a rig: started together, told together, watched, and started again where one dies."""

from __future__ import annotations

import pickle
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labsys.capture.child_process import end_child, start_child
from labsys.capture.device import DriverError
from labsys.capture.driver import DriverKind
from labsys.capture.memory import HeldFolder
from labsys.capture.part_writer import WriterPlan
from labsys.capture.preview import preview_file
from labsys.capture.rig import Rig
from labsys.capture.rig_base import FreeRun
from labsys.capture.status import Command, Count, Numbers, WorkerState, make_numbers, map_numbers
from labsys.capture.worker_plan import WorkerPlan
from labsys.core.errors import InputError

_OPEN_S = 60.0
_STOP_S = 10.0
_HANGS_NS = 5_000_000_000
_AGAIN_S = 2.0  # where a process ends without having opened its camera: starting one takes the processor from others


@dataclass(frozen=True)
class CameraCount:
    """One camera while it records."""

    camera: str
    state: WorkerState
    stored: int
    lost: int
    waiting: int
    seen: int = 0
    stored_bytes: int = 0


@dataclass
class CameraWorker:
    """One camera's process, and what it told when its camera was open."""

    plan: WorkerPlan
    counts: Numbers
    commands: Numbers
    numbers: Path
    mailbox: Path
    process: subprocess.Popen[bytes] | None = None
    told: dict[str, Any] = field(default_factory=dict)
    spawned_s: float = 0.0
    opened_before: int = 0

    @property
    def ended_at_once(self) -> bool:
        """Whether its process, started a moment ago, ended without having opened the camera."""
        fruitless = self.counts[Count.OPENED] == self.opened_before
        return self.is_dead and fruitless and time.monotonic() < self.spawned_s + _AGAIN_S

    @property
    def is_dead(self) -> bool:
        """Whether its process has ended."""
        return self.process is not None and self.process.poll() is not None

    @property
    def hangs(self) -> bool:
        """Whether its capture thread, which never waits for long while it streams, has not come by for far too long."""
        streams = self.counts[Count.STATE] in (WorkerState.ARMED, WorkerState.RECORDING)
        return streams and time.monotonic_ns() - self.counts[Count.HEARTBEAT_NS] > _HANGS_NS

    @property
    def exit_code(self) -> int:
        """Of its process; negative: the signal that ended it."""
        return (self.process.poll() or 0) if self.process is not None else 0


class Crew:
    """See the module's text."""

    def __init__(self, rig: Rig, bench: Path | None, previews: Path | None = None) -> None:
        self._rig, self._bench, self._previews = rig, bench, previews
        self._shared = HeldFolder("labsys-crew-", in_memory=True)
        self._folder = self._shared.path
        self.workers: dict[str, CameraWorker] = {}
        self._started_s = 0.0

    def hire(
        self,
        raw: Path,
        reserves: Mapping[str, Path],
        lock: Path,
        *,
        waiting: Callable[[str, float], None] = lambda *_: None,
    ) -> None:
        """Start a process per camera and wait until each has opened its camera.

        waiting: told again and again which camera is waited for, and for how long, s; may raise.

        Raises:
            DriverError: a camera cannot be opened or set. InputError: a control or mode that it does not offer or take.
        """
        self.start(raw, reserves, lock)
        for camera in self.workers:
            try:
                self.await_open(camera, waiting=waiting)
            except DriverError as error:
                raise DriverError(
                    error.kind, f"{camera}: {error.what}", where=error.where, remedy=error.remedy
                ) from error

    def start(self, raw: Path, reserves: Mapping[str, Path], lock: Path | None = None) -> None:
        """Start a process per camera. lock: of the recording, which every process holds; None where none is made."""
        self._started_s = time.monotonic()
        for camera in self._rig.cameras:
            plan = self._plan(camera, raw, reserves[camera], lock)
            numbers, mailbox = self._folder / f"{camera}.numbers", self._folder / f"{camera}.mail"
            make_numbers(numbers)
            counts, commands = map_numbers(numbers)
            self.workers[camera] = CameraWorker(plan, counts, commands, numbers, mailbox)
            self._spawn(self.workers[camera])

    def await_open(
        self, camera: str, *, strict: bool = True, waiting: Callable[[str, float], None] = lambda *_: None
    ) -> None:
        """Wait until a camera is open and set as asked (errors: as `hire`). strict: refuse settings not taken."""
        while not self.has_opened(camera, strict=strict):
            time.sleep(0.02)
            waited_s = time.monotonic() - self._started_s
            if waited_s > _OPEN_S:
                raise InputError(f"{camera} did not open within {_OPEN_S:g} s", remedy=self.wake(camera))
            waiting(camera, waited_s)

    def wake(self, camera: str) -> str:
        """What to do where a camera does not answer."""
        return f"{self._rig.plug_in(camera)} again; then look whether another program holds it"

    def has_opened(self, camera: str, *, strict: bool = True) -> bool:
        """Whether a camera is open and set as asked by now (errors: as `hire`)."""
        worker = self.workers[camera]
        ended = worker.is_dead  # asked first: a process that ends posts before that
        if not worker.mailbox.exists():
            if ended:
                raise InputError(f"the process of {camera} ended before its camera was open", remedy=self.wake(camera))
            return False
        kind, told = pickle.loads(worker.mailbox.read_bytes())
        if kind == "failed":
            raise told
        worker.told = told
        if strict and told["mismatches"]:
            raise InputError(
                f"{camera} does not take its settings: {'; '.join(told['mismatches'])}",
                remedy="Correct the rig file, or list the control under optional_controls",
            )
        return True

    def open_again(self, camera: str) -> None:
        """Start the process of a camera anew that could not be opened."""
        worker = self.workers[camera]
        worker.mailbox.unlink(missing_ok=True)
        self._spawn(worker)

    def command(self, which: Command, value: int) -> None:
        """Tell every process."""
        for worker in self.workers.values():
            worker.commands[which] = value

    def await_ends(self, until_ns: int, *, most_s: float) -> None:
        """Wait until every camera has met a frame after the take's last moment, or gives none any more."""
        ended = (WorkerState.DONE, WorkerState.FAULT, WorkerState.DISK_FULL)
        while (now_ns := time.monotonic_ns()) < until_ns + most_s * 1e9:
            if now_ns > until_ns and all(w.counts[Count.STATE] in ended for w in self.workers.values()):
                return
            time.sleep(0.01)

    def dismiss(self) -> None:
        """Tell every process to finish its files, and wait for it."""
        self.command(Command.QUIT, 1)
        for worker in self.workers.values():
            if worker.process is not None:
                end_child(worker.process, wait_s=_STOP_S)

    def leave(self) -> None:
        """Remove what the processes and the crew shared."""
        self._shared.remove()

    def counts(self) -> list[CameraCount]:
        """Every camera's present counts."""
        found = []
        for camera, worker in self.workers.items():
            c = worker.counts
            lost = c[Count.GAPS_IN_TAKE] + c[Count.LOST_IN_QUEUE] + c[Count.LOST_TO_DISK]
            state, stored, seen = WorkerState(c[Count.STATE]), c[Count.STORED], c[Count.SEEN]
            found.append(CameraCount(camera, state, stored, lost, c[Count.WAITING], seen, c[Count.BYTES]))
        return found

    def revive(self) -> None:
        """A process that died is started again, one that hangs is ended first; it goes on in another part."""
        for camera in self.workers:
            self.revive_one(camera)

    def revive_one(self, camera: str) -> None:
        """As `revive`, of one camera."""
        worker = self.workers[camera]
        if worker.commands[Command.QUIT]:
            return
        if worker.hangs and worker.process is not None:
            # Not waited for: one that hangs in the kernel ends when its camera answers, or never.
            worker.process.kill()
        if not worker.is_dead or worker.ended_at_once:
            return
        line = f'{{"at_ns": {time.monotonic_ns()}, "event": "died", "code": {worker.exit_code}}}\n'
        with (worker.plan.writer.raw / f"{camera}.events.jsonl").open("a") as file:
            file.write(line)
        self._spawn(worker)

    def _plan(self, camera: str, raw: Path, reserve: Path, lock: Path | None) -> WorkerPlan:
        rig, mode = self._rig, self._rig.stream_of(camera)
        rate_hz = rig.rate_of(camera)
        size = (mode.width, mode.height)
        record = rig.record
        preview = None if self._previews is None else preview_file(self._previews, camera)
        turn = (list(rig.cameras).index(camera) + 1) / len(rig.cameras)
        writer = WriterPlan(camera, raw, size, rate_hz, record.fsync_s, reserve, turn, preview)
        return WorkerPlan(
            camera=camera,
            port=rig.port_of(camera),
            driver=DriverKind(rig.driver),
            bench=self._bench,
            mode=mode,
            rate_hz=rate_hz,
            controls=rig.opening_controls(camera),
            optional_controls=rig.optional_controls,
            triggered=not isinstance(rig.sync, FreeRun),
            n_buffers=rig.defaults.buffers,
            queue_s=record.queue_s,
            priority=rig.system.priority,
            writer=writer,
            exit_controls=rig.leaving_controls,
            lock=lock,
            nodes=rig.nodes,
        )

    def _spawn(self, worker: CameraWorker) -> None:
        worker.counts[Count.STATE] = WorkerState.STARTING
        worker.spawned_s, worker.opened_before = time.monotonic(), worker.counts[Count.OPENED]
        worker.process = start_child("labsys.capture.worker:run_worker", worker.plan, worker.numbers, worker.mailbox)
