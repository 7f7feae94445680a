"""What was done, by whom, to what. Rows are added in the transaction of the change itself, so neither stands alone.

What is only read has no such transaction: api/access/reads.py.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from urllib.parse import unquote_plus

from sqlalchemy.orm import Session

from api.database.tables_owned import AuditRow
from labsys.storage.identity import new_uuid

_LONGEST = 2000
_LONGEST_QUERY = 1800


@dataclass(frozen=True)
class Actor:
    """Who acts and from where; `request_id` finds the request in the log of the service."""

    name: str
    request_id: str | None = None
    address: str | None = None


TERMINAL = Actor("terminal")


def record(
    session: Session,
    actor: Actor,
    action: str,
    what: str,
    *,
    before: bytes | None = None,
    after: bytes | None = None,
) -> None:
    """Add one event; of contents only their SHA-256 is kept."""
    add_row(session, audit_row(actor, action, what), before=before, after=after)


def add_row(session: Session, row: AuditRow, *, before: bytes | None = None, after: bytes | None = None) -> None:
    """As `record`, of an event that was begun before."""
    row.before_hash, row.after_hash = _hash(before), _hash(after)
    session.add(row)


def audit_row(actor: Actor, action: str, what: str) -> AuditRow:
    """One event, of now, in no session yet."""
    return AuditRow(
        id=new_uuid(),
        at=datetime.now(UTC),
        actor=actor.name[:200],
        action=action,
        object=what[:_LONGEST],
        request_id=actor.request_id,
        # A proxy on this machine says whatever it was told.
        address=actor.address and actor.address[:64],
    )


def tell_query(query: str) -> str:
    """The query of a request as the audit keeps it: whole; one that is too long is cut, what was said shortly first.
    Nobody pushes the subject out by repeating something else before it."""
    if len(query) <= _LONGEST_QUERY:
        return query
    by_name: dict[str, list[str]] = {}
    for part in query.split("&"):
        by_name.setdefault(unquote_plus(part.partition("=")[0]), []).append(part)
    shortest_first = sorted(by_name.values(), key=lambda parts: sum(map(len, parts)))
    return "&".join(chain.from_iterable(shortest_first))[: _LONGEST_QUERY - 1] + "…"


def _hash(content: bytes | None) -> str | None:
    return None if content is None else hashlib.sha256(content).hexdigest()
