"""Metrics of the whole trial, from values per stride and curves: left against right, drift, spread between strides.

A difference between the sides carries both sides' errors as if they had nothing to do with each other, which is on the
safe side: what errs on the pelvis errs alike on both.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2, theilslopes
from scipy.stats import t as student_t

from labsys.biomechanics.summarise import (
    MIN_STRIDES_CAPTURE,
    NOWHERE,
    hold_both,
    lag1_autocorrelation,
    missing_metric,
    steadied_lag1,
)
from labsys.core.arrays import FloatArray
from labsys.core.catalogue import DERIVED_METRICS, MetricDefinition, find_metric
from labsys.core.derived_metrics import ASYMMETRY, CURVE_SD, VARIATION, symmetry_index
from labsys.core.measurement_error import effective_n, strides_variance
from labsys.core.motion import Metric, Quality, Stride, StrideCurves, StrideValues
from labsys.core.skeleton import Side
from labsys.core.units import Unit

Key = tuple[str, Side]
# A slope over fewer strides, or a shorter time, says more of single strides than of fatigue.
_FEWEST_FOR_DRIFT, _SHORTEST_FOR_DRIFT_S = 10, 20.0
_FEWEST_FOR_SPREAD = 3
_ORDER = {quality: i for i, quality in enumerate((Quality.OK, Quality.LOW, Quality.INDICATIVE, Quality.EXCLUDED))}


@dataclass(frozen=True, eq=False)
class _Trial:
    metrics: Mapping[Key, Metric]
    values: Mapping[Key, StrideValues]
    curves: Mapping[Key, StrideCurves]
    start_s: Mapping[tuple[Side, int], float]
    reconstruction: Mapping[Key, float]


def derive_metrics_of_trial(
    metrics: tuple[Metric, ...],
    values: tuple[StrideValues, ...],
    curves: tuple[StrideCurves, ...],
    strides: tuple[Stride, ...],
    reconstruction: Mapping[Key, float],
) -> tuple[Metric, ...]:
    """Every derived metric of the catalogue, also those that cannot be given (with the reason).

    reconstruction: standard errors by reconstruction of derived metrics; those that are unknown are absent.
    """
    trial = _Trial(
        metrics={(m.id, m.side): m for m in metrics},
        values={(v.id, v.side): v for v in values},
        curves={(c.id, c.side): c for c in curves},
        start_s={(s.side, s.index): s.foot_strike_s for s in strides},
        reconstruction=reconstruction,
    )
    return tuple(_derive(trial, d, side) for d in DERIVED_METRICS for side in d.sided.sides)


def _derive(trial: _Trial, definition: MetricDefinition, side: Side) -> Metric:
    if definition.id.endswith(CURVE_SD):
        return _curve_spread(trial, definition, side)
    sources = _sources(trial, definition, side)
    for source in sources:
        if source.reason is not None:
            return missing_metric(definition.id, side, None, source.reason)
    if definition.id.endswith(ASYMMETRY):
        return _asymmetry(trial, definition, *sources)
    if definition.id == VARIATION:
        return _variation(definition, sources[0])
    return _drift(trial, definition, sources[0])


def _sources(trial: _Trial, definition: MetricDefinition, side: Side) -> list[Metric]:
    """The metrics that a derived one is made of: right and left of a difference, else the one of its side."""
    both = definition.id.endswith(ASYMMETRY)
    return [trial.metrics[definition.derived_from, s] for s in ((Side.RIGHT, Side.LEFT) if both else (side,))]


def asymmetry(right: float, left: float, unit: Unit) -> tuple[float, float, float]:
    """Right against left, and how much of a change of the right and of the left value goes into it.

    An angle: right minus left. Anything else: `symmetry_index`, NaN where the sides have no sign in common.
    """
    if unit is Unit.DEG:
        return right - left, 1.0, -1.0
    index = symmetry_index(right, left)
    if not math.isfinite(index):
        return math.nan, math.nan, math.nan
    square = (right + left) ** 2
    return index, 4.0 * abs(left) / square, -4.0 * abs(right) / square


def _asymmetry(trial: _Trial, definition: MetricDefinition, right: Metric, left: Metric) -> Metric:
    mean, of_right, of_left = asymmetry(right.mean, left.mean, find_metric(definition.derived_from).unit)
    share = definition.unit is Unit.PERCENT
    if not math.isfinite(mean) or (share and any(_may_be_zero(m) for m in (right, left))):
        return missing_metric(definition.id, Side.BOTH, None, "a side may as well be zero: a share says nothing")
    weighed = tuple(zip((right, left), (of_right, of_left), strict=True))
    sem = math.sqrt(sum((w * m.sem_measurement) ** 2 for m, w in weighed))
    of_capture = _pooled(mean, [(w * m.sd, m.n, m.lag1) for m, w in weighed], 0.0)
    few = min(m.n for m, _ in weighed) < MIN_STRIDES_CAPTURE
    total = _pooled(mean, [(w * m.sd, m.n, m.lag1) for m, w in weighed], sem) if math.isfinite(sem) else NOWHERE
    return Metric(
        id=definition.id,
        side=Side.BOTH,
        mean=mean,
        sd=math.sqrt(sum((w * m.sd) ** 2 for m, w in weighed)),
        n=min(m.n for m, _ in weighed),
        lag1=max(m.lag1 for m, _ in weighed),
        ci95_strides=NOWHERE if few else of_capture,
        se_reconstruction=trial.reconstruction.get((definition.id, Side.BOTH), math.nan),
        sem_measurement=sem,
        sem_source=right.sem_source,
        ci95=total if few else hold_both(total, of_capture),
        quality=_worst(m.quality for m, _ in weighed),
        provisional=right.provisional or left.provisional,
    )


def _may_be_zero(side: Metric) -> bool:
    low, high = side.ci95 if math.isfinite(side.ci95[0]) else side.ci95_strides
    return low <= 0.0 <= high


def _pooled(mean: float, parts: list[tuple[float, int, float]], sem: float) -> tuple[float, float]:
    """95 % interval from the strides (sd, n, lag1) of each side and a session error; df after Welch-Satterthwaite."""
    variances = [strides_variance(sd, n, lag1) for sd, n, lag1 in parts]
    of_strides = sum(variances)
    if not math.isfinite(of_strides):
        return NOWHERE
    spread = sum(v**2 / max(effective_n(n, r) - 1.0, 1.0) for v, (_, n, r) in zip(variances, parts, strict=True))
    total = of_strides + sem**2
    df = total**2 / spread if spread > 0.0 else math.inf
    half = float(student_t.ppf(0.975, df)) * math.sqrt(total)
    return mean - half, mean + half


def _drift(trial: _Trial, definition: MetricDefinition, source: Metric) -> Metric:
    given = trial.values[source.id, source.side]
    starts_s, values = _over_time(trial, given)
    if values.size < _FEWEST_FOR_DRIFT or np.ptp(starts_s) < _SHORTEST_FOR_DRIFT_S:
        needed = f"{_FEWEST_FOR_DRIFT} strides over {_SHORTEST_FOR_DRIFT_S:g} s"
        return missing_metric(definition.id, source.side, None, f"a drift needs at least {needed}")
    slope, interval, lag1 = _slope(starts_s, values)
    return _of_trial(definition, source, slope, lag1=lag1, ci95_strides=interval)


def _over_time(trial: _Trial, given: StrideValues) -> tuple[FloatArray, FloatArray]:
    side = given.side
    if side is Side.BOTH:  # midline metrics are read over the strides of one side
        sides = [s for s in (Side.RIGHT, Side.LEFT) if (s, given.stride_index[0]) in trial.start_s]
        side = sides[0]
    return np.array([trial.start_s[side, i] for i in given.stride_index]), given.values


def _slope(starts_s: FloatArray, values: FloatArray) -> tuple[float, tuple[float, float], float]:
    """Median slope over all pairs of strides, its 95 % interval, and the lag-1 autocorrelation about it.

    Strides that resemble each other count as fewer: the interval is wider by the square root of their share.
    Source: Theil 1950; Sen 1968, doi:10.1080/01621459.1968.10480934.
    """
    slope, intercept, low, high = (float(v) for v in theilslopes(values, starts_s, 0.95))
    lag1 = lag1_autocorrelation(values - slope * starts_s - intercept)
    wider = math.sqrt(values.size / effective_n(values.size, steadied_lag1(lag1, values.size)))
    return slope, (slope - wider * (slope - low), slope + wider * (high - slope)), lag1


def _variation(definition: MetricDefinition, source: Metric) -> Metric:
    """Coefficient of variation with the interval that chi-square gives its standard deviation."""
    share = source.sd / source.mean
    if not math.isfinite(share):
        return missing_metric(definition.id, source.side, None, "one stride has no spread")
    return _of_trial(definition, source, share, lag1=source.lag1, ci95_strides=_spread_interval(share, source))


def _spread_interval(share: float, source: Metric) -> tuple[float, float]:
    if source.n < MIN_STRIDES_CAPTURE:
        return NOWHERE
    df = max(effective_n(source.n, source.lag1) - 1.0, 2.0)
    low, high = (share * math.sqrt(df / float(chi2.ppf(p, df))) for p in (0.975, 0.025))
    return low, high


def _curve_spread(trial: _Trial, definition: MetricDefinition, side: Side) -> Metric:
    """Mean over the stride of the standard deviation between strides."""
    curves = trial.curves.get((definition.derived_from, side))
    if curves is None:
        return missing_metric(definition.id, side, None, "there is no curve of this angle over a stride")
    whole = curves.values_rad[np.isfinite(curves.values_rad).all(axis=1)]
    if len(whole) < _FEWEST_FOR_SPREAD:
        return missing_metric(
            definition.id, side, None, f"only {len(whole)} whole stride(s), {_FEWEST_FOR_SPREAD} are needed"
        )
    spread = float(whole.std(axis=0, ddof=1).mean())
    quality = Quality.OK if len(whole) >= MIN_STRIDES_CAPTURE else Quality.INDICATIVE
    return _plain(definition.id, side, spread, n=len(whole), quality=quality)


def _of_trial(
    definition: MetricDefinition, source: Metric, value: float, *, lag1: float, ci95_strides: tuple[float, float]
) -> Metric:
    return _plain(
        definition.id, source.side, value, n=source.n, quality=source.quality, lag1=lag1, ci95_strides=ci95_strides
    )


def _plain(
    metric_id: str,
    side: Side,
    value: float,
    *,
    n: int,
    quality: Quality,
    lag1: float = 0.0,
    ci95_strides: tuple[float, float] = NOWHERE,
) -> Metric:
    """A value of the whole trial whose error between two days is unknown."""
    return Metric(
        id=metric_id,
        side=side,
        mean=value,
        sd=math.nan,
        n=n,
        lag1=lag1,
        ci95_strides=ci95_strides,
        se_reconstruction=math.nan,
        sem_measurement=math.nan,
        sem_source="",
        ci95=NOWHERE,
        quality=quality,
        provisional=False,
    )


def _worst(qualities: Iterable[Quality]) -> Quality:
    return max(qualities, key=_ORDER.__getitem__)
