"""Who, when and under what conditions: identity and conditions, no arrays and no names of people.

A trial's full name is `SUBJECT/SESSION/TRIAL`. Every noun has a stable UUID beside its readable code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from labsys.core.errors import InputError
from labsys.core.skeleton import Side


class TrialKind(StrEnum):
    """What a trial is; only RUN and WALK have strides and metrics."""

    STATIC = "static"
    RUN = "run"
    WALK = "walk"
    OTHER = "other"


class Surface(StrEnum):
    """What the subject moves on."""

    TREADMILL = "treadmill"
    OVERGROUND = "overground"


class Phase(StrEnum):
    """Where a session stands relative to what was done to the subject."""

    BASELINE = "baseline"
    PRE = "pre"
    POST = "post"
    FOLLOWUP = "followup"


class GoalDirection(StrEnum):
    """Which way the clinician wants a metric to go. Metrics have no good direction of their own."""

    TOWARD_HIGHER = "toward_higher"
    TOWARD_LOWER = "toward_lower"


_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def check_code(kind: str, code: str) -> str:
    """Return the code if it can name a folder on every system; InputError otherwise."""
    if not _CODE.fullmatch(code) or code.endswith("."):
        raise InputError(
            f"'{code}' cannot name a {kind}",
            remedy="Use 1-64 letters, digits, '_', '-' or '.', beginning with a letter or digit",
        )
    return code


def _check_range(what: str, value: float | None, low: float, high: float, unit: str) -> None:
    if value is not None and not low <= value <= high:
        raise InputError(f"{what} {value:g} {unit} is not believable", remedy=f"Expected {low:g} to {high:g} {unit}")


@dataclass(frozen=True)
class TrialName:
    """`SUBJECT/SESSION/TRIAL`."""

    subject: str
    session: str
    trial: str

    def __post_init__(self) -> None:
        check_code("subject", self.subject)
        check_code("session", self.session)
        check_code("trial", self.trial)

    @classmethod
    def parse(cls, text: str) -> TrialName:
        """From `SUBJECT/SESSION/TRIAL` (InputError otherwise)."""
        parts = text.split("/")
        if len(parts) != 3:
            raise InputError(f"'{text}' does not name a trial", remedy="A trial is named SUBJECT/SESSION/TRIAL")
        return cls(*parts)

    def __str__(self) -> str:
        return f"{self.subject}/{self.session}/{self.trial}"


@dataclass(frozen=True)
class Subject:
    """A person, known by a code. The name lives in the identity table of the database alone."""

    uuid: str
    code: str
    sex: str = ""
    birth_year: int | None = None
    leg_dominance: str = ""
    consent: tuple[str, ...] = ()
    notes: str = ""
    updated_at: str = ""


@dataclass(frozen=True)
class Goal:
    """What the clinician wants to change, declared before the post visit."""

    metric: str
    side: Side
    direction: GoalDirection
    date: str


@dataclass(frozen=True)
class Episode:
    """An injury or programme with an index date; at most three goals."""

    uuid: str
    subject: str
    label: str
    index_date: str
    goals: tuple[Goal, ...] = ()
    notes: str = ""
    updated_at: str = ""

    def __post_init__(self) -> None:
        if len(self.goals) > 3:
            raise InputError(f"episode {self.label} has {len(self.goals)} goals", remedy="Declare at most three")


@dataclass(frozen=True)
class Anthropometry:
    """Body measures of one session; None where not measured."""

    mass_kg: float | None = None
    height_m: float | None = None
    leg_length_m: float | None = None

    def __post_init__(self) -> None:
        _check_range("mass", self.mass_kg, 10.0, 350.0, "kg")
        _check_range("height", self.height_m, 0.5, 2.5, "m")
        _check_range("leg length", self.leg_length_m, 0.2, 1.4, "m")


@dataclass(frozen=True)
class Session:
    """One visit. `session` is its readable code, usually the date; `captured_at` is ISO-8601 UTC.

    repeats: code of an earlier session that this one repeats, with nothing done to the subject between; empty: none.
    """

    uuid: str
    subject: str
    session: str
    captured_at: str
    phase: Phase | None = None
    episode: str = ""
    operator: str = ""
    anthropometry: Anthropometry = Anthropometry()
    scores: Mapping[str, float] = field(default_factory=dict)
    repeats: str = ""
    notes: str = ""
    updated_at: str = ""


@dataclass(frozen=True)
class Conditions:
    """Under what conditions a trial was recorded; None or empty where not stated."""

    surface: Surface | None = None
    speed_mps: float | None = None
    incline_pct: float = 0.0
    footwear: str = ""
    pain_0_10: float | None = None

    def __post_init__(self) -> None:
        # The fastest human ran 12.4 m/s; treadmills and watches say km/h, which this catches.
        _check_range("speed", self.speed_mps, 0.0, 12.5, "m/s")
        _check_range("incline", self.incline_pct, -40.0, 60.0, "%")
        _check_range("pain", self.pain_0_10, 0.0, 10.0, "of 10")


@dataclass(frozen=True)
class Trial:
    """A take with its meaning.

    Attributes:
        static: name of the static trial to reference to; empty means "choose" (spec: latest before it in the visit).
        excluded: kept and visible, never counted; `exclusion_reason` says why.
        accepted_sizes: camera -> (width, height) of videos that differ from their calibration's size, accepted by hand.
        calibration: name of the one that counts instead of the take's, such as a repaired one; empty: the take's.
        placement: which placement of stickers it was recorded with; empty where they were placed once in the visit.
    """

    uuid: str
    name: TrialName
    kind: TrialKind
    recorded_at: str
    conditions: Conditions = Conditions()
    static: str = ""
    excluded: bool = False
    exclusion_reason: str = ""
    accepted_sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    calibration: str = ""
    placement: str = ""
    notes: str = ""
    updated_at: str = ""
