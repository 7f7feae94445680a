"""All checks over one rehearsal: the cameras stream together, nothing of it stays, and every check looks at it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from labsys.capture.crew import Crew
from labsys.capture.memory import HeldFolder
from labsys.capture.preflight.cameras import BusCheck, ControlCheck, IdentityCheck, StreamCheck, TriggerCheck
from labsys.capture.preflight.check import CheckResult, Outcome, PreflightCheck, Rehearsal
from labsys.capture.preflight.glance import GLANCE_S, Glance, read_glance
from labsys.capture.preflight.light import LightCheck
from labsys.capture.preflight.machine import DiskCheck, MachineCheck
from labsys.capture.rig import Rig
from labsys.capture.rig_base import FreeRun
from labsys.capture.status import Command, Count, WorkerState
from labsys.capture.studio import Studio
from labsys.capture.trigger import PulseTrain, TriggerBox
from labsys.capture.watcher import Waiting
from labsys.core.errors import LabsysError

_LEAST_PULSES = 120
_SETTLE_S = 0.5
_SILENT_S, _SILENT_PERIODS = 0.5, 5.0  # as long as this without a frame, a camera that runs freely has frozen
_OWN = (IdentityCheck, BusCheck, StreamCheck, ControlCheck, TriggerCheck, LightCheck, DiskCheck, MachineCheck)
_GLANCE_AT = 0.5  # of the time that cameras stream: frames before it and behind it say whether they lose any


@dataclass(frozen=True)
class Preflight:
    """What all checks found. seconds: how long it took."""

    results: tuple[CheckResult, ...]
    seconds: float

    @property
    def failed(self) -> tuple[CheckResult, ...]:
        """What forbids to record."""
        return tuple(r for r in self.results if r.outcome is Outcome.FAIL)


def run_preflight(
    studio: Studio,
    folder: Path,
    *,
    planned_s: float,
    stream_s: float = 5.0,
    more: Sequence[PreflightCheck] = (),
    previews: Path | None = None,
    waiting: Waiting = lambda *_: None,
) -> Preflight:
    """Check a rig before a take. folder: where takes will be. more: checks of outer layers. previews: as in a take.

    waiting: told which camera is not open yet; what it raises ends the check.
    """
    began = time.monotonic()
    rehearsal = rehearse(studio, folder, planned_s=planned_s, stream_s=stream_s, previews=previews, waiting=waiting)
    checks: list[PreflightCheck] = [*(kind() for kind in _OWN), *more]
    results = [result for check in checks for result in check.look(rehearsal)]
    return Preflight(tuple(results), time.monotonic() - began)


def rehearse(
    studio: Studio,
    folder: Path,
    *,
    planned_s: float,
    stream_s: float,
    previews: Path | None = None,
    waiting: Waiting = lambda *_: None,
) -> Rehearsal:
    """Let all cameras stream together; half a second of that is recorded, looked at, and removed."""
    rig = studio.rig
    crew = Crew(rig, studio.bench, previews)
    with _make_room() as room:
        try:
            crew.start(room, {camera: room / f".reserve.{camera}" for camera in rig.cameras})
            failed = _await_all(crew, waiting)
            _order_glance(crew, stream_s)
            pulses, trigger_failed = _let_stream(rig, crew, studio.trigger, stream_s, failed)
            broken_off = _find_broken_off(rig, crew, failed)
        finally:
            crew.dismiss()
            crew.leave()
        glances = _read_glances(room, [camera for camera in crew.workers if camera not in failed])
    opened = {camera: worker.told for camera, worker in crew.workers.items() if camera not in failed}
    counts = {camera: worker.counts for camera, worker in crew.workers.items() if camera not in failed}
    return Rehearsal(
        rig, folder, planned_s, stream_s, opened, failed, counts, pulses, trigger_failed, broken_off, glances
    )


@contextmanager
def _make_room() -> Iterator[Path]:
    """For pictures that may show people: whoever is killed here leaves them to the next check, which removes them."""
    room = HeldFolder("labsys-rehearsal-", in_memory=False)
    try:
        yield room.path
    finally:
        room.remove()


def _order_glance(crew: Crew, stream_s: float) -> None:
    begin_ns = time.monotonic_ns() + round(_GLANCE_AT * stream_s * 1e9)
    crew.command(Command.UNTIL_NS, begin_ns + round(GLANCE_S * 1e9))
    crew.command(Command.FROM_NS, begin_ns)


def _read_glances(room: Path, cameras: Sequence[str]) -> dict[str, Glance]:
    with ThreadPoolExecutor() as pool:
        found = dict(zip(cameras, pool.map(lambda camera: read_glance(room, camera), cameras), strict=True))
    return {camera: glance for camera, glance in found.items() if glance is not None}


def _await_all(crew: Crew, waiting: Waiting) -> dict[str, LabsysError]:
    failed = dict[str, LabsysError]()
    for camera in crew.workers:
        try:
            crew.await_open(camera, strict=False, waiting=waiting)
        except LabsysError as error:
            failed[camera] = error
    return failed


def _let_stream(
    rig: Rig, crew: Crew, trigger: TriggerBox | None, stream_s: float, failed: dict[str, LabsysError]
) -> tuple[int | None, str]:
    if len(failed) == len(crew.workers):
        return None, ""
    if isinstance(rig.sync, FreeRun) or trigger is None:
        time.sleep(stream_s)
        return None, "" if isinstance(rig.sync, FreeRun) else "no trigger box"
    rate_hz = rig.sync.fps
    try:
        trigger.configure(PulseTrain(rate_hz, getattr(rig.sync, "pulse_us", 1000.0), {}))
        n_pulses = max(_LEAST_PULSES, round(stream_s * rate_hz))
        trigger.start(n_pulses)
        time.sleep(n_pulses / rate_hz + _SETTLE_S)
        pulses = trigger.stop()
    except LabsysError as error:
        return None, error.what
    _wait_for_frames(crew, pulses, failed)
    return pulses, ""


def _find_broken_off(rig: Rig, crew: Crew, failed: Mapping[str, LabsysError]) -> dict[str, str]:
    """Cameras whose stream did not last: what they gave until then looks sound."""
    found, now_ns = dict[str, str](), time.monotonic_ns()
    for camera, worker in crew.workers.items():
        counts = worker.counts
        silent_s = max(_SILENT_S, _SILENT_PERIODS / rig.rate_of(camera))
        if camera in failed:
            continue
        if worker.is_dead:
            found[camera] = "its process ended"
        elif counts[Count.STATE] == WorkerState.FAULT or counts[Count.OPENED] > 1:
            found[camera] = "it was lost"
        elif isinstance(rig.sync, FreeRun) and now_ns - counts[Count.LAST_NS] > silent_s * 1e9:
            found[camera] = "it gave no more frames"
    return found


def _wait_for_frames(crew: Crew, pulses: int, failed: dict[str, LabsysError]) -> None:
    deadline = time.monotonic() + _SETTLE_S
    waiting = [w for camera, w in crew.workers.items() if camera not in failed]
    while time.monotonic() < deadline and any(w.counts[Count.SEEN] < pulses for w in waiting):
        time.sleep(0.02)
