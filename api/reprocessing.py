"""Trials processed anew beside what counts, as jobs: one each, behind everything that somebody waits for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.database.tables import SubjectRow
from api.jobs.kinds import JobKind
from api.jobs.queue import JobRequest, Slots, list_unfinished, submit
from labsys.core.session import TrialName
from pipelines.config import Profile, load_config

# Behind the processing of a take that was kept, which somebody will look at today.
PRIORITY = -20


def reprocess_parameters(profile: Profile, settings: Sequence[str], model: str) -> dict[str, Any]:
    """What a job is told of how to process (InputError, UnknownNameError: settings that nothing can be made of)."""
    sets = [*settings, *([f"pose2d.model={json.dumps(model)}"] if model else [])]
    load_config(profile, sets=sets)
    return {"profile": profile.value, "settings": sets}


def submit_reprocessing(
    session: Session, by: str, names: Sequence[TrialName], parameters: Mapping[str, Any], *, gpu: int = 0
) -> dict[TrialName, str]:
    """A job for every trial, by its name; one that waits or is at work and would do the same is not asked for again."""
    ids = {row.code: row.id for row in session.scalars(select(SubjectRow))}
    kind, wanted = JobKind.REPROCESS.value, dict(parameters)
    waiting = {row.target: row.id for row in list_unfinished(session, kind) if row.parameters == wanted}
    jobs: dict[TrialName, str] = {}
    for name in names:
        asked = JobRequest(kind, str(name), ids.get(name.subject), wanted, Slots(1, gpu), PRIORITY)
        jobs[name] = waiting.get(str(name)) or submit(session, by, asked).id
    return jobs
