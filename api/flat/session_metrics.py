"""The table `session_metrics`: a row per visit, condition, metric and side, as trends and comparisons measure a visit.

Captures of one condition count alike, with the interval of what another day would show. Other conditions, tiers,
definitions, versions or models are rows of their own. Who asks what changed gets whole visits again, each led by a row
with `deleted` that names the visit and nothing within it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

import numpy as np
from sqlalchemy import Row, Select, func, or_, select
from sqlalchemy.orm import Session

from api.counting import NOW, Counting
from api.database.tables import EpisodeRow, SessionRow, SubjectRow, TombstoneRow, TrialRow
from api.database.tables import TrialMetricRow as M
from api.flat.columns import plain_column
from api.flat.formats import Shape
from api.flat.sessions import VISIT, VisitFilter
from api.flat.trial_metrics import unit_of
from api.flat.unit_table import Drawn, UnitTable
from api.indexing.gather_run import finite_or_none, weeks_between
from api.paging import Keyset
from api.schemas.results import scaled
from labsys.core.measurement_error import ErrorTable
from labsys.core.motion import Quality
from labsys.core.session import Conditions, TrialKind, TrialName
from labsys.core.skeleton import Side, Tier
from labsys.longitudinal import Capture, CaptureMetric
from labsys.longitudinal.visits import measure_visit

_CONDITIONS = ("kind", "surface", "speed_mps", "incline_pct", "footwear")
_MADE = ("tier", "definition_version", "pipeline_version", "model_hash")
_NUMBERS = ("mean", "sd", "n", "lag1", "se_reconstruction")
_READ = (*_CONDITIONS, *_MADE, *_NUMBERS, "trial", "metric", "side", "quality", "reason", "not_for_comparison")
_SPEED = ("speed", Side.BOTH.value)


@dataclass(frozen=True)
class Asked:
    """What of a visit is asked for; empty and None mean "any"."""

    metrics: tuple[str, ...] = ()
    side: Side | None = None
    kind: TrialKind | None = None

    def takes(self, row: Row[Any]) -> bool:
        """Whether a metric of a trial is."""
        wanted = not self.metrics or row.metric in self.metrics
        return wanted and self.side in (None, row.side) and self.kind in (None, row.kind)


@dataclass(frozen=True)
class VisitMetricTable(UnitTable):
    """Metrics of visits under a filter. errors: what counts for their intervals; learnt_at: since when."""

    name: ClassVar[str] = "session_metrics"
    columns: ClassVar[tuple[str, ...]] = (
        *(*VISIT, *_CONDITIONS, "metric", "side", "unit", "n", "n_captures", "trials", "mean", "sd"),
        *("ci95_low", "ci95_high", "sem_source", "quality", "reason", "not_for_comparison", *_MADE),
        *("updated_at", "deleted"),
    )

    lab: str
    filter: VisitFilter
    asked: Asked
    errors: ErrorTable
    counting: Counting = NOW
    learnt_at: datetime | None = None

    def keyset(self) -> Keyset:
        """By time."""
        asked = {"table": self.name, "filter": self.filter, "asked": self.asked, "counting": self.counting}
        return Keyset.of((SessionRow.captured_at, SessionRow.id), asked)

    def statement(self) -> Select[Any]:
        """Visits, and when anything that their rows follow from changed."""
        of_trial = select(func.max(M.updated_at)).join(TrialRow, TrialRow.id == M.trial_id)
        changed = of_trial.where(TrialRow.session_id == SessionRow.id).scalar_subquery()
        same = (TombstoneRow.subject == SubjectRow.code, TombstoneRow.session == SessionRow.code)
        went = select(func.max(TombstoneRow.deleted_at)).where(*same).scalar_subquery()
        moments = (SessionRow.updated_at, EpisodeRow.updated_at, changed, went)
        asked = (
            select(SessionRow.id, SessionRow.code, SessionRow.captured_at, SessionRow.phase)
            .add_columns(SubjectRow.code.label("subject"), EpisodeRow.label.label("episode"), EpisodeRow.index_date)
            .add_columns(*(moment.label(f"moment{i}") for i, moment in enumerate(moments)))
            .join(SubjectRow, SubjectRow.id == SessionRow.subject_id)
            .outerjoin(EpisodeRow, EpisodeRow.id == SessionRow.episode_id)
            .where(*self.filter.conditions())
        )
        since = self.filter.updated_since
        if since is None or (self.learnt_at is not None and self.learnt_at >= since):
            return asked
        return asked.where(or_(*(moment >= since for moment in moments)))

    def key_of(self, unit: Row[Any]) -> Sequence[Any]:
        """Time and identity."""
        return (unit.captured_at, unit.id)

    def draw(self, session: Session, units: Sequence[Row[Any]], shape: Shape, _most: int, /) -> Drawn:
        """As `UnitTable.draw`."""
        measured = self._read(session, units)
        rows, numbers = list[dict[str, Any]](), list[int]()
        for i, unit in enumerate(units):
            found = list(self._rows_of(unit, measured.get(unit.id, [])))
            rows += found
            numbers += [i] * len(found)
        return Drawn(shape.of_rows(rows), np.array(numbers, dtype=np.int64))

    def _read(self, session: Session, units: Sequence[Row[Any]]) -> dict[str, list[Row[Any]]]:
        asked = (
            select(TrialRow.session_id, M.trial_id, TrialRow.placement, *(plain_column(name) for name in _READ))
            .join(TrialRow, TrialRow.id == M.trial_id)
            .where(TrialRow.session_id.in_([unit.id for unit in units]), TrialRow.excluded.is_(False))
            .where(self.counting.of(M))
            .order_by(TrialRow.recorded_at, TrialRow.code)
        )
        if self.asked.metrics:
            asked = asked.where(M.metric.in_((*self.asked.metrics, _SPEED[0])))
        found: dict[str, list[Row[Any]]] = defaultdict(list)
        for row in session.execute(asked):
            found[row.session_id].append(row)
        return found

    def _rows_of(self, unit: Row[Any], measured: list[Row[Any]]) -> Iterator[dict[str, Any]]:
        moments = [unit.moment0, unit.moment1, unit.moment2, unit.moment3, self.learnt_at]
        visit = {
            "lab": self.lab,
            "subject": unit.subject,
            "episode": unit.episode,
            "phase": unit.phase,
            "weeks_from_index": weeks_between(unit.captured_at, unit.index_date) if unit.index_date else None,
            "session": unit.code,
            "captured_at": unit.captured_at,
            "updated_at": max(m for m in moments if m is not None),
        }
        if self.filter.updated_since is not None:
            named = {name: visit[name] for name in ("lab", "subject", "session", "updated_at")}
            yield dict.fromkeys(self.columns) | named | {"deleted": True}
        if self.filter.takes(phase=unit.phase, episode=unit.episode, captured_at=unit.captured_at):
            for group in self._groups(measured):
                yield visit | self._row(group, unit)

    def _groups(self, measured: list[Row[Any]]) -> list[list[tuple[Row[Any], float]]]:
        """Values of one metric and side that were measured and made alike, each with its speed."""
        shown = {row.trial_id: row.mean for row in measured if (row.metric, row.side) == _SPEED}
        groups: dict[tuple[Any, ...], list[tuple[Row[Any], float]]] = defaultdict(list)
        for row in measured:
            if not self.asked.takes(row):
                continue
            speed = shown.get(row.trial_id) if row.speed_mps is None else row.speed_mps
            # Captures of unknown speed are never joined.
            alike = row.trial_id if speed is None else speed
            made = tuple(getattr(row, name) for name in _MADE)
            key = (row.metric, row.side, row.kind, row.surface or "", alike, row.incline_pct, row.footwear, *made)
            groups[key].append((row, math.nan if speed is None else speed))
        return [groups[key] for key in sorted(groups, key=lambda k: tuple(map(str, k)))]

    def _row(self, group: list[tuple[Row[Any], float]], unit: Row[Any]) -> dict[str, Any]:
        first, speed = group[0]
        name, factor = unit_of(first.metric)
        tier, side = Tier(first.tier or 0), Side(first.side)
        measured = measure_visit([_capture(unit, row) for row, _ in group], first.metric, side)
        error = self.errors.find(first.metric, tier, speed)
        low, high = measured.interval(error)
        against = dict.fromkeys(row.not_for_comparison for row, _ in group if row.not_for_comparison)
        scaled_numbers = {"mean": measured.mean, "sd": measured.sd, "ci95_low": low, "ci95_high": high}
        return {
            **{name: getattr(first, name) for name in (*_CONDITIONS, *_MADE, "metric", "side")},
            **{column: scaled(finite_or_none(value), factor) for column, value in scaled_numbers.items()},
            "speed_mps": finite_or_none(speed),
            "footwear": first.footwear or None,
            "tier": None if first.tier is None else tier.name,
            "unit": name,
            "n": measured.n_strides,
            "n_captures": len(measured.metrics),
            "trials": " ".join(row.trial for row, _ in group),
            "sem_source": error.source_of(divided=measured.divided) if error is not None and measured.metrics else None,
            "quality": measured.quality.value if measured.metrics else None,
            "reason": measured.reason,
            "not_for_comparison": "; ".join(against) or None,
            "deleted": False,
        }


def _capture(unit: Row[Any], row: Row[Any]) -> Capture:
    """A trial with this one metric."""
    nan = math.nan
    metric = CaptureMetric(
        id=row.metric,
        side=Side(row.side),
        mean=nan if row.mean is None else row.mean,
        sd=nan if row.sd is None else row.sd,
        n=row.n,
        lag1=row.lag1 or 0.0,
        se_reconstruction=nan if row.se_reconstruction is None else row.se_reconstruction,
        tier=Tier(row.tier or 0),
        version=row.definition_version,
        quality=Quality(row.quality),
        reason=row.reason,
    )
    name = TrialName(unit.subject, unit.code, row.trial)
    return Capture(name, TrialKind(row.kind), _NOWHERE, False, row.not_for_comparison, (metric,), row.placement)


# Conditions are the key of a group; the visit's value does not look at them.
_NOWHERE = Conditions()
