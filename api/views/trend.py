"""A trend over visits, as people outside see it, in outside units. What is missing is null."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.views.numbers import interval, number, outside
from labsys.core.catalogue import find_metric
from labsys.core.units import Unit
from labsys.longitudinal import Trend, TrendSeries, TrendSlope


def trend_document(trend: Trend, subject: str, *, as_of: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """One metric of one subject over all visits, outside units; one series per condition and making, never pooled."""
    unit = find_metric(trend.metric).unit
    return {
        "subject": subject,
        "metric": trend.metric,
        "side": trend.side.value,
        "unit": unit.value,
        "source": find_metric(trend.metric).source,
        "series": [_series_document(s, unit) for s in trend.series],
        "left_out": dict(trend.left_out),
        "as_of": as_of,
    }


def _series_document(series: TrendSeries, unit: Unit) -> dict[str, Any]:
    return {
        "kind": series.kind.value,
        "surface": series.surface.value if series.surface else None,
        "speed_mps": number(series.speed_mps),
        "incline_pct": number(series.incline_pct),
        "tier": series.tier.name,
        "definition_version": series.version,
        "made_by": series.made_by,
        "notes": list(series.notes),
        "points": [
            {
                "session": p.session,
                "date": p.date,
                "phase": p.phase.value if p.phase else None,
                "value": outside(p.value, unit),
                "sd": outside(p.sd, unit),
                "ci95": interval(p.ci95, unit),
                "since_first": outside(p.since_first, unit),
                "since_first_ci95": interval(p.since_first_ci95, unit),
                "quality": p.quality.value,
                "n_strides": p.n_strides,
                "n_captures": p.n_captures,
                "sem_source": p.sem_source or None,
                "provisional": p.provisional,
            }
            for p in series.points
        ],
        "slope": None if series.slope is None else _slope_document(series.slope, unit),
    }


def _slope_document(slope: TrendSlope, unit: Unit) -> dict[str, Any]:
    return {
        "n_visits": slope.n_visits,
        "span_weeks": number(slope.span_weeks),
        "per_week": outside(slope.per_week, unit),
        "per_week_ci95": interval(slope.per_week_ci95, unit),
        "change": outside(slope.change, unit),
        "ci95": interval(slope.ci95, unit),
        "threshold": outside(slope.threshold, unit),
        "detectable_change": outside(slope.detectable_change, unit),
        "df": number(slope.df),
        "family": slope.family.value,
        "verdict": slope.verdict.value,
    }
