"""Browsers that are signed in: sessions kept by the server, named by a cookie.

A login ends after twelve hours, or after two without a request; a link's login ends with the link.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import delete
from sqlalchemy.orm import Session

from api.access.keys import holder_of
from api.access.passwords import is_password
from api.access.roles import EVERY_SCOPE, Means, Principal, Role
from api.access.tokens import csrf_token_of, digest, new_secret
from api.access.users import granted_codes, user_called
from api.database.tables_owned import LinkRow, LoginRow, UserRow

LIFETIME = timedelta(hours=12)
IDLE = timedelta(hours=2)
_NOTED_EVERY = timedelta(minutes=1)


def check_password(session: Session, name: str, password: str) -> UserRow | None:
    """The user with this name and password, or None; no answer is quicker than another."""
    row = user_called(session, name)
    fits = is_password(password, row.password_hash if row is not None else None)
    return row if row is not None and fits and not row.disabled else None


def open_login(session: Session, *, user: UserRow | None = None, link: LinkRow | None = None) -> str:
    """A new login of a user or through a link; returns the cookie. Those that have ended are removed."""
    now = datetime.now(UTC)
    session.execute(delete(LoginRow).where(LoginRow.expires_at < now))
    cookie = new_secret()
    end = now + LIFETIME if link is None else min(now + LIFETIME, link.expires_at)
    session.add(
        LoginRow(
            token_hash=digest(cookie),
            user_id=user.id if user is not None else None,
            link_id=link.id if link is not None else None,
            created_at=now,
            seen_at=now,
            expires_at=end,
        )
    )
    return cookie


def close_login(session: Session, cookie: str) -> None:
    """End a login; the cookie opens nothing from now on."""
    session.execute(delete(LoginRow).where(LoginRow.token_hash == digest(cookie)))


def find_login(session: Session, cookie: str) -> tuple[LoginRow, Principal] | None:
    """A login that still holds, and who it is; else None."""
    row, now = session.get(LoginRow, digest(cookie)), datetime.now(UTC)
    if row is None or row.expires_at <= now or now - row.seen_at > IDLE:
        return None
    principal = _holder(session, row, csrf_token_of(cookie))
    return (row, principal) if principal is not None else None


def is_due_to_be_seen(row: LoginRow) -> bool:
    """Whether its time of last use should be moved on: once a minute is enough."""
    return datetime.now(UTC) - row.seen_at > _NOTED_EVERY


def note_seen(session: Session, token_hash: str) -> None:
    """Write down that a login was used now."""
    row = session.get(LoginRow, token_hash)
    if row is not None:
        row.seen_at = datetime.now(UTC)


def _holder(session: Session, row: LoginRow, csrf_token: str) -> Principal | None:
    if row.link_id is not None:
        link = session.get(LinkRow, row.link_id)
        holder = holder_of(session, link) if link is not None else None
        if holder is None:
            return None
        return Principal(holder.name, holder.role, holder.means, holder.scopes, holder.subjects, "", csrf_token)
    user = session.get(UserRow, row.user_id) if row.user_id is not None else None
    if user is None or user.disabled:
        return None
    role = Role(user.role)
    subjects = granted_codes(session, user.id) if role is Role.VIEWER else None
    return Principal(user.name, role, Means.LOGIN, EVERY_SCOPE, subjects, user.id, csrf_token)
