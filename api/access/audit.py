"""What was done, by whom, to what. Rows are added in the transaction of the change itself, so neither stands alone."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from api.database.tables_owned import AuditRow
from labsys.storage.identity import new_uuid


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
    session.add(
        AuditRow(
            id=new_uuid(),
            at=datetime.now(UTC),
            actor=actor.name[:200],
            action=action,
            object=what[:2000],
            before_hash=_hash(before),
            after_hash=_hash(after),
            request_id=actor.request_id,
            # A proxy on this machine says whatever it was told.
            address=actor.address and actor.address[:64],
        )
    )


def _hash(content: bytes | None) -> str | None:
    return None if content is None else hashlib.sha256(content).hexdigest()
