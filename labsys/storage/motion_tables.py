"""What biomechanics found, as Parquet tables in one folder: rad, m, s, float64, the unit in every column's metadata."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from labsys.core.catalogue import find_metric
from labsys.core.motion import (
    AngleSeries,
    AngleSummary,
    EventKind,
    GaitEvent,
    GaitEvents,
    JointAngles,
    Metric,
    Quality,
)
from labsys.core.skeleton import Side
from labsys.storage.columns import (
    bool_column,
    float_column,
    float_text,
    floats,
    int_column,
    read_table,
    rows,
    text_column,
    text_float,
    write_table,
)
from labsys.storage.stride_tables import metric_unit


def write_angles(path: Path, angles: JointAngles) -> None:
    """One row per series and time; without any series, the times alone."""
    n_frames, series = angles.times_s.size, angles.series
    blocks = max(len(series), 1)
    nothing = np.full(n_frames, np.nan)
    raw, ref = ([getattr(s, name) for s in series] or [nothing] for name in ("raw_rad", "ref_rad"))
    errors = [nothing if s.se_rad is None else s.se_rad for s in series] or [nothing]
    columns = [
        text_column("id", _repeat([s.id for s in series] or [""], n_frames)),
        text_column("side", _repeat([str(s.side) for s in series] or [""], n_frames)),
        float_column("time_s", np.tile(angles.times_s, blocks), "s"),
        float_column("raw", np.concatenate(raw), "rad"),
        float_column("ref", np.concatenate(ref), "rad"),
        float_column("se", np.concatenate(errors), "rad"),
    ]
    listing = [{"id": s.id, "side": str(s.side), "reason": s.reason, "has_se": s.se_rad is not None} for s in series]
    write_table(path, "angles", columns, {"series": listing})


def read_angles(path: Path) -> JointAngles:
    """Inverse of `write_angles`."""
    content, about = read_table(path, "angles")
    listing = about["series"]
    blocks = max(len(listing), 1)
    times, raw, ref = (floats(content, name).reshape(blocks, -1) for name in ("time_s", "raw", "ref"))
    # Files of earlier versions have no standard errors.
    errors = floats(content, "se").reshape(blocks, -1) if "se" in content.column_names else raw
    series = tuple(
        AngleSeries(
            one["id"], Side(one["side"]), raw[i], ref[i], one["reason"], errors[i] if one.get("has_se") else None
        )
        for i, one in enumerate(listing)
    )
    return JointAngles(times[0], series)


def write_summaries(path: Path, summaries: Sequence[AngleSummary]) -> None:
    """One row per angle and side."""
    columns = [
        text_column("id", [s.id for s in summaries]),
        text_column("side", [str(s.side) for s in summaries]),
        *(float_column(name, [getattr(s, f"{name}_rad") for s in summaries], "rad") for name in _SUMMARY_RAD),
        int_column("n", [s.n for s in summaries]),
        bool_column("referenced", [s.referenced for s in summaries]),
        text_column("reason", [s.reason for s in summaries]),
    ]
    write_table(path, "angle_summaries", columns)


def read_summaries(path: Path) -> tuple[AngleSummary, ...]:
    """Inverse of `write_summaries`."""
    return tuple(_summary(row) for row in rows(read_table(path, "angle_summaries")[0]))


def write_events(path: Path, events: GaitEvents | None) -> None:
    """One row per event; that no events were looked for is kept apart from that none were found."""
    found = () if events is None else events.events
    columns = [
        text_column("kind", [str(e.kind) for e in found]),
        text_column("side", [str(e.side) for e in found]),
        float_column("time_s", [e.time_s for e in found], "s"),
        text_column("quality", [str(e.quality) for e in found]),
    ]
    extra = (
        {"detected": False}
        if events is None
        else {
            "detected": True,
            "belt_speed_mps": float_text(events.belt_speed_mps),
            "stride_period_s": float_text(events.stride_period_s),
        }
    )
    write_table(path, "events", columns, extra)


def read_events(path: Path) -> GaitEvents | None:
    """Inverse of `write_events`."""
    content, about = read_table(path, "events")
    if not about["detected"]:
        return None
    found = tuple(
        GaitEvent(EventKind(r["kind"]), Side(r["side"]), r["time_s"], Quality(r["quality"])) for r in rows(content)
    )
    return GaitEvents(found, text_float(about["belt_speed_mps"]), text_float(about["stride_period_s"]))


def write_metrics(path: Path, metrics: Sequence[Metric]) -> None:
    """One row per metric and side, in the metric's inside unit (column `unit`).

    Raises:
        UnknownNameError: a metric that the catalogue does not have.
    """
    columns = [
        text_column("id", [m.id for m in metrics]),
        text_column("side", [str(m.side) for m in metrics]),
        text_column("unit", [metric_unit(m.id) for m in metrics]),
        *(float_column(name, [getattr(m, name) for m in metrics], "see unit") for name in _METRIC_VALUES),
        float_column("lag1", [m.lag1 for m in metrics], "1"),
        *(float_column(name, [getattr(m, field)[end] for m in metrics], "see unit") for name, field, end in _INTERVALS),
        int_column("n", [m.n for m in metrics]),
        text_column("sem_source", [m.sem_source for m in metrics]),
        text_column("quality", [str(m.quality) for m in metrics]),
        bool_column("provisional", [m.provisional for m in metrics]),
        text_column("reason", [m.reason for m in metrics]),
        float_column("interpolated_share", [m.interpolated_share for m in metrics], "1"),
        int_column("definition_version", [find_metric(m.id).version for m in metrics]),
    ]
    write_table(path, "metrics", columns)


def read_metrics(path: Path) -> tuple[Metric, ...]:
    """Inverse of `write_metrics`."""
    return tuple(_metric(row) for row in rows(read_table(path, "metrics")[0]))


_SUMMARY_RAD = ("mean", "sd", "min", "max")
_METRIC_VALUES = ("mean", "sd", "se_reconstruction", "sem_measurement")
_INTERVALS = (
    ("ci95_strides_low", "ci95_strides", 0),
    ("ci95_strides_high", "ci95_strides", 1),
    ("ci95_low", "ci95", 0),
    ("ci95_high", "ci95", 1),
)


def _repeat(words: list[str], times: int) -> list[str]:
    return [word for word in words for _ in range(times)]


def _summary(row: dict[str, Any]) -> AngleSummary:
    return AngleSummary(
        id=row["id"],
        side=Side(row["side"]),
        mean_rad=row["mean"],
        sd_rad=row["sd"],
        min_rad=row["min"],
        max_rad=row["max"],
        n=row["n"],
        referenced=row["referenced"],
        reason=row["reason"],
    )


def _metric(row: dict[str, Any]) -> Metric:
    return Metric(
        id=row["id"],
        side=Side(row["side"]),
        mean=row["mean"],
        sd=row["sd"],
        n=row["n"],
        lag1=row["lag1"],
        ci95_strides=(row["ci95_strides_low"], row["ci95_strides_high"]),
        se_reconstruction=row["se_reconstruction"],
        sem_measurement=row["sem_measurement"],
        sem_source=row["sem_source"],
        ci95=(row["ci95_low"], row["ci95_high"]),
        quality=Quality(row["quality"]),
        provisional=row["provisional"],
        reason=row["reason"],
        # Files of earlier versions do not have it.
        interpolated_share=row.get("interpolated_share", math.nan),
    )
