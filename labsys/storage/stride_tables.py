"""Strides, values per stride and curves over the stride as Parquet tables; rad, m, s, float64."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labsys.core.arrays import FloatArray
from labsys.core.catalogue import find_metric
from labsys.core.errors import InputError
from labsys.core.motion import Stride, StrideCurves, StrideValues
from labsys.core.skeleton import Side
from labsys.core.units import INSIDE
from labsys.storage.columns import (
    bool_column,
    curve_column,
    float_column,
    floats,
    int_column,
    read_table,
    rows,
    text_column,
    write_table,
)

_CURVE_POINTS = 101
_STRIDE_TIMES = ("foot_strike_s", "toe_off_s", "next_foot_strike_s", "contra_foot_strike_s")


def metric_unit(metric_id: str) -> str:
    """Inside unit of a metric (UnknownNameError where the catalogue does not have it)."""
    return INSIDE[find_metric(metric_id).unit]


def write_strides(path: Path, strides: Sequence[Stride]) -> None:
    """One row per stride, those that do not count with their reason."""
    columns = [
        int_column("index", [s.index for s in strides]),
        text_column("side", [str(s.side) for s in strides]),
        *(float_column(name, [getattr(s, name) for s in strides], "s") for name in _STRIDE_TIMES),
        bool_column("valid", [s.valid for s in strides]),
        text_column("reason", [s.reason for s in strides]),
    ]
    write_table(path, "strides", columns)


def read_strides(path: Path) -> tuple[Stride, ...]:
    """Inverse of `write_strides`."""
    found = rows(read_table(path, "strides")[0])
    return tuple(
        Stride(
            index=r["index"],
            side=Side(r["side"]),
            foot_strike_s=r["foot_strike_s"],
            toe_off_s=r["toe_off_s"],
            next_foot_strike_s=r["next_foot_strike_s"],
            contra_foot_strike_s=r["contra_foot_strike_s"],
            reason=r["reason"],
        )
        for r in found
    )


def write_stride_values(path: Path, values: Sequence[StrideValues]) -> None:
    """One row per metric, side and stride, in the metric's inside unit (column `unit`)."""
    _check_lengths([(v.id, v.stride_index, v.values) for v in values])
    columns = [
        *_stride_columns(_Grouped.of(values)),
        float_column("value", np.concatenate([v.values for v in values]) if values else [], "see unit"),
        text_column("unit", [metric_unit(v.id) for v in values for _ in v.stride_index]),
    ]
    write_table(path, "stride_values", columns, _groups(values))


def read_stride_values(path: Path) -> tuple[StrideValues, ...]:
    """Inverse of `write_stride_values`."""
    content, about = read_table(path, "stride_values")
    values, index = floats(content, "value"), content.column("stride_index").to_pylist()
    return tuple(
        StrideValues(g["id"], Side(g["side"]), tuple(index[a:b]), values[a:b]) for g, a, b in _spans(about["groups"])
    )


def write_curves(path: Path, curves: Sequence[StrideCurves]) -> None:
    """One row per angle, side and stride: 101 values from foot strike to next foot strike, rad."""
    _check_lengths([(c.id, c.stride_index, c.values_rad) for c in curves])
    for curve in curves:
        if curve.values_rad.ndim != 2 or curve.values_rad.shape[1] != _CURVE_POINTS:
            raise InputError(
                f"curves of {curve.id} have shape {curve.values_rad.shape}, expected (any, {_CURVE_POINTS})"
            )
    values = np.concatenate([c.values_rad for c in curves]) if curves else np.empty((0, _CURVE_POINTS))
    columns = [*_stride_columns(_Grouped.of(curves)), curve_column("values", values, "rad")]
    write_table(path, "curves", columns, _groups(curves))


def read_curves(path: Path) -> tuple[StrideCurves, ...]:
    """Inverse of `write_curves`."""
    content, about = read_table(path, "curves")
    flat = content.column("values").combine_chunks().flatten().to_numpy()
    values, index = flat.reshape(-1, _CURVE_POINTS), content.column("stride_index").to_pylist()
    return tuple(
        StrideCurves(g["id"], Side(g["side"]), tuple(index[a:b]), values[a:b]) for g, a, b in _spans(about["groups"])
    )


@dataclass(frozen=True)
class _Grouped:
    """Id, side and stride index of every row of a table with one row per stride."""

    ids: list[str]
    sides: list[str]
    index: list[int]

    @classmethod
    def of(cls, groups: Sequence[StrideValues] | Sequence[StrideCurves]) -> _Grouped:
        flat = [(g.id, str(g.side), i) for g in groups for i in g.stride_index]
        return cls([f[0] for f in flat], [f[1] for f in flat], [f[2] for f in flat])


def _stride_columns(grouped: _Grouped) -> list[Any]:
    return [
        text_column("id", grouped.ids),
        text_column("side", grouped.sides),
        int_column("stride_index", grouped.index),
    ]


def _groups(groups: Sequence[StrideValues] | Sequence[StrideCurves]) -> dict[str, Any]:
    # Listed apart from the rows, so that an angle or metric without any valid stride is still there when read.
    return {"groups": [{"id": g.id, "side": str(g.side), "n": len(g.stride_index)} for g in groups]}


def _spans(groups: list[dict[str, Any]]) -> list[tuple[dict[str, Any], int, int]]:
    ends = np.cumsum([0, *(g["n"] for g in groups)])
    return [(g, int(ends[i]), int(ends[i + 1])) for i, g in enumerate(groups)]


def _check_lengths(groups: Sequence[tuple[str, tuple[int, ...], FloatArray]]) -> None:
    for name, index, values in groups:
        if len(index) != len(values):
            raise InputError(f"{name} has {len(values)} values for {len(index)} strides")
