"""Recordings that a crash cut short, finished for a page as `labsys recover` finishes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from api.database.connection import Database
from api.indexing.index import index_subject
from api.recording.visits import exclude_repeated
from api.schemas.capture import RecoveriesDocument, RecoveryDocument
from labsys.capture.recover import Recovery, clear_unrecorded, recover_recordings
from labsys.core.errors import LabsysError
from labsys.core.session import TrialName
from labsys.storage.lab import Lab
from labsys.storage.recordings import load_manifest
from labsys.storage.trials import load_trial


def recover_takes(lab: Lab) -> list[Recovery]:
    """Finish what no process writes any more. A step of a visit that is to be repeated is excluded with its reasons, as
    it would have been had its recorder lived to judge it."""
    return [_exclude_of_visit(lab, recovery) for recovery in recover_recordings(lab)]


def _exclude_of_visit(lab: Lab, recovery: Recovery) -> Recovery:
    if recovery.finished is None or not load_manifest(recovery.recording.target).get("step_s"):
        return recovery
    name = TrialName.parse(recovery.recording.what)
    try:
        if load_trial(lab, name).excluded or exclude_repeated(lab, name, recovery.finished.assessment.verdict):
            return replace(recovery, why="excluded")
    except LabsysError as error:
        return replace(recovery, why=f"it could not be excluded: {error}", failed=True)
    return recovery


def recover_lab(lab: Lab, database: Database | None = None) -> RecoveriesDocument:
    """As `recover_takes`, and let the index know."""
    found = recover_takes(lab)
    for subject in changed_subjects(found):
        index_subject(lab, subject, database=database)
    return RecoveriesDocument(recordings=[describe_recovery(recovery) for recovery in found])


def describe_recovery(recovery: Recovery) -> RecoveryDocument:
    """What became of one recording."""
    finished = recovery.finished
    verdict = None if finished is None else str(finished.assessment.verdict)
    state = "; ".join(filter(None, (verdict, recovery.why)))
    return RecoveryDocument(recording=recovery.recording.what, recovered=finished is not None, state=state)


def changed_subjects(found: Sequence[Recovery]) -> list[str]:
    """Subjects of whom a take was made, or a trial removed of which nothing had been recorded."""
    return sorted({r.recording.subject for r in found if r.changed and r.recording.subject})


def clear_begun(lab: Lab) -> None:
    """Remove what was begun and never recorded, and let the index know; what waits to be recovered stays."""
    for subject in changed_subjects(clear_unrecorded(lab)):
        index_subject(lab, subject)
