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
    open_hardware,
    read_rig,
    record_into,
    require_preflight,
)
from api.commands.terminal import JsonOption, LabOption, QuietOption, Terminal, parse_pairs
from api.recording.visits import (
    FAMILIARISATION,
    SPEED,
    Visit,
    add_trial,
    check_conditions,
    check_fields,
    exclude_repeated,
    find_protocol,
    last_speed,
    needs_speed,
    preferred_speed,
    read_answers,
    save_visit,
)
from labsys.core.errors import GateRefusedError

if TYPE_CHECKING:
    from labsys.capture.protocol import Protocol, Step
    from labsys.capture.studio import Studio
    from labsys.core.session import TrialName
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
    visit = Visit(plan, save_visit(folder, subject, session or "", answers), answers, speed_mps, calibration)
    with open_hardware(loaded) as studio:
        if not no_check:
            require_preflight(terminal, studio, folder, max(step.seconds for step in plan.steps))
        led = _Led(terminal, folder, visit, studio, rig_text, asks=asks)
        kept = [led.lead(step, number) for number, step in enumerate(plan.steps, start=1)]
    done = [k for k in kept if k is not None]
    terminal.give({"session": f"{subject}/{visit.session.session}", "trials": done}, "\n".join(done))
    if not any(step.kind == "static" and k is not None for step, k in zip(plan.steps, kept, strict=True)):
        raise GateRefusedError(
            f"session {subject}/{visit.session.session} has no standing trial",
            remedy="Record it: hip and lumbar angles are changes from the runner's own standing posture",
        )


class _Led:
    """What every step of one visit needs."""

    def __init__(
        self, terminal: Terminal, lab: Lab, visit: Visit, studio: Studio, rig_text: str, *, asks: bool
    ) -> None:
        self._terminal, self._lab, self._visit = terminal, lab, visit
        self._studio, self._rig_text, self._asks = studio, rig_text, asks

    def lead(self, step: Step, number: int) -> str | None:
        """One step; the name of the trial that is kept, None where none is (or none is recorded)."""
        if step.kind == FAMILIARISATION:
            self._terminal.say(f"step {number}: {step.seconds:g} s to get used to the belt, not recorded")
            if self._asks:
                typer.prompt("Enter when done", default="", show_default=False, err=True)
            return None
        while self._wants(step, number):
            name = self._record(step)
            if name is not None:
                return str(name)
            if not self._asks:
                return None
        return None

    def _wants(self, step: Step, number: int) -> bool:
        if not self._asks:
            return True
        speed = self._visit.speed_of(step)
        what = f"step {number}: {step.kind}, {step.seconds:g} s" + (f" at {speed:g} m/s" if speed else "")
        said: str = typer.prompt(f"{what}. Enter to record, s to skip", default="", show_default=False, err=True)
        return said.strip().lower() != "s"

    def _record(self, step: Step) -> TrialName | None:
        """Record the step; a take to be repeated is excluded with its reason and None is given."""
        from api.commands.changes import update_index

        name = add_trial(self._lab, self._visit, step)
        finished = record_into(
            self._terminal,
            self._lab,
            name,
            self._studio,
            self._rig_text,
            seconds=step.seconds,
            calibration=self._visit.calibration,
            step_s=step.seconds,
        )
        if not exclude_repeated(self._lab, name, finished.assessment.verdict):
            return name
        update_index(self._terminal, self._lab, name.subject)
        return None


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
