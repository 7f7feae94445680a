"""The tables that the database alone owns: who may enter, names, jobs, what was done.

user ─┬─ login (a browser that signed in)        subject_identity (encrypted; the key lies apart)
      └─ subject_grant                            job · idempotency_key · audit_event
api_key · share_link

`labsys index` never touches them. Subjects are named by their UUID, never by a foreign key: their rows are index and
come and go with it, and a new subject that gets the code of an erased one inherits nothing. No secret is here, only
SHA-256 of high-entropy tokens and argon2id of passwords.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from api.database.columns import CODE_LENGTH, UUID_TEXT, Base

_DIGEST = String(64)
_NAME = String(200)


class Owned(Base):
    """Root of the tables that are no index."""

    __abstract__ = True


class UserRow(Owned):
    """A person who may sign in. Disabled, never deleted: the audit names them."""

    __tablename__ = "user"

    id: Mapped[str] = mapped_column(UUID_TEXT, primary_key=True)
    name: Mapped[str] = mapped_column(_NAME, unique=True)
    role: Mapped[str] = mapped_column(String(32))
    password_hash: Mapped[str]
    disabled: Mapped[bool]
    created_at: Mapped[datetime]


class LoginRow(Owned):
    """A browser that signed in as a user, or opened a share link."""

    __tablename__ = "login"

    token_hash: Mapped[str] = mapped_column(_DIGEST, primary_key=True)
    user_id: Mapped[str | None] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), index=True)
    link_id: Mapped[str | None] = mapped_column(ForeignKey("share_link.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class ApiKeyRow(Owned):
    """A program's key. `subjects` is NULL where it is not narrowed to some."""

    __tablename__ = "api_key"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    secret_hash: Mapped[str] = mapped_column(_DIGEST)
    label: Mapped[str] = mapped_column(_NAME)
    role: Mapped[str] = mapped_column(String(32))
    scopes: Mapped[list[str]]
    subjects: Mapped[list[str] | None]
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(_NAME)
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    used_at: Mapped[datetime | None]


class GrantRow(Owned):
    """One subject that a viewer may see."""

    __tablename__ = "subject_grant"

    user_id: Mapped[str] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), primary_key=True)
    subject_id: Mapped[str] = mapped_column(UUID_TEXT, primary_key=True)
    granted_at: Mapped[datetime]
    granted_by: Mapped[str] = mapped_column(_NAME)

    user: Mapped[UserRow] = relationship()


class LinkRow(Owned):
    """A read-only link to one subject, without identity."""

    __tablename__ = "share_link"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    secret_hash: Mapped[str] = mapped_column(_DIGEST)
    subject_id: Mapped[str] = mapped_column(UUID_TEXT)
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(_NAME)
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class IdentityRow(Owned):
    """Name, record number and contact of a subject, encrypted with the key that the key store holds for it."""

    __tablename__ = "subject_identity"

    subject_id: Mapped[str] = mapped_column(UUID_TEXT, primary_key=True)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    updated_at: Mapped[datetime]


class AuditRow(Owned):
    """Something that was done. Rows are added, never changed."""

    __tablename__ = "audit_event"
    __table_args__ = (Index(None, "at", "id"),)

    id: Mapped[str] = mapped_column(UUID_TEXT, primary_key=True)
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(_NAME)
    action: Mapped[str] = mapped_column(String(64))
    object: Mapped[str]
    before_hash: Mapped[str | None] = mapped_column(_DIGEST)
    after_hash: Mapped[str | None] = mapped_column(_DIGEST)
    request_id: Mapped[str | None] = mapped_column(String(36))
    address: Mapped[str | None] = mapped_column(String(64))


class IdempotencyRow(Owned):
    """An answer that is given again when the same request comes again. `status` is NULL while the first is at work."""

    __tablename__ = "idempotency_key"

    caller: Mapped[str] = mapped_column(_NAME, primary_key=True)
    key: Mapped[str] = mapped_column(_NAME, primary_key=True)
    request_hash: Mapped[str] = mapped_column(_DIGEST)
    status: Mapped[int | None]
    headers: Mapped[dict[str, Any]]
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    expires_at: Mapped[datetime]


class JobRow(Owned):
    """A piece of work. `attempts` is its fence: only the worker of the latest attempt may still write."""

    __tablename__ = "job"
    __table_args__ = (Index(None, "state", "priority", "submitted_at"), Index(None, "submitted_at", "id"))

    id: Mapped[str] = mapped_column(UUID_TEXT, primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    state: Mapped[str] = mapped_column(String(16))
    subject_id: Mapped[str | None] = mapped_column(UUID_TEXT)
    target: Mapped[str]
    parameters: Mapped[dict[str, Any]]
    priority: Mapped[int]
    cpu: Mapped[int]
    gpu: Mapped[int]
    attempts: Mapped[int]
    max_attempts: Mapped[int]
    cancel_asked: Mapped[bool]
    worker: Mapped[str | None] = mapped_column(String(CODE_LENGTH))
    lease_until: Mapped[datetime | None]
    stage: Mapped[str] = mapped_column(_NAME)
    progress: Mapped[float]
    submitted_by: Mapped[str] = mapped_column(_NAME)
    submitted_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    error: Mapped[str | None]
    outcome: Mapped[dict[str, Any] | None]
