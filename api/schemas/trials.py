"""A trial as JSON: what is sent, what may be made, what may be changed."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from api.database.tables import TrialRow
from api.moments import show_moment
from api.schemas.sent import ABSENT, Code, Finite, Flag, Moment, Notes, Positive, Sent, Word
from labsys.core.session import Surface, TrialKind


class ConditionsDocument(Sent):
    """Under what conditions a trial was recorded; null where not stated."""

    surface: Surface | None = None
    speed_mps: Annotated[Positive, Field(le=12.5)] | None = None
    incline_pct: Annotated[Finite, Field(ge=-30, le=30)] = 0.0
    footwear: Word = ""
    pain_0_10: Annotated[Finite, Field(ge=0, le=10)] | None = None


class TrialDocument(BaseModel):
    """A take with its meaning. `current_run` is the processing that counts, null before the first."""

    uuid: str
    name: str
    subject: str
    session: str
    trial: str
    kind: TrialKind
    recorded_at: str
    conditions: ConditionsDocument
    static: str
    placement: str
    excluded: bool
    exclusion_reason: str
    accepted_sizes: dict[str, list[int]]
    notes: str
    current_run: str | None
    updated_at: str

    @classmethod
    def of(cls, row: TrialRow) -> Self:
        """From the index."""
        session, subject = row.session.code, row.session.subject.code
        conditions = ConditionsDocument.model_construct(
            surface=row.surface,
            speed_mps=row.speed_mps,
            incline_pct=row.incline_pct,
            footwear=row.footwear,
            pain_0_10=row.pain_0_10,
        )
        return cls(
            uuid=row.id,
            name=f"{subject}/{session}/{row.code}",
            subject=subject,
            session=session,
            trial=row.code,
            kind=row.kind,
            recorded_at=show_moment(row.recorded_at),
            conditions=conditions,
            static=row.static,
            placement=row.placement,
            excluded=row.excluded,
            exclusion_reason=row.exclusion_reason,
            accepted_sizes=row.accepted_sizes,
            notes=row.notes,
            current_run=row.current_run,
            updated_at=show_moment(row.updated_at),
        )


class TrialChange(Sent):
    """Fields of a trial to change; of `conditions` only the named ones change. Excluding needs a reason."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"excluded": True, "exclusion_reason": "Stumbled at 12 s"}]}
    )

    kind: TrialKind = ABSENT
    recorded_at: Moment = ABSENT
    conditions: ConditionsDocument = ConditionsDocument()
    static: Code | None = None
    placement: Word = ""
    excluded: Flag = False
    exclusion_reason: Word = ""
    notes: Notes = ""


class TrialNew(TrialChange):
    """A trial to make; its take comes with `labsys import` or a recording."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "subject": "S01",
                    "session": "2026-11-22",
                    "trial": "run1",
                    "kind": "run",
                    "recorded_at": "2026-11-22T09:41:00Z",
                    "conditions": {"surface": "treadmill", "speed_mps": 3.0},
                }
            ]
        }
    )

    subject: Code
    session: Code
    trial: Code
    kind: TrialKind
    recorded_at: Moment
