"""A visit led by its protocol: what is asked before it, the trial of each step, and takes that are to be repeated."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labsys.core.errors import InputError, UnknownNameError
from labsys.core.session import Conditions, Phase, Session, Surface, Trial, TrialKind, TrialName
from labsys.storage.templates import find_template

if TYPE_CHECKING:
    from labsys.capture.protocol import Protocol, Step
    from labsys.capture.verdict import TakeVerdict
    from labsys.storage.lab import Lab

SPEED = "speed_mps"
FAMILIARISATION = "familiarisation"
_NUMBERS = ("pain_0_10", "leg_length_m", "mass_kg", "height_m", SPEED)
_BODY = ("leg_length_m", "mass_kg", "height_m")
_WHERE = "answers"


@dataclass(frozen=True)
class Visit:
    """A visit that is under way: the session with its answers, and what every step is recorded with.

    speed_mps: what the protocol's `preferred` means today, None where no step asks for it.
    """

    protocol: Protocol
    session: Session
    answers: Mapping[str, Any]
    speed_mps: float | None
    calibration: str = ""

    def speed_of(self, step: Step) -> float | None:
        """Belt speed of a step, m/s."""
        return self.speed_mps if step.speed_mps == "preferred" else step.speed_mps


def find_protocol(lab: Lab, text: str) -> Protocol:
    """A protocol by the path of its file, or by its name in the lab (UnknownNameError names the nearest)."""
    from labsys.capture.protocol import load_protocol

    path = Path(text).expanduser()
    if path.is_file():
        return load_protocol(path)
    return load_protocol(find_template(lab, "protocol", text))


def needs_speed(protocol: Protocol) -> bool:
    """Whether a step is run at the speed that the runner prefers."""
    return any(step.speed_mps == "preferred" for step in protocol.steps)


def read_answers(protocol: Protocol, texts: Mapping[str, str]) -> dict[str, Any]:
    """Every required field from what was typed.

    Raises:
        UnknownNameError: a field that the protocol does not ask for. InputError: empty fields, or no number.
    """
    check_fields(protocol, texts)
    empty = [name for name in protocol.required if not texts.get(name, "").strip()]
    if empty:
        raise InputError(
            f"protocol {protocol.name} requires {', '.join(empty)}",
            remedy=f"Answer when asked, or give --answer {empty[0]}=…",
        )
    return {name: _value(name, texts[name]) for name in protocol.required}


def check_fields(protocol: Protocol, texts: Mapping[str, str]) -> None:
    """Refuse what the protocol does not ask for (UnknownNameError names the nearest)."""
    valid = (*protocol.required, SPEED)
    for name in texts:
        if name not in valid:
            raise UnknownNameError("field", name, valid=valid, where=_WHERE)


def _value(name: str, text: str) -> Any:
    if name == "phase":
        if text not in set(Phase):
            raise UnknownNameError("phase", text, valid=[p.value for p in Phase], where=_WHERE)
        return Phase(text)
    if name not in _NUMBERS:
        return text
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"{name} '{text}' is no number", where=_WHERE) from error


def preferred_speed(protocol: Protocol, text: str) -> float | None:
    """What `preferred` means today, m/s; None where no step asks for it (InputError: empty, or no number)."""
    if not needs_speed(protocol):
        return None
    if not text.strip():
        raise InputError("the protocol has a run at preferred speed", remedy="Give --answer speed_mps=3.0")
    value = _value(SPEED, text)
    assert isinstance(value, float)
    return Conditions(speed_mps=value).speed_mps


def last_speed(lab: Lab, subject: str) -> float | None:
    """Speed of the last run of the latest visit that has one, m/s (UnknownNameError: no such subject)."""
    from labsys.storage.sessions import list_sessions
    from labsys.storage.trials import list_trials

    for session in sorted(list_sessions(lab, subject), key=lambda s: s.captured_at, reverse=True):
        speeds = _speeds(sorted(list_trials(lab, subject, session.session), key=lambda t: t.recorded_at))
        if speeds:
            return speeds[-1]
    return None


def _speeds(trials: Sequence[Trial]) -> list[float]:
    runs = [t for t in trials if t.kind is TrialKind.RUN and not t.excluded]
    return [t.conditions.speed_mps for t in runs if t.conditions.speed_mps is not None]


def save_visit(lab: Lab, subject: str, session: str, answers: Mapping[str, Any]) -> Session:
    """The session with what was answered: a new one ("" names it after today), or that of this name with the answers
    over it (errors: as `save_session`)."""
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
    stated = {name: answers[name] for name in ("operator", "phase") if name in answers}
    return save_session(lab, replace(before, anthropometry=body, notes=notes, **stated))


def plan_trial(lab: Lab, visit: Visit, step: Step) -> Trial:
    """A new trial for a step, named after its kind with the next number that is free; not saved yet."""
    from labsys.core.clock import utc_now
    from labsys.storage.identity import new_uuid
    from labsys.storage.trials import trial_codes

    subject, session = visit.session.subject, visit.session.session
    taken, number = set(trial_codes(lab, subject, session)), 1
    while f"{step.kind}{number}" in taken:
        number += 1
    name = TrialName(subject, session, f"{step.kind}{number}")
    trial = Trial(uuid=new_uuid(), name=name, kind=TrialKind(step.kind), recorded_at=utc_now())
    return replace(trial, conditions=_conditions(step, visit.answers, visit.speed_of(step)))


def check_conditions(protocol: Protocol, answers: Mapping[str, Any], speed_mps: float | None) -> None:
    """Refuse answers that no step can be recorded with, such as a pain of 11 (InputError)."""
    for step in protocol.steps:
        _conditions(step, answers, speed_mps if step.speed_mps == "preferred" else step.speed_mps)


def _conditions(step: Step, answers: Mapping[str, Any], speed_mps: float | None) -> Conditions:
    stated: dict[str, Any] = {
        "surface": Surface.TREADMILL if step.kind in ("run", "walk") else None,
        "speed_mps": speed_mps,
        "incline_pct": step.incline_pct,
        "footwear": answers.get("shoes"),
        "pain_0_10": answers.get("pain_0_10"),
    }
    return replace(Conditions(), **{name: value for name, value in stated.items() if value is not None})


def exclude_repeated(lab: Lab, name: TrialName, verdict: TakeVerdict) -> bool:
    """Exclude a take that is to be repeated, with its reasons; whether it was."""
    from labsys.capture.verdict import Advice
    from labsys.storage.trials import load_trial, save_trial

    if verdict.advice is not Advice.REPEAT:
        return False
    reason = "; ".join(verdict.reasons) or "repeated"
    save_trial(lab, replace(load_trial(lab, name), excluded=True, exclusion_reason=reason))
    return True
