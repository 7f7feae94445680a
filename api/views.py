"""What people outside see: the JSON of `labsys show` and `labsys compare`, in outside units, for terminal and HTTP.

Fields may be added, never renamed. What is missing is null with a reason beside it; no number here is SI unless its
name carries an SI suffix.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from api.views_drift import drift_document
from api.views_findings import finding_document, references_of
from labsys.core.camera_audit import CameraAudit, ReconstructionAudit, SyncAudit
from labsys.core.catalogue import find_angle, find_metric
from labsys.core.motion import AngleSummary, Metric, TrialResult
from labsys.core.references import PUBLISHED, ReferenceTable
from labsys.core.skeleton import Side
from labsys.core.units import Unit, to_outside
from labsys.longitudinal import (
    Comparison,
    ComparisonRow,
    ConditionPair,
    SideDifference,
    Trend,
    TrendSeries,
    TrendSlope,
    Unpaired,
)


def trial_document(result: TrialResult, *, references: ReferenceTable = PUBLISHED, sex: str = "") -> dict[str, Any]:
    """One run of one trial as `labsys show TRIAL --json` prints it. sex: "men", "women" or "", for references."""
    trial, motion = result.trial, result.motion
    conditions = trial.conditions
    return {
        "trial": str(trial.name),
        "run": result.run,
        "tier": motion.tier.name if motion.tier is not None else None,
        "kind": trial.kind.value,
        "surface": conditions.surface.value if conditions.surface else None,
        "speed_mps": conditions.speed_mps,
        "incline_pct": conditions.incline_pct,
        "rate_hz": number(round(result.landmarks.rate_hz, 6)),
        "n_frames": int(result.landmarks.times_s.size),
        "n_strides": {side.value: motion.n_strides(side) for side in (Side.LEFT, Side.RIGHT)},
        "angles": [_angle_document(a) for a in motion.summaries],
        "metrics": [
            {**metric_document(m), "references": references_of(result, m, references, sex)} for m in motion.metrics
        ],
        "findings": [finding_document(f) for f in motion.findings],
        "notes": dict(motion.notes),
        "excluded": trial.excluded,
        "exclusion_reason": trial.exclusion_reason or None,
        "heading_known": result.heading_known,
        "not_for_comparison": result.not_for_comparison,
        **audit_document(result.audit),
        "provenance": _provenance_document(result),
    }


def audit_document(audit: ReconstructionAudit) -> dict[str, Any]:
    """What was found out about the cameras of a run."""
    return {
        "cameras": {camera.camera: _camera_document(camera) for camera in audit.cameras},
        "camera_warnings": list(audit.warnings),
        "sync": _sync_document(audit.sync),
        "drift": drift_document(audit.drift),
    }


def _camera_document(audit: CameraAudit) -> dict[str, Any]:
    return {
        "frames": audit.n_frames,
        "frames_repeated": audit.n_repeated,
        "frames_bad": audit.n_bad,
        "frames_lost": audit.n_lost,
        "rate_hz": number(round(audit.rate_hz, 6)),
        "stamp_jitter_p99_ms": _milliseconds(audit.stamp_jitter_s),
        "offset_ms": _milliseconds(audit.offset_s),
        "offset_sd_ms": _milliseconds(audit.offset_sd_s),
        "drift_ppm": audit.drift_ppm,
        "drift_sd_ppm": audit.drift_sd_ppm,
        "offset_used": audit.offset_used,
        "sides_repaired": {"all": audit.sides_all, "legs": audit.sides_legs, "part": audit.sides_part},
    }


def _sync_document(sync: SyncAudit | None) -> dict[str, Any] | None:
    return None if sync is None else {"grade": sync.grade, "reasons": list(sync.reasons)}


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(1000.0 * seconds, 4)


def _provenance_document(result: TrialResult) -> dict[str, Any]:
    made = result.provenance
    return {
        "version": made.version,
        "definition_version": made.definition_version,
        "model": made.model,
        "calibration": made.calibration or None,
        "static": made.static or None,
        "started_at": made.started_at,
        "seconds": {stage: number(seconds) for stage, seconds in made.seconds.items()},
        "parameters": dict(made.parameters),
        "inputs": dict(made.inputs),
    }


def _angle_document(summary: AngleSummary) -> dict[str, Any]:
    unit = find_angle(summary.id).unit
    return {
        "id": summary.id,
        "side": summary.side.value,
        "unit": unit.value,
        "mean": outside(summary.mean_rad, unit),
        "sd": outside(summary.sd_rad, unit),
        "min": outside(summary.min_rad, unit),
        "max": outside(summary.max_rad, unit),
        "n": summary.n,
        "referenced": summary.referenced,
        "reason": summary.reason,
    }


def metric_document(metric: Metric) -> dict[str, Any]:
    """One metric of one trial and side, outside units."""
    unit = find_metric(metric.id).unit
    return {
        "id": metric.id,
        "side": metric.side.value,
        "unit": unit.value,
        "mean": outside(metric.mean, unit),
        "sd": outside(metric.sd, unit),
        "n": metric.n,
        "ci95": interval(metric.ci95, unit),
        "ci95_strides": interval(metric.ci95_strides, unit),
        "se_reconstruction": outside(metric.se_reconstruction, unit),
        "sem_measurement": outside(metric.sem_measurement, unit),
        "sem_source": metric.sem_source or None,
        "lag1": number(metric.lag1),
        "quality": metric.quality.value,
        "provisional": metric.provisional,
        "interpolated_share": number(metric.interpolated_share),
        "reason": metric.reason,
    }


def comparison_document(comparison: Comparison) -> dict[str, Any]:
    """Two visits as `labsys compare A B --json` prints them."""
    return {
        "subject": comparison.subject,
        "pre": comparison.pre,
        "post": comparison.post,
        "comparable": comparison.comparable,
        "reason": comparison.reason,
        "warnings": list(comparison.warnings),
        "unpaired": [_unpaired_document(u) for u in comparison.unpaired],
        "pairs": [_pair_document(p) for p in comparison.pairs],
        "n_exploratory": comparison.n_exploratory,
        "rows": [_row_document(r) for r in comparison.rows],
        "symmetry": [_symmetry_document(s) for s in comparison.symmetry],
    }


def _symmetry_document(row: SideDifference) -> dict[str, Any]:
    """Right minus left; descriptive, so that there is no verdict."""
    definition = find_metric(row.id)
    unit = definition.unit
    return {
        "pair": row.pair,
        "id": row.id,
        "unit": unit.value,
        "pre": outside(row.pre, unit),
        "post": outside(row.post, unit),
        "change": outside(row.change, unit),
        "pre_ci95": interval(row.pre_ci95, unit),
        "post_ci95": interval(row.post_ci95, unit),
        "ci95": interval(row.ci95, unit),
        "pre_index_pct": outside(row.pre_index, Unit.PERCENT),
        "post_index_pct": outside(row.post_index, Unit.PERCENT),
        "mdc95": outside(row.mdc95, unit),
        "n": row.n,
        "sem_source": row.sem_source or None,
        "provisional": row.sem_source not in ("", "lab"),
        "source": definition.source,
        "reason": row.reason,
    }


def _unpaired_document(unpaired: Unpaired) -> dict[str, Any]:
    return {
        "visit": unpaired.visit,
        "trial": unpaired.trial,
        "kind": unpaired.kind.value,
        "speed_mps": number(unpaired.speed_mps),
        "incline_pct": number(unpaired.incline_pct),
        "reason": unpaired.reason,
    }


def _pair_document(pair: ConditionPair) -> dict[str, Any]:
    return {
        "kind": pair.kind.value,
        "surface": pair.surface.value if pair.surface else None,
        "speed_mps": number(pair.speed_mps),
        "incline_pct": number(pair.incline_pct),
        "pre": [c.name.trial for c in pair.pre],
        "post": [c.name.trial for c in pair.post],
        "runs": {f"{c.name.session}/{c.name.trial}": c.run for c in pair.pre + pair.post},
    }


def _row_document(row: ComparisonRow) -> dict[str, Any]:
    definition = find_metric(row.id)
    unit = definition.unit
    return {
        "pair": row.pair,
        "id": row.id,
        "side": row.side.value,
        "unit": unit.value,
        "pre": outside(row.pre, unit),
        "post": outside(row.post, unit),
        "change": outside(row.change, unit),
        "ci95": interval(row.ci95, unit),
        "pre_sd": outside(row.pre_sd, unit),
        "post_sd": outside(row.post_sd, unit),
        "pre_ci95": interval(row.pre_ci95, unit),
        "post_ci95": interval(row.post_ci95, unit),
        "tier": row.tier.name if row.tier is not None else None,
        "quality": row.quality.value,
        "source": definition.source,
        "threshold": outside(row.threshold, unit),
        "detectable_change": outside(row.detectable_change, unit),
        "mdc95": outside(row.mdc95, unit),
        "change_stride_sds": number(row.change_stride_sds),
        "n_pre": row.n_pre,
        "n_post": row.n_post,
        "family": row.family.value,
        "verdict": row.verdict.value,
        "direction": row.direction,
        "goal": row.goal.direction.value if row.goal else None,
        "goal_late": row.goal_late,
        "goal_direction": row.goal_direction,
        "sem_source": row.sem_source or None,
        "provisional": row.provisional,
        "reason": row.reason,
    }


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


def number(value: float) -> float | None:
    """A finite number as it is; NaN and infinity are null in JSON."""
    return float(value) if math.isfinite(value) else None


def outside(value: float, unit: Unit) -> float | None:
    """An inside value in the unit that people see; null where not finite."""
    return number(to_outside(value, unit))


def interval(bounds: tuple[float, float], unit: Unit) -> list[float] | None:
    """An interval in the unit that people see; null where a bound is not finite."""
    low, high = outside(bounds[0], unit), outside(bounds[1], unit)
    return None if low is None or high is None else [low, high]
