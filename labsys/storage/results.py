"""Results as files: SI and radians, float64, the unit of every column in the schema's metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from labsys.core.camera_audit import ReconstructionAudit
from labsys.core.errors import InputError
from labsys.core.motion import Finding, MotionResult, TrialResult
from labsys.core.session import TrialName
from labsys.core.skeleton import Tier
from labsys.storage import motion_tables, stride_tables
from labsys.storage.atomic import read_json, write_json_atomic
from labsys.storage.current_runs import current_run
from labsys.storage.documents import check_schema, from_document, load_document, save_document, to_document
from labsys.storage.finished_runs import RunRecord, load_run, run_file, run_folder
from labsys.storage.lab import Lab
from labsys.storage.landmarks_table import read_landmarks3d, write_landmarks3d
from labsys.storage.trials import load_trial

__all__ = [
    "AUDIT_FILE",
    "FINDINGS_FILE",
    "LANDMARKS3D_FILE",
    "MOTION_FILES",
    "load_trial_result",
    "read_audit",
    "read_findings",
    "read_landmarks3d",
    "read_motion",
    "write_audit",
    "write_landmarks3d",
    "write_motion",
]

LANDMARKS3D_FILE = "landmarks3d.parquet"
AUDIT_FILE = "cameras.json"
FINDINGS_FILE = "findings.json"
FINDINGS_SCHEMA_VERSION = 2  # 1 knew id, side, status and text only
MOTION_FILES: tuple[str, ...] = (
    "angles.parquet",
    "angle_summaries.parquet",
    "events.parquet",
    "strides.parquet",
    "stride_values.parquet",
    "curves.parquet",
    "metrics.parquet",
    FINDINGS_FILE,
)


def write_motion(folder: Path, motion: MotionResult) -> tuple[str, ...]:
    """Write all of `MOTION_FILES` into a folder; returns their names (for `StagedRun.complete`).

    Raises:
        InputError: shapes that contradict each other, or the folder cannot be written.
    """
    motion_tables.write_angles(folder / "angles.parquet", motion.angles)
    motion_tables.write_summaries(folder / "angle_summaries.parquet", motion.summaries)
    motion_tables.write_events(folder / "events.parquet", motion.events)
    stride_tables.write_strides(folder / "strides.parquet", motion.strides)
    stride_tables.write_stride_values(folder / "stride_values.parquet", motion.stride_values)
    stride_tables.write_curves(folder / "curves.parquet", motion.curves)
    motion_tables.write_metrics(folder / "metrics.parquet", motion.metrics)
    _write_findings(folder / FINDINGS_FILE, motion)
    return MOTION_FILES


def read_motion(folder: Path) -> MotionResult:
    """Read what `write_motion` wrote, equal in every value (InputError; NewerSchemaError)."""
    tier, findings, notes = read_findings(folder / FINDINGS_FILE)
    return MotionResult(
        tier=tier,
        angles=motion_tables.read_angles(folder / "angles.parquet"),
        summaries=motion_tables.read_summaries(folder / "angle_summaries.parquet"),
        events=motion_tables.read_events(folder / "events.parquet"),
        strides=stride_tables.read_strides(folder / "strides.parquet"),
        stride_values=stride_tables.read_stride_values(folder / "stride_values.parquet"),
        curves=stride_tables.read_curves(folder / "curves.parquet"),
        metrics=motion_tables.read_metrics(folder / "metrics.parquet"),
        findings=findings,
        notes=notes,
    )


def write_audit(path: Path, audit: ReconstructionAudit) -> None:
    """Write what was found out about the cameras (InputError where it cannot be written)."""
    save_document(path, audit)


def read_audit(path: Path) -> ReconstructionAudit:
    """Read what `write_audit` wrote (InputError; NewerSchemaError)."""
    return load_document(path, ReconstructionAudit)


def load_trial_result(lab: Lab, name: TrialName, run: str | None = None) -> TrialResult:
    """One run of a trial, whole; without `run` the current one.

    Raises:
        UnknownNameError: no such trial or run. InputError: nothing was processed yet, or a file cannot be read.
    """
    trial = load_trial(lab, name)
    chosen = run or current_run(lab, name)
    if chosen is None:
        raise InputError(f"trial {name} was not processed yet", remedy=f"Run `labsys process {name}`")
    record = load_run(lab, name, chosen)
    return TrialResult(
        run=chosen,
        trial=trial,
        landmarks=read_landmarks3d(run_file(lab, name, chosen, LANDMARKS3D_FILE)),
        motion=read_motion(run_folder(lab, name, chosen)),
        provenance=record.provenance,
        not_for_comparison=record.not_for_comparison,
        heading_known=record.heading_known,
        audit=_audit_of(lab, name, record),
    )


def _audit_of(lab: Lab, name: TrialName, record: RunRecord) -> ReconstructionAudit:
    # Runs of earlier versions have none.
    if AUDIT_FILE not in record.files:
        return ReconstructionAudit()
    return read_audit(run_file(lab, name, record.run, AUDIT_FILE))


def _write_findings(path: Path, motion: MotionResult) -> None:
    document = {
        "schema_version": FINDINGS_SCHEMA_VERSION,
        "tier": None if motion.tier is None else motion.tier.name,
        "findings": [to_document(finding) for finding in motion.findings],
        "notes": dict(motion.notes),
    }
    write_json_atomic(path, document)


def read_findings(path: Path) -> tuple[Tier | None, tuple[Finding, ...], dict[str, str]]:
    """Tier, findings and notes of a run's `FINDINGS_FILE`, without its tables (InputError; NewerSchemaError)."""
    document: dict[str, Any] = read_json(path)
    check_schema(document.get("schema_version"), str(path), known=FINDINGS_SCHEMA_VERSION)
    findings = tuple(from_document(f, Finding, where=str(path)) for f in document["findings"])
    return (None if document["tier"] is None else Tier[document["tier"]]), findings, document["notes"]
