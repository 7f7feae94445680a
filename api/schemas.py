"""The nouns as JSON: what is sent, what may be made, what may be changed. Unknown fields are refused."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from api.moments import show_moment
from api.tables import EpisodeRow, SessionRow, SubjectRow, TrialRow
from labsys.core.catalogue import find_metric
from labsys.core.errors import LabsysError
from labsys.core.session import GoalDirection, Phase, Surface, TrialKind, check_code
from labsys.core.skeleton import Side


def _code(text: str) -> str:
    try:
        return check_code("thing", text)
    except LabsysError as error:
        raise ValueError(str(error)) from error


def no_control_characters(text: str) -> str:
    """The text, unless it holds what no keyboard types (ValueError)."""
    if any((ord(c) < 32 and c not in "\n\t") or 0xD800 <= ord(c) < 0xE000 for c in text):
        raise ValueError("control characters and halves of surrogate pairs are not accepted")
    return text


Code = Annotated[str, AfterValidator(_code), Field(description="1-64 letters, digits, '_', '-' or '.'")]
Word = Annotated[str, AfterValidator(no_control_characters), Field(max_length=200)]
Notes = Annotated[str, AfterValidator(no_control_characters), Field(max_length=20_000)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


# A field that may be left out of a change, but may not be null.
ABSENT: Any = Field(default=None, json_schema_extra=_without_default)


class Sent(BaseModel):
    """A body that a client sends."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    def given(self) -> dict[str, Any]:
        """The fields that the client named, whatever their value."""
        return {name: getattr(self, name) for name in self.model_fields_set}


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
    consent: Annotated[list[Word], Field(max_length=50)] = []
    notes: Notes = ""


class SubjectNew(SubjectChange):
    """A subject to make."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"code": "S01", "sex": "female", "birth_year": 1991}]})

    code: Code


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
    date: date

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

    index_date: date = ABSENT
    goals: Annotated[list[GoalDocument], Field(max_length=3)] = []
    notes: Notes = ""


class EpisodeNew(EpisodeChange):
    """An episode to make."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"subject": "S01", "label": "acl-left", "index_date": "2026-10-01"}]}
    )

    subject: Code
    label: Code
    index_date: date


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

    captured_at: datetime = ABSENT
    phase: Phase | None = None
    episode: Code | None = None
    operator: Word = ""
    anthropometry: AnthropometryDocument = AnthropometryDocument()
    scores: Annotated[dict[Word, Finite], Field(max_length=100)] = {}
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
    captured_at: datetime


class ConditionsDocument(Sent):
    """Under what conditions a trial was recorded; null where not stated."""

    surface: Surface | None = None
    speed_mps: Annotated[Positive, Field(le=15)] | None = None
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
    recorded_at: datetime = ABSENT
    conditions: ConditionsDocument = ConditionsDocument()
    static: Code | None = None
    placement: Word = ""
    excluded: bool = False
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
    recorded_at: datetime
