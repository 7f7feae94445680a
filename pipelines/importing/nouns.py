"""Subject, session and trial of an import: planned before anything is written, made when new, never overwritten."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

from labsys.core.clock import utc_now
from labsys.core.errors import InputError, UnknownNameError
from labsys.core.session import Anthropometry, Session, Subject, Trial, TrialKind, TrialName
from labsys.storage.identity import new_uuid
from labsys.storage.lab import Lab
from labsys.storage.sessions import list_sessions, load_session, save_session
from labsys.storage.subjects import list_subjects, save_subject
from labsys.storage.takes import has_take
from labsys.storage.trials import begin_trial, list_trials, load_trial, save_trial
from pipelines.importing.request import ImportRequest, VisitFacts

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_T = TypeVar("_T")


def plan_session(lab: Lab, request: ImportRequest) -> Session:
    """The session as it will be: new, or as it is with what it lacked (InputError where the import contradicts it)."""
    name, visit = request.name, request.visit
    subjects = {s.code for s in list_subjects(lab)}
    known = {s.session for s in list_sessions(lab, name.subject)} if name.subject in subjects else set()
    if name.session in known:
        return _agree_session(load_session(lab, name.subject, name.session), visit)
    return Session(
        uuid=new_uuid(),
        subject=name.subject,
        session=name.session,
        captured_at=visit.captured_at or capture_time(name.session),
        phase=visit.phase,
        episode=visit.episode,
        operator=visit.operator,
        anthropometry=visit.anthropometry,
    )


def capture_time(session: str) -> str:
    """When a visit took place, as its code says (a date), else now. ISO-8601 UTC."""
    found = _DATE.match(session)
    return f"{found.group()}T00:00:00.000Z" if found else utc_now()


def _agree_session(session: Session, visit: VisitFacts) -> Session:
    """The session with what it lacked; what it holds otherwise is not overwritten by an import."""
    measures = {}
    for field in ("mass_kg", "height_m", "leg_length_m"):
        have, given = getattr(session.anthropometry, field), getattr(visit.anthropometry, field)
        measures[field] = _agree(session, field, have, given)
    return replace(
        session,
        phase=_agree(session, "phase", session.phase, visit.phase),
        episode=_agree(session, "episode", session.episode, visit.episode),
        operator=_agree(session, "operator", session.operator, visit.operator),
        anthropometry=Anthropometry(**measures),
    )


def _agree(session: Session, field: str, have: _T, given: _T) -> _T:
    if have and given and have != given:
        raise InputError(
            f"session {session.session} has {field} {have}, the import says {given}",
            remedy="Change the session with 'labsys session edit', or leave it out here",
        )
    return have or given


def plan_trial(lab: Lab, request: ImportRequest, session: Session) -> Trial:
    """The trial as it will be.

    Raises:
        UnknownNameError: the static trial asked for does not exist. InputError: the trial has a recording already.
    """
    name = request.name
    existing = _existing_trials(lab, name)
    if request.static and request.static not in {t for t, trial in existing.items() if trial.kind is TrialKind.STATIC}:
        statics = [t for t, trial in existing.items() if trial.kind is TrialKind.STATIC]
        raise UnknownNameError("static trial", request.static, valid=statics, where=f"{name.subject}/{name.session}")
    if name.trial in existing:
        _check_waiting(lab, existing[name.trial], request)
    uuid = existing[name.trial].uuid if name.trial in existing else new_uuid()
    return Trial(
        uuid=uuid,
        name=name,
        kind=request.kind,
        recorded_at=request.recorded_at or session.captured_at,
        conditions=request.conditions,
        static=request.static,
        accepted_sizes=dict(request.accepted_sizes),
        notes=request.notes,
    )


def _existing_trials(lab: Lab, name: TrialName) -> dict[str, Trial]:
    if name.subject not in {s.code for s in list_subjects(lab)}:
        return {}
    if name.session not in {s.session for s in list_sessions(lab, name.subject)}:
        return {}
    return {t.name.trial: t for t in list_trials(lab, name.subject, name.session)}


def _check_waiting(lab: Lab, trial: Trial, request: ImportRequest) -> None:
    """A trial may be added before its recording comes in; a second recording needs another name."""
    if has_take(lab, trial.name):
        raise InputError(f"trial {trial.name} has a recording already", remedy="Choose another --trial name")
    if trial.kind is not request.kind:
        raise InputError(f"trial {trial.name} was added as {trial.kind}, the import says {request.kind}")


@contextmanager
def write_nouns(lab: Lab, session: Session, trial: Trial) -> Iterator[None]:
    """Write subject and session where they are new or changed, and the trial: one that is new for good once the block
    has brought its take in."""
    if session.subject not in {s.code for s in list_subjects(lab)}:
        save_subject(lab, Subject(uuid=new_uuid(), code=session.subject))
    known = {s.session: s for s in list_sessions(lab, session.subject)}
    if known.get(session.session) != session:
        save_session(lab, session)
    if trial.name.trial in {t.name.trial for t in list_trials(lab, session.subject, session.session)}:
        save_trial(lab, replace(trial, notes=trial.notes or load_trial(lab, trial.name).notes))
        yield
        return
    with begin_trial(lab, trial):
        yield
