"""An episode and its goals as JSON: what is sent, what may be made, what may be changed."""

from __future__ import annotations

from datetime import date
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from api.database.tables import EpisodeRow
from api.moments import show_moment
from api.schemas.sent import ABSENT, Code, Day, Notes, Sent
from labsys.core.catalogue import find_metric
from labsys.core.errors import LabsysError
from labsys.core.session import GoalDirection
from labsys.core.skeleton import Side


class GoalDocument(Sent):
    """What the clinician wants to change, declared before the post visit."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "metric": "hip_ext_excursion_stance",
                    "side": "left",
                    "direction": "toward_higher",
                    "date": "2026-11-22",
                }
            ]
        }
    )

    metric: str
    side: Side
    direction: GoalDirection
    date: Day

    @model_validator(mode="after")
    def _names_a_metric(self) -> Self:
        try:
            sides = find_metric(self.metric).sided.sides
        except LabsysError as error:
            raise ValueError(str(error)) from error
        if self.side not in sides:
            raise ValueError(f"{self.metric} is kept for {' and '.join(sides)}, not for '{self.side}'")
        return self


class EpisodeDocument(BaseModel):
    """An injury or programme with its index date and at most three goals."""

    uuid: str
    subject: str
    label: str
    index_date: date
    goals: list[GoalDocument]
    notes: str
    updated_at: str

    @classmethod
    def of(cls, row: EpisodeRow) -> Self:
        """From the index."""
        # A goal of a metric that this version does not know is still shown as it was declared.
        goals = [
            GoalDocument.model_construct(metric=g.metric, side=g.side, direction=g.direction, date=g.date)
            for g in row.goals
        ]
        return cls(
            uuid=row.id,
            subject=row.subject.code,
            label=row.label,
            index_date=row.index_date,
            goals=goals,
            notes=row.notes,
            updated_at=show_moment(row.updated_at),
        )


class EpisodeChange(Sent):
    """Fields of an episode to change; `goals` replaces the whole list."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "goals": [
                        {
                            "metric": "hip_ext_excursion_stance",
                            "side": "left",
                            "direction": "toward_higher",
                            "date": "2026-11-22",
                        }
                    ]
                }
            ]
        }
    )

    index_date: Day = ABSENT
    goals: list[GoalDocument] = Field(default=[], max_length=3)
    notes: Notes = ""


class EpisodeNew(EpisodeChange):
    """An episode to make."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"subject": "S01", "label": "acl-left", "index_date": "2026-10-01"}]}
    )

    subject: Code
    label: Code
    index_date: Day
