"""How far a measurement may be off between two days, and the standard errors that follow from it.

The error of a visit splits into strides (known from the trial itself), capture (belt stopped and restarted), palpation
(stickers off and re-placed) and day. Until a lab has learnt its own, the defaults below hold, and everything that rests
on them is marked provisional. The tables are frozen values, passed as arguments into biomechanics and longitudinal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from labsys.core.catalogue import ErrorGroup, find_metric
from labsys.core.skeleton import Tier
from labsys.core.units import Unit, to_inside

# Two-sided 95 % quantile of the normal distribution; the default error has no degrees of freedom of its own.
Z_95 = 1.959963984540054


@dataclass(frozen=True)
class SessionError:
    """Between-session error of one metric at one tier, inside units squared (rad², m², …).

    sem² = v_capture + v_palpation + v_day for one capture and one sticker placement. `source` is "default", "mixed" or
    "lab"; `df` are the degrees of freedom behind it, infinite for a default.
    """

    v_capture: float
    v_palpation: float
    v_day: float
    source: str
    df: float = math.inf

    @property
    def sem(self) -> float:
        """Standard error of measurement for one capture, inside unit."""
        return math.sqrt(self.v_capture + self.v_palpation + self.v_day)

    @property
    def mdc95(self) -> float:
        """Minimal detectable change between two single-capture visits, inside unit: 1.96·√2·SEM."""
        return Z_95 * math.sqrt(2.0) * self.sem


@dataclass(frozen=True)
class ErrorTable:
    """(metric id, tier) -> error. A metric without an entry has no verdict."""

    errors: Mapping[tuple[str, Tier], SessionError]

    def find(self, metric_id: str, tier: Tier) -> SessionError | None:
        """The error of this metric at this tier, or None: error unknown."""
        return self.errors.get((metric_id, tier))


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

# Shares of SEM² for capture, palpation, day.
_SPLIT_STICKER_ZERO = (0.10, 0.60, 0.30)
_SPLIT_ELSEWHERE = (0.20, 0.20, 0.60)
_SPLIT_NO_STICKERS = (0.30, 0.00, 0.70)


def default_error(metric_id: str, tier: Tier) -> SessionError | None:
    """Default between-session error of a metric at a tier; None where no group covers it.

    Raises:
        UnknownNameError: no such metric.
    """
    group = find_metric(metric_id).error_group
    if group not in _DEFAULT_SEM:
        return None
    sem, unit = _DEFAULT_SEM[group]
    if group is ErrorGroup.PELVIS_REFERENCED and tier < Tier.T3:
        sem = _PELVIS_SEM_BELOW_T3_DEG
    variance = to_inside(sem, unit) ** 2
    capture, palpation, day = _split(group, tier)
    return SessionError(capture * variance, palpation * variance, day * variance, "default")


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
