"""Keys that a test hands out, as the headers of who asks with them."""

from __future__ import annotations

from api.access.audit import TERMINAL
from api.access.keys import KeyRequest, make_key
from api.access.roles import Role
from api.database.connection import Database


def key_headers(database: Database, role: Role, *subjects: str) -> dict[str, str]:
    """Who holds a new key of this role, narrowed to subjects where some are named."""
    with database.write() as session:
        _, token = make_key(session, TERMINAL, KeyRequest(role, subjects=subjects or None))
    return {"Authorization": f"Bearer {token.show()}"}
