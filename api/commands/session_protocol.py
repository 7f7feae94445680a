"""`labsys session start`: a visit led by its protocol, step by step, each step a trial that is recorded."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.recording import (
    CalibrationOption,
    NoCheckOption,
    RigOption,
    check_length,
    make_watcher,
    open_hardware,
    read_rig,
    require_free,
    require_preflight,
    say_what_follows,
    stopping_on_interrupt,
)
from api.commands.terminal import JsonOption, LabOption, QuietOption, Terminal, parse_pairs
from api.recording.visits import (
    FAMILIARISATION,
    SPEED,
    Visit,
    check_conditions,
    check_fields,
    find_protocol,
    last_speed,
    needs_speed,
    preferred_speed,
    read_answers,
    save_visit,
)
from labsys.core.errors import GateRefusedError

if TYPE_CHECKING:
    from api.recording.led_visit import LedVisit
    from labsys.capture.protocol import Protocol, Step
    from labsys.capture.studio import Studio
    from labsys.storage.lab import Lab


def register(app: typer.Typer) -> None:
    """Add `start` to the commands of sessions."""
    app.command("start")(start_session)


def start_session(
    subject: Annotated[str, typer.Argument(metavar="SUBJECT")],
    protocol: Annotated[
        str, typer.Option("--protocol", metavar="P", help="Protocol of the lab (protocols/P.yaml), or a file.")
    ],
    rig: RigOption,
    session: Annotated[
        str | None, typer.Option("--session", metavar="NAME", help="Name of the visit; today's date if not given.")
    ] = None,
    answer: Annotated[
        list[str] | None,
        typer.Option("--answer", metavar="FIELD=VALUE", help="A field that the protocol requires; repeatable."),
    ] = None,
    unattended: Annotated[bool, typer.Option("--unattended", help="Ask nothing: every step at once.")] = False,
    calibration: CalibrationOption = "",
    no_check: NoCheckOption = False,
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Lead through a visit: ask what the protocol requires, then record step by step; a repeated take is excluded.

    Refused to close (exit code 3) while the standing trial is missing.

    \b
    Example: labsys session start S01 --protocol run_standard --rig treadmill
    """
    from api.recording.led_visit import lead_visit
    from pipelines.preflight import outer_checks

    terminal = Terminal(lab, as_json, quiet)
    folder = terminal.open_lab()
    plan = find_protocol(folder, protocol)
    asks = sys.stdin.isatty() and not unattended
    given = parse_pairs(answer or [], "--answer", "shoes=Brand-X")
    loaded, rig_text = read_rig(folder, rig)
    check_length(loaded, max(step.seconds for step in plan.steps if step.kind != FAMILIARISATION), folder)
    answers = _answer(plan, given, asks=asks)
    speed_mps = _preferred_speed(folder, subject, plan, given, asks=asks)
    check_conditions(plan, answers, speed_mps)
    require_free(folder, loaded)
    visit = Visit(plan, save_visit(folder, subject, session or "", answers), answers, speed_mps, calibration)
    led = lead_visit(folder, visit)
    if led.last_kept is not None:
        terminal.say(f"the visit goes on after {led.last_kept}")
    with open_hardware(loaded) as studio:
        if not no_check:
            longest_s = max(step.seconds for step in plan.steps)
            require_preflight(terminal, studio, folder, longest_s, outer_checks(folder, calibration))
        leader = _Leader(terminal, folder, led, studio, rig_text, asks=asks)
        while led.now is not None:
            leader.lead(led.now)
    kept = [step.trial for step in led.document().steps if step.trial is not None]
    terminal.give({"session": f"{subject}/{visit.session.session}", "trials": kept}, "\n".join(kept))
    if led.missing:
        raise GateRefusedError(
            f"session {subject}/{visit.session.session} has no standing trial",
            remedy="Record it: hip and lumbar angles are changes from the runner's own standing posture",
        )


class _Leader:
    """Asks and tells a person at the terminal, step by step; the visit itself is led as the pages lead it."""

    def __init__(
        self, terminal: Terminal, lab: Lab, led: LedVisit, studio: Studio, rig_text: str, *, asks: bool
    ) -> None:
        self._terminal, self._lab, self._led = terminal, lab, led
        self._studio, self._rig_text, self._asks = studio, rig_text, asks

    def lead(self, step: Step) -> None:
        """The step that is next, once: it is done or left out, or next again where its take is to be repeated."""
        number = next(s.number for s in self._led.document().steps if s.state == "now")
        if step.kind == FAMILIARISATION:
            self._terminal.say(f"step {number}: {step.seconds:g} s to get used to the belt, not recorded")
            if self._asks:
                typer.prompt("Enter when done", default="", show_default=False, err=True)
            self._led.go_on()
        elif not self._wants(step, number):
            self._led.go_on()
        elif not self._record() and not self._asks:
            self._led.go_on()  # nobody is there to try again

    def _wants(self, step: Step, number: int) -> bool:
        if not self._asks:
            return True
        speed = self._led.visit.speed_of(step)
        what = f"step {number}: {step.kind}, {step.seconds:g} s" + (f" at {speed:g} m/s" if speed else "")
        said: str = typer.prompt(f"{what}. Enter to record, s to skip", default="", show_default=False, err=True)
        return said.strip().lower() != "s"

    def _record(self) -> bool:
        """Record the step; whether its take is kept."""
        from api.commands.changes import update_index
        from api.recording.steps import TakeMeans, record_step
        from labsys.capture.verdict import Advice

        with stopping_on_interrupt() as stop:
            means = TakeMeans(self._lab, self._studio, self._rig_text, stop, lambda _: make_watcher(self._terminal))
            finished = record_step(self._led, means)
        update_index(self._terminal, self._lab, self._led.visit.session.subject)
        if self._led.last_kept is not None:
            say_what_follows(self._terminal, self._lab, self._led.last_kept, finished)
        return finished.assessment.verdict.advice is not Advice.REPEAT


def _answer(plan: Protocol, given: Mapping[str, str], *, asks: bool) -> dict[str, Any]:
    """Every required field (InputError names those that are empty or no numbers)."""
    check_fields(plan, given)
    texts = dict(given)
    if asks:
        for name in plan.required:
            if name not in texts:
                texts[name] = str(typer.prompt(name, err=True)).strip()
    return read_answers(plan, texts)


def _preferred_speed(lab: Lab, subject: str, plan: Protocol, given: Mapping[str, str], *, asks: bool) -> float | None:
    """What `preferred` means today, m/s: as given, or as asked with the last visit's as suggestion."""
    last = last_speed(lab, subject)
    text = given.get(SPEED, "")
    if needs_speed(plan) and not text:
        text = f"{last:g}" if last else ""
        if asks:
            text = str(typer.prompt("preferred speed, m/s", default=text or None, err=True))
    return preferred_speed(plan, text)
