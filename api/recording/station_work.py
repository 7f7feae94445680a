"""What the station's own thread does when it is ordered to: check the rig, record a step, record a waved board."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from api.recording.coverage_file import COVERAGE_FILE
from api.recording.led_visit import LedVisit
from api.recording.station_state import StationState
from api.recording.steps import TakeMeans, record_step
from api.recording.visits import FAMILIARISATION
from labsys.capture.board_file import load_board_config
from labsys.capture.child_process import end_child, start_child
from labsys.capture.preflight.run import run_preflight
from labsys.capture.recorder import RecordRequest, record_take
from labsys.capture.rig import Rig
from labsys.capture.studio import Studio
from labsys.capture.verdict import Advice
from labsys.core.errors import InputError
from labsys.core.session import TrialName
from labsys.storage.lab import Lab
from labsys.storage.recordings import begin_calibration_take

if TYPE_CHECKING:
    from pathlib import Path

_FRESH_S = 600.0  # how long a passed check, or a take that was kept, speaks for the rig


class StationWork:
    """See the module's text. `stop` ends what is under way; `by`: who opened the cameras, as jobs say it."""

    def __init__(
        self, lab: Lab, rig: Rig, rig_text: str, state: StationState, stop: threading.Event, *, by: str
    ) -> None:
        self._lab, self._rig, self._rig_text, self._by = lab, rig, rig_text, by
        self._state, self._stop = state, stop
        self.proven_s = float("-inf")

    @property
    def is_proven(self) -> bool:
        """Whether a check passed, or a take was kept, in the last ten minutes."""
        return time.monotonic() < self.proven_s + _FRESH_S

    def check(self, studio: Studio, led: LedVisit | None) -> None:
        """Check all cameras together, for the longest step of the visit."""
        from pipelines.preflight import outer_checks

        steps = led.visit.protocol.steps if led is not None else ()
        found = run_preflight(
            studio,
            self._lab.root,
            planned_s=max((step.seconds for step in steps if step.kind != FAMILIARISATION), default=60.0),
            more=outer_checks(self._lab, led.visit.calibration) if led is not None else (),
            previews=self._state.previews,
            waiting=self._wait_for_camera,
        )
        self.proven_s = float("-inf") if found.failed else time.monotonic()
        self._state.show_check(found)

    def _wait_for_camera(self, camera: str, waited_s: float) -> None:
        if self._stop.is_set():
            raise InputError(f"was stopped while {camera} was opened")
        self._state.note_waiting(camera, waited_s)

    def take(self, studio: Studio, led: LedVisit, *, unchecked: bool) -> None:
        """Record the step that is next, unless the check that is due fails."""
        if not self._may_record(studio, led, unchecked=unchecked):
            return
        step, subject = led.now, led.visit.session.subject
        self._state.begin_take(step.seconds if step is not None else 0.0)
        means = TakeMeans(self._lab, studio, self._rig_text, self._stop, self._state.watcher, self._state.previews)
        try:
            finished = record_step(led, means)
        except BaseException:
            with suppress(Exception):  # why nothing was recorded is what people are told
                self.index(subject)
            raise
        # First of all: whatever fails after it, the take counts for its step.
        advice = finished.assessment.verdict.advice
        if advice is Advice.KEEP:
            self.proven_s = time.monotonic()
        self._state.show_visit(led)
        self.index(subject)
        if advice is not Advice.REPEAT and led.last_kept is not None:
            from api.recording.after_take import follow_up

            self._state.show_after(follow_up(self._lab, led.last_kept, by=self._by))

    def _may_record(self, studio: Studio, led: LedVisit | None, *, unchecked: bool) -> bool:
        """Whether a check passed lately, or passes now; or nobody wants one."""
        if not unchecked and not self.is_proven:
            self.check(studio, led)
        if self._stop.is_set():
            raise InputError("was stopped before the take began")
        return unchecked or self.is_proven

    def calibrate(self, studio: Studio, board_file: Path, seconds: float, *, unchecked: bool) -> None:
        """Record a waved board, while another process looks where it shows."""
        if not self._may_record(studio, None, unchecked=unchecked):
            return
        self._state.begin_take(seconds)
        previews = self._state.previews
        (previews / COVERAGE_FILE).unlink(missing_ok=True)
        board = load_board_config(board_file)
        looking = start_child("api.recording.coverage:watch_board", board, previews, tuple(self._rig.cameras))
        try:
            with begin_calibration_take(self._lab, self._rig.name) as target:
                self._record_board(studio, target, seconds, board_file)
        finally:
            looking.terminate()
            end_child(looking, wait_s=5.0)

    def _record_board(self, studio: Studio, target: Path, seconds: float, board_file: Path) -> None:
        request = RecordRequest(
            target,
            self._rig,
            seconds,
            self._rig_text,
            facts={"kind": "calibration"},
            previews=self._state.previews,
            kept={"board": board_file},
        )
        watcher = self._state.watcher(f"calibrations/{target.parent.name}", board=True)
        record_take(request, bench=studio.bench, trigger=studio.trigger, watcher=watcher, stop=self._stop)

    def index(self, subject: str) -> None:
        """Let the database know of what a subject has now."""
        from api.indexing.index import index_subject

        index_subject(self._lab, subject)

    def forget(self, trial: TrialName) -> None:
        """Nothing more follows a take that is excluded after all."""
        from api.recording.after_take import forget

        self._state.show_after(None)
        forget(self._lab, trial)
