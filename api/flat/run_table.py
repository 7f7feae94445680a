"""The tables `strides` and `curves`: rows out of the files of runs, under the conditions that the database knows.

A run's files never change, so a row is never changed alone. Who asks what changed gets whole runs again; a run that
does not count any more, or went, is told by one row with `deleted` that names it and nothing within it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from sqlalchemy import Row, Select, and_, func, or_, select
from sqlalchemy.orm import Session

from api.database.tables import FileRow, RunRow, TrialRow
from api.database.tables import TombstoneRow as T
from api.database.tables import TrialMetricRow as M
from api.flat.columns import plain_column
from api.flat.formats import Shape
from api.flat.named_files import ask_files, check_files
from api.flat.row_table import Rows
from api.flat.trial_metrics import TableFilter
from api.flat.unit_table import Drawn, UnitTable
from api.paging import Keyset
from labsys.core.skeleton import Side, Tier
from labsys.storage.lab import Lab

CONDITIONS = (
    *("lab", "subject", "episode", "phase", "weeks_from_index", "session", "captured_at", "trial", "kind", "surface"),
    *("speed_mps", "incline_pct", "footwear"),
)
MADE_BY = (
    *("not_for_comparison", "calibration_grade", "run", "is_current", "pipeline_version", "model_hash", "updated_at"),
    "deleted",
)
_NAMES = (*(n for n in (*CONDITIONS, *MADE_BY) if n not in ("lab", "deleted")), "tier", "trial_id")
_FILTERED = ("phase", "episode", "kind", "captured_at", "is_current")
_KEY = (M.captured_at, M.trial_id, M.run)
_RUN = (T.subject, T.session, T.trial, T.run)


@dataclass(frozen=True)
class RunTable(UnitTable):
    """Rows of runs. filter: of runs; ids, side: of what is within them, all where none is named."""

    name: ClassVar[str]
    columns: ClassVar[tuple[str, ...]]
    # What is read of every run.
    files: ClassVar[tuple[str, ...]]

    lab: Lab
    filter: TableFilter
    ids: tuple[str, ...] = ()
    side: Side | None = None

    @abstractmethod
    def sql(self, shape: Shape, places: Mapping[str, Sequence[Path]]) -> str:
        """The query over the tables `runs`, `files` and those of `known`; gives `of_run` and the columns, in order."""

    @abstractmethod
    def known(self, session: Session, units: Sequence[Row[Any]], /) -> dict[str, Any]:
        """What else the query needs, as Arrow tables."""

    def keyset(self) -> Keyset:
        """By time, then trial and run."""
        asked = {"table": self.name, "filter": self.filter, "ids": self.ids, "side": self.side}
        return Keyset.of(_KEY, asked)

    def statement(self) -> Select[Any]:
        """One row per run: the conditions stand at each of its metrics alike, and the first is read."""
        first = M.__table__.alias("first")
        lowest = select(func.min(first.c.metric)).where(first.c.trial_id == RunRow.trial_id, first.c.run == RunRow.run)
        second = M.__table__.alias("second")
        mine = and_(second.c.trial_id == RunRow.trial_id, second.c.run == RunRow.run, second.c.metric == M.metric)
        return (
            select(*(plain_column(name) for name in _NAMES), TrialRow.excluded)
            .join(RunRow, and_(RunRow.trial_id == M.trial_id, RunRow.run == M.run))
            .join(TrialRow, TrialRow.id == M.trial_id)
            .where(M.metric == lowest.scalar_subquery())
            .where(M.side == select(func.min(second.c.side)).where(mine).scalar_subquery())
            .where(*self.filter.conditions())
        )

    def key_of(self, unit: Row[Any]) -> Sequence[Any]:
        """Time, trial and run."""
        return (unit.captured_at, unit.trial_id, unit.run)

    def draw(self, session: Session, units: Sequence[Row[Any]], shape: Shape, most: int, /) -> Drawn:
        """Rows of runs that the filter takes; one row of each that it does not take any more."""
        parts, n = list[Drawn](), 0
        takes = self.filter.takes({name: [getattr(unit, name) for unit in units] for name in _FILTERED})
        for taken, group in groupby(enumerate(units), key=lambda item: takes[item[0]]):
            members = list(group)
            if n < most:
                parts.append(self._read(session, members, shape, most - n) if taken else self._tell(members, shape))
                n += parts[-1].rows.num_rows
        return Drawn.join(parts, shape)

    def _tell(self, members: Sequence[tuple[int, Row[Any]]], shape: Shape) -> Drawn:
        named = ("subject", "session", "trial", "run", "updated_at")
        rows = [self._gone_row({name: getattr(unit, name) for name in named}) for _, unit in members]
        return Drawn(shape.of_rows(rows), np.array([i for i, _ in members], dtype=np.int64))

    def _gone_row(self, of: Mapping[str, Any]) -> dict[str, Any]:
        return {**dict.fromkeys(self.columns), **of, "lab": self.lab.uuid, "is_current": False, "deleted": True}

    def _read(self, session: Session, members: Sequence[tuple[int, Row[Any]]], shape: Shape, most: int) -> Drawn:
        units = [unit for _, unit in members]
        places, files = self._places(session, units)
        tables = {"runs": self._conditions(units, shape), "files": files, **self.known(session, units)}
        every = [place for found in places.values() for place in found]
        if not every:
            return Drawn.join((), shape)
        answer = ask_files(f"{self.sql(shape, places)} LIMIT {most}", every, tables)
        unit = np.array([i for i, _ in members], dtype=np.int64)[answer.column("of_run").to_numpy()]
        return Drawn(answer.select(list(shape.columns)).cast(shape.schema), unit)

    def _places(self, session: Session, units: Sequence[Row[Any]]) -> tuple[dict[str, list[Path]], Any]:
        """Files by name, and an Arrow table that says which unit each belongs to."""
        unit_of = {(unit.trial_id, unit.run): i for i, unit in enumerate(units)}
        named = or_(*(FileRow.path.endswith(f"/{name}", autoescape=True) for name in self.files))
        asked = select(FileRow).where(FileRow.trial_id.in_({unit.trial_id for unit in units}), named)
        rows = [file for file in session.scalars(asked) if (file.trial_id, file.run) in unit_of]
        places = check_files(self.lab, rows)
        by_name: dict[str, list[Path]] = defaultdict(list)
        for file in rows:
            by_name[file.path.rpartition("/")[2]].append(places[file.path])
        held = [(str(places[file.path]), unit_of[file.trial_id, file.run or ""]) for file in rows]
        paths, numbers = ([h[i] for h in held] for i in (0, 1))
        return by_name, pa.table({"path": pa.array(paths, pa.string()), "of_run": pa.array(numbers, pa.int64())})

    def _conditions(self, units: Sequence[Row[Any]], shape: Shape) -> Any:
        """What the database knows of each run, written as the shape wants it."""
        said = Shape(tuple(n for n in (*CONDITIONS, "tier", *MADE_BY) if n in shape.columns), shape.kind)
        rows = [unit._asdict() | self._said(unit) for unit in units]
        excluded = pa.array([bool(unit.excluded) for unit in units], pa.bool_())
        numbered = said.of_rows(rows).append_column("of_run", pa.array(range(len(units)), pa.int64()))
        return numbered.append_column("is_excluded", excluded)

    def _said(self, unit: Row[Any]) -> dict[str, Any]:
        tier = None if unit.tier is None else Tier(unit.tier).name
        return {"lab": self.lab.uuid, "tier": tier, "deleted": False, "footwear": unit.footwear or None}

    def gone(self, session: Session, cursor: str | None, limit: int, /) -> tuple[Rows, str | None] | None:
        """Runs that went with trials which were deleted or moved."""
        since = self.filter.updated_since
        if since is None:
            return None
        keys = Keyset.of((T.deleted_at, *_RUN), {"table": self.name, "gone": True, "filter": self.filter})
        if limit == 0:
            return [], None
        told: tuple[Any, ...] = (T.deleted_at, *_RUN)
        asked: Select[Any] = select(*told).where(T.deleted_at >= since).distinct()
        if self.filter.subject is not None:
            asked = asked.where(T.subject == self.filter.subject)
        found = session.execute(keys.page(asked, cursor, limit)).all()
        rows = [self._gone_row({c.key: getattr(t, c.key) for c in _RUN} | {"updated_at": t.deleted_at}) for t in found]
        following = keys.cursor(list(found[limit - 1])) if len(found) > limit else None
        return rows[:limit], following

    def selected(self, shape: Shape, own: Mapping[str, str]) -> str:
        """The columns as SQL: those of the files by `own`, the others from `runs` (alias r)."""
        return ", ".join(f'{own.get(name, f"r.{name}")} AS "{name}"' for name in shape.columns)


def finite(expression: str) -> str:
    """SQL that gives NULL where a number is none."""
    return f"CASE WHEN isfinite({expression}) THEN {expression} END"
