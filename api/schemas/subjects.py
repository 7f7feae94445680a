"""A person as JSON: what is sent, what may be made, what may be changed."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from api.database.tables import SubjectRow
from api.moments import show_moment
from api.schemas.sent import Code, Notes, Sent, Word


class SubjectDocument(BaseModel):
    """A person, known by a code; no name is kept here."""

    uuid: str
    code: str
    sex: str
    birth_year: int | None
    leg_dominance: str
    consent: list[str]
    notes: str
    updated_at: str

    @classmethod
    def of(cls, row: SubjectRow) -> Self:
        """From the index."""
        return cls(
            uuid=row.id,
            code=row.code,
            sex=row.sex,
            birth_year=row.birth_year,
            leg_dominance=row.leg_dominance,
            consent=row.consent,
            notes=row.notes,
            updated_at=show_moment(row.updated_at),
        )


class SubjectChange(Sent):
    """Fields of a subject to change; what is not named stays."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"notes": "Prefers the left treadmill"}]})

    sex: Word = ""
    birth_year: Annotated[int, Field(ge=1900, le=2100)] | None = None
    leg_dominance: Word = ""
    consent: list[Word] = Field(default=[], max_length=50)
    notes: Notes = ""


class SubjectNew(SubjectChange):
    """A subject to make."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"code": "S01", "sex": "female", "birth_year": 1991}]})

    code: Code
