"""What a worker does for its lab every hour beside the jobs: what is to go goes, what was cut short is finished, and
reads come into the audit."""

from __future__ import annotations

import logging
from collections.abc import Callable

from api.access.audit import Actor
from api.access.reads import collect_reads
from api.begun_edits import finish_begun
from api.database.connection import Database
from api.emptying_bin import destroy_due_trials
from api.erasure import remove_due_recordings
from api.jobs.unused_uploads import remove_unused_uploads
from labsys.core.errors import LabsysError
from labsys.storage.lab import Lab

_LOG = logging.getLogger("labsys.worker")
_ME = Actor("worker")


def clean_lab(lab: Lab, database: Database) -> None:
    """Do all of it; what cannot be done now is said, and keeps nothing else from being done."""
    _try("edits that were cut short", lambda: finish_begun(lab, database))
    _try("uploads that nobody needs", lambda: remove_unused_uploads(lab, database))
    _try("trials deleted long ago", lambda: destroy_due_trials(lab, database, _ME))
    _try("recordings of erased subjects", lambda: remove_due_recordings(lab, database, _ME))
    _try("reads for the audit", lambda: collect_reads(database))


def _try(what: str, clean: Callable[[], object]) -> None:
    try:
        gone = clean()
        if gone:
            _LOG.info("seen to %s: %s", what, gone)
    except (LabsysError, OSError) as error:
        _LOG.warning("%s cannot be seen to just now: %s", what, error)
    except Exception:  # noqa: BLE001 - the worker, and what else is to go, wait for nothing here
        _LOG.exception("%s cannot be seen to just now", what)
