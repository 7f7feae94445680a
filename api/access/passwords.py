"""Passwords: argon2id through argon2-cffi, with RFC 9106's parameters for machines with little memory."""

from __future__ import annotations

from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from labsys.core.errors import InputError

SHORTEST = 12
LONGEST = 1024


def hash_password(password: str, *, name: str) -> str:
    """An argon2id hash, salted (InputError where the password is too short, too long, or the name itself)."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise InputError(
            f"a password has {SHORTEST} to {LONGEST} characters", remedy="Take four words that go together"
        )
    if password.casefold().strip() == name.casefold().strip():
        raise InputError("the password is the name", remedy="Choose another")
    return _hasher().hash(password)


def is_password(password: str, password_hash: str | None) -> bool:
    """Whether it is the one that was hashed. Without a hash the answer is no, and takes as long."""
    try:
        _hasher().verify(password_hash or _nobody(), password[: LONGEST + 1])
    except (Argon2Error, InvalidHashError):
        return False
    return password_hash is not None


@cache
def _hasher() -> PasswordHasher:
    return PasswordHasher()


@cache
def _nobody() -> str:
    return _hasher().hash("a password that nobody has")
