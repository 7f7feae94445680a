"""People who may sign in, and the subjects that viewers may see."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime

from sqlalchemy import delete, exists, or_, select
from sqlalchemy.orm import Session

from api.access.audit import Actor, record
from api.access.passwords import hash_password
from api.access.roles import Role
from api.database.tables import SubjectRow
from api.database.tables_owned import ApiKeyRow, GrantRow, LoginRow, UserRow
from labsys.core.errors import ConcurrencyError, InputError, UnknownNameError
from labsys.storage.identity import new_uuid

_KNOWN = (exists(select(kind.__table__.c.id)) for kind in (UserRow, ApiKeyRow))
_SELECT_KNOWN = select(or_(*_KNOWN))


def is_open(session: Session) -> bool:
    """Whether nobody ever got a user or a key here; such a lab is open to its own machine."""
    return not session.scalar(_SELECT_KNOWN)


def add_user(session: Session, actor: Actor, name: str, role: Role, password: str) -> UserRow:
    """Add a person (InputError: the name is taken or no name, or the password is not acceptable)."""
    name = name.strip()
    if not 1 <= len(name) <= 100 or not name.isprintable() or "/" in name or name in (".", ".."):
        raise InputError("a user's name has 1 to 100 printable characters, and stands in addresses: no '/', not '..'")
    if user_called(session, name) is not None:
        raise InputError(f"user '{name}' exists already", remedy="Choose another name")
    row = UserRow(
        id=new_uuid(),
        name=name,
        role=role.value,
        password_hash=hash_password(password, name=name),
        disabled=False,
        created_at=datetime.now(UTC),
    )
    session.add(row)
    record(session, actor, "user.add", f"{name} as {role}")
    return row


def set_up(session: Session, actor: Actor, name: str, password: str) -> UserRow:
    """The first admin of a lab (ConcurrencyError where somebody has been set up before)."""
    if not is_open(session):
        raise ConcurrencyError("this lab is set up already", remedy="Sign in, or ask an admin for an account")
    return add_user(session, actor, name, Role.ADMIN, password)


def fold_name(name: str) -> str:
    """The same text for every way to write a name: capital or small, an accent as one character or two."""
    return unicodedata.normalize("NFKC", name).casefold().strip()


def user_called(session: Session, name: str) -> UserRow | None:
    """The user of a name, however it is written. SQLite folds ASCII alone, so the database is not asked to.

    Older versions let in two names that fold to one: whoever's it is to the letter goes before.
    """
    folded = fold_name(name)
    same = [row for row in session.scalars(select(UserRow)) if fold_name(row.name) == folded]
    return next((row for row in same if row.name == name.strip()), same[0] if same else None)


def find_user(session: Session, name: str) -> UserRow:
    """A user by name (UnknownNameError names the nearest)."""
    row = user_called(session, name)
    if row is None:
        raise UnknownNameError("user", name, valid=list(session.scalars(select(UserRow.name))))
    return row


def change_user(
    session: Session,
    actor: Actor,
    name: str,
    *,
    role: Role | None = None,
    disabled: bool | None = None,
    password: str | None = None,
) -> UserRow:
    """Change what is named. Another password or being disabled ends every login; the last admin stays one.

    Raises:
        UnknownNameError: no such user. InputError: it is the last admin, or the password is not acceptable.
    """
    row = find_user(session, name)
    if row.role == Role.ADMIN and (disabled or role not in (None, Role.ADMIN)):
        _keep_an_admin(session, row)
    said: list[str] = []
    if role is not None:
        row.role, said = role.value, [*said, f"role {role}"]
    if disabled is not None:
        row.disabled, said = disabled, [*said, "disabled" if disabled else "enabled"]
    if password is not None:
        row.password_hash, said = hash_password(password, name=row.name), [*said, "password"]
    if disabled or password is not None:
        session.execute(delete(LoginRow).where(LoginRow.user_id == row.id))
    record(session, actor, "user.change", f"{row.name}: {', '.join(said) or 'nothing'}")
    return row


def _keep_an_admin(session: Session, row: UserRow) -> None:
    others = select(UserRow).where(UserRow.role == Role.ADMIN.value, UserRow.disabled.is_(False), UserRow.id != row.id)
    if session.scalars(others).first() is None:
        raise InputError(f"'{row.name}' is the only admin", remedy="Make another admin first")


def grant(session: Session, actor: Actor, name: str, subject: SubjectRow) -> None:
    """Let a user see a subject; again changes nothing (UnknownNameError: no such user)."""
    user = find_user(session, name)
    if session.get(GrantRow, (user.id, subject.id)) is None:
        session.add(
            GrantRow(user_id=user.id, subject_id=subject.id, granted_at=datetime.now(UTC), granted_by=actor.name)
        )
        record(session, actor, "grant.add", f"{subject.code} to {user.name}")


def withdraw(session: Session, actor: Actor, name: str, subject: SubjectRow) -> None:
    """Take a grant back; where there is none nothing changes (UnknownNameError: no such user)."""
    user = find_user(session, name)
    row = session.get(GrantRow, (user.id, subject.id))
    if row is not None:
        session.delete(row)
        record(session, actor, "grant.withdraw", f"{subject.code} from {user.name}")


def granted_codes(session: Session, user_id: str) -> frozenset[str]:
    """Codes of the subjects that a user was granted and that are still there."""
    statement = select(SubjectRow.code).join(GrantRow, GrantRow.subject_id == SubjectRow.id)
    return frozenset(session.scalars(statement.where(GrantRow.user_id == user_id)))
