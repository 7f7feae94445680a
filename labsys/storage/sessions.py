"""Sessions: subjects/<code>/<session>/session.json."""

from __future__ import annotations

from labsys.core.errors import InputError
from labsys.core.session import Session
from labsys.storage.documents import load_document
from labsys.storage.episodes import require_episode
from labsys.storage.lab import EPISODES, Lab, session_folder, subject_folder
from labsys.storage.nouns import check_new_code, check_place, list_codes, load_all, require_known, stamp_and_save
from labsys.storage.subjects import require_subject

_FILE = "session.json"


def save_session(lab: Lab, session: Session) -> Session:
    """Write session.json; returns the session with `updated_at` (and a uuid, where it had none) set.

    Raises:
        UnknownNameError: no such subject, episode or session to repeat. InputError: bad code, or writing fails.
    """
    folder = session_folder(lab, session.subject, session.session)
    if session.session.casefold() == EPISODES:
        raise InputError(f"a session cannot be named '{session.session}'", remedy="Use the date of the visit")
    require_subject(lab, session.subject)
    check_new_code("session", session.session, session_codes(lab, session.subject))
    if session.episode:
        require_episode(lab, session.subject, session.episode)
    if session.repeats:
        _check_repeats(lab, session)
    return stamp_and_save(folder / _FILE, session)


def load_session(lab: Lab, subject: str, session: str) -> Session:
    """Read a session (UnknownNameError names the nearest; NewerSchemaError; InputError)."""
    require_session(lab, subject, session)
    path = session_folder(lab, subject, session) / _FILE
    loaded = load_document(path, Session)
    check_place(f"{loaded.subject}/{loaded.session}", f"{subject}/{session}", path)
    return loaded


def list_sessions(lab: Lab, subject: str) -> tuple[Session, ...]:
    """All sessions of a subject, by code (UnknownNameError: no such subject)."""
    require_subject(lab, subject)
    return load_all(session_codes(lab, subject), lambda code: load_session(lab, subject, code))


def session_codes(lab: Lab, subject: str) -> tuple[str, ...]:
    """Codes of all sessions of a subject, without reading them."""
    return list_codes(subject_folder(lab, subject), _FILE)


def require_session(lab: Lab, subject: str, session: str) -> None:
    """UnknownNameError, naming the nearest, unless subject and session exist."""
    require_subject(lab, subject)
    require_known("session", session, session_codes(lab, subject), where=f"subject {subject}")


def _check_repeats(lab: Lab, session: Session) -> None:
    require_known("session", session.repeats, session_codes(lab, session.subject), where=f"subject {session.subject}")
    if session.repeats == session.session:
        raise InputError(f"session {session.session} cannot repeat itself", remedy="Name an earlier session")
