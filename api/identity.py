"""Who a subject is: encrypted in the database, with a key per subject that lies apart (api/key_store.py).

Destroying a subject's key is the erasure: no copy of the database, however old, can be read again.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from api.access.audit import Actor, record
from api.access.reads import note_read
from api.database.connection import Database
from api.database.tables import SubjectRow
from api.database.tables_owned import IdentityRow
from api.key_store import KeyStore, LockedError, open_sealed, seal
from api.queries import find_subject


@dataclass(frozen=True)
class Identity:
    """Name, record number and contact of a person."""

    name: str = ""
    record_number: str = ""
    contact: str = ""


def save_identity(session: Session, actor: Actor, keys: KeyStore, subject: SubjectRow, identity: Identity) -> None:
    """Encrypt and keep who a subject is, in the place of what was known.

    Raises:
        LockedError: what was known cannot be read here; its key may come back, so it is not overwritten.
    """
    known = session.get(IdentityRow, subject.id)
    if known is not None:
        _unlock(keys, subject, known)
    text = json.dumps(asdict(identity), ensure_ascii=False).encode()
    sealed = seal(keys.make_key(subject.id), text, subject.id)
    session.merge(IdentityRow(subject_id=subject.id, sealed=sealed, updated_at=datetime.now(UTC)))
    record(session, actor, "identity.write", subject.code)


def read_identity(database: Database, actor: Actor, keys: KeyStore, code: str) -> Identity | None:
    """Who a subject is, None where that was never said; the reading is written down first.

    Raises:
        UnknownNameError: no such subject.
        LockedError: the key is not in this machine's key store, or was destroyed.
    """
    with database.read() as session:
        subject = find_subject(session, code)
        note_read(database, actor, "identity.read", code)
        row = session.get(IdentityRow, subject.id)
        return None if row is None else _unlock(keys, subject, row)


def erase_identity(session: Session, actor: Actor, keys: KeyStore, subject: SubjectRow) -> None:
    """Destroy a subject's key, then the row. Copies of the row stay in backups and can never be read."""
    keys.destroy_key(subject.id)
    row = session.get(IdentityRow, subject.id)
    if row is not None:
        session.delete(row)
    record(session, actor, "identity.erase", subject.code)


def rotate_keys(database: Database, actor: Actor, keys: KeyStore) -> int:
    """Give the lab a new key, written down before and after; how many keys of subjects are wrapped with it.

    Raises:
        LockedError: as `KeyStore.rotate`.
    """
    with database.write() as session:
        record(session, actor, "key.rotate", "begun")
    wrapped = keys.rotate()
    with database.write() as session:
        record(session, actor, "key.rotate", f"done: {wrapped} keys of subjects")
    return wrapped


def _unlock(keys: KeyStore, subject: SubjectRow, row: IdentityRow) -> Identity:
    key = keys.key_of(subject.id)
    if key is None:
        raise LockedError(
            f"the identity of {subject.code} is locked: its key is not here",
            remedy="Give labsys the key store of this lab (LABSYS_KEYS); after an erasure there is none, "
            "and erasing it here once more, with recordings=kept, makes room for a new one",
        )
    return Identity(**json.loads(open_sealed(key, row.sealed, subject.id)))
