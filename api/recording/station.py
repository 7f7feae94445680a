"""The station: the process that holds a rig's cameras for the pages, shows them, and records the steps of a visit.

It outlives the service, which finds it again (line.py); cameras are read by processes of their own (labsys.capture).
Between takes they stream to the wall; a check or a take opens them anew. Orders come over the line and are done one
after another; `stop` is heard at once.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from api.recording.led_visit import LedVisit, lead_visit
from api.recording.opening_visits import open_visit
from api.recording.station_state import Opened, StationState
from api.recording.station_work import StationWork
from api.recording.visits import FAMILIARISATION
from api.schemas.capture import StationPhase
from api.unexpected import write_down
from labsys.capture.board_file import load_board_config
from labsys.capture.preview import make_preview, preview_file
from labsys.capture.protocol import load_protocol
from labsys.capture.recorder import RecordRequest, check_request
from labsys.capture.rig import Rig
from labsys.capture.stopping import free_bytes
from labsys.capture.studio import Studio, open_studio
from labsys.capture.wall import CameraWall
from labsys.core.errors import ConcurrencyError, InputError, LabsysError, UnknownNameError
from labsys.storage.armed import arming
from labsys.storage.lab import Lab
from labsys.storage.templates import find_template

_IDLE_S = 1800.0  # without anybody who asks, cameras are let go
_LOOK_S = 0.2
_AGAIN_S = 2.0


class Station:
    """See the module's text. `hear` is called by threads of the line, `run` by the process's own."""

    def __init__(self, lab: Lab, rig: Rig, rig_text: str, previews: Path, opened: Opened) -> None:
        self._lab, self._rig, self._previews = lab, rig, previews
        self._orders: queue.SimpleQueue[Callable[[Studio], None]] = queue.SimpleQueue()
        self._stop, self._ending = threading.Event(), threading.Event()
        self._asking = threading.Lock()
        self._led: LedVisit | None = None
        self._asked_s = float("-inf")
        self._state = StationState(rig, previews, opened)
        self._work = StationWork(lab, rig, rig_text, self._state, self._stop, by=opened.by)
        for camera in rig.cameras:
            mode = rig.stream_of(camera)
            make_preview(preview_file(previews, camera), (mode.width, mode.height))

    def end(self) -> None:
        """Stop a take in order, and let the cameras go."""
        self._ending.set()
        self._stop.set()

    def run(self) -> None:
        """Show the cameras, and do what is ordered, until ended; what fails is told, and tried again."""
        self._asked_s = time.monotonic()
        while self._is_wanted:
            try:
                with open_studio(self._rig) as studio:
                    self._serve(studio)
                return
            except Exception as error:  # noqa: BLE001 - what stands in for hardware may fail in any way
                self._tell(error)
                self._state.enter_again(StationPhase.OPENING)
                self._ending.wait(_AGAIN_S)

    @property
    def _is_wanted(self) -> bool:
        return not self._ending.is_set() and time.monotonic() < self._asked_s + _IDLE_S

    def _tell(self, error: Exception) -> None:
        self._state.note_problem(error if isinstance(error, LabsysError) else write_down(error))

    def _serve(self, studio: Studio) -> None:
        while (order := self._await_order(studio)) is not None:
            try:
                with arming(self._lab):
                    order(studio)
            except Exception as error:  # noqa: BLE001 - one order that failed must not cost the visit
                self._tell(error)

    def _await_order(self, studio: Studio) -> Callable[[Studio], None] | None:
        """The next order, with the wall meanwhile; without one where that fails, until it can be shown again."""
        while self._is_wanted:
            try:
                return self._show(studio)
            except Exception as error:  # noqa: BLE001 - a wall that falls must not cost the visit
                self._tell(error)
                self._state.enter_again(StationPhase.WALL)
                with suppress(queue.Empty):
                    return self._orders.get(timeout=_AGAIN_S)
        return None

    def _show(self, studio: Studio) -> Callable[[Studio], None] | None:
        """The wall, until the next order; None at the end."""
        with CameraWall(studio, self._previews) as wall:
            self._state.enter(StationPhase.WALL)
            while self._is_wanted:
                self._state.show_wall(wall.look(), self._free_bytes())
                with suppress(queue.Empty):
                    return self._orders.get(timeout=_LOOK_S)
        return None

    def _free_bytes(self) -> int | None:
        """What the disk has left; None where it does not say, which is told and costs nothing else."""
        try:
            return free_bytes(self._lab.root)
        except InputError as error:
            self._state.note_problem(error)
            return None

    # ---- orders, in the threads of those who ask

    def hear(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Do an order, or begin it; the state after it.

        Raises:
            LabsysError: it cannot be, or not now.
        """
        self._asked_s = time.monotonic()
        orders: dict[str, Callable[[Mapping[str, Any]], None]] = {
            "state": lambda _: None,
            "check": lambda _: self._begin(StationPhase.CHECKING, self._check),
            "visit": self._begin_visit,
            "leave": self._end_visit,
            "start": self._start,
            "calibrate": self._start_calibration,
            "stop": lambda _: self._end_take(),
            "next": lambda _: self._go_on(),
            "repeat": self._repeat,
            "close": lambda _: self._close(),
        }
        if order.get("order") not in orders:
            raise UnknownNameError("order", str(order.get("order")), valid=list(orders))
        if order["order"] == "state":
            return self._state.document()
        with self._asking:
            before = self._state.problem
            orders[order["order"]](order)
            self._state.forget(before)
        return self._state.document()

    def _begin(self, phase: StationPhase, action: Callable[[Studio], None], *, to_record: bool = False) -> None:
        self._require_rest()
        self._stop.clear()
        self._state.enter(phase, to_record=to_record)
        self._orders.put(action)

    def _require_rest(self) -> None:
        if self._state.phase is not StationPhase.WALL:
            raise ConcurrencyError(f"the station is {self._state.phase.value}", remedy="Wait until it has done that")

    def _require_visit(self) -> LedVisit:
        if self._led is None:
            raise ConcurrencyError("no visit has begun", remedy="Choose a subject and a protocol first")
        return self._led

    def _check(self, studio: Studio) -> None:
        self._work.check(studio, self._led)

    def _begin_visit(self, order: Mapping[str, Any]) -> None:
        self._require_rest()
        if self._led is not None:
            raise ConcurrencyError("a visit is under way", remedy="End it first")
        protocol = load_protocol(find_template(self._lab, "protocol", str(order["protocol"])))
        longest_s = max(step.seconds for step in protocol.steps if step.kind != FAMILIARISATION)
        check_request(RecordRequest(self._lab.root / "take", self._rig, longest_s))
        self._led = lead_visit(self._lab, open_visit(self._lab, protocol, order))
        self._state.show_visit(self._led)
        if not self._work.is_proven:
            self._begin(StationPhase.CHECKING, self._check)

    def _end_visit(self, order: Mapping[str, Any]) -> None:
        self._require_rest()
        led = self._require_visit()
        if not order.get("incomplete"):
            led.check_complete()
        self._led = None
        self._state.show_visit(None)

    def _start(self, order: Mapping[str, Any]) -> None:
        led, unchecked = self._require_visit(), bool(order.get("unchecked"))
        if led.now is None or led.now.kind == FAMILIARISATION:
            raise ConcurrencyError("no step is to be recorded now", remedy="Go on to the next one")
        phase = StationPhase.STARTING if unchecked or self._work.is_proven else StationPhase.CHECKING
        self._begin(phase, lambda studio: self._work.take(studio, led, unchecked=unchecked), to_record=True)

    def _start_calibration(self, order: Mapping[str, Any]) -> None:
        board = find_template(self._lab, "board", str(order["board"]))
        load_board_config(board)
        seconds, unchecked = float(order["seconds"]), bool(order.get("unchecked"))
        check_request(RecordRequest(self._lab.root / "take", self._rig, seconds))
        phase = StationPhase.STARTING if unchecked or self._work.is_proven else StationPhase.CHECKING
        self._begin(
            phase, lambda studio: self._work.calibrate(studio, board, seconds, unchecked=unchecked), to_record=True
        )

    def _end_take(self) -> None:
        if not self._state.is_taking:
            raise ConcurrencyError("no take is under way")
        self._state.note_end()
        self._stop.set()

    def _go_on(self) -> None:
        self._require_rest()
        led = self._require_visit()
        led.go_on()
        self._state.show_visit(led)

    def _repeat(self, order: Mapping[str, Any]) -> None:
        from labsys.storage.trials import load_trial, save_trial

        self._require_rest()
        led, reason = self._require_visit(), str(order.get("reason", "")).strip()
        if not reason:
            raise InputError("a take is excluded with a reason", remedy="Say in a few words why it is repeated")
        trial = led.repeat(str(order.get("trial", "")))
        if trial is not None:
            save_trial(self._lab, replace(load_trial(self._lab, trial), excluded=True, exclusion_reason=reason))
            self._work.index(trial.subject)
            self._work.forget(trial)
        self._state.show_visit(led)

    def _close(self) -> None:
        if self._state.phase.is_taking:
            raise ConcurrencyError("a take is under way", remedy="Stop it first")
        self.end()
