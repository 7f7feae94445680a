"""The table `sessions`: a row per visit. Typed notes and who recorded are not in it: they may name people."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from api.database.tables import EpisodeRow, SessionRow, SubjectRow
from api.flat.columns import Columns
from api.flat.row_table import RowTable
from api.indexing.gather_run import weeks_between
from api.paging import Keyset
from labsys.core.session import Phase

VISIT = ("lab", "subject", "episode", "phase", "weeks_from_index", "session", "captured_at")


@dataclass(frozen=True)
class VisitFilter:
    """What visits are asked for; None means "any". Times are aware."""

    subject: str | None = None
    phase: Phase | None = None
    episode: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    updated_since: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """As SQL over visits with subject and episode. Who asks what changed gets all but `subject` from `takes`."""
        found = [] if self.subject is None else [SubjectRow.code == self.subject]
        if self.updated_since is not None:
            return found
        equal = ((SessionRow.phase, self.phase), (EpisodeRow.label, self.episode))
        found += [column == value for column, value in equal if value is not None]
        found += [] if self.since is None else [SessionRow.captured_at >= self.since]
        return found if self.until is None else [*found, SessionRow.captured_at < self.until]

    def takes(self, *, phase: Phase | None, episode: str | None, captured_at: datetime) -> bool:
        """Whether the filter holds for a visit as it is now."""
        equal = ((phase, self.phase), (episode, self.episode))
        return (
            all(wanted is None or value == wanted for value, wanted in equal)
            and (self.since is None or captured_at >= self.since)
            and (self.until is None or captured_at < self.until)
        )


@dataclass(frozen=True)
class VisitTable(RowTable):
    """Visits under a filter, for one lab."""

    name: ClassVar[str] = "sessions"
    columns: ClassVar[tuple[str, ...]] = (
        *(*VISIT, "repeats", "mass_kg", "height_m", "leg_length_m", "scores", "updated_at", "deleted"),
    )

    lab: str
    filter: VisitFilter

    def page(self, session: Session, cursor: str | None, limit: int) -> tuple[Columns, str | None]:
        """As `RowTable.page`."""
        asked = (
            select(SessionRow).join(SessionRow.subject).outerjoin(SessionRow.episode).where(*self.filter.conditions())
        )
        since = self.filter.updated_since
        if since is not None:
            asked = asked.where(or_(SessionRow.updated_at >= since, EpisodeRow.updated_at >= since))
        keys = Keyset.of((SessionRow.captured_at, SessionRow.id), {"table": self.name, "filter": self.filter})
        found, cursor = keys.fetch(session, asked, cursor, limit)
        rows = [self._row(visit) for visit in found]
        return {name: [row[name] for row in rows] for name in self.columns}, cursor

    def _row(self, visit: SessionRow) -> dict[str, Any]:
        episode = visit.episode
        scores = {s.name: s.value for s in visit.scores}
        label = episode.label if episode else None
        return {
            "lab": self.lab,
            "subject": visit.subject.code,
            "episode": label,
            "phase": visit.phase,
            "weeks_from_index": weeks_between(visit.captured_at, episode.index_date) if episode else None,
            "session": visit.code,
            "captured_at": visit.captured_at,
            "repeats": visit.repeats or None,
            "mass_kg": visit.mass_kg,
            "height_m": visit.height_m,
            "leg_length_m": visit.leg_length_m,
            "scores": json.dumps(scores, ensure_ascii=False) if scores else None,
            "updated_at": max(visit.updated_at, episode.updated_at) if episode else visit.updated_at,
            "deleted": not self.filter.takes(phase=visit.phase, episode=label, captured_at=visit.captured_at),
        }
