"""From values per stride to a metric with its intervals, and from angle series to their summaries."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from scipy.stats import t as student_t

from labsys.biomechanics.kinematics import reported
from labsys.biomechanics.quotient_errors import quotient_error
from labsys.biomechanics.settings import AnalysisSettings
from labsys.core.arrays import FloatArray
from labsys.core.catalogue import METRICS, find_angle, find_metric
from labsys.core.measurement_error import ErrorTable, SessionError, effective_n, strides_variance
from labsys.core.motion import AngleSeries, AngleSummary, JointAngles, Metric, Quality, StrideValues
from labsys.core.skeleton import Side, Tier

NOWHERE = (math.nan, math.nan)
# Fewer strides do not show how much they resemble each other: a t interval of their mean would be a guess. An estimate
# of r above 0.6 is drawn towards it as if 20 more strides had shown 0.6. Chosen by simulation (docs/adr/0009).
MIN_STRIDES_CAPTURE = 12
_LAG1_HIGH, _LAG1_WEIGHT = 0.6, 20
_HARMONIC = frozenset({"cadence"})
_EVENT_METRICS = frozenset({"contact_time", "flight_time", "duty_factor"})


def summarise_metrics(
    values: tuple[StrideValues, ...],
    reasons: dict[tuple[str, Side], str],
    *,
    tier: Tier,
    rate_hz: float,
    errors: ErrorTable,
    settings: AnalysisSettings,
    reconstruction: Mapping[tuple[str, Side], float] | None = None,
) -> tuple[Metric, ...]:
    """One metric per catalogue id and side, also those that cannot be given (mean NaN, n 0, reason).

    reconstruction: standard errors by reconstruction; those that are unknown are absent.
    """
    known = reconstruction or {}
    found = {(v.id, v.side): v for v in values}
    metrics = []
    for definition in METRICS:
        for side in definition.sided.sides:
            key = (definition.id, side)
            error = errors.find(definition.id, tier)
            given = found.get(key)
            if error is None and given is not None and given.values.size:
                error = quotient_error(given, found, errors, tier)
            n = 0 if given is None else given.values.size
            reason = reasons.get(key)
            if reason is None and n < settings.min_strides:
                reason = f"only {n} stride(s) count, at least {settings.min_strides} are needed"
            if reason is not None or given is None:
                metrics.append(missing_metric(definition.id, side, error, reason or "no stride counts"))
            else:
                quality = _quality(definition.id, n, tier, rate_hz, settings)
                metrics.append(_summarise(given, error, quality, known.get(key, math.nan)))
    return tuple(metrics)


def _quality(metric_id: str, n: int, tier: Tier, rate_hz: float, settings: AnalysisSettings) -> Quality:
    slow = metric_id in _EVENT_METRICS and rate_hz < settings.event_guard_rate_hz
    blind = metric_id in _EVENT_METRICS and tier is Tier.T0
    if slow or blind or n < settings.min_strides_verdict:
        return Quality.INDICATIVE
    return Quality.LOW if find_metric(metric_id).low_confidence else Quality.OK


def missing_metric(metric_id: str, side: Side, error: SessionError | None, reason: str) -> Metric:
    """A metric that cannot be given, and why."""
    return Metric(
        id=metric_id,
        side=side,
        mean=math.nan,
        sd=math.nan,
        n=0,
        lag1=math.nan,
        ci95_strides=NOWHERE,
        se_reconstruction=math.nan,
        sem_measurement=error.sem if error else math.nan,
        sem_source=error.source if error else "",
        ci95=NOWHERE,
        quality=Quality.EXCLUDED,
        provisional=bool(error and error.source == "default"),
        reason=reason,
    )


def _summarise(given: StrideValues, error: SessionError | None, quality: Quality, se_reconstruction: float) -> Metric:
    x = given.values
    mean, sd, lag1 = _centre(given.id, x), float(x.std(ddof=1)) if x.size > 1 else math.nan, lag1_autocorrelation(x)
    of_capture = strides_interval(given.id, x)
    return Metric(
        id=given.id,
        side=given.side,
        mean=mean,
        sd=sd,
        n=x.size,
        lag1=lag1,
        ci95_strides=of_capture,
        se_reconstruction=se_reconstruction,
        sem_measurement=error.sem if error else math.nan,
        sem_source=error.source if error else "",
        ci95=hold_both(total_interval(mean, sd, x.size, lag1, error, se_reconstruction), of_capture),
        quality=quality,
        provisional=bool(error and error.source == "default"),
    )


def _centre(metric_id: str, values: FloatArray) -> float:
    """Mean over strides; cadence is steps per time, so its mean is the harmonic one."""
    return float(values.size / np.sum(1.0 / values)) if metric_id in _HARMONIC else float(values.mean())


def lag1_autocorrelation(values: FloatArray) -> float:
    """Lag-1 autocorrelation of values (S,) in stride order, clipped to 0..0.9; 0 for fewer than three.

    Estimated from a short series it comes out low by (1 + 4 r) / S, which is put right here.
    Source: Kendall 1954, doi:10.1093/biomet/41.3-4.403; Marriott & Pope 1954, doi:10.1093/biomet/41.3-4.390.
    """
    centred = values - values.mean()
    power = float(centred @ centred)
    if values.size < 3 or power <= 0.0:
        return 0.0
    estimate = float(centred[1:] @ centred[:-1]) / power
    corrected = (values.size * estimate + 1.0) / max(values.size - 4, 2)
    return min(max(corrected, 0.0), 0.9)


def steadied_lag1(lag1: float, n: int) -> float:
    """An estimated autocorrelation, where it is high, drawn towards what is usual: n strides cannot tell it well."""
    return min(lag1, (n * lag1 + _LAG1_WEIGHT * _LAG1_HIGH) / (n + _LAG1_WEIGHT))


def strides_interval(metric_id: str, values: FloatArray) -> tuple[float, float]:
    """95 % interval of the mean of values (S,): Student's t on the effective number of strides.

    NaN for fewer than MIN_STRIDES_CAPTURE. Where the centre is a harmonic mean, the interval is that of the mean
    inverse, turned back.
    """
    inverted = metric_id in _HARMONIC
    x = 1.0 / values if inverted else values
    if x.size < MIN_STRIDES_CAPTURE:
        return NOWHERE
    lag1 = steadied_lag1(lag1_autocorrelation(x), x.size)
    df = max(effective_n(x.size, lag1) - 1.0, 2.0)
    half = float(student_t.ppf(0.975, df)) * math.sqrt(strides_variance(float(x.std(ddof=1)), x.size, lag1))
    low, high = float(x.mean()) - half, float(x.mean()) + half
    if not inverted:
        return low, high
    return 1.0 / high, 1.0 / low if low > 0.0 else math.inf


def total_interval(
    mean: float, sd: float, n: int, lag1: float, error: SessionError | None, se_reconstruction: float = math.nan
) -> tuple[float, float]:
    """95 % interval of what another day would show, m ± t·SE of strides and session; NaN where that error is unknown.

    The session's V_capture already holds the reconstruction error's typical size; where that of this trial is larger,
    it takes its place. Degrees of freedom after Welch and Satterthwaite.
    """
    of_strides = strides_variance(sd, n, lag1)
    if error is None or not math.isfinite(of_strides):
        return NOWHERE
    of_session = error.sem**2
    if math.isfinite(se_reconstruction):
        of_session += max(se_reconstruction**2 - error.v_capture, 0.0)
    total = of_strides + of_session
    if total <= 0.0:
        return mean, mean
    spread = of_strides**2 / max(effective_n(n, lag1) - 1.0, 1.0)
    spread += of_session**2 / error.df if math.isfinite(error.df) else 0.0
    df = total**2 / spread if spread > 0.0 else math.inf
    half = float(student_t.ppf(0.975, df)) * math.sqrt(total)
    return mean - half, mean + half


def hold_both(total: tuple[float, float], of_capture: tuple[float, float]) -> tuple[float, float]:
    """The total interval, widened to hold this capture's own: another day is never known better than this one.

    With few degrees of freedom a sum of variances has more of them than its part, and a smaller t.
    """
    if not (math.isfinite(total[0]) and math.isfinite(of_capture[0])):
        return total
    return min(total[0], of_capture[0]), max(total[1], of_capture[1])


def summarise_angles(angles: JointAngles) -> tuple[AngleSummary, ...]:
    """Every angle over the whole trial, as reported (against the static where there is one)."""
    return tuple(_summarise_angle(series) for series in angles.series)


def _summarise_angle(series: AngleSeries) -> AngleSummary:
    values, referenced = reported(series)
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return AngleSummary(series.id, series.side, *(math.nan,) * 4, n=0, referenced=False, reason=series.reason)
    sd = float(finite.std(ddof=1)) if finite.size > 1 else math.nan
    low, high, mean = float(finite.min()), float(finite.max()), float(finite.mean())
    return AngleSummary(series.id, series.side, mean, sd, low, high, finite.size, referenced)


def unreferenced(angles: JointAngles) -> tuple[str, ...]:
    """Ids of angles whose zero should be the static trial but is not."""
    ids = (
        a.id for a in angles.series if a.reason is None and find_angle(a.id).static_referenced and not reported(a)[1]
    )
    return tuple(dict.fromkeys(ids))
