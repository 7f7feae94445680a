"""What the station says of itself: one document that its thread writes and those who ask read whole."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import labsys
from api.recording.coverage_file import COLUMNS, read_coverage
from api.recording.flow import Flow
from api.recording.led_visit import LedVisit
from api.schemas.capture import (
    AfterDocument,
    CameraTally,
    CheckDocument,
    CheckLine,
    CoverageDocument,
    ProblemDocument,
    StationCamera,
    StationDocument,
    StationPhase,
    VerdictDocument,
)
from labsys.capture.crew import CameraCount
from labsys.capture.finalise import Assessment
from labsys.capture.preflight.cameras import advise
from labsys.capture.preflight.run import Preflight
from labsys.capture.rig import Rig
from labsys.capture.status import WorkerState
from labsys.capture.stopping import least_free_bytes
from labsys.capture.wall import WallCamera
from labsys.capture.watcher import RecorderState, Watcher
from labsys.core.clock import utc_now
from labsys.core.errors import LabsysError
from labsys.core.units import millimetres

_ANSWERS_S = 5.0  # a camera is open by then, or something is the matter with it
_WELL = 0.95  # of the rate that a camera should have
_WORDS = {
    WorkerState.STARTING: "is being opened",
    WorkerState.ARMED: "streams",
    WorkerState.RECORDING: "is recorded",
    WorkerState.FAULT: "is gone",
    WorkerState.DONE: "is finished",
    WorkerState.DISK_FULL: "the disk is full",
}
_PHASES = {
    RecorderState.RECORDING: StationPhase.RECORDING,
    RecorderState.STOPPING: StationPhase.FINISHING,
    RecorderState.FINALISING: StationPhase.FINISHING,
}


@dataclass(frozen=True)
class Opened:
    """Who opened the cameras of which rig file (its name without the ending), and when (ISO-8601)."""

    rig_file: str
    by: str
    at: str


class StationState:
    """See the module's text."""

    def __init__(self, rig: Rig, previews: Path, opened: Opened) -> None:
        self._rig, self._writing = rig, threading.Lock()
        self._flows = {camera: Flow() for camera in rig.cameras}
        self._bytes = Flow()
        self.previews = previews
        self._ended_s = 0.0
        self._now = StationDocument(
            version=labsys.__version__,
            rig=rig.name,
            rig_file=opened.rig_file,
            opened_by=opened.by,
            opened_at=opened.at,
            phase=StationPhase.OPENING,
        )

    @property
    def phase(self) -> StationPhase:
        """What the station is doing."""
        return self._now.phase

    def document(self) -> dict[str, Any]:
        """All of it, as JSON."""
        return self._now.model_dump(mode="json")

    @property
    def problem(self) -> ProblemDocument | None:
        """Why the order before was not done."""
        return self._now.problem

    @property
    def is_taking(self) -> bool:
        """Whether a take is under way, or follows the check that runs."""
        return self.phase.is_taking or (self.phase is StationPhase.CHECKING and self._now.to_record)

    def forget(self, problem: ProblemDocument | None) -> None:
        """An order was accepted: what was the matter before it is told no more."""
        with self._writing:
            if self._now.problem is problem:
                self._now = self._now.model_copy(update={"problem": None})

    def _change(self, **changes: Any) -> None:
        with self._writing:
            self._now = self._now.model_copy(update=changes)

    def enter(self, phase: StationPhase, *, to_record: bool = False) -> None:
        """Say what the station does from now on; what was the matter before is forgotten with the next order."""
        if phase is StationPhase.WALL:
            self.enter_again(phase)
        else:
            self._change(phase=phase, problem=None, waiting=None, to_record=to_record)

    def enter_again(self, phase: StationPhase) -> None:
        """As `enter`, while what is the matter is still told."""
        self._change(phase=phase, to_record=False, waiting=None, take="")

    def note_waiting(self, camera: str, waited_s: float) -> None:
        """Say which camera is waited for, once that takes longer than it should."""
        if waited_s < _ANSWERS_S:
            return
        what = f"{camera} has not answered for {waited_s:.0f} s"
        if self._now.waiting is None or self._now.waiting.what != what:
            self._change(waiting=ProblemDocument(what=what, fix=f"{_wake(self._rig, camera)}. Stop gives up"))

    def note_problem(self, error: LabsysError) -> None:
        """Say why an order was not done."""
        where = f" ({error.where})" if error.where else ""
        self._change(problem=ProblemDocument(what=f"{error.what}{where}", fix=error.remedy))

    def show_visit(self, led: LedVisit | None) -> None:
        """Say how far the visit is."""
        gone: dict[str, Any] = {} if led is not None else {"verdict": None, "after": None}
        self._change(visit=None if led is None else led.document(), **gone)

    def show_after(self, after: AfterDocument | None) -> None:
        """Say what follows the take that was kept."""
        self._change(after=after)

    def show_check(self, found: Preflight) -> None:
        """Say what a check found."""
        lines = [CheckLine(check=r.check, outcome=r.outcome.value, what=r.what, fix=r.fix) for r in found.results]
        check = CheckDocument(at=utc_now(), seconds=found.seconds, passed=not found.failed, results=lines)
        self._change(check=check)

    def show_wall(self, cameras: Sequence[WallCamera], free_bytes: int | None) -> None:
        """Say how the cameras stream."""
        rates = {c.camera: self._flows[c.camera].note(c.seen) for c in cameras}
        per_s = self._bytes.note(sum(c.seen_bytes for c in cameras))
        self._change(
            cameras=[self._wall_camera(c, rates[c.camera]) for c in cameras],
            free_bytes=free_bytes,
            minutes_left=self._minutes(free_bytes, per_s),
        )

    def _wall_camera(self, found: WallCamera, rate_hz: float | None) -> StationCamera:
        said, fix = _WORDS[found.state], ""
        if found.error is not None:
            said, fix = found.error.what, advise(self._rig, found.camera, found.error)
        elif found.state is WorkerState.FAULT:
            fix = self._rig.plug_in(found.camera)
        elif found.waited_s > _ANSWERS_S:
            said, fix = f"has not answered for {found.waited_s:.0f} s", _wake(self._rig, found.camera)
        return self._camera(found.camera, found.state, rate_hz, said=said, fix=fix)

    def _camera(
        self,
        name: str,
        state: WorkerState,
        rate_hz: float | None,
        *,
        said: str,
        fix: str = "",
        stored: int = 0,
        lost: int = 0,
    ) -> StationCamera:
        wanted_hz = self._rig.rate_of(name)
        streams = state in (WorkerState.ARMED, WorkerState.RECORDING)
        slow = streams and rate_hz is not None and rate_hz < _WELL * wanted_hz
        return StationCamera(
            name=name,
            label=self._rig.label_of(name),
            rotate_deg=self._rig.rotation_of(name),
            port=self._rig.port_of(name),
            state=state.name.lower(),
            is_well=streams and not slow and not lost,
            said=f"{said}, slower than it should" if slow else said,
            fix=fix,
            wanted_hz=wanted_hz,
            rate_hz=rate_hz,
            stored=stored,
            lost=lost,
        )

    def _minutes(self, free_bytes: int | None, bytes_per_s: float | None) -> float | None:
        """Until the disk is so full that a take is stopped."""
        if not bytes_per_s or free_bytes is None:
            return None
        return max(free_bytes - least_free_bytes(self._rig), 0) / bytes_per_s / 60.0

    def begin_take(self, planned_s: float) -> None:
        """A take begins to begin."""
        self._change(
            phase=StationPhase.STARTING,
            problem=None,
            verdict=None,
            after=None,
            waiting=None,
            coverage=[],
            elapsed_s=0.0,
            planned_s=planned_s,
        )  # fmt: skip

    def note_end(self) -> None:
        """Somebody ended the take just now."""
        self._ended_s = time.monotonic()

    def watcher(self, take: str, *, board: bool = False) -> Watcher:
        """What the recorder tells while it records a take of this name. board: one is waved, and looked for."""
        state = self
        self._ended_s = 0.0
        self._change(take=take)

        class Telling(Watcher):
            def changed(self, phase: RecorderState) -> None:
                if phase in _PHASES:
                    state._change(phase=_PHASES[phase], waiting=None)
                if phase is RecorderState.STOPPING:
                    state._ended_s = state._ended_s or time.monotonic()

            def waiting(self, camera: str, waited_s: float) -> None:
                state.note_waiting(camera, waited_s)

            def counted(self, elapsed_s: float, cameras: list[CameraCount], free_bytes: int) -> None:
                state._count(elapsed_s, cameras, free_bytes)
                if board:
                    state._show_coverage()

            def judged(self, found: Assessment) -> None:
                state._judge(take, found)

        return Telling()

    def _count(self, elapsed_s: float, cameras: list[CameraCount], free_bytes: int) -> None:
        rates = {c.camera: self._flows[c.camera].note(c.seen) for c in cameras}
        per_s = self._bytes.note(sum(c.stored_bytes for c in cameras))
        self._change(
            elapsed_s=max(elapsed_s, 0.0),
            free_bytes=free_bytes,
            minutes_left=self._minutes(free_bytes, per_s),
            cameras=[
                self._camera(c.camera, c.state, rates[c.camera], said=_WORDS[c.state], stored=c.stored, lost=c.lost)
                for c in cameras
            ],
        )

    def _show_coverage(self) -> None:
        found = read_coverage(self.previews)
        coverage = [CoverageDocument(camera=camera, columns=COLUMNS, **told) for camera, told in found.items()]
        self._change(coverage=coverage)

    def _judge(self, take: str, found: Assessment) -> None:
        verdict, sync = found.verdict, found.sync
        tallies = [CameraTally(name=n, due=f.due, stored=f.stored, lost=f.lost) for n, f in found.losses.items()]
        self._change(
            verdict=VerdictDocument(
                trial=take,
                advice=verdict.advice.value,
                reasons=list(verdict.reasons),
                grade=verdict.grade,
                timing_ms=_finite(1000.0 * sync.timing_s),
                error_mm=_finite(millimetres(sync.error_m)),
                after_s=time.monotonic() - self._ended_s,
                cameras=tallies,
            )
        )


def _wake(rig: Rig, camera: str) -> str:
    return f"{rig.plug_in(camera)} again, or close the program that holds it"


def _finite(value: float) -> float | None:
    return value if abs(value) < float("inf") else None
