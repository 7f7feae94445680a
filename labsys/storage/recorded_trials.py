"""Which trials of a lab can be processed: those that have a take."""

from __future__ import annotations

from labsys.core.session import TrialKind, TrialName
from labsys.storage.lab import Lab
from labsys.storage.sessions import list_sessions
from labsys.storage.subjects import subject_codes
from labsys.storage.takes import has_take
from labsys.storage.trials import list_trials


def recorded_trials(lab: Lab, subject: str, session: str) -> list[TrialName]:
    """Trials of a visit that have a take; statics first, so that each is processed once and by name.

    Raises:
        UnknownNameError: no such subject or session.
    """
    found = [t for t in list_trials(lab, subject, session) if has_take(lab, t.name)]
    found.sort(key=lambda t: t.kind is not TrialKind.STATIC)
    return [t.name for t in found]


def all_recorded_trials(lab: Lab, subject: str | None = None) -> list[TrialName]:
    """As `recorded_trials`, of every visit of a subject, or of the whole lab."""
    codes = subject_codes(lab) if subject is None else (subject,)
    places = [(code, visit.session) for code in codes for visit in list_sessions(lab, code)]
    return [name for place in places for name in recorded_trials(lab, *place)]
