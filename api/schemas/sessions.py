"""A visit as JSON: what is sent, what may be made, what may be changed."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from api.database.tables import SessionRow
from api.moments import show_moment
from api.schemas.sent import ABSENT, Code, Finite, Moment, Notes, Positive, Sent, Word
from labsys.core.session import Phase


class AnthropometryDocument(Sent):
    """Body measures of one visit; null where not measured."""

    mass_kg: Annotated[Positive, Field(le=500)] | None = None
    height_m: Annotated[Positive, Field(le=3)] | None = None
    leg_length_m: Annotated[Positive, Field(le=2)] | None = None


class SessionDocument(BaseModel):
    """One visit."""

    uuid: str
    subject: str
    session: str
    captured_at: str
    phase: Phase | None
    episode: str | None
    operator: str
    anthropometry: AnthropometryDocument
    scores: dict[str, float]
    repeats: str | None
    notes: str
    updated_at: str

    @classmethod
    def of(cls, row: SessionRow) -> Self:
        """From the index."""
        body = AnthropometryDocument.model_construct(
            mass_kg=row.mass_kg, height_m=row.height_m, leg_length_m=row.leg_length_m
        )
        return cls(
            uuid=row.id,
            subject=row.subject.code,
            session=row.code,
            captured_at=show_moment(row.captured_at),
            phase=row.phase,
            episode=row.episode.label if row.episode else None,
            operator=row.operator,
            anthropometry=body,
            scores={s.name: s.value for s in row.scores},
            repeats=row.repeats or None,
            notes=row.notes,
            updated_at=show_moment(row.updated_at),
        )


class SessionChange(Sent):
    """Fields of a session to change; of `anthropometry` only the named measures change, `scores` is replaced."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"phase": "post", "anthropometry": {"mass_kg": 61.5}}]})

    captured_at: Moment = ABSENT
    phase: Phase | None = None
    episode: Code | None = None
    operator: Word = ""
    anthropometry: AnthropometryDocument = AnthropometryDocument()
    scores: dict[Word, Finite] = Field(default={}, max_length=100)
    repeats: Code | None = None
    notes: Notes = ""


class SessionNew(SessionChange):
    """A session to make."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"subject": "S01", "session": "2026-11-22", "captured_at": "2026-11-22T09:30:00Z", "phase": "pre"}
            ]
        }
    )

    subject: Code
    session: Code
    captured_at: Moment
