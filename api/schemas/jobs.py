"""Jobs as JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from api.database.tables_owned import JobRow
from api.jobs.kinds import JobKind
from api.jobs.queue import JobState, time_left_s
from api.moments import show_moment
from api.schemas.sent import Sent
from pipelines.config import Profile
from pipelines.stages import Stage

Setting = Annotated[str, Field(max_length=500, pattern=r"^[a-z0-9_.]+=")]


class JobNew(Sent):
    """Make results of a trial, as `labsys process` does, or its film."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"kind": "process", "target": "S01/2026-11-22/run1", "settings": []}]}
    )

    kind: Literal[JobKind.PROCESS, JobKind.FILM]
    target: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,64}/[A-Za-z0-9_.-]{1,64}/[A-Za-z0-9_.-]{1,64}$")
    profile: Profile = Profile.DEFAULT
    settings: list[Setting] = Field(default=[], max_length=100, description="KEY=VALUE, as with --set")
    from_stage: Stage | None = None
    gpu: int = Field(default=0, ge=0, le=16)
    priority: int = Field(default=0, ge=-100, le=100)


class JobDocument(BaseModel):
    """Where a job stands. `time_left_s` supposes that the rest goes as what is done went."""

    id: str
    kind: JobKind
    target: str
    state: JobState
    stage: str
    progress: float
    time_left_s: float | None
    attempts: int
    cancel_asked: bool
    submitted_by: str
    submitted_at: str
    started_at: str | None
    finished_at: str | None
    error: str | None
    outcome: dict[str, Any] | None

    @classmethod
    def of(cls, row: JobRow) -> Self:
        """From the database."""
        return cls(
            id=row.id,
            kind=JobKind(row.kind),
            target=row.target,
            state=JobState(row.state),
            stage=row.stage,
            progress=row.progress,
            time_left_s=time_left_s(row, datetime.now(UTC)),
            attempts=row.attempts,
            cancel_asked=row.cancel_asked,
            submitted_by=row.submitted_by,
            submitted_at=show_moment(row.submitted_at),
            started_at=_moment(row.started_at),
            finished_at=_moment(row.finished_at),
            error=row.error,
            outcome=row.outcome,
        )


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else show_moment(moment)
