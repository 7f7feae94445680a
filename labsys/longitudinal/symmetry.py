"""Right against left in both visits, and how that difference changed; descriptive, without a verdict.

Side differences of healthy runners are common and none was shown to precede an injury (Malisoux 2024), so that no row
here is called; each carries its own MDC95 and intervals, and the findings say what is large.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from labsys.core.catalogue import METRICS, MetricDefinition, Sided
from labsys.core.derived_metrics import ASYMMETRY, lengths_of, symmetry_index
from labsys.core.measurement_error import ErrorTable, SessionError, Weights
from labsys.core.skeleton import Side
from labsys.core.units import Unit
from labsys.longitudinal.calibrations import depends_on_calibration, largest_differences, reason_against
from labsys.longitudinal.guards import differing_zero
from labsys.longitudinal.values import Capture, ConditionPair, SideDifference
from labsys.longitudinal.verdict import Change, VariancePart, VisitValue, welch_satterthwaite
from labsys.longitudinal.visits import MIN_STRIDES_FOR_VERDICT, Measured, measure_visit

_NOWHERE = (math.nan, math.nan)
_SIDES = (Side.RIGHT, Side.LEFT)
# Where the error between days is unknown, strides and reconstruction tell what may be zero.
_OF_THIS_DAY = SessionError(0.0, 0.0, 0.0, "")


def side_differences(index: int, pair: ConditionPair, *, errors: ErrorTable) -> tuple[SideDifference, ...]:
    """Every metric that both sides have, in catalogue order; rows that cannot be given carry their reason."""
    per_side = [m for m in METRICS if m.sided is Sided.PER_SIDE]
    return tuple(_row(index, pair, definition, errors) for definition in per_side)


def _row(index: int, pair: ConditionPair, definition: MetricDefinition, errors: ErrorTable) -> SideDifference:
    sides = {
        (visit, side): measure_visit(captures, definition.id, side)
        for visit, captures in (("pre", pair.pre), ("post", pair.post))
        for side in _SIDES
    }
    measured = list(sides.values())
    pre, post = (sides[v, Side.RIGHT].mean - sides[v, Side.LEFT].mean for v in ("pre", "post"))
    reason = _reason(pair, definition, measured)
    error, shares = _error(definition, measured, errors, pair.speed_mps)
    intervals = [_NOWHERE, _NOWHERE, _NOWHERE]
    if error is not None and reason is None:
        before, after = ([sides[v, s].value(error) for s in _SIDES] for v in ("pre", "post"))
        intervals = [
            _interval(pre, before, error, shares),
            _interval(post, after, error, shares),
            _interval(post - pre, before + after, error, shares),
        ]
    known = reason is None
    return SideDifference(
        pair=index,
        id=definition.id,
        pre=pre if known else math.nan,
        post=post if known else math.nan,
        change=post - pre if known else math.nan,
        pre_ci95=intervals[0],
        post_ci95=intervals[1],
        ci95=intervals[2],
        pre_index=_index(definition, pair.pre, errors, pair.speed_mps) if known else math.nan,
        post_index=_index(definition, pair.post, errors, pair.speed_mps) if known else math.nan,
        mdc95=error.mdc95 * math.sqrt(shares) if error is not None else math.nan,
        n=min(m.n_strides for m in measured),
        sem_source=error.source if error is not None else "",
        reason=reason if reason is not None else None if error is not None else "error unknown",
    )


def _reason(pair: ConditionPair, definition: MetricDefinition, measured: Sequence[Measured]) -> str | None:
    for part in measured:
        if not part.metrics:
            return part.reason
    if len({t for m in measured for t in m.tiers}) > 1 or len({v for m in measured for v in m.versions}) > 1:
        return "tiers or definition versions differ"
    moves = depends_on_calibration(definition)
    against = differing_zero(definition, pair.pre + pair.post) or reason_against(
        definition, pair.pre + pair.post, largest_differences(pair.pre, pair.post) if moves else ()
    )
    if against is not None:
        return against
    fewest = min(m.n_strides for m in measured)
    return (
        None if fewest >= MIN_STRIDES_FOR_VERDICT else f"{fewest} strides on a side; {MIN_STRIDES_FOR_VERDICT} needed"
    )


def _error(
    definition: MetricDefinition, measured: Sequence[Measured], errors: ErrorTable, speed_mps: float
) -> tuple[SessionError | None, float]:
    """The error that the difference rests on, and how many times it enters: once where the lab learnt its own.

    Else both sides' errors count as independent: what moves both alike cancels, so that this is the safe side.
    """
    tier = measured[0].tier
    if tier is None:
        return None, 2.0
    own = errors.find(definition.id + ASYMMETRY, tier, speed_mps) if definition.unit is Unit.DEG else None
    return (own, 1.0) if own is not None else (errors.find(definition.id, tier, speed_mps), 2.0)


def _interval(
    difference: float, values: Sequence[VisitValue], error: SessionError, shares: float
) -> tuple[float, float]:
    """Total 95 % interval; values: right and left of each visit that the difference is made of."""
    a, b, c = (sum(v.weights[i] for v in values[::2]) for i in range(3))
    weights: Weights = (a, b, c)
    parts = [
        *(p for v in values for p in v.strides),
        VariancePart(shares * error.variance(weights), error.df_of(weights)),
        VariancePart(sum(v.reconstruction for v in values), math.inf),
    ]
    se = math.sqrt(sum(p.variance for p in parts))
    return Change(difference, se, welch_satterthwaite(parts), math.nan).ci95


def _index(definition: MetricDefinition, captures: Sequence[Capture], errors: ErrorTable, speed_mps: float) -> float:
    """Difference of right and left over the mean of both; NaN for angles and where a side may as well be zero."""
    if definition.unit is Unit.DEG:
        return math.nan
    # A quotient of lengths has no error between days of its own; what it is made of has.
    for metric_id in (definition.id, *lengths_of(definition.id)):
        for side in _SIDES:
            if _may_be_zero(measure_visit(captures, metric_id, side), errors, metric_id, speed_mps):
                return math.nan
    return symmetry_index(*(measure_visit(captures, definition.id, side).mean for side in _SIDES))


def _may_be_zero(side: Measured, errors: ErrorTable, metric_id: str, speed_mps: float) -> bool:
    """Whether its interval holds zero; of what was not measured nobody knows."""
    if side.tier is None:
        return True
    error = errors.find(metric_id, side.tier, speed_mps) or _OF_THIS_DAY
    low, high = _interval(side.mean, [side.value(error)], error, 1.0)
    return low <= 0.0 <= high
