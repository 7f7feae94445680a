"""How far a measurement may be off between two days, and the standard errors that follow from it.

The error of a visit splits into strides (known from the trial itself), capture (belt stopped and restarted), palpation
(stickers off and re-placed) and day. Until a lab has learnt its own, the defaults below hold, and everything that rests
on them is marked provisional. The tables are frozen values, passed as arguments into biomechanics and longitudinal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from labsys.core.arrays import FloatArray, as_floats
from labsys.core.catalogue import ErrorGroup, find_metric
from labsys.core.skeleton import Side, Tier
from labsys.core.units import Unit, to_inside

# Two-sided 95 % quantile of the normal distribution; the default error has no degrees of freedom of its own.
Z_95 = 1.959963984540054

# Weights of capture, palpation and day in the squared error of a visit, or of a change.
Weights = tuple[float, float, float]


def mdc95_of(sem: float) -> float:
    """Minimal detectable change between two single-capture visits of a standard error of measurement."""
    return Z_95 * math.sqrt(2.0) * sem


@dataclass(frozen=True)
class SessionError:
    """Between-session error of one metric at one tier, inside units squared (rad², m², …).

    sem² = v_capture + v_palpation + v_day for one capture and one sticker placement. `source` is "default", "mixed" or
    "lab"; `df` are the degrees of freedom behind the sum, infinite for a default.

    Attributes:
        split_source: where the split into the three parts comes from; it matters only where captures or placements
            were repeated. Empty: from where the sum comes.
        covariance: (3, 3) sampling covariance of the three, as rows; None where only `df` of the sum is known.
    """

    v_capture: float
    v_palpation: float
    v_day: float
    source: str
    df: float = math.inf
    split_source: str = ""
    covariance: tuple[tuple[float, ...], ...] | None = None

    @property
    def sem(self) -> float:
        """Standard error of measurement for one capture, inside unit."""
        return math.sqrt(self.v_capture + self.v_palpation + self.v_day)

    @property
    def mdc95(self) -> float:
        """Minimal detectable change between two single-capture visits, inside unit: 1.96·√2·SEM."""
        return mdc95_of(self.sem)

    def variance(self, weights: Weights) -> float:
        """The three parts summed with these weights (1/captures, 1/placements, 1 for one visit)."""
        return weights[0] * self.v_capture + weights[1] * self.v_palpation + weights[2] * self.v_day

    def df_of(self, weights: Weights) -> float:
        """Degrees of freedom of `variance(weights)`: 2 V² / Var(V) (Satterthwaite 1946); infinite for a default."""
        if self.covariance is None:
            return self.df
        rows = enumerate(self.covariance)
        spread = sum(weights[i] * weights[j] * c for i, row in rows for j, c in enumerate(row))
        return 2.0 * self.variance(weights) ** 2 / spread if spread > 0.0 else math.inf

    def source_of(self, *, divided: bool) -> str:
        """Where the error of a visit comes from; `divided`: captures or placements were repeated in it."""
        if divided and self.source == "lab" and self.split_source not in ("", "lab"):
            return "mixed"
        return self.source


def speed_band(speed_mps: float) -> float:
    """The band that a speed belongs to, by its middle: steps of 0.5 m/s; NaN for an unknown speed. m/s."""
    return round(2.0 * speed_mps) / 2.0 if math.isfinite(speed_mps) else math.nan


@dataclass(frozen=True, eq=False)
class RowCorrelation:
    """How session errors of rows go together, learnt from repeats. matrix: (R, R), rows as (metric id, side)."""

    rows: tuple[tuple[str, Side], ...]
    matrix: FloatArray

    def __post_init__(self) -> None:
        n = len(self.rows)
        object.__setattr__(self, "matrix", as_floats("correlation of rows", self.matrix, (n, n), finite=True))


@dataclass(frozen=True, eq=False)
class ErrorTable:
    """(metric id, tier) -> error. A metric without an entry has no verdict.

    Attributes:
        banded: (metric id, tier, band of `speed_band`) -> error; where there is one, it goes before `errors`.
        correlation: of row errors; None: taken as independent.
        name: of the lab's own table; empty for the defaults.
    """

    errors: Mapping[tuple[str, Tier], SessionError]
    banded: Mapping[tuple[str, Tier, float], SessionError] = field(default_factory=dict)
    correlation: RowCorrelation | None = None
    name: str = ""

    def find(self, metric_id: str, tier: Tier, speed_mps: float = math.nan) -> SessionError | None:
        """The error of this metric at this tier and, where learnt, this speed; None: error unknown."""
        at_speed = self.banded.get((metric_id, tier, speed_band(speed_mps)))
        return at_speed if at_speed is not None else self.errors.get((metric_id, tier))


# Defaults by group, in outside units (source: chosen defaults, 6.2 of the biomechanics definitions; provisional).
_DEFAULT_SEM: dict[ErrorGroup, tuple[float, Unit]] = {
    ErrorGroup.PELVIS_REFERENCED: (2.5, Unit.DEG),
    ErrorGroup.VERTICAL_REFERENCED: (1.5, Unit.DEG),
    ErrorGroup.DISTAL_AND_PELVIC_ROTATION: (2.0, Unit.DEG),
    ErrorGroup.VERTICAL_OSCILLATION: (4.0, Unit.MM),
    ErrorGroup.FOOT_PLACEMENT: (10.0, Unit.MM),
    ErrorGroup.CADENCE: (1.5, Unit.STEPS_PER_MIN),
    ErrorGroup.CONTACT: (0.008, Unit.S),
    ErrorGroup.COMPENSATION: (5.0, Unit.PERCENT),
}
_PELVIS_SEM_BELOW_T3_DEG = 3.5

# Angles whose curves are compared; others have no known error.
_ANGLE_GROUPS: dict[str, ErrorGroup] = {
    **dict.fromkeys(
        ("pelvis_tilt", "hip_flexion", "lumbar_extension", "trunk_pelvis_extension", "lumbar_segment_extension"),
        ErrorGroup.PELVIS_REFERENCED,
    ),
    **dict.fromkeys(("thigh_vertical", "shank_vertical", "trunk_lean"), ErrorGroup.VERTICAL_REFERENCED),
    **dict.fromkeys(
        ("knee_flexion", "ankle_dorsiflexion", "foot_pitch", "pelvis_rotation", "pelvis_obliquity"),
        ErrorGroup.DISTAL_AND_PELVIC_ROTATION,
    ),
}

# Shares of SEM² for capture, palpation, day.
_SPLIT_STICKER_ZERO = (0.10, 0.60, 0.30)
_SPLIT_ELSEWHERE = (0.20, 0.20, 0.60)
_SPLIT_NO_STICKERS = (0.30, 0.00, 0.70)


def default_error(metric_id: str, tier: Tier) -> SessionError | None:
    """Default between-session error of a metric at a tier; None where no group covers it.

    Raises:
        UnknownNameError: no such metric.
    """
    return _group_error(find_metric(metric_id).error_group, tier)


def default_angle_error(angle_id: str, tier: Tier) -> SessionError | None:
    """Default error of an angle at any moment of the stride: that of the metrics taken from it; None: unknown."""
    return _group_error(_ANGLE_GROUPS.get(angle_id, ErrorGroup.UNKNOWN), tier)


def _group_error(group: ErrorGroup, tier: Tier) -> SessionError | None:
    if group not in _DEFAULT_SEM:
        return None
    sem, unit = _DEFAULT_SEM[group]
    if group is ErrorGroup.PELVIS_REFERENCED and tier < Tier.T3:
        sem = _PELVIS_SEM_BELOW_T3_DEG
    variance = to_inside(sem, unit) ** 2
    capture, palpation, day = _split(group, tier)
    return SessionError(capture * variance, palpation * variance, day * variance, "default")


def default_split(metric_id: str, tier: Tier) -> tuple[float, float, float]:
    """Shares of SEM² for capture, palpation and day where a lab has not learnt its own (UnknownNameError)."""
    return _split(find_metric(metric_id).error_group, tier)


def _split(group: ErrorGroup, tier: Tier) -> tuple[float, float, float]:
    if tier <= Tier.T1:
        return _SPLIT_NO_STICKERS
    return _SPLIT_STICKER_ZERO if group is ErrorGroup.PELVIS_REFERENCED else _SPLIT_ELSEWHERE


def default_error_table(metric_ids: tuple[str, ...]) -> ErrorTable:
    """Default errors of these metrics at every tier."""
    found = {(m, t): default_error(m, t) for m in metric_ids for t in Tier}
    return ErrorTable({key: error for key, error in found.items() if error is not None})


def effective_n(n: int, lag1: float) -> float:
    """Number of independent strides that n strides with lag-1 autocorrelation amount to: n(1-r)/(1+r), r in 0..0.9."""
    r = min(max(lag1, 0.0), 0.9)
    return n * (1.0 - r) / (1.0 + r)


def strides_variance(sd: float, n: int, lag1: float) -> float:
    """Variance of a capture's mean that comes from its strides; NaN for fewer than two strides."""
    return sd**2 / effective_n(n, lag1) if n >= 2 else math.nan
