"""record_take: one process per camera, started and stopped on one clock, watched, and made a take.

IDLE -> OPENING -> ARMED -> RECORDING -> STOPPING -> FINALISING -> DONE
what fails before RECORDING leaves nothing behind; what fails later leaves a take that says so, or a recording that
`labsys recover` finishes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labsys.capture.crew import Crew
from labsys.capture.finalise import FinishedTake, assess_recording, finish_recording
from labsys.capture.manifest import describe_rig, describe_worker, note_stop, read_clocks
from labsys.capture.part_writer import NS
from labsys.capture.rig import Rig
from labsys.capture.rig_base import FreeRun, HardwareTrigger
from labsys.capture.status import Command, Count, WorkerState
from labsys.capture.stopping import find_reason_to_stop, free_bytes
from labsys.capture.trigger import NoTrigger, PulseTrain, TriggerBox
from labsys.capture.watcher import RecorderState, Watcher
from labsys.core.errors import InputError, LabsysError
from labsys.storage.recordings import (
    Recording,
    begin_recording,
    discard_recording,
    hold_reserve,
    holds_frames,
    keep_files,
    save_manifest,
)

_LEAD_S = 0.3
_SETTLE_S = 1.0
_DRAIN_S = 0.5
_WATCH_S = 0.1


@dataclass(frozen=True)
class RecordRequest:
    """What is to be recorded.

    Attributes:
        target: the take's folder to be. seconds: how long; stopped sooner by `stop`.
        calibration: name of the one that the rig stands in, "" for none. facts: what the manifest is to say besides.
        previews: folder of the files that pictures are shown in meanwhile (preview.py), None where nobody looks on.
        kept: files that the take is to hold besides, by their role, such as the board that is waved.
    """

    target: Path
    rig: Rig
    seconds: float
    rig_text: str = ""
    calibration: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    previews: Path | None = None
    kept: Mapping[str, Path] = field(default_factory=dict)


def record_take(
    request: RecordRequest,
    *,
    bench: Path | None = None,
    trigger: TriggerBox | None = None,
    watcher: Watcher | None = None,
    stop: threading.Event | None = None,
) -> FinishedTake:
    """Record one take. bench: of virtual cameras. stop: set it to end sooner than asked.

    Raises:
        InputError: what was asked for cannot be (seconds, trigger, disk), or nothing was stored.
        DriverError: a camera cannot be opened or set. ConcurrencyError: a recording is under way or waits there.
    """
    check_request(request)
    recorder = _Recorder(request, bench, trigger or NoTrigger(), watcher or Watcher(), stop or threading.Event())
    return recorder.run()


def check_request(request: RecordRequest) -> None:
    """Refuse what cannot be recorded, before anything is touched (InputError)."""
    rig, most_s = request.rig, 60.0 * request.rig.record.max_minutes
    if not 0 < request.seconds <= most_s:
        raise InputError(
            f"{request.seconds:g} s cannot be recorded", remedy=f"Use more than 0 and at most {most_s:g} s"
        )
    if not request.target.parent.is_dir():
        raise InputError("there is no trial to record", where=str(request.target.parent), remedy="Add it first")
    free = free_bytes(request.target.parent)
    needed = rig.limits.disk_min_free_gb * 1e9
    if free < needed:
        raise InputError(
            f"the disk has {free / 1e9:.1f} GB free, {needed / 1e9:g} GB are needed",
            where=str(request.target.parent),
            remedy="Move old takes to another disk, or lower limits.disk_min_free_GB",
        )


class _Recorder:
    """The supervisor of one take."""

    def __init__(
        self, request: RecordRequest, bench: Path | None, trigger: TriggerBox, watcher: Watcher, stop: threading.Event
    ) -> None:
        self._request, self._rig = request, request.rig
        self._trigger, self._watcher, self._stop = trigger, watcher, stop
        self._crew = Crew(request.rig, bench, request.previews)
        self._state = RecorderState.IDLE
        self._pulses: int | None = None
        self._manifest: dict[str, Any] = {}
        self._kept: dict[str, str] = {}

    def run(self) -> FinishedTake:
        """All of it."""
        try:
            return self._run()
        except OSError as error:
            raise InputError(
                f"the take cannot be recorded: {error.strerror or error}",
                where=str(self._request.target),
                remedy="Make room on the disk; what was stored is finished by 'labsys recover'",
            ) from error
        finally:
            self._crew.leave()

    def _run(self) -> FinishedTake:
        self._go(RecorderState.OPENING)
        with begin_recording(self._request.target) as recording:
            try:
                self._kept = keep_files(recording, self._request.kept)
                reserves = {camera: hold_reserve(recording, camera) for camera in self._rig.cameras}
                self._crew.hire(recording.raw, reserves, recording.lock, waiting=self._wait_for_camera)
                self._arm()
                self._record(recording)
            except BaseException:
                self._crew.dismiss()
                with suppress(OSError):
                    self._note_end(recording)
                # Frames that were stored wait for `labsys recover`; without any there is nothing to keep.
                if not holds_frames(recording):
                    discard_recording(recording)
                raise
            return self._finish(recording)

    def _finish(self, recording: Recording) -> FinishedTake:
        self._crew.dismiss()
        self._note_end(recording)
        if not holds_frames(recording):
            reasons = assess_recording(recording).verdict.reasons
            discard_recording(recording)
            raise InputError(f"nothing was recorded: {'; '.join(reasons)}", where=str(recording.target))
        self._watcher.judged(assess_recording(recording))
        self._go(RecorderState.FINALISING)
        finished = finish_recording(recording)
        self._go(RecorderState.DONE)
        return finished

    def _go(self, state: RecorderState) -> None:
        if not self._state.may_become(state):
            raise LabsysError(f"the recorder cannot go from {self._state} to {state}")
        self._state = state
        self._watcher.changed(state)

    def _arm(self) -> None:
        """Free-running cameras stream for a second before the take; triggered ones wait for pulses."""
        if isinstance(self._rig.sync, HardwareTrigger):
            pins = dict(self._rig.trigger_box.pins) if self._rig.trigger_box is not None else {}
            self._trigger.configure(PulseTrain(self._rig.sync.fps, self._rig.sync.pulse_us, pins))
        else:
            self._wait_for_streams()
        self._require_wanted()
        self._go(RecorderState.ARMED)

    def _require_wanted(self) -> None:
        if self._stop.is_set():
            raise InputError("was stopped before the take began", where=str(self._request.target))

    def _wait_for_camera(self, camera: str, waited_s: float) -> None:
        """A camera that does not answer holds up neither who stops nor who wants to know why."""
        self._require_wanted()
        self._watcher.waiting(camera, waited_s)

    def _wait_for_streams(self) -> None:
        deadline = time.monotonic() + _SETTLE_S + 10.0
        for camera, worker in self._crew.workers.items():
            wanted = max(int(_SETTLE_S * worker.plan.rate_hz), self._rig.settle_frames)
            while worker.counts[Count.SEEN] < wanted and not self._stop.is_set():
                if time.monotonic() > deadline:
                    break
                if worker.is_dead:
                    raise InputError(f"the process of {camera} ended before the take began")
                time.sleep(0.02)
            if not worker.counts[Count.SEEN] and not self._stop.is_set():
                raise InputError(f"{camera} delivers no frames", remedy="Run 'labsys rig check'")

    def _record(self, recording: Recording) -> None:
        begin_ns = time.monotonic_ns() + (round(_LEAD_S * NS) if self._free else 0)
        until_ns = begin_ns + round(self._request.seconds * NS)
        self._begin_manifest(recording, begin_ns, until_ns if self._free else 0)
        self._crew.command(Command.FROM_NS, begin_ns)
        if self._free:
            self._crew.command(Command.UNTIL_NS, until_ns)
        else:
            self._trigger.start()
        self._go(RecorderState.RECORDING)
        self._watch(recording, begin_ns, until_ns)
        self._go(RecorderState.STOPPING)
        self._close_window(recording, until_ns)

    @property
    def _free(self) -> bool:
        return isinstance(self._rig.sync, FreeRun)

    def _watch(self, recording: Recording, begin_ns: int, until_ns: int) -> None:
        looked_s = 0.0
        while time.monotonic_ns() < until_ns and not self._stop.is_set():
            self._stop.wait(min(_WATCH_S, max((until_ns - time.monotonic_ns()) / NS, 0.001)))
            self._crew.revive()
            free = free_bytes(recording.folder)
            self._watcher.counted((time.monotonic_ns() - begin_ns) / NS, self._crew.counts(), free)
            if time.monotonic() - looked_s > 1.0:
                looked_s = time.monotonic()
                if self._should_stop(free, (time.monotonic_ns() - begin_ns) / NS):
                    return

    def _should_stop(self, free_bytes: int, elapsed_s: float) -> bool:
        states = [WorkerState(w.counts[Count.STATE]) for w in self._crew.workers.values()]
        if WorkerState.DISK_FULL in states:
            return True
        written = sum(w.counts[Count.BYTES] for w in self._crew.workers.values())
        why = find_reason_to_stop(
            self._rig, states=states, free_bytes=free_bytes, bytes_per_s=written / max(elapsed_s, 0.1)
        )
        if why:
            self._manifest["stopped_because"] = why
        return bool(why)

    def _close_window(self, recording: Recording, until_ns: int) -> None:
        if not self._free:
            self._pulses = self._trigger.stop()
            time.sleep(_DRAIN_S)
            until_ns = time.monotonic_ns()
        elif self._stop.is_set() or time.monotonic_ns() < until_ns:
            # Stopped before its first moment it still has a window, of no length.
            until_ns = max(min(until_ns, time.monotonic_ns() + NS // 10), int(self._manifest["window"]["from_ns"]))
        self._crew.command(Command.UNTIL_NS, until_ns)
        note_stop(self._manifest, until_ns, self._pulses)
        save_manifest(recording, self._manifest)
        if self._free:
            self._crew.await_ends(until_ns, most_s=_DRAIN_S)

    def _begin_manifest(self, recording: Recording, begin_ns: int, until_ns: int) -> None:
        request = self._request
        self._manifest = {
            **describe_rig(self._rig, self._crew.workers),
            "rig_file": request.rig_text,
            "window": {"from_ns": begin_ns, "until_ns": until_ns},
            "n_pulses": None if self._free else 0,
            "trigger": getattr(self._trigger, "firmware", ""),
            "calibration": request.calibration,
            "kept": self._kept,
            **request.facts,
        }
        save_manifest(recording, self._manifest)

    def _note_end(self, recording: Recording) -> None:
        """What only the end knows: clocks again, and how each process fared."""
        if not self._manifest:
            return
        self._manifest["clocks"]["stop"] = read_clocks()
        self._manifest["workers"] = {camera: describe_worker(w) for camera, w in self._crew.workers.items()}
        save_manifest(recording, self._manifest)
