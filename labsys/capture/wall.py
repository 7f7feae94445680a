"""The camera wall: all cameras of a rig stream and nothing is stored, so that people can see what they would record."""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from labsys.capture.crew import Crew
from labsys.capture.rig_base import HardwareTrigger
from labsys.capture.status import Count, WorkerState
from labsys.capture.studio import Studio
from labsys.capture.trigger import PulseTrain
from labsys.core.errors import InputError, LabsysError

_AGAIN_S = 2.0
_ANSWERS_S = 30.0  # a camera that has not answered by then is opened anew


@dataclass(frozen=True)
class WallCamera:
    """One camera of the wall. error: why it is not there, None where it is (or is still being opened).

    waited_s: how long it has been opened without an answer, 0 where it answered.
    """

    camera: str
    state: WorkerState
    seen: int
    seen_bytes: int
    error: LabsysError | None
    waited_s: float = 0.0


class CameraWall:
    """Open while the block runs. A camera that cannot be opened is tried again every two seconds."""

    def __init__(self, studio: Studio, previews: Path) -> None:
        self._studio = studio
        self._crew = Crew(studio.rig, studio.bench, previews)
        self._room = Path(tempfile.mkdtemp(prefix="labsys-wall-"))
        self._errors = dict[str, LabsysError]()
        self._failed_s = dict[str, float]()
        self._opened_s = dict[str, float]()
        self._pulses = False

    def __enter__(self) -> Self:
        rig = self._studio.rig
        try:
            self._crew.start(self._room, {camera: self._room / f".reserve.{camera}" for camera in rig.cameras})
        except BaseException:
            self.__exit__()  # nobody else ends those that were started
            raise
        self._opened_s = dict.fromkeys(rig.cameras, time.monotonic())
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        try:
            if self._pulses and self._studio.trigger is not None:
                self._studio.trigger.stop()
        finally:
            self._crew.dismiss()
            self._crew.leave()
            shutil.rmtree(self._room, ignore_errors=True)

    def look(self) -> list[WallCamera]:
        """Every camera now; what is amiss is mended where it can be."""
        found = [self._look_at(camera) for camera in self._crew.workers]
        if not self._pulses and all(w.told or c in self._errors for c, w in self._crew.workers.items()):
            self._pulse()
        return found

    def _look_at(self, camera: str) -> WallCamera:
        worker = self._crew.workers[camera]
        if not worker.told:
            self._hear(camera)
        elif worker.is_dead or worker.hangs:
            self._crew.revive_one(camera)
        error = self._errors.get(camera)
        counts = worker.counts
        waited_s = 0.0 if worker.told or error else time.monotonic() - self._opened_s[camera]
        return WallCamera(
            camera, WorkerState(counts[Count.STATE]), counts[Count.SEEN], counts[Count.SEEN_BYTES], error, waited_s
        )

    def _hear(self, camera: str) -> None:
        """What opening the camera gave, once it is known; where it failed, try again after a while."""
        if camera in self._failed_s:
            self._try_again(camera)
            return
        try:
            # What it does not take is told by the check.
            if self._crew.has_opened(camera, strict=False):
                self._errors.pop(camera, None)
            elif time.monotonic() > self._opened_s[camera] + _ANSWERS_S:
                self._give_up(camera)
        except LabsysError as error:
            self._errors[camera], self._failed_s[camera] = error, time.monotonic()

    def _try_again(self, camera: str) -> None:
        """Unless that was tried just now, or a process that hangs in the kernel holds the camera still."""
        process = self._crew.workers[camera].process
        is_left = process is None or process.poll() is not None
        if is_left and time.monotonic() > self._failed_s[camera] + _AGAIN_S:
            del self._failed_s[camera]
            self._opened_s[camera] = time.monotonic()
            self._crew.open_again(camera)

    def _give_up(self, camera: str) -> None:
        process = self._crew.workers[camera].process
        if process is not None:
            process.kill()
        raise InputError(f"has not answered for {_ANSWERS_S:g} s", remedy=self._crew.wake(camera))

    def _pulse(self) -> None:
        """Triggered cameras show nothing without pulses."""
        rig, trigger = self._studio.rig, self._studio.trigger
        self._pulses = True
        if trigger is not None and isinstance(rig.sync, HardwareTrigger):
            pins = dict(rig.trigger_box.pins) if rig.trigger_box is not None else {}
            trigger.configure(PulseTrain(rig.sync.fps, rig.sync.pulse_us, pins))
            trigger.start()
