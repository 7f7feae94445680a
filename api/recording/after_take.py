"""What follows a trial that was kept: its processing is queued, and a first look at it is offered with its time.

Both are jobs of the lab's database, and wait while cameras check or record. Processing comes after everything else.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from statistics import median
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.database.connection import Database, open_database
from api.database.tables_owned import JobRow
from api.jobs.kinds import JobKind
from api.jobs.queue import JobRequest, JobState, ask_to_cancel, find_unfinished, submit
from api.queries import find_trial
from api.schemas.capture import AfterDocument
from labsys.core.session import TrialKind, TrialName
from labsys.storage.lab import Lab
from labsys.storage.models import list_models
from labsys.storage.takes import Take
from labsys.storage.trials import load_trial

_LAST = -10  # of the queue: whatever somebody asked for comes first
_LOOKS = 5  # the latest of them say how long the next one takes


def follow_up(lab: Lab, name: TrialName, *, by: str) -> AfterDocument:
    """Queue the processing of a trial that was kept and is in the index, unless the lab or the trial forbids it; say
    how long a first look at it takes."""
    from pipelines.trial_inputs import calibrated_take

    trial = load_trial(lab, name)
    take, kind = calibrated_take(lab, trial), trial.kind
    impossible = find_obstacle(lab, take)
    why_not = impossible or ("" if lab.process_kept else "the lab's settings say so (process_kept in labsys.toml)")
    database = open_database(lab)
    try:
        job = None if why_not else _queue(database, name, by)
        looks = "only walks and runs are looked at" if kind not in (TrialKind.RUN, TrialKind.WALK) else impossible
        with database.read() as session:
            look_s = None if looks else estimate_look(session, len(take.cameras))
    finally:
        database.close()
    return AfterDocument(trial=str(name), job=job, why_not=why_not, look_s=look_s, look_why_not=looks)


def find_obstacle(lab: Lab, take: Take) -> str:
    """Why a recorded trial cannot be processed as it is; "" where it can."""
    from pipelines.pose2d import needs_model

    if not take.calibration:
        return "it stands in no calibration (say in which one it does: labsys trial edit --calibration)"
    if not needs_model(take):
        return ""
    models = list_models(lab)
    if not models:
        return "the lab has no model that finds landmarks in videos"
    if len(models) > 1:
        return f"the lab has {len(models)} models, and nobody said which: labsys process --model NAME"
    return ""


def _queue(database: Database, name: TrialName, by: str) -> str:
    """The job that processes a trial; one that waits or works already is that job."""
    with database.write() as session:
        waiting = find_unfinished(session, JobKind.PROCESS.value, str(name))
        if waiting is not None:
            return waiting.id
        asked = JobRequest(
            JobKind.PROCESS.value, str(name), find_trial(session, name).session.subject_id, priority=_LAST
        )
        return submit(session, by, asked).id


def forget(lab: Lab, name: TrialName) -> None:
    """Cancel what was queued for a trial that is excluded after all."""
    database = open_database(lab)
    try:
        with database.write() as session:
            for kind in (JobKind.PROCESS, JobKind.QUICK):
                job = find_unfinished(session, kind.value, str(name))
                if job is not None:
                    ask_to_cancel(session, job.id)
    finally:
        database.close()


def estimate_look(session: Session, n_cameras: int) -> float | None:
    """How long a first look at a take of so many cameras takes, s, as the latest ones took; None where none was had."""
    done = (JobRow.kind == JobKind.QUICK.value, JobRow.state == JobState.DONE.value)
    rows = session.scalars(select(JobRow).where(*done).order_by(JobRow.finished_at.desc()).limit(_LOOKS)).all()
    per_camera = [
        _worked_s(row.finished_at - row.started_at, row.outcome) / row.outcome["n_cameras"]
        for row in rows
        if row.finished_at and row.started_at and row.outcome and row.outcome.get("n_cameras")
    ]
    return n_cameras * median(per_camera) if per_camera else None


def _worked_s(lasted: timedelta, outcome: Mapping[str, Any]) -> float:
    """Without the time in which it stood still, as cameras were armed meanwhile."""
    return lasted.total_seconds() - float(outcome.get("stood_still_s", 0.0))
