"""A lab's own measurement error as learnt from its repeats and kept on file; inside units, None where not known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from labsys.core.catalogue import CATALOGUE_VERSION
from labsys.core.measurement_error import ErrorTable, RowCorrelation, SessionError
from labsys.core.skeleton import Side, Tier

Bounds = tuple[float, float | None]


@dataclass(frozen=True)
class LearntPart:
    """One component of SEM².

    Attributes:
        variance, ci95: inside unit squared; no interval for a default, no upper bound where nothing gives one.
        df: degrees of freedom of the repeats that show it.
        source: "lab" (learnt by itself), "split" (default share of a learnt sum) or "default".
    """

    variance: float
    ci95: Bounds | None
    df: float
    source: str


@dataclass(frozen=True)
class SideAgreement:
    """Second against first visit of the same n people, one side: Bland-Altman and ICC(2,1)."""

    side: Side
    n: int
    bias: float
    bias_ci95: tuple[float, float]
    difference_sd: float
    limits: tuple[float, float]
    icc: float | None
    icc_ci95: tuple[float, float] | None


@dataclass(frozen=True)
class LearntError:
    """The error of one metric at one tier.

    Attributes:
        version: of the definitions behind the values. band: middle of the speed band, m/s; None: over all speeds.
        sem_ci95, df: of the sum of the three parts. split_source, covariance: as in `SessionError`.
        strides_variance: median variance that a capture's strides give its mean.
    """

    metric: str
    tier: Tier
    version: int
    band: float | None
    capture: LearntPart
    palpation: LearntPart
    day: LearntPart
    sem_ci95: Bounds
    source: str
    df: float
    split_source: str
    covariance: tuple[tuple[float, ...], ...]
    n_people: int
    n_visits: int
    n_captures: int
    strides_variance: float
    agreement: tuple[SideAgreement, ...] = ()

    @property
    def error(self) -> SessionError:
        """As verdicts take it."""
        parts = (self.capture.variance, self.palpation.variance, self.day.variance)
        return SessionError(*parts, self.source, self.df, self.split_source, self.covariance)


@dataclass(frozen=True)
class LearntErrors:
    """All that a lab's repeats taught at one time.

    Attributes:
        made_at: ISO-8601 UTC. left_out: SUBJECT/SESSION -> why it is no repeat.
        correlation_rows, correlation: of row errors, as (metric, side); empty where too few people tell.
    """

    made_at: str
    n_people: int
    rows: tuple[LearntError, ...]
    correlation_rows: tuple[tuple[str, Side], ...] = ()
    correlation: tuple[tuple[float, ...], ...] = ()
    left_out: Mapping[str, str] | None = None

    @property
    def current_rows(self) -> tuple[LearntError, ...]:
        """Rows learnt under the definitions of today; those of others are not for today's values."""
        return tuple(r for r in self.rows if r.version == CATALOGUE_VERSION)

    def table(self, defaults: ErrorTable, *, name: str) -> ErrorTable:
        """The defaults with what was learnt in their place. A speed band counts once its own sum was learnt whole."""
        errors, banded = dict(defaults.errors), {}
        for row in self.current_rows:
            if row.band is None:
                errors[row.metric, row.tier] = row.error
            elif row.source == "lab":
                banded[row.metric, row.tier, row.band] = row.error
        known = RowCorrelation(self.correlation_rows, np.array(self.correlation)) if self.correlation_rows else None
        return ErrorTable(errors, banded, known, name)
