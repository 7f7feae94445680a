"""Roles, scopes, and the one who asks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a person may do. Each role may do all that those before it may."""

    VIEWER = "viewer"
    CLINICIAN = "clinician"
    OPERATOR = "operator"
    ADMIN = "admin"

    def reaches(self, least: Role) -> bool:
        """Whether this role may do what that one may."""
        order = list(Role)
        return order.index(self) >= order.index(least)


class Scope(StrEnum):
    """What a program's key is for. People have every scope that their role can use."""

    READ = "read"
    WRITE = "write"
    JOBS = "jobs"
    IDENTITY = "identity"
    ACCOUNTS = "accounts"


class Means(StrEnum):
    """How somebody came in."""

    OPEN = "open"  # a lab without users, from its own machine
    LOGIN = "login"
    KEY = "key"
    LINK = "link"


@dataclass(frozen=True)
class Principal:
    """The one who asks.

    name: as the audit writes it. subjects: codes that may be seen, None for all. user_id: of a person, else "".
    csrf_token: what a browser must send along with every change, "" where no cookie is involved.
    """

    name: str
    role: Role
    means: Means
    scopes: frozenset[Scope]
    subjects: frozenset[str] | None = None
    user_id: str = ""
    csrf_token: str = ""

    @property
    def is_restricted(self) -> bool:
        """Whether there are subjects that this one must learn nothing of."""
        return self.subjects is not None


EVERY_SCOPE = frozenset(Scope)
OPEN_LAB = Principal("somebody at this machine", Role.ADMIN, Means.OPEN, EVERY_SCOPE)
