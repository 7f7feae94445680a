"""Erasing a subject: the key of the identity at once, for good; the recordings hidden at once, and removed in time."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from api import kept_days
from api.access.audit import Actor, record
from api.access.keys import revoke
from api.database.connection import Database
from api.database.tables import SubjectRow
from api.database.tables_owned import LinkRow
from api.identity import KeyStore, erase_identity
from api.indexing.index import index_subject
from labsys.storage.erased_recordings import remove_erased
from labsys.storage.erasures import Erasure, begin_erasure
from labsys.storage.lab import Lab

# What an erasure leaves, and why: said by every door that erases.
KEPT = (
    "measurements, landmarks and results stay under the code: they name nobody, and nobody is recognised in them",
    "typed notes and reasons stay: read them, they may name somebody",
    "the audit stays: it says by code what was done to whose data",
    "backups made before hold the recordings (never the name): delete them when the recordings are removed",
)


def erase_subject(
    session: Session, actor: Actor, lab: Lab, subject: SubjectRow, *, keep_days: int = kept_days.ERASED
) -> Erasure:
    """Destroy who a subject is, revoke links, and hide the recordings until they are removed after some days.

    Raises:
        InputError: it cannot be written; nothing is destroyed then.
    """
    erasure = begin_erasure(lab, subject.code, keep_days=keep_days)
    erase_identity(session, actor, KeyStore.of(lab), subject)
    for link in session.scalars(select(LinkRow.id).where(LinkRow.subject_id == subject.id)).all():
        revoke(session, actor, LinkRow, link)
    record(session, actor, "subject.erase", f"{subject.code}: recordings are removed after {erasure.remove_after}")
    return erasure


def remove_due_recordings(lab: Lab, database: Database, actor: Actor) -> list[str]:
    """Remove the recordings of erased subjects whose day has come, written down before and indexed after; those who
    had any left. A removal that was cut short is finished by the next one.

    Raises:
        LabsysError: as `remove_erased`.
    """
    noted: list[str] = []

    def note(subject: str) -> None:
        with database.write() as session:
            record(session, actor, "subject.erase.recordings", subject)
        noted.append(subject)

    try:
        return remove_erased(lab, note=note)
    finally:
        for subject in noted:
            index_subject(lab, subject, database=database)
