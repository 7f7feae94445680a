"""Tokens of 256 random bits: shown once, kept as SHA-256, compared in constant time.

Hashing such a token once is enough: there is nothing to guess. `lab_<id>_<secret>` is a key, `link_<id>_<secret>` a
link.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field

_SECRET_BYTES = 32
_FORM = re.compile(r"(lab|link)_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")


@dataclass(frozen=True)
class Token:
    """A token with a public id and a secret that no message shows."""

    kind: str
    id: str
    secret: str = field(repr=False)

    @classmethod
    def make(cls, kind: str) -> Token:
        """A new one."""
        return cls(kind, secrets.token_hex(6), secrets.token_urlsafe(_SECRET_BYTES))

    @classmethod
    def parse(cls, text: str) -> Token | None:
        """From what was sent; None where that is no token."""
        found = _FORM.fullmatch(text)
        return cls(*found.groups()) if found else None

    def show(self) -> str:
        """The whole token, for the one moment in which it is handed over."""
        return f"{self.kind}_{self.id}_{self.secret}"

    def is_kept_as(self, kept: str) -> bool:
        """Whether this is the secret whose digest was kept."""
        return hmac.compare_digest(digest(self.secret), kept)


def new_secret() -> str:
    """256 random bits as text."""
    return secrets.token_urlsafe(_SECRET_BYTES)


def digest(secret: str) -> str:
    """SHA-256, hexadecimal."""
    return hashlib.sha256(secret.encode()).hexdigest()


def csrf_token_of(cookie: str) -> str:
    """What only a page that this service gave to the holder of the cookie can send along."""
    return hmac.new(cookie.encode(), b"labsys csrf", hashlib.sha256).hexdigest()
