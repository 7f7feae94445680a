"""Keys of programs, and read-only links to one subject: made, found, revoked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.access.audit import Actor, record
from api.access.roles import Means, Principal, Role, Scope
from api.access.tokens import Token, digest
from api.database.tables import SubjectRow
from api.database.tables_owned import ApiKeyRow, LinkRow
from labsys.core.errors import InputError, UnknownNameError

LONGEST_LINK = timedelta(days=366)
# With its id it is the name of the one who asks, and stands in columns of 200 characters.
LONGEST_LABEL = 100
_NOTED_EVERY = timedelta(minutes=1)

Handed = TypeVar("Handed", ApiKeyRow, LinkRow)
_WORDS: dict[type[Any], str] = {ApiKeyRow: "key", LinkRow: "link"}


@dataclass(frozen=True)
class KeyRequest:
    """What a new key is to be: scopes empty means all that the role can use; subjects None means not narrowed.

    A key that is narrowed to subjects, and every viewer's key, only reads.
    """

    role: Role
    label: str = ""
    scopes: tuple[Scope, ...] = ()
    subjects: tuple[str, ...] | None = None
    expires_at: datetime | None = None

    @property
    def narrowed(self) -> bool:
        """Whether it sees some subjects only."""
        return self.subjects is not None or self.role is Role.VIEWER


def make_key(session: Session, actor: Actor, asked: KeyRequest) -> tuple[ApiKeyRow, Token]:
    """Make a key; the token is shown this once.

    Raises:
        InputError: the expiry is past, the label too long, or scopes that a narrowed key cannot have.
        UnknownNameError: no such subject.
    """
    now = datetime.now(UTC)
    if len(asked.label) > LONGEST_LABEL:
        raise InputError(f"the label has {len(asked.label)} characters", remedy=f"{LONGEST_LABEL} may be")
    _check_expiry(asked.expires_at, now)
    scopes = asked.scopes or ((Scope.READ,) if asked.narrowed else tuple(Scope))
    if asked.narrowed and set(scopes) != {Scope.READ}:
        raise InputError("a key that sees some subjects only can only read", remedy="Give it the scope 'read'")
    token = Token.make("lab")
    row = ApiKeyRow(
        id=token.id,
        secret_hash=digest(token.secret),
        label=asked.label,
        role=asked.role.value,
        scopes=[s.value for s in scopes],
        subjects=_subject_ids(session, asked.subjects or ()) if asked.narrowed else None,
        created_at=now,
        created_by=actor.name,
        expires_at=asked.expires_at,
        revoked_at=None,
        used_at=None,
    )
    session.add(row)
    record(session, actor, "key.create", f"{token.id} as {asked.role}")
    return row, token


def revoke(session: Session, actor: Actor, kind: type[Handed], token_id: str) -> Handed:
    """Make a key or a link useless from now on; again changes nothing (UnknownNameError)."""
    row, word = session.get(kind, token_id), _WORDS[kind]
    if row is None:
        raise UnknownNameError(word, token_id, valid=list(session.scalars(select(kind.id))))
    if row.revoked_at is None:
        row.revoked_at = datetime.now(UTC)
        record(session, actor, f"{word}.revoke", token_id)
    return row


def find_handed(session: Session, kind: type[Handed], token: Token) -> Handed | None:
    """The key or link of a token, or None where it opens nothing (unknown, wrong, revoked, expired)."""
    row = session.get(kind, token.id)
    known = token.is_kept_as(row.secret_hash if row is not None else digest(""))
    return row if row is not None and known and _is_valid(row.revoked_at, row.expires_at) else None


def find_key(session: Session, token: Token) -> Principal | None:
    """Who comes with this key, or None where it opens nothing."""
    row = find_handed(session, ApiKeyRow, token)
    if row is None:
        return None
    subjects = None if row.subjects is None else codes_of(session, row.subjects)
    scopes = frozenset(Scope(s) for s in row.scopes)
    name = f"key {row.id} {row.label[:LONGEST_LABEL]}".strip()
    return Principal(name, Role(row.role), Means.KEY, scopes, subjects)


def is_due_to_be_noted(session: Session, token: Token) -> bool:
    """Whether the use of a key should be written down: once a minute is enough."""
    row = session.get(ApiKeyRow, token.id)
    return row is not None and (row.used_at is None or datetime.now(UTC) - row.used_at > _NOTED_EVERY)


def note_use(session: Session, token: Token) -> None:
    """Write down that a key was used now."""
    row = session.get(ApiKeyRow, token.id)
    if row is not None:
        row.used_at = datetime.now(UTC)


def make_link(session: Session, actor: Actor, subject: SubjectRow, expires_at: datetime) -> tuple[LinkRow, Token]:
    """A read-only link to one subject, without identity (InputError: it expires in the past, or after a year)."""
    now = datetime.now(UTC)
    _check_expiry(expires_at, now)
    if expires_at - now > LONGEST_LINK:
        raise InputError("a link lasts a year at most", remedy="Give it an earlier end, and make another one then")
    token = Token.make("link")
    row = LinkRow(
        id=token.id,
        secret_hash=digest(token.secret),
        subject_id=subject.id,
        created_at=now,
        created_by=actor.name,
        expires_at=expires_at,
        revoked_at=None,
    )
    session.add(row)
    record(session, actor, "link.create", f"{token.id} to {subject.code}")
    return row, token


def holder_of(session: Session, link: LinkRow) -> Principal | None:
    """Who comes with this link, or None where it was revoked or has expired."""
    if not _is_valid(link.revoked_at, link.expires_at):
        return None
    codes = codes_of(session, [link.subject_id])
    return Principal(f"link {link.id}", Role.VIEWER, Means.LINK, frozenset({Scope.READ}), codes)


def codes_of(session: Session, subject_ids: Iterable[str]) -> frozenset[str]:
    """Codes of those subjects that are still there."""
    return frozenset(session.scalars(select(SubjectRow.code).where(SubjectRow.id.in_(list(subject_ids)))))


def _subject_ids(session: Session, codes: Sequence[str]) -> list[str]:
    rows = {row.code: row.id for row in session.scalars(select(SubjectRow))}
    for code in codes:
        if code not in rows:
            raise UnknownNameError("subject", code, valid=list(rows))
    return [rows[code] for code in codes]


def _check_expiry(expires_at: datetime | None, now: datetime) -> None:
    if expires_at is not None and expires_at <= now:
        raise InputError("it would expire in the past", remedy="Give a later time")


def _is_valid(revoked_at: datetime | None, expires_at: datetime | None) -> bool:
    return revoked_at is None and (expires_at is None or expires_at > datetime.now(UTC))
