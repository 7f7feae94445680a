"""The tables `strides` (a row per trial, run, metric, side and stride) and `curves` (… angle, side and percent)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
from sqlalchemy import Row, String, select, type_coerce
from sqlalchemy.orm import Session

from api.database.tables import TrialMetricRow as M
from api.flat.formats import Shape
from api.flat.named_files import file_list
from api.flat.run_table import CONDITIONS, MADE_BY, RunTable, finite
from labsys.core.catalogue import ANGLES, METRICS
from labsys.core.motion import Quality
from labsys.core.units import Unit

_TIMES = ("foot_strike_s", "toe_off_s", "next_foot_strike_s", "contra_foot_strike_s")
_VALUES, _STRIDES, _CURVES = "stride_values.parquet", "strides.parquet", "curves.parquet"


@dataclass(frozen=True)
class StrideTable(RunTable):
    """Every stride that counts, with the times of its events."""

    name: ClassVar[str] = "strides"
    columns: ClassVar[tuple[str, ...]] = (
        *(*CONDITIONS, "metric", "side", "unit", "stride", "value", *_TIMES),
        *("tier", "quality", *MADE_BY),
    )
    files: ClassVar[tuple[str, ...]] = (_VALUES, _STRIDES)

    def known(self, session: Session, units: Sequence[Row[Any]], /) -> dict[str, Any]:
        """Units of the metrics asked for, and how far each can be trusted in each run."""
        unit_of = {(unit.trial_id, unit.run): i for i, unit in enumerate(units)}
        columns = (M.trial_id, M.run, M.metric, type_coerce(M.side, String), type_coerce(M.quality, String))
        asked = select(*columns).where(M.trial_id.in_({unit.trial_id for unit in units}))
        rows = [(unit_of[t, r], *rest) for t, r, *rest in session.execute(asked) if (t, r) in unit_of]
        kinds = {"of_run": pa.int64(), "metric": pa.string(), "side": pa.string(), "quality": pa.string()}
        arrays = {name: pa.array([row[i] for row in rows], kind) for i, (name, kind) in enumerate(kinds.items())}
        wanted = {m.id: m.unit for m in METRICS if m.id in self.ids or not self.ids}
        return {"qualities": pa.table(arrays), "units": _units(wanted)}

    def sql(self, shape: Shape, places: Mapping[str, Sequence[Path]]) -> str:
        """Values joined with their strides; a metric of both sides is read over right strides, or left ones alone."""
        own = {"metric": "v.id", "side": "v.side", "unit": "u.name", "stride": "v.stride_index", "quality": "q.quality"}
        own |= {"value": f"{finite('v.value')} * u.factor"} | {name: finite(f"s.{name}") for name in _TIMES}
        return f"""
            WITH strides AS (
                SELECT f.of_run, p.* FROM read_parquet({file_list(places[_STRIDES])}, filename = true) p
                JOIN files f ON f.path = p.filename
            ), midline AS (SELECT of_run, max(side) AS side FROM strides WHERE valid GROUP BY of_run)
            SELECT r.of_run, {self.selected(shape, own)}
            FROM read_parquet({file_list(places[_VALUES])}, filename = true) v
            JOIN files f ON f.path = v.filename JOIN runs r ON r.of_run = f.of_run JOIN units u ON u.id = v.id
            LEFT JOIN midline m ON m.of_run = r.of_run
            LEFT JOIN strides s ON s.of_run = r.of_run AND s."index" = v.stride_index
                AND s.side = CASE WHEN v.side = 'both' THEN m.side ELSE v.side END
            LEFT JOIN qualities q ON q.of_run = r.of_run AND q.metric = v.id AND q.side = v.side
            {_of_side(self.side, "v.side")} ORDER BY r.of_run, v.id, v.side, v.stride_index"""


@dataclass(frozen=True)
class CurveTable(RunTable):
    """Mean and SD of every angle over the strides of a run, at 101 points from foot strike to the next."""

    name: ClassVar[str] = "curves"
    columns: ClassVar[tuple[str, ...]] = (
        *(*CONDITIONS, "angle", "side", "unit", "percent", "n", "mean", "sd"),
        *("tier", "quality", *MADE_BY),
    )
    files: ClassVar[tuple[str, ...]] = (_CURVES,)

    def known(self, _session: Session, _runs: Sequence[Row[Any]], /) -> dict[str, Any]:
        """Units of the angles asked for."""
        return {"units": _units({a.id: a.unit for a in ANGLES if a.id in self.ids or not self.ids})}

    def sql(self, shape: Shape, places: Mapping[str, Sequence[Path]]) -> str:
        """Over the strides that have a value at a point."""
        excluded = f"CASE WHEN r.is_excluded THEN '{Quality.EXCLUDED.value}' END"
        own = {"angle": "c.id", "side": "c.side", "unit": "u.name", "percent": "c.percent", "n": "c.n"}
        own |= {"mean": "c.mean * u.factor", "sd": "c.sd * u.factor", "quality": excluded}
        there = "FILTER (WHERE isfinite(point))"
        return f"""
            WITH points AS (
                SELECT f.of_run, p.id, p.side, unnest(p.values) AS point,
                    unnest(range(len(p.values))) AS percent
                FROM read_parquet({file_list(places[_CURVES])}, filename = true) p JOIN files f ON f.path = p.filename
                {_of_side(self.side, "p.side")}
            ), curves AS (
                SELECT of_run, id, side, percent, count(point) {there} AS n, avg(point) {there} AS mean,
                    stddev_samp(point) {there} AS sd
                FROM points GROUP BY of_run, id, side, percent
            )
            SELECT r.of_run, {self.selected(shape, own)}
            FROM curves c JOIN runs r ON r.of_run = c.of_run JOIN units u ON u.id = c.id
            ORDER BY r.of_run, c.id, c.side, c.percent"""


def _units(of: Mapping[str, Unit]) -> Any:
    """Id, unit outside, and what an inside value is multiplied with."""
    return pa.table(
        {
            "id": pa.array(list(of), pa.string()),
            "name": pa.array([u.value for u in of.values()], pa.string()),
            "factor": pa.array([u.factor for u in of.values()], pa.float64()),
        }
    )


def _of_side(side: Any, column: str) -> str:
    return "" if side is None else f"WHERE {column} = '{side.value}'"
