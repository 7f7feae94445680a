"""CSV for spreadsheets and R: labsys ids with a unit suffix, degrees and millimetres, empty where missing."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from labsys.core.arrays import FloatArray
from labsys.core.catalogue import find_metric
from labsys.core.errors import InputError
from labsys.core.landmarks import Landmarks3D
from labsys.core.motion import Finding, FindingValue, JointAngles, Metric, MotionResult, TrialResult
from labsys.core.units import Unit, to_outside, to_outside_array
from labsys.storage.atomic import write_text_atomic

Cell = str | float | int | bool | None
Table = tuple[Sequence[str], Iterable[Sequence[Cell]]]

_AXES = ("x", "y", "z")


def write_csv(path: Path, trial_result: TrialResult) -> tuple[Path, ...]:
    """Write a result as CSV; returns the paths written.

    A path that ends in .csv becomes one table over time (angles and landmarks); any other becomes a folder with that
    table's halves, events, strides, values per stride, curves, metrics and findings.

    Raises:
        InputError: one table is asked for and angles and landmarks have different times, or writing fails.
    """
    tables = _tables(trial_result)
    if path.suffix.lower() == ".csv":
        return (_write(path, _over_time(trial_result, path)),)
    return tuple(_write(path / f"{name}.csv", table()) for name, table in tables.items())


def _tables(result: TrialResult) -> dict[str, Callable[[], Table]]:
    motion = result.motion
    return {
        "landmarks3d": lambda: _timed(result.landmarks.times_s, _landmark_columns(result.landmarks)),
        "angles": lambda: _timed(motion.angles.times_s, _angle_columns(motion.angles)),
        "events": lambda: _events(motion),
        "strides": lambda: _strides(motion),
        "stride_values": lambda: _stride_values(motion),
        "curves": lambda: _curves(motion),
        "metrics": lambda: _metrics(motion.metrics),
        "findings": lambda: _findings(motion.findings),
    }


def _over_time(result: TrialResult, path: Path) -> Table:
    times_s, angles = result.landmarks.times_s, result.motion.angles
    if not np.array_equal(times_s, angles.times_s):
        raise InputError("angles and landmarks have different times", where=str(path), remedy="Give a folder instead")
    return _timed(times_s, {**_angle_columns(angles), **_landmark_columns(result.landmarks)})


def _timed(times_s: FloatArray, columns: dict[str, FloatArray]) -> Table:
    table = np.column_stack([times_s, *columns.values()])
    return ["time_s", *columns], table.tolist()


def _landmark_columns(landmarks: Landmarks3D) -> dict[str, FloatArray]:
    xyz_mm = to_outside_array(landmarks.xyz_m, Unit.MM)
    return {
        f"{name}_{axis}_mm": xyz_mm[:, k, a]
        for k, name in enumerate(landmarks.landmarks)
        for a, axis in enumerate(_AXES)
    }


def _angle_columns(angles: JointAngles) -> dict[str, FloatArray]:
    """Every angle as the segments give it, as change from the static where there is one, and its standard error."""
    columns: dict[str, FloatArray] = {}
    for series in angles.series:
        columns[f"{series.id}_{series.side}_deg"] = to_outside_array(series.raw_rad, Unit.DEG)
        if np.isfinite(series.ref_rad).any():
            columns[f"{series.id}_{series.side}_from_static_deg"] = to_outside_array(series.ref_rad, Unit.DEG)
        if series.se_rad is not None:
            columns[f"{series.id}_{series.side}_se_deg"] = to_outside_array(series.se_rad, Unit.DEG)
    return columns


def _events(motion: MotionResult) -> Table:
    found = motion.events.events if motion.events else ()
    return ("kind", "side", "time_s", "quality"), [(e.kind, e.side, e.time_s, e.quality) for e in found]


def _strides(motion: MotionResult) -> Table:
    names = ("foot_strike_s", "toe_off_s", "next_foot_strike_s", "contra_foot_strike_s")
    rows = [(s.index, s.side, *(getattr(s, n) for n in names), s.valid, s.reason) for s in motion.strides]
    return ("stride", "side", *names, "valid", "reason"), rows


def _stride_values(motion: MotionResult) -> Table:
    rows: list[Sequence[Cell]] = []
    for group in motion.stride_values:
        unit = find_metric(group.id).unit
        values = to_outside_array(group.values, unit).tolist()
        rows += [(group.id, group.side, i, v, unit) for i, v in zip(group.stride_index, values, strict=True)]
    return ("metric", "side", "stride", "value", "unit"), rows


def _curves(motion: MotionResult) -> Table:
    rows: list[Sequence[Cell]] = []
    for curve in motion.curves:
        values = to_outside_array(curve.values_rad, Unit.DEG).tolist()
        rows += [(curve.id, curve.side, i, *row) for i, row in zip(curve.stride_index, values, strict=True)]
    return ("angle", "side", "stride", *(f"at_{percent}_pct_deg" for percent in range(101))), rows


def _metrics(metrics: Sequence[Metric]) -> Table:
    values = ("mean", "sd", "ci95_strides_low", "ci95_strides_high", "se_reconstruction", "sem_measurement")
    head = (
        "metric",
        "side",
        "unit",
        *values,
        "ci95_low",
        "ci95_high",
        "n",
        "sem_source",
        "quality",
        "provisional",
        "interpolated_share",
        "reason",
    )
    return head, [_metric_row(m) for m in metrics]


def _metric_row(m: Metric) -> Sequence[Cell]:
    unit = find_metric(m.id).unit
    inside = (m.mean, m.sd, *m.ci95_strides, m.se_reconstruction, m.sem_measurement, *m.ci95)
    outside = (to_outside(value, unit) for value in inside)
    return (m.id, m.side, unit, *outside, m.n, m.sem_source, m.quality, m.provisional, m.interpolated_share, m.reason)


def _findings(findings: Sequence[Finding]) -> Table:
    """One row per finding and value that it looked at; one without a value where there is none."""
    head = ("finding", "side", "status", "title", "metric", "unit", "mean", "sd", "ci95_low", "ci95_high", "n",
            "borderline", "flagged", "tier", "quality", "confidence", "provisional", "source", "rules", "reason",
            "text")  # fmt: skip
    rows = [_finding_row(f, v) for f in findings for v in f.values or (None,)]
    return head, rows


def _finding_row(f: Finding, v: FindingValue | None) -> Sequence[Cell]:
    tier = None if f.tier is None else f.tier.name
    after = (tier, f.quality, f.confidence, f.provisional, f.source, f.rules, f.reason, f.text)
    if v is None:
        return (f.id, f.side, f.status, f.title, *(None,) * 9, *after)
    unit = find_metric(v.metric).unit
    low, high = v.ci95 or (None, None)
    inside = (v.mean, v.sd, low, high)
    outside = [None if x is None else to_outside(x, unit) for x in inside]
    thresholds = (None if x is None else to_outside(x, unit) for x in (v.borderline, v.flagged))
    return (f.id, f.side, f.status, f.title, v.metric, unit, *outside, v.n, *thresholds, *after)


def _write(path: Path, table: Table) -> Path:
    head, rows = table
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([_cell(value) for value in row] for row in rows)
    write_text_atomic(path, text.getvalue())
    return path


def _cell(value: Cell) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float():
            return f"{value:.10g}" if math.isfinite(value) else ""
        case str():
            # A spreadsheet would run a cell that begins like a formula.
            return f"'{value}" if value.startswith(("=", "+", "-", "@")) else str(value)
    return str(value)
