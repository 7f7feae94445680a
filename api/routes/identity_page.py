"""The page of who a subject is, for those who may know; admins erase there. Opening it is written down as a reading."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from fastapi import Request
from fastapi.responses import HTMLResponse

from api import kept_days
from api.access.authenticate import actor_of, principal_of
from api.access.rules import rule_named
from api.dependencies import DatabaseDep, LabDep, SubjectCode
from api.erasure import KEPT
from api.identity import Identity, read_identity
from api.key_store import KeyStore, LockedError
from api.pages.templates import render
from api.routing import Router
from labsys.storage.erasures import find_erasure
from labsys.storage.trial_bin import moved_to_others

router = Router(include_in_schema=False, default_response_class=HTMLResponse)

# Days that an admin chooses from, the usual one first.
_CHOICES = (kept_days.ERASED, 0, 7, 90)


@router.get("/subjects/{subject}/identity")
def show_identity(request: Request, database: DatabaseDep, lab: LabDep, subject: SubjectCode) -> HTMLResponse:
    """Name, record number and contact, to be read and changed; and what erasing the subject would do."""
    try:
        identity, locked = read_identity(database, actor_of(request), KeyStore.of(lab), subject), None
    except LockedError as error:
        identity, locked = None, error
    return render(
        request,
        "identity.html",
        subject=subject,
        identity=identity or Identity(),
        known=identity is not None,
        locked=locked,
        erasure=find_erasure(lab, subject),
        may_erase=rule_named("identity-delete_identity").lets_in(principal_of(request)),
        days=[(days, _day_after(days)) for days in _CHOICES],
        kept=KEPT,
        moved_away=[str(name) for name in moved_to_others(lab, subject)],
    )


def _day_after(days: int) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).date().isoformat()
