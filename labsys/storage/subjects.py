"""Subjects: subjects/<code>/subject.json."""

from __future__ import annotations

from labsys.core.session import Subject
from labsys.storage.documents import load_document
from labsys.storage.lab import Lab, subject_folder
from labsys.storage.nouns import check_new_code, check_place, list_codes, load_all, require_known, stamp_and_save

_FILE = "subject.json"


def save_subject(lab: Lab, subject: Subject) -> Subject:
    """Write subject.json; returns the subject with `updated_at` (and a uuid, where it had none) set.

    Raises:
        InputError: the code cannot name a folder, differs from an existing one in case only, or writing fails.
    """
    folder = subject_folder(lab, subject.code)
    check_new_code("subject", subject.code, subject_codes(lab))
    return stamp_and_save(folder / _FILE, subject)


def load_subject(lab: Lab, code: str) -> Subject:
    """Read a subject (UnknownNameError names the nearest code; NewerSchemaError; InputError)."""
    require_subject(lab, code)
    path = subject_folder(lab, code) / _FILE
    subject = load_document(path, Subject)
    check_place(subject.code, code, path)
    return subject


def list_subjects(lab: Lab) -> tuple[Subject, ...]:
    """All subjects, by code."""
    return load_all(subject_codes(lab), lambda code: load_subject(lab, code))


def subject_codes(lab: Lab) -> tuple[str, ...]:
    """Codes of all subjects, without reading them."""
    return list_codes(lab.root / "subjects", _FILE)


def require_subject(lab: Lab, code: str) -> None:
    """UnknownNameError, naming the nearest, unless the subject exists."""
    require_known("subject", code, subject_codes(lab), where=str(lab.root))
