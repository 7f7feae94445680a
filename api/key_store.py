"""The keys that identity is encrypted with: a folder outside the lab folder and outside its backups.

It holds `lab.key`, and for each subject a key that is wrapped with it. Both are AES-256-GCM; the subject's UUID is
authenticated along, so that nothing sealed can be moved to another subject. Nothing is kept in memory: whoever reads
finds the keys as they are now.

`rotate` gives the lab another `lab.key`. The new one is `next.key` until every subject's key is wrapped with it, then
the old one becomes `old.key`, the new one `lab.key`, and the old one is destroyed. Each step is one file written or
renamed, and all three names are tried for reading, so that nothing is lost wherever a machine stops.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from labsys.core.errors import InputError
from labsys.storage.atomic import is_there, make_folder, replacing, sync_folder
from labsys.storage.lab import Lab
from labsys.storage.locks import hold_lock

_NONCE_BYTES = 12
_LAB, _NEXT, _OLD = "lab.key", "next.key", "old.key"


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
        """The key of a subject, None where there is none (LockedError: it cannot be unwrapped)."""
        with suppress(LockedError, FileNotFoundError):
            key = self._unwrap(subject_id)
            if key is not None or not self.has_key(subject_id):
                return key
        with self._held():  # lab.key may have been exchanged between two of the files that were read
            return self._unwrap(subject_id)

    def has_key(self, subject_id: str) -> bool:
        """Whether a key of a subject lies here, whatever it opens."""
        return is_there(self._path(subject_id))

    def make_key(self, subject_id: str) -> bytes:
        """The key of a subject, made where there is none (LockedError: there are keys here, and not the lab's)."""
        with self._held():
            self._finish()
            known = self._unwrap(subject_id)
            if known is not None:
                return known
            lab_key = self.folder / _LAB
            if not is_there(lab_key):
                if any(self.folder.glob("*.key")):
                    raise self._lost()
                _write_private(lab_key, AESGCM.generate_key(256))
            key = AESGCM.generate_key(256)
            _write_private(self._path(subject_id), seal(lab_key.read_bytes(), key, subject_id))
            return key

    def destroy_key(self, subject_id: str) -> None:
        """Make everything unreadable that was encrypted with a subject's key, here and in every backup."""
        if is_there(self.folder):
            with self._held():
                self._shred_left_over()
                _shred(self._path(subject_id))

    def rotate(self) -> int:
        """Wrap every subject's key with a new key of the lab, and destroy the old one; how many keys that were.

        A rotation that was cut short is finished before, so that afterwards no key is left that was known before.

        Raises:
            LockedError: a key cannot be unwrapped, or there is no key of the lab; nothing is changed then.
            InputError: the folder cannot be written, or its keys belong to another user; nothing is changed then.
        """
        if not is_there(self.folder):
            raise self._lost()
        with self._held():
            self._check_owner()
            subjects = self._subjects()
            for subject_id in subjects:
                self._unwrap(subject_id)
            self._finish()
            if not is_there(self.folder / _LAB):
                raise self._lost()
            _write_private(self.folder / _NEXT, AESGCM.generate_key(256))
            self._finish()
            return len(subjects)

    def _finish(self) -> None:
        """Bring a rotation that was begun to its end; the folder is held."""
        self._shred_left_over()
        lab_key, next_key = self.folder / _LAB, self.folder / _NEXT
        if is_there(next_key):
            for subject_id in self._subjects():
                self._wrap_again(subject_id, next_key.read_bytes())
            if is_there(lab_key):
                lab_key.replace(self.folder / _OLD)
                sync_folder(self.folder)
            next_key.replace(lab_key)
            sync_folder(self.folder)
        _shred(self.folder / _OLD)

    def _wrap_again(self, subject_id: str, lab_key: bytes) -> None:
        key = self._unwrap(subject_id)
        if key is not None:
            _write_private(self._path(subject_id), seal(lab_key, key, subject_id))

    def _unwrap(self, subject_id: str) -> bytes | None:
        path = self._path(subject_id)
        if not is_there(path):
            return None
        sealed, lab_keys = path.read_bytes(), tuple(self._lab_keys())
        for lab_key in lab_keys:
            with suppress(LockedError):
                return open_sealed(lab_key, sealed, subject_id)
        if lab_keys:
            raise LockedError("the key of a subject was changed or belongs to another subject", where=str(path))
        return None

    def _lab_keys(self) -> Iterator[bytes]:
        for name in (_LAB, _NEXT, _OLD):
            with suppress(FileNotFoundError):
                yield (self.folder / name).read_bytes()

    def _subjects(self) -> list[str]:
        names = {path.name for path in self.folder.glob("*.key") if not path.name.startswith(".")}
        return sorted(name.removesuffix(".key") for name in names - {_LAB, _NEXT, _OLD})

    def _shred_left_over(self) -> None:
        """Destroy copies of keys that a process left which was killed while it wrote; the folder is held."""
        for path in self.folder.glob(".*.key"):
            _shred(path)

    def _check_owner(self) -> None:
        """Only who owns the keys may write them anew: files of root's are closed to the user that the service is."""
        for path in self.folder.glob("*.key"):
            if path.stat().st_uid != os.geteuid():
                raise InputError(
                    "the keys belong to another user, whose service could not read those that are written here",
                    where=str(path),
                    remedy="Run this as the user whose service uses the key store",
                )

    def _lost(self) -> LockedError:
        return LockedError(
            "the key store has no lab.key, which every other key is wrapped with",
            where=str(self.folder / _LAB),
            remedy="Bring it back from a copy of the key store; a new one would lock the old keys for good",
        )

    def _held(self) -> AbstractContextManager[None]:
        lock = self.folder.with_name(f".{self.folder.name}.lock")
        make_folder(lock.parent)
        return hold_lock(lock, what="the key store", wait=True)

    def _path(self, subject_id: str) -> Path:
        return self.folder / f"{subject_id}.key"


def seal(key: bytes, content: bytes, subject_id: str) -> bytes:
    """Content encrypted with a key, for one subject."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, content, subject_id.encode())


def open_sealed(key: bytes, sealed: bytes, subject_id: str) -> bytes:
    """What `seal` was given (LockedError: not with this key, or not for this subject)."""
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], subject_id.encode())
    except (InvalidTag, ValueError) as error:
        raise LockedError("an identity or its key was changed or belongs to another subject") from error


def _shred(path: Path) -> None:
    """Remove a file that is there, its blocks overwritten, and on the disk before the name goes.

    Flash may keep old blocks all the same; what is in those of a subject's key is wrapped with lab.key.
    """
    if is_there(path):
        with path.open("r+b") as file:
            file.write(os.urandom(path.stat().st_size))
            file.flush()
            os.fsync(file.fileno())
        path.unlink()
        sync_folder(path.parent)


def _write_private(path: Path, content: bytes) -> None:
    make_folder(path.parent)
    path.parent.chmod(0o700)
    with replacing(path) as temporary:
        temporary.touch(mode=0o600)
        temporary.write_bytes(content)
