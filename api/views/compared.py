"""Two visits compared, as terminal, HTTP, page and report give them: by the runs that count now, or as of a release."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from api.counting import NOW, Counting, errors_as_of
from api.queries import compare_sessions
from api.releases import as_of_document, releases_used
from api.views.comparison import comparison_document
from labsys.storage.lab import Lab


def compared_document(
    session: Session, lab: Lab, subject: str, pre: str, post: str, *, counting: Counting = NOW
) -> dict[str, Any]:
    """Two visits as `labsys compare A B --json` prints them, with the releases that they rest on.

    Raises:
        UnknownNameError: no such subject or session. InputError: both are the same visit.
    """
    found = compare_sessions(session, errors_as_of(lab, counting), subject, pre, post, counting=counting)
    return {
        **comparison_document(found),
        "releases": releases_used(session, found),
        "as_of": as_of_document(session, counting),
    }
