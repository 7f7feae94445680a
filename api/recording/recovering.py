"""Recordings that a crash cut short, finished for a page as `labsys recover` finishes them."""

from __future__ import annotations

from collections.abc import Sequence

from api.database.connection import Database
from api.indexing.index import index_subject
from api.schemas.capture import RecoveriesDocument, RecoveryDocument
from labsys.capture.recover import Recovery, clear_unrecorded, recover_recordings
from labsys.storage.lab import Lab


def recover_lab(lab: Lab, database: Database | None = None) -> RecoveriesDocument:
    """Finish what no process writes any more, and let the index know."""
    found = recover_recordings(lab)
    for subject in changed_subjects(found):
        index_subject(lab, subject, database=database)
    return RecoveriesDocument(recordings=[describe_recovery(recovery) for recovery in found])


def describe_recovery(recovery: Recovery) -> RecoveryDocument:
    """What became of one recording."""
    finished = recovery.finished
    state = recovery.why if finished is None else str(finished.assessment.verdict)
    return RecoveryDocument(recording=recovery.recording.what, recovered=finished is not None, state=state)


def changed_subjects(found: Sequence[Recovery]) -> list[str]:
    """Subjects of whom a take was made, or a trial removed of which nothing had been recorded."""
    return sorted({r.recording.subject for r in found if r.changed and r.recording.subject})


def clear_begun(lab: Lab) -> None:
    """Remove what was begun and never recorded, and let the index know; what waits to be recovered stays."""
    for subject in changed_subjects(clear_unrecorded(lab)):
        index_subject(lab, subject)
