"""`labsys record` and `labsys recover`: takes from cameras into the lab."""

from __future__ import annotations

import math
import signal
import sys
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from api.commands.stated import (
    FootwearOption,
    InclineOption,
    PainOption,
    SpeedOption,
    Stated,
    SurfaceOption,
)
from api.commands.terminal import JsonOption, LabOption, QuietOption, Terminal
from labsys.core.errors import GateRefusedError, InputError
from labsys.core.session import TrialKind, TrialName

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from labsys.capture.finalise import FinishedTake
    from labsys.capture.preflight.check import PreflightCheck
    from labsys.capture.preflight.run import Preflight
    from labsys.capture.rig import Rig
    from labsys.capture.studio import Studio
    from labsys.capture.watcher import Watcher
    from labsys.storage.lab import Lab

record_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Record takes from the cameras of a rig.")

_ANSWERS_S = 5.0  # a camera is open by then, or something is the matter with it
RigOption = Annotated[str, typer.Option("--rig", metavar="RIG", help="Rig of the lab (rigs/RIG.yaml), or a file.")]
SecondsOption = Annotated[float, typer.Option("--seconds", metavar="S", help="How long; Ctrl-C stops sooner.")]
NoCheckOption = Annotated[bool, typer.Option("--no-check", help="Do not stream all cameras for 5 s before.")]
CalibrationOption = Annotated[
    str, typer.Option("--calibration", metavar="NAME", help="Calibration that the rig stands in.")
]


def register(app: typer.Typer) -> None:
    """Add `recover`."""
    app.command("recover")(recover)


@record_app.command("trial")
def record_trial(
    name: Annotated[str, typer.Argument(metavar="SUBJECT/SESSION/TRIAL")],
    rig: RigOption,
    seconds: SecondsOption,
    kind: Annotated[TrialKind | None, typer.Option("--kind", help="Kind of a trial that is new.")] = None,
    calibration: CalibrationOption = "",
    surface: SurfaceOption = None,
    speed_mps: SpeedOption = None,
    incline_pct: InclineOption = None,
    footwear: FootwearOption = None,
    pain: PainOption = None,
    no_check: NoCheckOption = False,
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Record the take of a trial, and say KEEP or REPEAT at once; exit code 3 where it should be repeated.

    \b
    Example: labsys record trial S01/2026-11-22/run1 --rig treadmill --seconds 45 --kind run --speed-mps 3.0
    """
    from api.commands.changes import update_index
    from api.recording.steps import TakeMeans, record_trial_take
    from pipelines.preflight import outer_checks

    terminal = Terminal(lab, as_json, quiet)
    folder, trial = terminal.open_lab(), TrialName.parse(name)
    stated = Stated(surface, speed_mps, incline_pct, footwear, pain)
    loaded, text = read_rig(folder, rig)
    check_length(loaded, seconds, folder)
    require_free(folder, loaded)
    with prepare_trial(folder, trial, kind, stated, calibration), open_hardware(loaded) as studio:
        if not no_check:
            require_preflight(terminal, studio, folder, seconds, outer_checks(folder, calibration))
        with stopping_on_interrupt() as stop:
            means = TakeMeans(folder, studio, text, stop, lambda _: make_watcher(terminal))
            finished = record_trial_take(means, trial, seconds=seconds, calibration=calibration)
    update_index(terminal, folder, trial.subject)
    say_what_follows(terminal, folder, trial, finished)
    give_verdict(terminal, str(trial), finished)


@record_app.command("calibration")
def record_calibration(
    rig: RigOption,
    seconds: SecondsOption,
    board: Annotated[
        str, typer.Option("--board", metavar="BOARD", help="Board that is waved, or its file; kept with the take.")
    ] = "",
    no_check: NoCheckOption = False,
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Record a waved board; `labsys calibrate FOLDER` then calibrates from it.

    \b
    Example: labsys record calibration --rig treadmill --board charuco_4x5 --seconds 40
    """
    from api.commands.calibrating_options import template_path
    from labsys.capture.board_file import load_board_config
    from labsys.capture.recorder import RecordRequest, record_take
    from labsys.storage.armed import arming
    from labsys.storage.recordings import begin_calibration_take

    terminal = Terminal(lab, as_json, quiet)
    folder = terminal.open_lab()
    kept = {"board": template_path(terminal, board, "board")} if board else {}
    for path in kept.values():
        load_board_config(path)
    loaded, text = read_rig(folder, rig)
    check_length(loaded, seconds, folder)
    require_free(folder, loaded)
    with open_hardware(loaded) as studio:
        if not no_check:
            require_preflight(terminal, studio, folder, seconds)
        with (
            arming(folder),
            begin_calibration_take(folder, studio.rig.name) as target,
            stopping_on_interrupt() as stop,
        ):
            request = RecordRequest(target, studio.rig, seconds, text, facts={"kind": "calibration"}, kept=kept)
            finished = record_take(
                request, bench=studio.bench, trigger=studio.trigger, watcher=make_watcher(terminal), stop=stop
            )
    give_verdict(terminal, str(target.parent), finished)


def recover(lab: LabOption = None, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Finish recordings that a crash or a power cut left unfinished; asking again changes nothing.

    \b
    Example: labsys recover
    """
    from api.commands.changes import update_index
    from api.recording.recovering import changed_subjects, describe_recovery, recover_takes

    terminal = Terminal(lab, as_json, quiet)
    folder = terminal.open_lab()
    recoveries = recover_takes(folder)
    found = [describe_recovery(recovery).model_dump() for recovery in recoveries]
    for subject in changed_subjects(recoveries):
        update_index(terminal, folder, subject)
    lines = [f"{f['recording']}: {f['state']}" for f in found]
    terminal.give({"recordings": found}, "\n".join(lines) or "nothing to recover")
    if any(recovery.failed for recovery in recoveries):
        raise typer.Exit(InputError.exit_code)


def read_rig(lab: Lab, rig: str) -> tuple[Rig, str]:
    """The rig that was named, and the text of its file."""
    from labsys.capture.rig import find_rig_file, load_recordable_rig

    path = find_rig_file(lab.root / "rigs", rig)
    return load_recordable_rig(path), path.read_text(encoding="utf-8")


def check_length(rig: Rig, seconds: float, lab: Lab) -> None:
    """Refuse a length that cannot be, or a disk that is too small for any take (InputError)."""
    from labsys.capture.recorder import RecordRequest, check_request

    check_request(RecordRequest(lab.root / "take", rig, seconds))


def open_hardware(rig: Rig) -> AbstractContextManager[Studio]:
    """The rig ready to use, for as long as a block runs."""
    from labsys.capture.studio import open_studio

    return open_studio(rig)


@contextmanager
def prepare_trial(
    lab: Lab, name: TrialName, kind: TrialKind | None, stated: Stated, calibration: str
) -> Iterator[None]:
    """Refuse what cannot be recorded, and add the trial where it is new: for good once the block has recorded it.

    Raises:
        UnknownNameError: no such subject, session or calibration. InputError: it has a take, is new without a
            kind, or its subject was erased.
    """
    from labsys.core.clock import utc_now
    from labsys.core.errors import UnknownNameError
    from labsys.core.session import Trial
    from labsys.storage.calibrations import list_calibrations
    from labsys.storage.erasures import refuse_new_take
    from labsys.storage.identity import new_uuid
    from labsys.storage.sessions import load_session
    from labsys.storage.takes import has_take
    from labsys.storage.trials import begin_trial, load_trial, save_trial, trial_codes

    load_session(lab, name.subject, name.session)
    refuse_new_take(lab, name.subject)
    if calibration and calibration not in list_calibrations(lab):
        raise UnknownNameError("calibration", calibration, valid=list_calibrations(lab), where=str(lab.root))
    if name.trial in trial_codes(lab, name.subject, name.session):
        if has_take(lab, name):
            raise InputError(f"trial {name} has a take already", remedy="Takes are written once; name another trial")
        before = load_trial(lab, name)
        conditions = stated.conditions(before.conditions)
        save_trial(lab, replace(before, kind=kind or before.kind, conditions=conditions, recorded_at=utc_now()))
        yield
        return
    if kind is None:
        raise InputError(f"trial {name} is new and needs a kind", remedy="Give --kind static, run, walk or other")
    trial = Trial(uuid=new_uuid(), name=name, kind=kind, recorded_at=utc_now())
    with begin_trial(lab, replace(trial, conditions=stated.conditions(trial.conditions))):
        yield


def require_free(lab: Lab, rig: Rig) -> None:
    """Refuse cameras that the lab's station holds, and say who opened them (ConcurrencyError)."""
    from api.errors import RefusedError
    from api.recording.line import ask_station, describe_holder
    from labsys.core.errors import ConcurrencyError

    try:
        held = {camera["port"] for camera in ask_station(lab, "state")["cameras"]}
    except RefusedError:
        return
    # Simulated cameras are made anew for whoever wants them.
    if rig.driver != "virtual" and held & {rig.port_of(camera) for camera in rig.cameras}:
        raise ConcurrencyError(describe_holder(lab), remedy="Record from that page, or close the cameras there first")


def require_preflight(
    terminal: Terminal, studio: Studio, lab: Lab, seconds: float, more: Sequence[PreflightCheck] = ()
) -> Preflight:
    """Check the rig (GateRefusedError names what forbids to record, with the fix). more: checks besides the cameras."""
    from labsys.capture.preflight.check import Outcome
    from labsys.capture.preflight.run import run_preflight
    from labsys.storage.armed import arming

    terminal.say("checking all cameras together")
    with arming(lab):
        found = run_preflight(studio, lab.root, planned_s=seconds, more=more, waiting=make_watcher(terminal).waiting)
    for result in found.results:
        if result.outcome is Outcome.WARN:
            terminal.say(f"warning: {result.what}. {result.fix}")
    if found.failed:
        said = "; ".join(f"{r.check}: {r.what}. {r.fix}" for r in found.failed)
        raise GateRefusedError(said, remedy="Then check again with 'labsys rig check', or record with --no-check")
    return found


def give_verdict(terminal: Terminal, name: str, finished: FinishedTake) -> None:
    """Print the verdict; leaves with exit code 3 where the take should be repeated."""
    from labsys.capture.finalise import describe
    from labsys.capture.verdict import Advice

    found = finished.assessment
    timing = f"grade {found.sync.grade}"
    if math.isfinite(found.sync.error_m):
        timing += f", {1000 * found.sync.error_m:.1f} mm at task speed"
    terminal.give({"take": name, **describe(found)}, f"{name}: {found.verdict} ({timing})")
    if found.verdict.advice is Advice.REPEAT:
        raise typer.Exit(GateRefusedError.exit_code)


def say_what_follows(terminal: Terminal, lab: Lab, name: TrialName, finished: FinishedTake) -> None:
    """Queue the processing of a take that is kept, as the page does; what hinders that never costs the take."""
    from getpass import getuser

    from api.recording.after_take import follow_up
    from labsys.capture.verdict import Advice
    from labsys.core.errors import LabsysError

    if finished.assessment.verdict.advice is Advice.REPEAT:
        return
    try:
        after = follow_up(lab, name, by=f"{getuser()} in a terminal")
    except LabsysError as error:
        terminal.say(f"{name} is not queued for processing: {error}")
        return
    terminal.say(
        f"{name} is queued for processing: `labsys serve` and `labsys worker` do it"
        if after.job
        else f"{name} is not queued for processing: {after.why_not}"
    )


@contextmanager
def stopping_on_interrupt() -> Iterator[threading.Event]:
    """Ctrl-C (or SIGTERM) ends the take cleanly instead of the program."""
    import threading

    stop = threading.Event()
    before = {s: signal.signal(s, lambda *_: stop.set()) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)


def make_watcher(terminal: Terminal) -> Watcher:
    """What a person at the terminal sees while it records."""
    from labsys.capture.watcher import Watcher

    class Counters(Watcher):
        """A line that is written over; the verdict on a line of its own."""

        told: ClassVar[set[str]] = set()

        def waiting(self, camera: str, waited_s: float) -> None:
            """Once of each camera that takes longer than it should."""
            if waited_s > _ANSWERS_S and camera not in self.told:
                self.told.add(camera)
                terminal.say(f"{camera} has not answered for {waited_s:.0f} s; it is waited for up to a minute")

        def counted(self, elapsed_s: float, cameras: list[Any], free_bytes: int) -> None:
            """Elapsed, frames and losses."""
            if terminal.quiet or terminal.as_json or not sys.stderr.isatty():
                return
            counts = "  ".join(f"{c.camera} {c.stored} lost {c.lost}" for c in cameras)
            sys.stderr.write(f"\r{elapsed_s:6.1f} s  {counts}  {free_bytes / 1e9:.0f} GB free ")
            sys.stderr.flush()

        def judged(self, found: Any) -> None:
            """At once, before the files are finished."""
            terminal.say(f"\n{found.verdict}")

    return Counters()
