"""The station: the process that holds a rig's cameras for the pages, shows them, and records the steps of a visit.

It outlives the service, which finds it again (line.py); cameras are read by processes of their own (labsys.capture).
Between takes they stream to the wall; a check or a take opens them anew. Orders come over the line and are done one
after another; `stop` is heard at once.
"""

from __future__ import annotations

import json
import queue
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from api.recording.coverage_file import COVERAGE_FILE
from api.recording.led_visit import LedVisit
from api.recording.line import PLACE, SOCKET, Line
from api.recording.station_state import StationState
from api.recording.visits import (
    FAMILIARISATION,
    SPEED,
    Visit,
    add_trial,
    board_file,
    check_conditions,
    exclude_repeated,
    preferred_speed,
    protocol_file,
    read_answers,
    save_visit,
)
from api.schemas_capture import StationPhase
from api.unexpected import write_down
from labsys.capture.board_file import load_board_config
from labsys.capture.child_process import end_child, start_child
from labsys.capture.finalise import FinishedTake
from labsys.capture.preflight.run import run_preflight
from labsys.capture.preview import FOLDER_PREFIX, make_preview, make_preview_folder, preview_file
from labsys.capture.protocol import Protocol, load_protocol
from labsys.capture.recorder import RecordRequest, check_request, record_take
from labsys.capture.rig import Rig, load_recordable_rig
from labsys.capture.studio import Studio, open_studio
from labsys.capture.verdict import Advice
from labsys.capture.wall import CameraWall
from labsys.core.board import Board
from labsys.core.errors import ConcurrencyError, InputError, LabsysError, UnknownNameError
from labsys.core.session import TrialName
from labsys.storage.lab import Lab, open_lab, take_folder
from labsys.storage.locks import hold_lock
from labsys.storage.recordings import new_calibration_take
from labsys.storage.takes import RECORDING_FOLDER

_FRESH_S = 600.0  # how long a passed check, or a take that was kept, speaks for the rig
_IDLE_S = 1800.0  # without anybody who asks, cameras are let go
_LOOK_S = 0.2


def serve_asked() -> None:
    """Entry point of the process that the service starts; what to open comes as JSON on the standard input."""
    asked = json.load(sys.stdin)
    try:
        serve_station(replace(open_lab(Path(asked["lab"])), database=asked["database"]), Path(asked["rig"]))
    except LabsysError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)


def serve_station(lab: Lab, rig: Path, *, opened: Callable[[], None] = lambda: None) -> None:
    """Hold the cameras of a rig until told to let go. opened: called once orders are heard.

    Raises:
        ConcurrencyError: the lab has a station already. InputError, UnknownNameError: as the rig's file is read.
    """
    loaded = load_recordable_rig(rig)
    place = lab.root / PLACE
    with _holding(place):
        remove_left(place)
        folder = make_preview_folder()
        try:
            station = Station(lab, loaded, rig.read_text(encoding="utf-8"), folder)
            for which in (signal.SIGTERM, signal.SIGINT):
                signal.signal(which, lambda *_: station.end())
            line = Line(folder / SOCKET, station.hear)
            place.write_text(json.dumps({"folder": str(folder)}), encoding="utf-8")
            opened()
            try:
                station.run()
            finally:
                line.close()
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _holding(place: Path) -> Iterator[None]:
    """The one station of a lab (ConcurrencyError: there is one)."""
    try:
        with hold_lock(place, what="the station"):
            yield
    except ConcurrencyError as error:
        if error.where != str(place):
            raise
        raise ConcurrencyError(
            "cameras of this lab are open already", where=str(place), remedy="Close them at /record first"
        ) from error


def remove_left(place: Path) -> None:
    """Remove the pictures that a station left which was ended by force."""
    try:
        folder = Path(json.loads(place.read_text(encoding="utf-8"))["folder"])
    except (OSError, ValueError, KeyError, TypeError):
        return
    if folder.name.startswith(FOLDER_PREFIX):
        shutil.rmtree(folder, ignore_errors=True)


class Station:
    """See the module's text. `hear` is called by threads of the line, `run` by the process's own."""

    def __init__(self, lab: Lab, rig: Rig, rig_text: str, previews: Path) -> None:
        self._lab, self._rig, self._rig_text, self._previews = lab, rig, rig_text, previews
        self._orders: queue.SimpleQueue[Callable[[Studio], None]] = queue.SimpleQueue()
        self._stop, self._ending = threading.Event(), threading.Event()
        self._asking = threading.Lock()
        self._led: LedVisit | None = None
        self._pending: TrialName | None = None
        self._proven_s = self._asked_s = float("-inf")
        self._state = StationState(rig, previews)
        for camera in rig.cameras:
            mode = rig.stream_of(camera)
            make_preview(preview_file(previews, camera), (mode.width, mode.height))

    def end(self) -> None:
        """Stop a take in order, and let the cameras go."""
        self._ending.set()
        self._stop.set()

    def run(self) -> None:
        """Show the cameras, and do what is ordered, until ended."""
        self._asked_s = time.monotonic()
        with open_studio(self._rig) as studio:
            while (order := self._show(studio)) is not None:
                try:
                    order(studio)
                except LabsysError as error:
                    self._state.note_problem(error)
                except Exception as error:  # noqa: BLE001 - one order that failed must not cost the visit
                    self._state.note_problem(write_down(error))

    def _show(self, studio: Studio) -> Callable[[Studio], None] | None:
        """The wall, until the next order; None at the end."""
        with CameraWall(studio, self._previews) as wall:
            self._state.enter(StationPhase.WALL)
            while not self._ending.is_set() and time.monotonic() < self._asked_s + _IDLE_S:
                self._state.show_wall(wall.look(), shutil.disk_usage(self._lab.root).free)
                try:
                    return self._orders.get(timeout=_LOOK_S)
                except queue.Empty:
                    continue
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

    def _begin_visit(self, order: Mapping[str, Any]) -> None:
        self._require_rest()
        if self._led is not None:
            raise ConcurrencyError("a visit is under way", remedy="End it first")
        protocol = load_protocol(protocol_file(self._lab, str(order["protocol"])))
        longest_s = max(step.seconds for step in protocol.steps if step.kind != FAMILIARISATION)
        check_request(RecordRequest(self._lab.root / "take", self._rig, longest_s))
        self._led, self._pending = LedVisit(_open_visit(self._lab, protocol, order)), None
        self._state.show_visit(self._led)
        if not self._is_proven:
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
        phase = StationPhase.STARTING if unchecked or self._is_proven else StationPhase.CHECKING
        self._begin(phase, lambda studio: self._take(studio, led, unchecked=unchecked), to_record=True)

    def _start_calibration(self, order: Mapping[str, Any]) -> None:
        board = load_board_config(board_file(self._lab, str(order["board"])))
        seconds, unchecked = float(order["seconds"]), bool(order.get("unchecked"))
        check_request(RecordRequest(self._lab.root / "take", self._rig, seconds))
        phase = StationPhase.STARTING if unchecked or self._is_proven else StationPhase.CHECKING
        self._begin(phase, lambda studio: self._calibrate(studio, board, seconds, unchecked=unchecked), to_record=True)

    def _end_take(self) -> None:
        if not self._state.is_taking:
            raise ConcurrencyError("no take is under way")
        self._state.note_end()
        self._stop.set()

    def _go_on(self) -> None:
        self._require_rest()
        led = self._require_visit()
        led.go_on()
        self._pending = None
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
            self._index(trial)
        self._pending = None
        self._state.show_visit(led)

    def _close(self) -> None:
        if self._state.phase.is_taking:
            raise ConcurrencyError("a take is under way", remedy="Stop it first")
        self.end()

    # ---- work, in the process's own thread

    @property
    def _is_proven(self) -> bool:
        return time.monotonic() < self._proven_s + _FRESH_S

    def _check(self, studio: Studio) -> None:
        steps = self._led.visit.protocol.steps if self._led is not None else ()
        planned_s = max((step.seconds for step in steps if step.kind != FAMILIARISATION), default=60.0)
        found = run_preflight(
            self._rig,
            self._lab.root,
            planned_s=planned_s,
            bench=studio.bench,
            trigger=studio.trigger,
            previews=self._previews,
        )
        self._proven_s = float("-inf") if found.failed else time.monotonic()
        self._state.show_check(found)

    def _take(self, studio: Studio, led: LedVisit, *, unchecked: bool) -> None:
        """Record the step that is next, unless the check that is due fails."""
        if not self._may_record(studio, unchecked=unchecked):
            return
        step = led.now
        assert step is not None
        self._state.begin_take(step.seconds)
        name = self._pending = self._pending or add_trial(self._lab, led.visit, step)
        try:
            finished = self._record(studio, led, name, step.seconds)
        except BaseException:
            if take_folder(self._lab, name).with_name(RECORDING_FOLDER).exists():
                self._pending = None  # it waits to be recovered
            self._index(name)
            raise
        # First of all: whatever fails after it, the take counts for its step.
        self._judge(led, name, finished)
        self._index(name)

    def _may_record(self, studio: Studio, *, unchecked: bool) -> bool:
        """Whether a check passed lately, or passes now; or nobody wants one."""
        if not unchecked and not self._is_proven:
            self._check(studio)
        if self._stop.is_set():
            raise InputError("was stopped before the take began")
        return unchecked or self._is_proven

    def _calibrate(self, studio: Studio, board: Board, seconds: float, *, unchecked: bool) -> None:
        """Record a waved board, while another process looks where it shows."""
        if not self._may_record(studio, unchecked=unchecked):
            return
        self._state.begin_take(seconds)
        (self._previews / COVERAGE_FILE).unlink(missing_ok=True)
        target = new_calibration_take(self._lab, self._rig.name)
        facts = {"kind": "calibration"}
        request = RecordRequest(target, self._rig, seconds, self._rig_text, "", facts, self._previews)
        watcher = self._state.watcher(f"calibrations/{target.parent.name}", board=True)
        looking = start_child("api.recording.coverage:watch_board", board, self._previews, tuple(self._rig.cameras))
        try:
            record_take(request, bench=studio.bench, trigger=studio.trigger, watcher=watcher, stop=self._stop)
        finally:
            looking.terminate()
            end_child(looking, wait_s=5.0)
            with suppress(OSError):
                target.parent.rmdir()  # where nothing was recorded

    def _record(self, studio: Studio, led: LedVisit, name: TrialName, seconds: float) -> FinishedTake:
        from labsys.storage.trials import load_trial

        trial = load_trial(self._lab, name)
        request = RecordRequest(
            take_folder(self._lab, name),
            self._rig,
            seconds,
            self._rig_text,
            led.visit.calibration,
            {"trial": str(name), "trial_uuid": trial.uuid, "kind": trial.kind.value, "step_s": seconds},
            self._previews,
        )
        watcher = self._state.watcher(str(name))
        return record_take(request, bench=studio.bench, trigger=studio.trigger, watcher=watcher, stop=self._stop)

    def _judge(self, led: LedVisit, name: TrialName, finished: FinishedTake) -> None:
        """Keep the take and go on, or exclude it and leave its step the next."""
        verdict = finished.assessment.verdict
        self._pending = None
        if not exclude_repeated(self._lab, name, verdict):
            led.keep(name)
        if verdict.advice is Advice.KEEP:
            self._proven_s = time.monotonic()
        self._state.show_visit(led)

    def _index(self, name: TrialName) -> None:
        from api.index import index_subject

        index_subject(self._lab, name.subject)


def _open_visit(lab: Lab, protocol: Protocol, order: Mapping[str, Any]) -> Visit:
    """The visit that is ordered, its session saved (UnknownNameError, InputError: as it is refused)."""
    from labsys.storage.calibrations import list_calibrations
    from labsys.storage.subjects import require_subject

    subject, calibration = str(order["subject"]), str(order.get("calibration", ""))
    require_subject(lab, subject)
    if calibration and calibration not in list_calibrations(lab):
        raise UnknownNameError("calibration", calibration, valid=list_calibrations(lab))
    texts = {name: str(text) for name, text in dict(order.get("answers", {})).items()}
    answers = read_answers(protocol, texts)
    speed_mps = preferred_speed(protocol, texts.get(SPEED, ""))
    check_conditions(protocol, answers, speed_mps)
    session = save_visit(lab, subject, str(order.get("session", "")), answers)
    return Visit(protocol, session, answers, speed_mps, calibration)
