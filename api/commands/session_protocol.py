"""`labsys session start`: a visit led by its protocol, step by step, each step a trial that is recorded."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
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
from api.commands.stated import Stated
from api.commands.terminal import JsonOption, LabOption, QuietOption, Terminal, parse_pairs
from labsys.core.errors import GateRefusedError, InputError, UnknownNameError
from labsys.core.session import Phase, Session, Surface, Trial, TrialKind, TrialName

if TYPE_CHECKING:
    from labsys.capture.protocol import Protocol, Step
    from labsys.capture.studio import Studio
    from labsys.storage.lab import Lab

_NUMBERS = ("pain_0_10", "leg_length_m", "mass_kg", "height_m")
_BODY = ("leg_length_m", "mass_kg", "height_m")


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
    plan = _find_protocol(folder, protocol)
    asks = sys.stdin.isatty() and not unattended
    given = parse_pairs(answer or [], "--answer", "shoes=Brand-X")
    loaded, rig_text = read_rig(folder, rig)
    check_length(loaded, max(step.seconds for step in plan.steps if step.kind != "familiarisation"), folder)
    answers = _answer(plan, given, asks=asks)
    speed_mps = _preferred_speed(folder, subject, plan, given, asks=asks)
    visit = _save_session(folder, subject, session, answers)
    with open_hardware(loaded) as studio:
        if not no_check:
            require_preflight(terminal, studio, folder, max(step.seconds for step in plan.steps))
        led = _Led(terminal, folder, visit, studio, rig_text, answers, speed_mps, calibration, asks)
        kept = [led.lead(step, number) for number, step in enumerate(plan.steps, start=1)]
    done = [k for k in kept if k is not None]
    terminal.give({"session": f"{subject}/{visit.session}", "trials": done}, "\n".join(done))
    if not any(step.kind == "static" and k is not None for step, k in zip(plan.steps, kept, strict=True)):
        raise GateRefusedError(
            f"session {subject}/{visit.session} has no standing trial",
            remedy="Record it: hip and lumbar angles are changes from the runner's own standing posture",
        )


class _Led:
    """What every step of one visit needs."""

    def __init__(
        self,
        terminal: Terminal,
        lab: Lab,
        session: Session,
        studio: Studio,
        rig_text: str,
        *rest: Any,
    ) -> None:
        self._terminal, self._lab, self._session = terminal, lab, session
        self._studio, self._rig_text = studio, rig_text
        self._answers, self._speed_mps, self._calibration, self._asks = rest

    def lead(self, step: Step, number: int) -> str | None:
        """One step; the name of the trial that is kept, None where none is (or none is recorded)."""
        if step.kind == "familiarisation":
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
        speed = self._speed_of(step)
        what = f"step {number}: {step.kind}, {step.seconds:g} s" + (f" at {speed:g} m/s" if speed else "")
        said: str = typer.prompt(f"{what}. Enter to record, s to skip", default="", show_default=False, err=True)
        return said.strip().lower() != "s"

    def _record(self, step: Step) -> TrialName | None:
        """Record the step; a take to be repeated is excluded with its reason and None is given."""
        from api.commands.changes import update_index
        from labsys.capture.verdict import Advice
        from labsys.storage.trials import load_trial, save_trial

        name = self._add_trial(step)
        finished = record_into(
            self._terminal,
            self._lab,
            name,
            self._studio,
            self._rig_text,
            seconds=step.seconds,
            calibration=self._calibration,
        )
        verdict = finished.assessment.verdict
        if verdict.advice is not Advice.REPEAT:
            return name
        trial = load_trial(self._lab, name)
        save_trial(self._lab, replace(trial, excluded=True, exclusion_reason="; ".join(verdict.reasons) or "repeated"))
        update_index(self._terminal, self._lab, name.subject)
        return None

    def _add_trial(self, step: Step) -> TrialName:
        from labsys.core.clock import utc_now
        from labsys.storage.identity import new_uuid
        from labsys.storage.trials import save_trial, trial_codes

        subject, session = self._session.subject, self._session.session
        taken, number = set(trial_codes(self._lab, subject, session)), 1
        while f"{step.kind}{number}" in taken:
            number += 1
        stated = Stated(
            surface=Surface.TREADMILL if step.kind in ("run", "walk") else None,
            speed_mps=self._speed_of(step),
            incline_pct=step.incline_pct,
            footwear=self._answers.get("shoes"),
            pain_0_10=self._answers.get("pain_0_10"),
        )
        name = TrialName(subject, session, f"{step.kind}{number}")
        trial = Trial(uuid=new_uuid(), name=name, kind=TrialKind(step.kind), recorded_at=utc_now())
        save_trial(self._lab, replace(trial, conditions=stated.conditions()))
        return name

    def _speed_of(self, step: Step) -> float | None:
        return self._speed_mps if step.speed_mps == "preferred" else step.speed_mps


def _find_protocol(lab: Lab, text: str) -> Protocol:
    from pathlib import Path

    from labsys.capture.protocol import load_protocol

    path = Path(text).expanduser()
    if path.is_file():
        return load_protocol(path)
    folder = lab.root / "protocols"
    known = sorted(p.stem for p in folder.glob("*.yaml"))
    if text not in known:
        raise UnknownNameError("protocol", text, valid=known, where=str(folder))
    return load_protocol(folder / f"{text}.yaml")


def _answer(plan: Protocol, given: Mapping[str, str], *, asks: bool) -> dict[str, Any]:
    """Every required field (InputError names those that are empty or no numbers)."""
    for name in given:
        if name not in (*plan.required, "speed_mps"):
            raise UnknownNameError("field", name, valid=(*plan.required, "speed_mps"), where="--answer")
    texts = dict(given)
    if asks:
        for name in plan.required:
            if name not in texts:
                texts[name] = str(typer.prompt(name, err=True)).strip()
    empty = [name for name in plan.required if not texts.get(name, "").strip()]
    if empty:
        raise InputError(
            f"protocol {plan.name} requires {', '.join(empty)}",
            remedy=f"Give --answer {empty[0]}=…, or answer when asked",
        )
    return {name: _value(name, texts[name]) for name in plan.required}


def _value(name: str, text: str) -> Any:
    if name == "phase":
        if text not in set(Phase):
            raise UnknownNameError("phase", text, valid=[p.value for p in Phase], where="--answer")
        return Phase(text)
    if name not in _NUMBERS:
        return text
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"{name} '{text}' is no number", where="--answer") from error


def _preferred_speed(lab: Lab, subject: str, plan: Protocol, given: Mapping[str, str], *, asks: bool) -> float | None:
    """What `preferred` means today, m/s: as given, or as asked with the last visit's as suggestion."""
    from labsys.storage.sessions import list_sessions

    list_sessions(lab, subject)
    if not any(step.speed_mps == "preferred" for step in plan.steps):
        return None
    text = given.get("speed_mps", "")
    if not text:
        last = _last_speed(lab, subject)
        if asks:
            text = str(typer.prompt("preferred speed, m/s", default=f"{last:g}" if last else None, err=True))
        elif last:
            return last
    if not text:
        raise InputError("the protocol has a run at preferred speed", remedy="Give --answer speed_mps=3.0")
    value = _value("leg_length_m", text)
    assert isinstance(value, float)
    return value


def _last_speed(lab: Lab, subject: str) -> float | None:
    from labsys.storage.sessions import list_sessions
    from labsys.storage.trials import list_trials

    for session in sorted(list_sessions(lab, subject), key=lambda s: s.captured_at, reverse=True):
        speeds = _speeds(list_trials(lab, subject, session.session))
        if speeds:
            return speeds[-1]
    return None


def _speeds(trials: Sequence[Trial]) -> list[float]:
    runs = [t for t in trials if t.kind is TrialKind.RUN and not t.excluded]
    return [t.conditions.speed_mps for t in runs if t.conditions.speed_mps is not None]


def _save_session(lab: Lab, subject: str, session: str | None, answers: Mapping[str, Any]) -> Session:
    """The visit with what was answered: a new one, or the one of this name with the answers over it."""
    from labsys.core.clock import utc_now
    from labsys.storage.identity import new_uuid
    from labsys.storage.sessions import list_sessions, load_session, save_session

    now = utc_now()
    code = session or time.strftime("%Y-%m-%d")
    if code in {s.session for s in list_sessions(lab, subject)}:
        before = load_session(lab, subject, code)
    else:
        before = Session(uuid=new_uuid(), subject=subject, session=code, captured_at=now)
    body = replace(before.anthropometry, **{n: answers[n] for n in _BODY if n in answers})
    notes = before.notes
    if "palpated_by" in answers and answers["palpated_by"] not in notes:
        notes = f"{notes}{' ' if notes else ''}Palpated by {answers['palpated_by']}."
    return save_session(
        lab,
        replace(
            before,
            anthropometry=body,
            operator=answers.get("operator", before.operator),
            phase=answers.get("phase", before.phase),
            notes=notes,
        ),
    )
