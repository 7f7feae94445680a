"""Who a subject is: encrypted in the database, with a key per subject that lies apart.

The key store is a folder outside the lab folder and outside its backups: `lab.key`, and for each subject a key that is
wrapped with it. Both are AES-256-GCM; the subject's UUID is authenticated along, so that no row can be moved to another
subject. Destroying a subject's key is the erasure: no copy of the database, however old, can be read again.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy.orm import Session

from api.access.audit import Actor, record
from api.access.reads import note_read
from api.database.connection import Database
from api.database.tables import SubjectRow
from api.database.tables_owned import IdentityRow
from api.queries import find_subject
from labsys.core.errors import InputError
from labsys.storage.atomic import is_there, make_folder, replacing, sync_folder
from labsys.storage.lab import Lab

_NONCE_BYTES = 12


@dataclass(frozen=True)
class Identity:
    """Name, record number and contact of a person."""

    name: str = ""
    record_number: str = ""
    contact: str = ""


class LockedError(InputError):
    """The identity is there, and its key is not."""


@dataclass(frozen=True)
class KeyStore:
    """The folder of keys of one lab."""

    folder: Path

    @classmethod
    def of(cls, lab: Lab) -> KeyStore:
        """LABSYS_KEYS, or `labsys/keys` below the user's data folder; a folder per lab.

        Raises:
            InputError: it would lie inside the lab folder, where every backup takes it along.
        """
        data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
        base = os.environ.get("LABSYS_KEYS") or Path(data) / "labsys" / "keys"
        folder = (Path(base).expanduser() / lab.uuid).resolve()
        if folder.is_relative_to(lab.root):
            raise InputError(
                "the key store lies inside the lab folder, and backups would take it along",
                where=str(folder),
                remedy="Set LABSYS_KEYS to a folder elsewhere",
            )
        return cls(folder)

    def key_of(self, subject_id: str) -> bytes | None:
        """The key of a subject, None where there is none (InputError: it cannot be unwrapped)."""
        path = self._path(subject_id)
        if not is_there(path) or not is_there(self._lab_path):
            return None
        return _open(self._lab_path.read_bytes(), path.read_bytes(), subject_id)

    def has_key(self, subject_id: str) -> bool:
        """Whether a key of a subject lies here, whatever it opens."""
        return is_there(self._path(subject_id))

    def make_key(self, subject_id: str) -> bytes:
        """The key of a subject, made where there is none (LockedError: there are keys here, and not the lab's)."""
        known = self.key_of(subject_id)
        if known is not None:
            return known
        if not is_there(self._lab_path):
            if any(self.folder.glob("*.key")):
                raise LockedError(
                    "the key store has lost lab.key, which every other key is wrapped with",
                    where=str(self._lab_path),
                    remedy="Bring it back from a copy of the key store; a new one would lock the old keys for good",
                )
            _write_private(self._lab_path, AESGCM.generate_key(256))
        key = AESGCM.generate_key(256)
        _write_private(self._path(subject_id), _seal(self._lab_path.read_bytes(), key, subject_id))
        return key

    def destroy_key(self, subject_id: str) -> None:
        """Make everything unreadable that was encrypted with a subject's key, here and in every backup."""
        path = self._path(subject_id)
        if is_there(path):
            # In its own blocks, and on the disk before the name goes. Flash may keep old blocks all the same; what is
            # in them is wrapped with lab.key.
            with path.open("r+b") as file:
                file.write(os.urandom(path.stat().st_size))
                file.flush()
                os.fsync(file.fileno())
            path.unlink()
            sync_folder(self.folder)

    @property
    def _lab_path(self) -> Path:
        return self.folder / "lab.key"

    def _path(self, subject_id: str) -> Path:
        return self.folder / f"{subject_id}.key"


def save_identity(session: Session, actor: Actor, keys: KeyStore, subject: SubjectRow, identity: Identity) -> None:
    """Encrypt and keep who a subject is, in the place of what was known.

    Raises:
        LockedError: what was known cannot be read here; its key may come back, so it is not overwritten.
    """
    known = session.get(IdentityRow, subject.id)
    if known is not None:
        _unlock(keys, subject, known)
    text = json.dumps(asdict(identity), ensure_ascii=False).encode()
    sealed = _seal(keys.make_key(subject.id), text, subject.id)
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


def _unlock(keys: KeyStore, subject: SubjectRow, row: IdentityRow) -> Identity:
    key = keys.key_of(subject.id)
    if key is None:
        raise LockedError(
            f"the identity of {subject.code} is locked: its key is not here",
            remedy="Give labsys the key store of this lab (LABSYS_KEYS); after an erasure there is none, "
            "and erasing it here once more, with recordings=kept, makes room for a new one",
        )
    return Identity(**json.loads(_open(key, row.sealed, subject.id)))


def _seal(key: bytes, content: bytes, subject_id: str) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, content, subject_id.encode())


def _open(key: bytes, sealed: bytes, subject_id: str) -> bytes:
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], subject_id.encode())
    except (InvalidTag, ValueError) as error:
        raise LockedError("an identity or its key was changed or belongs to another subject") from error


def _write_private(path: Path, content: bytes) -> None:
    make_folder(path.parent)
    path.parent.chmod(0o700)
    with replacing(path) as temporary:
        temporary.touch(mode=0o600)
        temporary.write_bytes(content)
