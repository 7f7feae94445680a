"""Exports: what leaves the service as a file is counted, and written down."""

from __future__ import annotations

import math
from http import HTTPStatus

from fastapi import Request

from api.access.authenticate import actor_of
from api.access.reads import note_read
from api.access.throttle import Throttle
from api.database.connection import Database
from api.errors import RefusedError


def note_export(request: Request, what: str) -> None:
    """Write an export into the audit before the first byte leaves.

    Raises:
        RefusedError: 429, too many exports by the same one in a short time.
    """
    actor = actor_of(request)
    throttle: Throttle = request.app.state.export_throttle
    refuse_hurry(throttle.take(actor.name), "too-many-exports", "too many exports in a short time")
    database: Database = request.app.state.database
    note_read(database, actor, "export", what)


def refuse_hurry(wait_s: float, kind: str, what: str) -> None:
    """RefusedError 429 with the seconds to wait, unless there are none."""
    if wait_s <= 0:
        return
    seconds = math.ceil(wait_s)
    raise RefusedError(HTTPStatus.TOO_MANY_REQUESTS, kind, what, remedy=f"Wait {seconds} s", retry_after_s=seconds)
