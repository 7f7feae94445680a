"""The rows of jobs: submitted, claimed under a lease, kept alive by heartbeats, finished once.

queued ──claim──> running ──finish──> done | failed
   ^                │  └──cancel────> cancelled
   └── lease over ──┘

Every write of a worker names the attempt it works on. A worker that was given up writes nothing any more: another
attempt has begun, and its writes meet no row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import CursorResult, and_, case, func, or_, select, update
from sqlalchemy.orm import Session

from api.database.tables_owned import JobRow as J
from labsys.core.errors import UnknownNameError
from labsys.storage.identity import new_uuid

LEASE = timedelta(seconds=60)
MAX_ATTEMPTS = 3
_PATIENCE = timedelta(seconds=20)


class JobState(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether it will not change any more."""
        return self not in (JobState.QUEUED, JobState.RUNNING)


_OPEN_STATES = (JobState.QUEUED.value, JobState.RUNNING.value)


class Standing(StrEnum):
    """What a heartbeat finds."""

    MINE = "mine"
    CANCEL = "cancel"
    LOST = "lost"


@dataclass(frozen=True)
class Slots:
    """What a job needs and what a worker has."""

    cpu: int = 1
    gpu: int = 0

    def minus(self, other: Slots) -> Slots:
        """What is left."""
        return Slots(self.cpu - other.cpu, self.gpu - other.gpu)


ONE_JOB = Slots()


@dataclass(frozen=True)
class JobRequest:
    """A job to be. `target` names what it works on: subject/session/trial."""

    kind: str
    target: str
    subject_id: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    slots: Slots = ONE_JOB
    priority: int = 0


@dataclass(frozen=True)
class Claim:
    """A job that a worker holds."""

    id: str
    attempt: int
    kind: str
    target: str
    parameters: Mapping[str, Any]
    slots: Slots
    priority: int = 0


def submit(session: Session, by: str, asked: JobRequest) -> J:
    """Add a job at the end of the queue of its priority."""
    row = J(
        id=new_uuid(),
        kind=asked.kind,
        state=JobState.QUEUED.value,
        subject_id=asked.subject_id,
        target=asked.target,
        parameters=dict(asked.parameters),
        priority=asked.priority,
        cpu=asked.slots.cpu,
        gpu=asked.slots.gpu,
        attempts=0,
        max_attempts=MAX_ATTEMPTS,
        cancel_asked=False,
        stage="",
        progress=0.0,
        submitted_by=by,
        submitted_at=_now(session),
    )
    session.add(row)
    session.flush()
    return row


def claim(session: Session, worker: str, free: Slots, *, lease: timedelta = LEASE) -> Claim | None:
    """Take the first job that fits into the free slots, or None. A job whose lease is over is taken again."""
    now = _now(session)
    _give_up_on_lost(session, now)
    waiting = and_(J.state == JobState.QUEUED.value, or_(J.lease_until.is_(None), J.lease_until < now))
    lost = and_(J.state == JobState.RUNNING.value, J.lease_until < now)
    fits = and_(J.cpu <= free.cpu, J.gpu <= free.gpu)
    chosen = select(J).where(or_(waiting, lost), fits).order_by(J.priority.desc(), J.submitted_at, J.id).limit(1)
    row = session.scalars(chosen.with_for_update(skip_locked=True)).first()
    if row is None:
        return None
    row.state, row.worker, row.lease_until = JobState.RUNNING.value, worker, now + lease
    row.attempts += 1
    row.started_at = row.started_at or now
    session.flush()
    return Claim(row.id, row.attempts, row.kind, row.target, row.parameters, Slots(row.cpu, row.gpu), row.priority)


def is_unfinished(session: Session) -> bool:
    """Whether any job waits or is at work somewhere."""
    return session.scalars(select(J.id).where(J.state.in_(_OPEN_STATES)).limit(1)).first() is not None


def find_unfinished(session: Session, kind: str, target: str) -> J | None:
    """A job of this kind for this target that waits or is at work."""
    wanted = (J.kind == kind, J.target == target, J.state.in_(_OPEN_STATES))
    return session.scalars(select(J).where(*wanted).limit(1)).first()


def is_waiting(session: Session, slots: Slots) -> bool:
    """Whether a job is queued that would fit into these slots, now or after a pause."""
    fits = and_(J.state == JobState.QUEUED.value, J.cpu <= slots.cpu, J.gpu <= slots.gpu)
    return session.scalars(select(J.id).where(fits).limit(1)).first() is not None


def follow_move(session: Session, old: str, new: str, subject_id: str) -> None:
    """Jobs that wait for a trial wait for it under its new name."""
    waiting = update(J).where(J.target == old, J.state == JobState.QUEUED.value)
    session.execute(waiting.values(target=new, subject_id=subject_id))


def list_unfinished(session: Session, kind: str) -> list[J]:
    """Jobs of this kind that wait or are at work."""
    return list(session.scalars(select(J).where(J.kind == kind, J.state.in_(_OPEN_STATES))))


def beat(session: Session, held: Claim, *, stage: str, progress: float, lease: timedelta = LEASE) -> Standing:
    """Keep a job alive and say how far it is; progress never goes back, whatever is said."""
    forward = case((J.progress > progress, J.progress), else_=progress)
    changed = _changed(session, held, lease_until=_now(session) + lease, stage=stage[:200], progress=forward)
    if not changed:
        return Standing.LOST
    asked = session.scalar(select(J.cancel_asked).where(J.id == held.id))
    return Standing.CANCEL if asked else Standing.MINE


def lease_left_s(session: Session, job_id: str, attempt: int) -> float | None:
    """Seconds that this attempt may still work, if nobody renews its lease; None where it has been given up."""
    mine = (J.id == job_id, J.attempts == attempt, J.state == JobState.RUNNING.value, J.cancel_asked.is_(False))
    until = session.scalar(select(J.lease_until).where(*mine))
    return None if until is None else (until - _now(session)).total_seconds()


def finish(session: Session, held: Claim, outcome: Mapping[str, Any]) -> bool:
    """Done, with what came of it; False where the job is another's by now."""
    return _end(session, held, JobState.DONE, outcome=dict(outcome), progress=1.0)


def fail(session: Session, held: Claim, error: str) -> bool:
    """Failed for good: doing it again would come to the same."""
    return _end(session, held, JobState.FAILED, error=error)


def give_back(session: Session, held: Claim, error: str, *, at_once: bool = False, pause: bool = False) -> bool:
    """Something broke that may not break again: queued once more after a while, failed after the last attempt.

    at_once: nothing broke, and the try does not count; with `pause`, what was at work may need a while to end.
    A job that was to be cancelled is cancelled. The row is locked first: nobody can ask for that in between.
    """
    locked = select(J).where(J.id == held.id).with_for_update()
    row = session.scalars(locked, execution_options={"populate_existing": True}).first()
    if row is None:
        return False
    if row.cancel_asked:
        return end_cancelled(session, held)
    if row.attempts >= row.max_attempts and not at_once:
        return fail(session, held, f"{error} (tried {row.attempts} times)")
    until = None if at_once and not pause else _now(session) + _PATIENCE
    # A worker that stops in good order costs no attempt; `attempts` is the fence, and only grows.
    allowed = J.max_attempts + 1 if at_once else J.max_attempts
    return _changed(session, held, state=JobState.QUEUED.value, worker=None, lease_until=until, max_attempts=allowed)


def end_cancelled(session: Session, held: Claim) -> bool:
    """The work of a job that was to be cancelled has stopped."""
    return _end(session, held, JobState.CANCELLED)


def ask_to_cancel(session: Session, job_id: str) -> J:
    """Cancel a job that waits at once, one that runs at its next heartbeat; a final one stays as it is.

    Raises:
        UnknownNameError: no such job.
    """
    row = find_job(session, job_id, lock=True)
    if row.state == JobState.QUEUED.value:
        row.state, row.finished_at = JobState.CANCELLED.value, _now(session)
    row.cancel_asked = row.cancel_asked or not JobState(row.state).is_final
    session.flush()
    return row


def find_job(session: Session, job_id: str, *, lock: bool = False) -> J:
    """A job by id (UnknownNameError)."""
    statement = select(J).where(J.id == job_id)
    row = session.scalars(statement.with_for_update() if lock else statement).first()
    if row is None:
        raise UnknownNameError("job", job_id, valid=())
    return row


def time_left_s(row: J, now: datetime) -> float | None:
    """Seconds until the end, if the rest goes as what is done went; None where that cannot be said yet."""
    if row.state != JobState.RUNNING.value or row.started_at is None or row.progress < 0.05:
        return None
    elapsed_s = (now - row.started_at).total_seconds()
    return max(0.0, elapsed_s * (1.0 - row.progress) / row.progress)


def _give_up_on_lost(session: Session, now: datetime) -> None:
    lost = and_(J.state == JobState.RUNNING.value, J.lease_until < now)
    cancelled = update(J).where(lost, J.cancel_asked.is_(True))
    session.execute(cancelled.values(state=JobState.CANCELLED.value, finished_at=now, worker=None))
    exhausted = update(J).where(lost, J.attempts >= J.max_attempts)
    error = "its worker died, or could not be reached, at every attempt"
    session.execute(exhausted.values(state=JobState.FAILED.value, finished_at=now, worker=None, error=error))


def _end(session: Session, held: Claim, state: JobState, **values: Any) -> bool:
    ended = {"state": state.value, "finished_at": _now(session), "lease_until": None}
    return _changed(session, held, **ended, **values)


def _changed(session: Session, held: Claim, **values: Any) -> bool:
    """Whether the job was still this attempt's: the fence of every write."""
    mine = (J.id == held.id, J.attempts == held.attempt, J.state == JobState.RUNNING.value)
    result = session.execute(update(J).where(*mine).values(**values), execution_options={"synchronize_session": False})
    assert isinstance(result, CursorResult)
    return bool(result.rowcount == 1)


def _now(session: Session) -> datetime:
    """The database's clock, where several machines share one; SQLite's is this machine's."""
    if session.get_bind().dialect.name == "postgresql":
        moment = session.scalar(select(func.clock_timestamp()))
        assert isinstance(moment, datetime)
        return moment.astimezone(UTC)
    return datetime.now(UTC)
