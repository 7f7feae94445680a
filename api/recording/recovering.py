"""Recordings that a crash cut short, finished for a page as `labsys recover` finishes them."""

from __future__ import annotations

from api.database.connection import Database
from api.indexing.index import index_subject
from api.schemas.capture import RecoveriesDocument, RecoveryDocument
from labsys.capture.recover import Recovery, recover_recordings
from labsys.storage.lab import Lab


def recover_lab(lab: Lab, database: Database | None = None) -> RecoveriesDocument:
    """Finish what no process writes any more, and let the index know."""
    found = recover_recordings(lab)
    for subject in sorted({r.recording.subject for r in found if r.finished and r.recording.subject}):
        index_subject(lab, subject, database=database)
    return RecoveriesDocument(recordings=[describe_recovery(recovery) for recovery in found])


def describe_recovery(recovery: Recovery) -> RecoveryDocument:
    """What became of one recording."""
    finished = recovery.finished
    state = recovery.why if finished is None else str(finished.assessment.verdict)
    return RecoveryDocument(recording=recovery.recording.what, recovered=finished is not None, state=state)
