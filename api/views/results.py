"""A trial as people outside see it: the JSON of `labsys show`, in outside units, for terminal and HTTP.

Fields may be added, never renamed. What is missing is null with a reason beside it; no number here is SI unless its
name carries an SI suffix.
"""

from __future__ import annotations

from typing import Any

from api.views.drift import drift_document
from api.views.findings import finding_document, references_of
from api.views.numbers import interval, number, outside
from labsys.core.camera_audit import CameraAudit, ReconstructionAudit, SyncAudit
from labsys.core.catalogue import find_angle, find_metric
from labsys.core.motion import AngleSummary, Metric, TrialResult
from labsys.core.references import PUBLISHED, ReferenceTable
from labsys.core.skeleton import Side


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
