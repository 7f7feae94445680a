"""Releases, and what the next one would change, as JSON."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from api.database.tables import ReleaseRow
from api.moments import show_moment
from api.schemas.jobs import Setting
from api.schemas.sent import Code, Flag, Sent
from labsys.core.skeleton import Side
from labsys.longitudinal import Family, Verdict
from labsys.storage.releases import CANDIDATE
from pipelines.config import Profile


class ReleaseState(StrEnum):
    """Where a release stands."""

    CANDIDATE = "candidate"
    OPEN = "open"
    CLOSED = "closed"


class ReleaseNew(Sent):
    """Promote what was processed beside the present results; or (`of_present`) give what counts now a name."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "2026-autumn", "note": "model runner37 v2"}]})

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    note: str = Field(default="", max_length=2000)
    of_present: Flag = Field(default=False, description="Name what counts now; nothing changes but that it has a name")


class ReprocessNew(Sent):
    """Process trials anew beside what counts: of one subject, or of all. The candidate is what comes of it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"model": "runner37"}]})

    subject: Code | None = None
    model: str = Field(default="", pattern=r"^([A-Za-z0-9][A-Za-z0-9_.-]{0,63})?$", description="Finds 2D landmarks")
    profile: Profile = Profile.DEFAULT
    settings: list[Setting] = Field(default=[], max_length=100, description="KEY=VALUE, as with --set")
    gpu: int = Field(default=0, ge=0, le=16)


class ReprocessDocument(BaseModel):
    """The jobs that were asked for: trial -> id. `says`: how many, and where they are seen."""

    jobs: dict[str, str]
    says: str


class ReleaseDocument(BaseModel):
    """A named release. `errors`: the lab's own error table that it was judged by, null for the defaults."""

    name: str
    state: ReleaseState
    made_at: str
    made_by: str | None
    note: str | None
    closed_at: str | None
    pipeline_version: str
    definition_version: int
    models: list[str]
    errors: str | None
    n_trials: int

    @classmethod
    def of(cls, row: ReleaseRow, n_trials: int) -> Self:
        """From the index."""
        closed = ReleaseState.OPEN if row.closed_at is None else ReleaseState.CLOSED
        return cls(
            name=row.name,
            state=ReleaseState.CANDIDATE if row.name == CANDIDATE else closed,
            made_at=show_moment(row.made_at),
            made_by=row.made_by or None,
            note=row.note or None,
            closed_at=None if row.closed_at is None else show_moment(row.closed_at),
            pipeline_version=row.pipeline_version,
            definition_version=row.definition_version,
            models=row.models,
            errors=row.errors or None,
            n_trials=n_trials,
        )


class ReprocessedTrials(BaseModel):
    """Trials of a subject that the candidate holds, and runs and walks that count now and are not in it."""

    processed_anew: int
    left_as_they_are: int


class RowSaid(BaseModel):
    """What one row of a comparison says."""

    verdict: Verdict
    direction: str | None
    change: float | None
    threshold: float | None
    detectable_change: float | None
    goal_direction: str | None
    unit: str
    reason: str | None


class FlipDocument(BaseModel):
    """A row that would say something else; null where the row would be, or is, in none of the two."""

    pre: str
    post: str
    metric: str
    side: Side
    unit: str
    family: Family
    before: RowSaid | None
    after: RowSaid | None


class ShiftDocument(BaseModel):
    """How far a metric shifts over the subject's trials, new minus present, beside its error between days."""

    metric: str
    side: Side
    unit: str
    n_trials: int
    mean: float | None
    largest: float | None
    trial: str | None
    sem: float | None
    largest_in_sem: float | None
    gained: int
    lost: int


class SubjectPreview(BaseModel):
    """One subject: which verdicts flip, and how far each metric shifts (the largest against its error first)."""

    subject: str
    trials: ReprocessedTrials
    n_comparisons: int
    n_verdicts: int
    flips: list[FlipDocument]
    shifts: list[ShiftDocument]
