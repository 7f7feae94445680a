"""Named releases: which run of each trial counted, made how, and judged by which measurement error."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import numpy as np

from labsys.core.measurement_error import ErrorTable, RowCorrelation, SessionError
from labsys.core.provenance import Provenance
from labsys.core.references import OwnReferences
from labsys.core.skeleton import Side, Tier

# Parts of a run's parameters that are no settings: facts of the trial, visit, person, take and calibration, and how the
# processing was begun.
_NO_SETTINGS = frozenset({"trial", "session", "subject", "take", "calibration", "name", "run"})
_MODEL = "pose2d"


@dataclass(frozen=True)
class Recipe:
    """How runs were made. Runs of one recipe may be compared as one.

    Attributes:
        version: of labsys, with the digest of its sources. definition_version: of the metric definitions.
        settings: dotted config key -> value as text, without those about a model.
        model: settings of the model that looked at videos, its digest among them; empty where none did.
    """

    version: str
    definition_version: int
    settings: Mapping[str, str]
    model: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, made: Provenance) -> Recipe:
        """From what produced a run."""
        kept = {k: v for k, v in made.parameters.items() if _part(k) not in _NO_SETTINGS}
        settings = {k: v for k, v in kept.items() if _part(k) != _MODEL}
        return cls(
            made.version, made.definition_version, settings, {k: v for k, v in kept.items() if k not in settings}
        )

    def covers(self, other: Recipe) -> bool:
        """Whether what the other made is made alike. A model that this recipe does not have covers nothing."""
        return replace(other, model=self.model) == self and other.model in ({}, self.model)

    def joined(self, other: Recipe) -> Recipe | None:
        """One recipe for both; None where they differ."""
        if self.covers(other):
            return self
        return other if other.covers(self) else None


def commonest_recipe(recipes: Iterable[Recipe]) -> Recipe | None:
    """The recipe that covers most of these, with a model where one of them has one; None of none."""
    found = list(recipes)
    counts = Counter({i: sum(r.covers(other) for other in found) for i, r in enumerate(_distinct(found))})
    return _distinct(found)[counts.most_common(1)[0][0]] if counts else None


def _distinct(recipes: list[Recipe]) -> list[Recipe]:
    distinct: list[Recipe] = []
    for recipe in recipes:
        if recipe not in distinct:
            distinct.append(recipe)
    return distinct


@dataclass(frozen=True)
class Member:
    """One trial of a release.

    Attributes:
        trial: its name when it joined; trials are found by their UUID. run: the run that counted.
        joined_at: ISO-8601 UTC.
    """

    trial: str
    run: str
    joined_at: str


@dataclass(frozen=True)
class ReleasedError:
    """One row of the error table that a release was judged by; inside units squared. band, df: None where there is none
    and where infinite."""

    metric: str
    tier: Tier
    band: float | None
    v_capture: float
    v_palpation: float
    v_day: float
    source: str
    df: float | None
    split_source: str = ""
    covariance: tuple[tuple[float, ...], ...] | None = None

    @classmethod
    def of(cls, metric: str, tier: Tier, band: float | None, error: SessionError) -> ReleasedError:
        """From a table."""
        df = error.df if math.isfinite(error.df) else None
        parts = (error.v_capture, error.v_palpation, error.v_day)
        return cls(metric, tier, band, *parts, error.source, df, error.split_source, error.covariance)

    @property
    def error(self) -> SessionError:
        """As verdicts take it."""
        df = math.inf if self.df is None else self.df
        parts = (self.v_capture, self.v_palpation, self.v_day)
        return SessionError(*parts, self.source, df, self.split_source, self.covariance)


@dataclass(frozen=True)
class ReleasedErrors:
    """An error table whole, so that a later labsys with other defaults judges as this one did. name: of the lab's own
    table; "" for the defaults."""

    name: str
    rows: tuple[ReleasedError, ...]
    correlation_rows: tuple[tuple[str, Side], ...] = ()
    correlation: tuple[tuple[float, ...], ...] = ()

    @classmethod
    def of(cls, table: ErrorTable) -> ReleasedErrors:
        """From the table that counts."""
        rows = [ReleasedError.of(m, t, None, e) for (m, t), e in table.errors.items()]
        rows += [ReleasedError.of(m, t, band, e) for (m, t, band), e in table.banded.items()]
        known = table.correlation
        if known is None:
            return cls(table.name, tuple(rows))
        matrix = tuple(tuple(float(v) for v in row) for row in known.matrix)
        return cls(table.name, tuple(rows), known.rows, matrix)

    @property
    def table(self) -> ErrorTable:
        """As comparisons and trends take it."""
        errors = {(r.metric, r.tier): r.error for r in self.rows if r.band is None}
        banded = {(r.metric, r.tier, r.band): r.error for r in self.rows if r.band is not None}
        known = RowCorrelation(self.correlation_rows, np.array(self.correlation)) if self.correlation_rows else None
        return ErrorTable(errors, banded, known, self.name)


@dataclass(frozen=True)
class Release:
    """releases/<name>.json, written once.

    Attributes:
        made_at: when it was promoted, ISO-8601 UTC. made_by: who did. note: what they said about it.
        models: what found the landmarks of its runs, by name and digest.
        members: UUID of a trial -> the run that counts from then on. Trials processed alike later join it.
        closes: the release that was open before, "" for the first. closed: its members at its end.
        left_out: name of a trial -> why it is no member.
    """

    name: str
    made_at: str
    made_by: str
    note: str
    recipe: Recipe
    models: tuple[str, ...]
    errors: ReleasedErrors
    references: OwnReferences | None
    members: Mapping[str, Member]
    closes: str = ""
    closed: Mapping[str, Member] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Candidate:
    """releases/candidate.json: runs made beside those that count, until they are promoted or others take their place.

    Attributes:
        begun_at: ISO-8601 UTC. members: UUID of a trial -> its run.
    """

    begun_at: str
    recipe: Recipe
    members: Mapping[str, Member]


def finished_at(made: Provenance) -> str:
    """When a run was finished: its beginning and the time its stages took, ISO-8601 UTC."""
    begun = datetime.fromisoformat(made.started_at)
    taken = sum(s for s in made.seconds.values() if math.isfinite(s))
    return (begun + timedelta(seconds=taken)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _part(key: str) -> str:
    return key.partition(".")[0]
