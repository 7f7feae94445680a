"""Erasing a subject: the key of the identity at once, for good; the recordings hidden at once, and removed in time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from api import kept_days
from api.access.audit import Actor, add_row, audit_row, record
from api.access.keys import revoke
from api.begun_edits import tell_begun
from api.database.connection import Database
from api.database.tables import SubjectRow
from api.database.tables_owned import IdentityRow, LinkRow
from api.identity import erase_identity
from api.indexing.index import index_subject
from api.key_store import KeyStore
from labsys.storage.erased_recordings import remove_erased
from labsys.storage.erasures import Erasure, begin_erasure
from labsys.storage.lab import Lab

# What an erasure leaves, and why: said by every door that erases.
KEPT: tuple[str, ...] = (
    "measurements, landmarks and results stay under the code: they name nobody, and nobody is recognised in them",
    "typed notes and reasons stay: read them, they may name somebody",
    "the audit stays: it says by code what was done to whose data",
    "backups made before hold the recordings (never the name): delete them when the recordings are removed",
)


@dataclass(frozen=True)
class Erased:
    """What was begun, what stays and why, and where it is told of until the database has it (`take_back`)."""

    erasure: Erasure
    kept: tuple[str, ...]
    told: Path


def erase_subject(
    session: Session, actor: Actor, lab: Lab, subject: SubjectRow, *, keep_days: int = kept_days.ERASED
) -> Erased:
    """Destroy who a subject is, revoke links, and hide the recordings until they are removed after some days.

    Raises:
        InputError: it cannot be written; nothing is destroyed then.
    """
    keys = KeyStore.of(lab)
    kept = (*_key_elsewhere(session, keys, subject), *KEPT)
    erasure = begin_erasure(lab, subject.code, keep_days=keep_days)
    event = audit_row(actor, "subject.erase", f"{subject.code}: recordings are removed after {erasure.remove_after}")
    told = tell_begun(lab, subject.code, event)  # what is destroyed does not come back with the transaction
    erase_identity(session, actor, keys, subject)
    for link in session.scalars(select(LinkRow.id).where(LinkRow.subject_id == subject.id)).all():
        revoke(session, actor, LinkRow, link)
    add_row(session, event)
    return Erased(erasure, kept, told)


def _key_elsewhere(session: Session, keys: KeyStore, subject: SubjectRow) -> tuple[str, ...]:
    """Said where who it is was known, and its key was not here: another store may hold it, that of another user say."""
    if session.get(IdentityRow, subject.id) is None or keys.has_key(subject.id):
        return ()
    return (
        "the key of the name was not in this key store: where another one holds it, the name can be read from backups "
        "until it is erased there too, as the user that runs the service or with LABSYS_KEYS",
    )


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
